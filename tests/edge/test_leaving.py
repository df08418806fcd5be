"""An edge that is told to end answers what was sent to it before anybody could know."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.types import Receive, Scope, Send

from services.edge.connection import LEAVING_SECONDS
from tests.dispatcher.rig import soon
from tests.edge.serving import served

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request alike."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def closed(port: int) -> None:
    """Return once nobody can connect any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it was in the queue of a listener that has just been closed
        writer.close()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST[:10]], ids=["new", "kept alive", "in its head"])
async def test_a_request_that_is_on_its_way_is_answered(before: bytes) -> None:
    """On a connection that is new, idle, or in the middle of a head; then the connection is closed."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(answer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before)
        if before == REQUEST:
            await soon(reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(0.05)  # until the edge has it
        ending = asyncio.create_task(stack.aclose())
        await soon(closed(port))

        writer.write(REQUEST[len(before) :] if before != REQUEST else REQUEST)
        head = await soon(reader.read())
        await ending
        writer.close()

    assert head.startswith(b"HTTP/1.1 204 ")
    assert head.count(b"HTTP/1.1") == 1


async def test_a_connection_that_says_nothing_does_not_delay_the_end() -> None:
    """It has a second."""
    loop = asyncio.get_running_loop()
    async with served(answer) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        told_at = loop.time()
    assert await soon(reader.read()) == b""
    writer.close()

    assert loop.time() - told_at >= LEAVING_SECONDS / 2
