"""What a call used when its upstream does not say: counted from the request and from what was delivered."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.delivered import KEPT_BYTES_MAX, DeliveredText
from services.dispatcher.estimate import (
    AUDIO_CHARACTERS_PER_TOKEN,
    COUNTED_BYTES_MAX,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REQUEST_TOKENS,
    by_bytes,
    estimate,
)
from shared.contracts import billing
from shared.contracts.dispatcher import ChatCall
from shared.tokens import counting, tokenizer_of

CALL = ChatCall(
    account_id="a",
    model="gpt-4o",
    is_stream=True,
    include_usage=False,
    output_tokens_granted=1000,
    choices=1,
    input_tokens_bound=400,
    deadline_seconds=60.0,
)
GPT_4O = tokenizer_of("gpt-4o")


def _body(*messages: object) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": list(messages)}).encode()


def _delivered(*texts: str) -> DeliveredText:
    delivered = DeliveredText()
    for text in texts:
        delivered.add(text)
    return delivered


@given(st.lists(st.text()))
def test_what_was_delivered_is_measured_in_bytes(texts: list[str]) -> None:
    """All of it, and the beginning is kept."""
    delivered = _delivered(*texts)

    whole = "".join(texts).encode("utf-8", "surrogatepass")
    assert (delivered.size_bytes, bytes(delivered.kept)) == (len(whole), whole[:KEPT_BYTES_MAX])


def test_no_more_is_kept_than_a_bound() -> None:
    """However much is delivered, in however large parts."""
    delivered = _delivered("x" * 1000, "y" * KEPT_BYTES_MAX, "z" * KEPT_BYTES_MAX)

    assert delivered.size_bytes == 1000 + 2 * KEPT_BYTES_MAX
    assert len(delivered.kept) == KEPT_BYTES_MAX
    assert delivered.kept.endswith(b"y")


async def test_prompt_and_output_are_counted_by_the_models_tokenizer() -> None:
    """Their text, and what a chat template puts around each message."""
    body = _body(
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "why is the sky blue?"}
    )

    found = await estimate(CALL, "gpt-4o-2024-11-20", body, _delivered("Rayleigh", " scattering."))

    assert found.counted_by == "tiktoken/o200k_base"
    assert found.usage == billing.Usage(
        input_tokens=GPT_4O.count("be brief\nwhy is the sky blue?") + 2 * MESSAGE_TOKENS + REQUEST_TOKENS,
        output_tokens=GPT_4O.count("Rayleigh scattering."),
    )


async def test_images_and_audio_have_an_estimate_of_their_own() -> None:
    """They are not counted as text."""
    body = _body({"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90_000}},
        {"type": "input_audio", "input_audio": {"data": "B" * AUDIO_CHARACTERS_PER_TOKEN * 32, "format": "mp3"}},
    ]})  # fmt: skip

    found = await estimate(CALL, "gpt-4o", body, _delivered())

    assert found.usage == billing.Usage(input_tokens=IMAGE_TOKENS + 32 + MESSAGE_TOKENS + REQUEST_TOKENS)


async def test_what_is_beyond_the_counted_beginning_counts_like_it() -> None:
    """A long prompt and a long answer: their beginnings say how many bytes a token has."""
    sentence = "The quick brown fox jumps over the lazy dog. "
    times = 3 * COUNTED_BYTES_MAX // len(sentence)
    delivered = _delivered(*[sentence] * times)

    found = await estimate(CALL, "gpt-4o", _body({"role": "user", "content": sentence * times}), delivered)

    exact = GPT_4O.count(sentence * times)
    assert found.usage.input_tokens == pytest.approx(exact, rel=0.01)
    assert found.usage.output_tokens == pytest.approx(exact, rel=0.01)


async def test_the_name_at_the_upstream_comes_first() -> None:
    """Ours may be an alias; where the upstream's says nothing, ours may."""
    body = _body({"role": "user", "content": "hello"})

    assert (
        await estimate(CALL, "claude-opus-5", body, _delivered())
    ).counted_by == "tiktoken/o200k_base*125%"
    assert (await estimate(CALL, "deployment-7", body, _delivered())).counted_by == "tiktoken/o200k_base"


async def test_a_body_that_cannot_be_read_is_estimated_by_its_bytes() -> None:
    """Four for a token, and it says so."""
    found = await estimate(CALL, "gpt-4o", b'{"vendor":1e999}', _delivered("x" * 41))

    assert found.counted_by == "bytes"
    assert (
        found.usage
        == by_bytes(CALL, _delivered("x" * 41))
        == billing.Usage(input_tokens=100, output_tokens=11)
    )


async def test_a_claim_does_not_fail_with_the_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A vocabulary that is not there is logged, and the bytes are taken."""
    monkeypatch.setattr(counting, "_VOCABULARY", tmp_path)
    monkeypatch.setattr(counting, "_loaded", {})

    with caplog.at_level(logging.ERROR):
        found = await estimate(CALL, "gpt-4o", _body({"role": "user", "content": "hello"}), _delivered())

    assert found.counted_by == "bytes"
    assert "cannot be counted" in caplog.text
