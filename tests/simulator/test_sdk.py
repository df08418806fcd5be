"""The official SDK takes the clean simulator for OpenAI, and its faults for those of a provider."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionFunctionToolParam

from services.simulator.server import Simulator

TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["c", "f"]},
                "note": {"type": "string"},
            },
            "required": ["city", "unit"],
        },
    },
}


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK as an application sets it up, without repeats."""
    async with openai.AsyncOpenAI(
        base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0
    ) as connected:
        yield connected


async def _chunks(client: openai.AsyncOpenAI, text: str, *, usage: bool = False) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": usage},
    )
    return [chunk async for chunk in stream]


def _sync_calls(base_url: str) -> tuple[ChatCompletion, str]:
    with openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0) as client:
        plain = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        return plain, "".join(chunk.choices[0].delta.content or "" for chunk in stream)


async def test_the_sync_sdk_reads_both_forms(simulator: Simulator) -> None:
    """Plain and stream carry the same text."""
    plain, streamed = await asyncio.to_thread(_sync_calls, f"{simulator.url}/v1")
    assert plain.choices[0].message.content == streamed
    assert streamed.startswith("This is a simulated answer")
    assert plain.system_fingerprint == "relay-simulator"
    assert plain._request_id == f"req_{plain.id}"


async def test_usage_in_the_stream_equals_the_ledger(
    simulator: Simulator, client: openai.AsyncOpenAI
) -> None:
    """The usage comes last, without choices, and is what would be billed."""
    chunks = await _chunks(client, "hello [[sim out=30 reasoning=5 cached=7]]", usage=True)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    usage, bill = chunks[-1].usage, simulator.ledger[0]
    assert usage is not None
    assert chunks[-1].choices == []
    assert (usage.prompt_tokens, usage.completion_tokens) == (bill.prompt_tokens, bill.completion_tokens)
    assert (bill.completion_tokens, bill.reasoning_tokens, bill.cached_tokens) == (35, 5, 7)
    assert bill.prompt_tokens == -(-len("hello [[sim out=30 reasoning=5 cached=7]]") // 4)
    assert bill.outcome == "completed"


async def test_plain_usage_equals_the_ledger(simulator: Simulator, client: openai.AsyncOpenAI) -> None:
    """Also with several choices and a limit."""
    answer = await client.chat.completions.create(
        model="m@out=30", n=2, max_completion_tokens=8, messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.usage is not None
    assert answer.model == "m"
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    assert answer.usage.completion_tokens == simulator.ledger[0].completion_tokens == 16


async def test_tool_calls_arrive_whole(client: openai.AsyncOpenAI) -> None:
    """Plain and accumulated from the stream, with arguments that fit the schema."""
    expected = [("get_weather", '{"city":"text","unit":"c"}')] * 2
    plain = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi [[sim tools=2]]"}], tools=[TOOL]
    )
    calls = plain.choices[0].message.tool_calls or []
    assert [
        (call.function.name, call.function.arguments) for call in calls if call.type == "function"
    ] == expected
    async with client.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "hi [[sim tools=2]]"}], tools=[TOOL]
    ) as stream:
        final = await stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in streamed] == expected
    assert final.choices[0].finish_reason == "tool_calls"


async def test_the_models_are_listed(client: openai.AsyncOpenAI) -> None:
    """A channel can be tested without a paid call."""
    assert [model.id async for model in client.models.list()] == ["simulated-large", "simulated-small"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, openai.AuthenticationError), (429, openai.RateLimitError), (503, openai.InternalServerError)],
)
async def test_errors_have_their_class(
    client: openai.AsyncOpenAI, status: int, kind: type[openai.APIStatusError]
) -> None:
    """With the code that was asked for, or the usual one."""
    with pytest.raises(kind) as caught:
        await _chunks(client, f"hi [[sim status={status} code=some_code]]")
    assert caught.value.code == "some_code"


async def test_an_error_in_the_stream_is_raised_after_the_text(client: openai.AsyncOpenAI) -> None:
    """The SDK yields what came before it."""
    stream = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi [[sim err_in=mid:3]]"}], stream=True
    )
    for _ in range(4):
        await anext(stream)
    with pytest.raises(openai.APIError, match="Simulated error"):
        await anext(stream)


@pytest.mark.parametrize(
    "directive",
    ["split=1", "eol=crlf", "space=0", "gzip", "te=length", "te=close", "http10", "coalesce=3 chunk_tokens=4",
     "comments=hm", "ping_every=1 tps=200 out=3", "pre_ping=2:1", "multiline_data", "event_names", "big_line=100000",
     "huge_body=200000", "ct=text/plain", "close_conn", "usage=every", "usage=x_groq", "done=0"],
)  # fmt: skip
async def test_legal_oddities_do_not_change_the_text(client: openai.AsyncOpenAI, directive: str) -> None:
    """A reader that follows the standards sees the same answer."""
    clean = await _chunks(client, "hi [[sim reply=hm→hm]]")
    odd = await _chunks(client, f"hi [[sim {directive} {'' if 'out' in directive else 'reply=hm→hm'}]]")
    text = "".join(choice.delta.content or "" for chunk in odd for choice in chunk.choices)
    if "out" in directive:
        assert len(text.encode()) == 12
    else:
        assert text == "".join(chunk.choices[0].delta.content or "" for chunk in clean)
