"""What the tests of the bus share: a contract of their own, parties on the shared server, and patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TypeVar

import msgspec
import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Bus
from shared.contracts.call import AUTH, EDGE, Call, Event
from shared.settings import Settings

PATIENCE_SECONDS = 30.0  # how long anything may take before a test gives up on it
JETSTREAM = "jetstream { sync_interval: always, max_memory_store: 1MB, max_file_store: 1GB }\n"

T = TypeVar("T")
Connect = Callable[[str], Awaitable[Bus]]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the tests."""

    text: str


ECHO = Call("test.echo", Text, Text, owner=AUTH, callers=(EDGE,), timeout_seconds=PATIENCE_SECONDS)
TOLD = Event("test.told", Text, owner=AUTH, listeners=(EDGE,))


@pytest.fixture(scope="session")
def jetstream_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a nats-server with JetStream and without users that lives as long as the session."""
    with EmbeddedNats(tmp_path_factory.mktemp("nats"), JETSTREAM) as server:
        yield server.url


@pytest.fixture
async def connect(nats_url: str) -> AsyncIterator[Connect]:
    """Connect a party to the shared server; everything is closed in the end."""
    async with AsyncExitStack() as stack:

        async def open_bus(party: str) -> Bus:
            return await stack.enter_async_context(Bus(Settings(nats_url=nats_url), party=party))

        yield open_bus


async def echo(ask: Text) -> Text:
    """Answer with the question."""
    return ask


async def serve(auth: Bus, handler: Callable[[Text], Awaitable[Text]]) -> None:
    """Serve ECHO, and return when the server knows it."""
    await auth.serve(ECHO, handler)
    await auth.control.flush()


async def until(holds: Callable[[], bool]) -> None:
    """Return when `holds()`, within the patience of the tests."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def soon(waiting: Awaitable[T]) -> T:
    """Return what `waiting` returns, within the patience of the tests."""
    return await asyncio.wait_for(waiting, PATIENCE_SECONDS)


def noting(notes: list[str]) -> Callable[[Text], Awaitable[None]]:
    """Return a listener that notes the text of each event."""

    async def note(event: Text) -> None:
        notes.append(event.text)

    return note
