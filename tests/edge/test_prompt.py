"""The counted bound: lower than the bytes, and still above what the model is charged for."""

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import openai
from services.edge.prompt import COUNTED_BYTES_MAX, counted_input_bound, tighter_input_bound
from shared.errors import InsufficientFunds, RateLimited
from shared.tokens import tokenizer_of
from tests.edge.chat_bodies import Json

TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from(["hello ", "\n", "汉字", "{}", "\\", '"', "\t"])
).map("".join)
POOR = InsufficientFunds("insufficient_balance", needed_usd="1", available_usd="0.5")


def _body(*messages: Json, model: str = "gpt-4o", **members: Json) -> bytes:
    return json.dumps({"model": model, "messages": list(messages), **members}).encode()


def _bound(body: bytes) -> int:
    request = openai.parse(body)
    counted = counted_input_bound(tokenizer_of(request.model), body, request)
    assert counted is not None
    return counted


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS, TEXTS), min_size=1, max_size=8
    )
)
def test_the_bound_is_above_what_openai_counts(conversation: list[tuple[str, str, str]]) -> None:
    """By its own recipe: 3 tokens for each message and 1 for a name beside their text, and 3 for the answer's beginning.

    Source: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken.
    """
    tokenizer = tokenizer_of("gpt-4o")
    spent = 3
    messages: list[Json] = []
    for role, content, name in conversation:
        spent += (
            3 + tokenizer.count(role) + tokenizer.count(content) + (1 + tokenizer.count(name) if name else 0)
        )
        messages.append({"role": role, "content": content, **({"name": name} if name else {})})

    assert _bound(_body(*messages)) >= spent


def test_the_bound_of_a_long_text_is_far_below_its_bytes() -> None:
    """A third or less for English, whose tokens have four bytes, and for Chinese in ASCII, which has six bytes a character."""
    words = ["the", "answer", "to", "every", "question", "is", "written", "somewhere", "else"]
    english = " ".join(random.Random(1).choices(words, k=5_000))
    for text in (english, "今天天气很好，我们去公园散步吧。" * 500):
        body = _body({"role": "user", "content": text})
        assert tokenizer_of("gpt-4o").count(text) <= _bound(body) < len(body) / 3
    rare = "꧁" * 3_000  # three tokens each
    assert tokenizer_of("gpt-4o").count(rare) <= _bound(_body({"role": "user", "content": rare}))


def test_media_and_tools_count_as_before() -> None:
    """An image is not read as text, but has its own bound."""
    image: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 300_000}}
    body = _body({"role": "user", "content": [image]}, tools=[{"type": "function"}])

    bound = _bound(body)

    assert (
        openai.IMAGE_TOKENS + openai.TOOLS_TOKENS <= bound < openai.IMAGE_TOKENS + openai.TOOLS_TOKENS + 400
    )


def test_a_body_that_cannot_be_read_as_a_whole_has_no_counted_bound() -> None:
    """A number in a member that nobody reads, beyond a double: the byte bound stands."""
    body = _body({"role": "user", "content": "hello"}).replace(b'"model"', b'"vendor":1e999,"model"')
    request = openai.parse(body)

    assert counted_input_bound(tokenizer_of("gpt-4o"), body, request) is None


LONG: Json = {"role": "user", "content": "a long question " * 200}


@pytest.mark.parametrize(
    "refusal",
    [
        POOR,
        InsufficientFunds("request_too_expensive"),
        InsufficientFunds("spend_limit_reached"),
        RateLimited("balance_held"),
        RateLimited("spend_limit_held"),
        RateLimited("tokens_per_minute_exceeded"),
    ],
)
async def test_a_refusal_for_want_of_money_is_worth_a_count(refusal: InsufficientFunds | RateLimited) -> None:
    """Where the tokenizer is known."""
    body = _body(LONG)

    bound = await tighter_input_bound(refusal, body, openai.parse(body), len(body))

    assert bound == _bound(body) < len(body) / 2


@pytest.mark.parametrize(
    ("refusal", "body"),
    [
        (RateLimited("requests_per_minute_exceeded"), _body(LONG)),
        (InsufficientFunds("insufficient_balance", needed_usd="1", available_usd="0.00"), _body(LONG)),
        (POOR, _body(LONG, model="claude-sonnet-4-5")),
        (POOR, _body(LONG, model="fast")),
        (POOR, _body({"role": "user", "content": "hi"})),
        (POOR, _body({"role": "user", "content": "x" * COUNTED_BYTES_MAX})),
    ],
    ids=[
        "another reason",
        "no money at all",
        "another vendor",
        "unknown model",
        "nothing to gain",
        "too long",
    ],
)
async def test_other_refusals_stand(refusal: InsufficientFunds | RateLimited, body: bytes) -> None:
    """As they were."""
    with pytest.raises(type(refusal)) as caught:
        await tighter_input_bound(refusal, body, openai.parse(body), len(body))

    assert caught.value is refusal


def test_a_bound_is_a_count_that_billing_takes() -> None:
    """A whole number, for the largest body that is counted."""
    body = _body({"role": "user", "content": "x " * (COUNTED_BYTES_MAX // 2 - 100)})

    assert msgspec.json.decode(msgspec.json.encode(_bound(body)), type=int) < len(body)
