"""Bodies of chat requests for the tests, and what becomes of them."""

import json

import pytest
from hypothesis import strategies as st

from services.edge.openai import (
    ChatRequest,
    input_tokens_bound,
    parse,
)
from shared.errors import InvalidRequest

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

HELLO: dict[str, Json] = {"role": "user", "content": "hello"}
MINIMAL = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
FIELDS = [
    "model", "messages", "stream", "stream_options", "max_completion_tokens", "max_tokens", "n", "temperature",
    "top_p", "presence_penalty", "frequency_penalty", "stop", "seed", "logprobs", "top_logprobs", "logit_bias",
    "response_format", "tools", "functions", "parallel_tool_calls", "user",
]  # fmt: skip
NULLABLE = [name for name in FIELDS if name not in ("model", "messages")]

INTEGERS = st.integers(-(2**70), 2**70)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
PARTS = st.fixed_dictionaries(
    {}, optional={"type": VALUES, "text": VALUES, "image_url": VALUES, "input_audio": VALUES}
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["developer", "system", "user", "assistant", "tool", "function"])
            | VALUES,
            "content": st.text() | st.lists(PARTS, max_size=3) | VALUES,
            "tool_call_id": VALUES,
            "name": VALUES,
        },
    ),
    max_size=3,
)


def encoded(**members: Json) -> bytes:
    """Return the body of a minimal request with `members`."""
    body: dict[str, Json] = {"model": "m", "messages": [HELLO]}
    return json.dumps(body | members).encode()


def message(**members: Json) -> bytes:
    """Return the body of a request with one message."""
    return encoded(messages=[members])


def part(**members: Json) -> bytes:
    """Return the body of a request with one text part and one of `members`."""
    return message(role="user", content=[{"type": "text", "text": "hello"}, members])


def refusal(body: bytes) -> InvalidRequest:
    """Return the refusal of `body`."""
    with pytest.raises(InvalidRequest) as refused:
        parse(body)
    return refused.value


def outcome(body: bytes) -> ChatRequest | InvalidRequest:
    """Return the request or the refusal; any other exception is the test's failure."""
    try:
        return parse(body)
    except InvalidRequest as error:
        return error


def bound(body: bytes) -> int:
    """Return the bound on the prompt of a valid body."""
    return input_tokens_bound(len(body), parse(body))
