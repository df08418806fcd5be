"""The official Python SDK against the whole stack: an application sees no difference from OpenAI."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionFunctionToolParam

from tests.e2e.refusals import REFUSALS, Refusal, RefusedCall, prepare
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator, Tenant

pytestmark = pytest.mark.xdist_group("e2e")

TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city", "unit"],
        },
    },
}


async def _stream(
    client: openai.AsyncOpenAI, tenant: Tenant, text: str, *, usage: bool = False
) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model=tenant.model,
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": usage} if usage else openai.omit,
    )
    return [chunk async for chunk in stream]


async def _read_into(
    chunks: list[ChatCompletionChunk], stream: openai.AsyncStream[ChatCompletionChunk]
) -> None:
    async for chunk in stream:
        chunks.append(chunk)


def _text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_plain_and_streamed_answers_carry_the_same_text(
    client: openai.AsyncOpenAI, tenant: Tenant
) -> None:
    """Both forms are complete, and the plain one tells its usage and its request id."""
    plain = await client.chat.completions.create(
        model=tenant.model, messages=[{"role": "user", "content": "hello [[sim out=40]]"}]
    )
    chunks = await _stream(client, tenant, "hello [[sim out=40]]")

    assert plain.choices[0].message.content == _text(chunks)
    assert plain.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "stop"
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 40
    assert plain._request_id is not None
    assert all(chunk.usage is None for chunk in chunks)


def _sync_calls(base_url: str, tenant: Tenant) -> tuple[ChatCompletion, list[ChatCompletionChunk]]:
    with openai.OpenAI(base_url=base_url, api_key=tenant.key, max_retries=0) as client:
        plain = client.chat.completions.create(
            model=tenant.model, messages=[{"role": "user", "content": "hi"}]
        )
        stream = client.chat.completions.create(
            model=tenant.model, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        return plain, list(stream)


async def test_the_sync_client_reads_both_forms(stack: RunningStack, tenant: Tenant) -> None:
    """The synchronous client gets the same text in both forms."""
    plain, chunks = await asyncio.to_thread(_sync_calls, stack.base_url, tenant)

    assert plain.choices[0].message.content == _text(chunks) != ""


async def test_include_usage_brings_the_usage_last(client: openai.AsyncOpenAI, tenant: Tenant) -> None:
    """The client that asks gets one more chunk, without choices, with what the upstream reported."""
    chunks = await _stream(client, tenant, "hello [[sim out=30 reasoning=5 cached=2]]", usage=True)

    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 35
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 2


async def test_tool_calls_arrive_whole(client: openai.AsyncOpenAI, tenant: Tenant) -> None:
    """Plain, and put together by the SDK from a stream."""
    expected = [("get_weather", '{"city":"text","unit":"c"}')] * 2
    plain = await client.chat.completions.create(
        model=tenant.model, messages=[{"role": "user", "content": "hi [[sim tools=2]]"}], tools=[TOOL]
    )
    calls = plain.choices[0].message.tool_calls or []
    assert [
        (call.function.name, call.function.arguments) for call in calls if call.type == "function"
    ] == expected

    async with client.chat.completions.stream(
        model=tenant.model, messages=[{"role": "user", "content": "hi [[sim tools=2]]"}], tools=[TOOL]
    ) as stream:
        final = await stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in streamed] == expected
    assert final.choices[0].finish_reason == "tool_calls"


async def test_the_model_can_be_listed_and_retrieved(client: openai.AsyncOpenAI, tenant: Tenant) -> None:
    """A model that has a channel and a price is in the list, and can be asked for by its name."""
    assert tenant.model in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(tenant.model)).id == tenant.model


@pytest.fixture
async def refused_calls(operator: Operator) -> dict[str, RefusedCall]:
    """One call for each reason to refuse it."""
    return await prepare(operator)


@pytest.fixture
async def refusing(
    stack: RunningStack, refused_calls: dict[str, RefusedCall], refusal: Refusal
) -> AsyncIterator[tuple[openai.AsyncOpenAI, RefusedCall]]:
    """The SDK with the key of the call that is to be refused, and that call."""
    call = refused_calls[refusal.name]
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=call.key, max_retries=0) as connected:
        yield connected, call


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
async def test_a_refusal_is_the_sdks_own_exception(
    refusing: tuple[openai.AsyncOpenAI, RefusedCall], refusal: Refusal, is_stream: bool
) -> None:
    """Class, status and code are those of the table, also for a stream: its status is held until it has begun."""
    client, call = refusing
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(
            model=call.model,
            messages=[{"role": "user", "content": call.text}],
            temperature=call.temperature,
            stream=is_stream,
        )

    got = caught.value
    assert type(got).__name__ == refusal.python_class
    assert (got.status_code, got.code, got.type) == (refusal.status, refusal.code, refusal.type)
    assert got.request_id
    assert got.response.headers["x-should-retry"] == ("true" if refusal.is_retryable else "false")


@pytest.mark.parametrize("mode", ["rst", "fin", "bad_chunk"])
async def test_a_broken_stream_raises_after_its_text(
    client: openai.AsyncOpenAI, tenant: Tenant, mode: str
) -> None:
    """However the upstream breaks off, the application gets what came, and then an error: never a short answer."""
    stream = await client.chat.completions.create(
        model=tenant.model,
        messages=[{"role": "user", "content": f"hi [[sim out=20 tps=50 cut=tok:3 cut_mode={mode}]]"}],
        stream=True,
    )
    chunks: list[ChatCompletionChunk] = []

    with pytest.raises(openai.APIError) as caught:
        await _read_into(chunks, stream)

    assert _text(chunks)
    assert caught.value.code == "upstream_disconnected"
