"""Whatever bytes come, the answer is a request or a refusal."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.edge.openai import (
    LARGEST_OUTPUT,
    input_tokens_bound,
    parse,
)
from shared.errors import InvalidRequest
from tests.edge.chat_bodies import FIELDS, MESSAGES, MINIMAL, VALUES, Json, encoded, outcome


@given(name=st.sampled_from(FIELDS), value=VALUES)
@example(name="model", value="\ud800")
def test_any_value_in_any_member_is_a_request_or_a_refusal(name: str, value: Json) -> None:
    """Never another exception; what passes has bounds in their ranges."""
    request = outcome(encoded(**{name: value}))
    if isinstance(request, InvalidRequest):
        assert request.param is None or request.param.startswith(name)
        return
    assert 1 <= request.choices <= 128
    assert request.output_tokens_wanted is None or 1 <= request.output_tokens_wanted <= LARGEST_OUTPUT
    assert request.model.isprintable()


@given(messages=MESSAGES)
def test_any_messages_are_a_request_or_a_refusal(messages: list[Json]) -> None:
    """Also deep inside, and the bound on tokens is never below what the text alone can cost."""
    body = encoded(messages=messages)
    request = outcome(body)
    if isinstance(request, InvalidRequest):
        assert (request.param or "").startswith("messages")
        return
    assert 0 <= request.media_bytes < len(body)
    assert input_tokens_bound(len(body), request) > 0


@given(body=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    """Never another exception."""
    with pytest.raises(InvalidRequest):
        parse(body)


@given(
    start=st.integers(0, len(MINIMAL)),
    length=st.integers(0, 5),
    middle=st.binary(max_size=5) | st.just(b"\\ud800"),
)
def test_a_damaged_request_is_a_request_or_a_refusal(start: int, length: int, middle: bytes) -> None:
    """The neighbourhood of a valid body."""
    body = MINIMAL[:start] + middle + MINIMAL[start + length :]
    request = outcome(body)
    if isinstance(request, InvalidRequest):
        assert str(request) != request.code
    else:
        assert request.model.isprintable()
