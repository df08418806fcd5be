"""Recorded answers of real providers over the whole way: an HTTP listener, the dispatcher, the bus, the edge, the official SDK."""

import json
from pathlib import Path

import openai
import pytest

from tests.dispatcher.raw_server import RawServer, Reader, Writer, serving
from tests.dispatcher.recordings import (
    bodies,
    needs_recordings,
    parametrized,
    recorded,
    said_in_message,
    said_in_stream,
    streams,
)  # fmt: skip
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator

pytestmark = [pytest.mark.xdist_group("e2e"), needs_recordings]

PIECE_BYTES = 700  # of what the listener writes at a time, so that events are torn as on a real line


class _Recorded:
    """A provider that answers each request with one recording."""

    def __init__(self, content_type: bytes, body: bytes) -> None:
        self._head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (
            content_type,
            len(body),
        )
        self._body = body

    async def __call__(self, server: RawServer, reader: Reader, writer: Writer) -> None:
        while await server.read_request(reader):
            writer.write(self._head)
            for at in range(0, len(self._body), PIECE_BYTES):
                writer.write(self._body[at : at + PIECE_BYTES])
                await writer.drain()


@parametrized(streams())
async def test_a_recorded_stream_reaches_the_application(
    stack: RunningStack, operator: Operator, path: Path
) -> None:
    """With its text, thoughts, tool calls and end; and what it used is charged by what the provider reported."""
    lines = recorded(path).splitlines()
    events = b"".join(b"data: %b\n\n" % line for line in [*lines, b"[DONE]"])
    async with serving(_Recorded(b"text/event-stream", events)) as provider:
        tenant = await operator.make_tenant(upstream_url=f"http://127.0.0.1:{provider.port}")
        async with (
            openai.AsyncOpenAI(base_url=stack.base_url, api_key=tenant.key, max_retries=0) as client,
            client.chat.completions.stream(
                model=tenant.model,
                messages=[{"role": "user", "content": "hi"}],
                stream_options={"include_usage": True},
            ) as stream,
        ):
            completion = await stream.get_final_completion()
        (record,) = await operator.settled(tenant, 1)

    (choice,) = completion.choices
    assert said_in_message(choice.model_dump()) == said_in_stream(lines)
    assert choice.message.role == "assistant"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == record.usage.input_tokens > 0
    assert completion.usage.completion_tokens == record.usage.output_tokens > 0
    assert (record.outcome, record.is_estimated) == ("completed", False)


@parametrized(bodies())
async def test_a_recorded_answer_reaches_the_application(
    stack: RunningStack, operator: Operator, path: Path
) -> None:
    """As the same text, thoughts and tool calls, in the types of the SDK."""
    body = recorded(path)
    async with serving(_Recorded(b"application/json", body)) as provider:
        tenant = await operator.make_tenant(upstream_url=f"http://127.0.0.1:{provider.port}")
        async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=tenant.key, max_retries=0) as client:
            completion = await client.chat.completions.create(
                model=tenant.model, messages=[{"role": "user", "content": "hi"}]
            )
        await operator.settled(tenant, 1)

    came = json.loads(body)["choices"]
    assert [said_in_message(choice.model_dump()) for choice in completion.choices] == [
        said_in_message(choice) for choice in came
    ]
