"""Both ends of the stream protocol for tests, and the applications that answer in them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from shared.bus import Answer, Attempt, Bus, Callees, Callers
from shared.contracts.call import DISPATCHER, EDGE
from shared.ids import uuid7
from shared.settings import Settings
from shared.stream.actions import Ended, Failed, Received
from tests.shared.conftest import PATIENCE_SECONDS, until

Serve = Callable[[Attempt], Awaitable[None]]
HEAD, END, SETTLED = b"head", b"end", b"settled"


class Ends:
    """Callers and callees on one server; everything is closed in the end, in the order of a stop."""

    def __init__(self, nats_url: str) -> None:
        self._settings = Settings(nats_url=nats_url)
        self.stack = AsyncExitStack()

    async def callers(self) -> Callers:
        """Return the streams of a new edge."""
        bus = await self.stack.enter_async_context(Bus(self._settings, party=EDGE))
        return await self.stack.enter_async_context(Callers(bus))

    async def callees(
        self, serve: Serve, *, streams_max: int = 1000, body_bytes_max: int = 64 * 1024 * 1024
    ) -> Callees:
        """Return the streams of a new dispatcher that answers with `serve`; the server knows it."""
        bus = await self.stack.enter_async_context(Bus(self._settings, party=DISPATCHER))
        streams = Callees(bus, serve, streams_max=streams_max, body_bytes_max=body_bytes_max)
        await self.stack.enter_async_context(streams)
        await streams.start()
        return streams


async def call(callers: Callers, body: bytes = b"") -> Answer:
    """Open a call."""
    return await callers.open(request_id=uuid7().hex, head=HEAD, body=body, deadline_seconds=60.0)


async def read(answer: Answer) -> tuple[bytes, Ended | Failed]:
    """Return the bytes of an answer, taken as fast as they come, and how it ended."""
    data = bytearray()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for event in await answer.next():
                match event:
                    case Received():
                        data += event.data
                        await answer.consumed(len(event.data))
                    case Ended() | Failed():
                        return bytes(data), event


async def outcome(answer: Answer) -> Ended | Failed:
    """Return how an answer ended."""
    return (await read(answer))[1]


async def finish(attempt: Attempt) -> None:
    """End and settle."""
    await attempt.end(END)
    await attempt.finish(SETTLED)


def answering(data: bytes, *, part_bytes: int = 64 * 1024, pause_seconds: float = 0.0) -> Serve:
    """Return an application that answers with `data`."""

    async def serve(attempt: Attempt) -> None:
        await attempt.body
        await attempt.send_head(HEAD)
        for start in range(0, len(data), part_bytes):
            await attempt.send(data[start : start + part_bytes])
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
        await finish(attempt)

    return serve


async def until_cancelled(attempt: Attempt) -> None:
    """Answer nothing until the call is given up."""
    await attempt.send_head(HEAD)
    await attempt.cancelled
    await finish(attempt)


async def until_forgotten(callers: Callers, *streams: Callees) -> None:
    """Return when nothing is left of any call, on either side."""

    def is_forgotten(end: Callers | Callees) -> bool:
        return end.active == 0 and len(end._peers) == 0

    await until(lambda: is_forgotten(callers) and all(is_forgotten(each) for each in streams))
