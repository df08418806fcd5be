"""Requests and their tokens of input."""

import pytest

from services.simulator.prompt import count_prompt_tokens, decode
from shared.errors import InvalidRequest

TOOLS = b'[{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]'


def test_four_bytes_are_a_token() -> None:
    """Each text is rounded up for itself, in bytes of UTF-8."""
    request = decode(
        '{"model":"m","messages":[{"role":"system","content":"12345"},{"role":"user","content":"语语"}]}'.encode()
    )
    assert count_prompt_tokens(request) == 2 + 2


def test_images_audio_and_tools_count() -> None:
    """85 for an image, 10 a second for sound, a quarter of the compact JSON of the tools."""
    parts = b'[{"type":"text","text":"abcd"},{"type":"image_url","image_url":{"url":"data:"}}]'
    sound = b'[{"type":"input_audio","input_audio":{"format":"pcm16","data":"%s"}}]' % (b"A" * 42_668)
    messages = b'[{"role":"user","content":%b},{"role":"user","content":%b}]' % (parts, sound)
    request = decode(b'{"model":"m","messages":%b,"tools":%b}' % (messages, TOOLS))
    compact = len(TOOLS.replace(b" ", b""))
    assert count_prompt_tokens(request) == 1 + 85 + 11 + -(-compact // 4)
    assert [function.name for function in request.functions] == ["f"]


def test_the_last_user_text_joins_its_parts() -> None:
    """Later messages of others do not hide it."""
    content = b'[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]'
    request = decode(
        b'{"model":"m","messages":[{"role":"user","content":%b},{"role":"assistant","content":null}]}'
        % content
    )
    assert request.last_user_text == "ab"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"model":"m"}',
        b'{"model":"","messages":[{"role":"user"}]}',
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":[{"role":"user"}],"max_tokens":-1}',
        b'{"model":"m","messages":[{"role":"user"}],"n":0}',
        b'{"model":"m","messages":' + b"[" * 100_000,
    ],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    """Whatever is wrong with it, it is the caller's error."""
    with pytest.raises(InvalidRequest):
        decode(body)


@pytest.mark.parametrize("tools", [b"null", b"[]"])
def test_no_tools_count_nothing(tools: bytes) -> None:
    """Absent, null and empty are the same."""
    request = decode(b'{"model":"m","messages":[{"role":"user"}],"tools":%b}' % tools)
    assert count_prompt_tokens(request) == 0
    assert request.functions == []


def test_malformed_tools_are_refused() -> None:
    """They are looked at when they are called."""
    request = decode(b'{"model":"m","messages":[{"role":"user"}],"tools":[{"function":{}}]}')
    with pytest.raises(InvalidRequest):
        _ = request.functions
