"""What of a request is counted: its text, and its media apart."""

import json

import msgspec
import pytest

from shared.tokens import Prompt, read_prompt

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}


def _prompt(**members: object) -> Prompt:
    prompt = read_prompt(json.dumps({"model": "m", **members}).encode())
    assert prompt is not None
    return prompt


def test_the_text_is_what_the_model_reads() -> None:
    """Messages with their parts, names and tool calls, and the tools; not what only steers the sampling."""
    prompt = _prompt(
        temperature=0.123,
        messages=[
            {"role": "system", "content": "be brief", "name": "boss"},
            {"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "text", "text": "this?"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "x", "content": "a cat"},
        ],
        tools=[{"type": "function", "function": {"name": "look"}}],
    )  # fmt: skip

    text = prompt.text()

    assert prompt.messages == 4
    for part in ("be brief", "boss", "what is", "this?", '"look"', "a cat"):
        assert part in text
    assert text.count('"look"') == 2
    assert "0.123" not in text


def test_everything_is_the_whole_request_without_its_media() -> None:
    """As compact UTF-8, whatever way the client has of writing it."""
    content = "汉字" * 10
    prompt = _prompt(vendor={"x": [1, 2]}, messages=[{"role": "user", "content": content}])

    everything = prompt.everything()

    assert content in everything.decode()
    assert msgspec.json.decode(everything)["vendor"] == {"x": [1, 2]}


def test_media_are_counted_and_not_read() -> None:
    """Images in base64 and behind a URL, and audio by its characters; an image that is not shown to be one stays text."""
    prompt = _prompt(
        messages=[
            {"role": "user", "content": [
                IMAGE,
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
                {"type": "image_url", "image_url": {"url": "data:application/pdf;base64," + "B" * 100}},
                {"type": "input_audio", "input_audio": {"data": "C" * 7000, "format": "mp3"}},
                {"type": "text", "text": "hello"},
            ]},
        ]
    )  # fmt: skip

    assert (prompt.images, prompt.audio_characters) == (3, 7000)
    everything = prompt.everything()
    assert b"AAA" not in everything
    assert b"CCC" not in everything
    assert b"BBB" in everything
    assert prompt.text() == "hello"


@pytest.mark.parametrize(
    "members",
    [
        {"messages": "x"},
        {"messages": [1, None, "x", {"content": 5}, {"content": [1, {"text": 2, "image_url": "u", "input_audio": 1}]}]},
        {"messages": [{"content": [{"image_url": {"url": None}, "input_audio": {"data": 3}}], "name": 1}]},
        {},
    ],
)  # fmt: skip
def test_an_odd_request_is_read_all_the_same(members: dict[str, object]) -> None:
    """Nothing here fails on what a client may send."""
    prompt = _prompt(**members)

    assert isinstance(prompt.text(), str)
    assert prompt.everything()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":' * 5_000])
def test_what_is_no_request_has_no_prompt(body: bytes) -> None:
    """It is counted by its bytes then."""
    assert read_prompt(body) is None
