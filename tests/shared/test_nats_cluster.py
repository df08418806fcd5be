"""A cluster of NATS with the configuration of a deployment: what waits has three copies, and outlives a server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Link, Worker, look
from shared.bus.work import store
from shared.contracts import billing
from shared.contracts.billing import SPILL, Spilled, Void
from shared.contracts.call import BILLING, DISPATCHER, OPERATOR
from shared.errors import Unavailable
from tests.nats_cluster import PASSWORDS, nats_cluster
from tests.shared.conftest import PATIENCE_SECONDS, until

Handle = Callable[[Spilled], Awaitable[None]]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[EmbeddedNats]]:
    """A cluster of this test alone."""
    with nats_cluster(tmp_path) as running:
        yield running


async def test_the_spill_has_three_copies_and_outlives_a_server(servers: list[EmbeddedNats]) -> None:
    """Stored, one server lost, and still done once; the operator sees how it stands."""
    done: list[billing.Settle | billing.Void] = []

    async def handle(spilled: Spilled) -> None:
        done.append(spilled.claim)

    claim = Spilled.of(Void(request_id="r", account_id="a", reason="test"))
    async with connected(servers, BILLING) as owner, connected(servers, OPERATOR) as operator:
        async with working(owner, handle):
            pass
        async with connected(servers, DISPATCHER) as sender:
            await eventually_stored(sender, claim)
        state = await look(operator, SPILL)
        assert state is not None
        assert (state.messages, state.replicas) == (1, 3)
        await until_current(operator, 3)

        servers[2].stop()
        async with working(owner, handle):
            await until(lambda: len(done) == 1)

    assert done == [claim.claim]


async def test_a_server_without_the_password_is_no_member(tmp_path: Path) -> None:
    """What it holds and hears would be everything."""
    with nats_cluster(tmp_path, route_passwords=("right", "right", "wrong")) as servers:
        async with connected(servers[:1], OPERATOR) as first:
            await until(lambda: len(first.server.connect_urls) == 2)
        async with connected(servers[2:], OPERATOR) as stranger:
            assert len(stranger.server.connect_urls) == 1


async def test_who_watches_learns_that_there_is_no_queue(servers: list[EmbeddedNats]) -> None:
    """Before billing has ever run."""
    async with connected(servers, OPERATOR) as operator:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(Unavailable):  # the cluster has no leader yet
                    assert await look(operator, SPILL) is None
                    break
                await asyncio.sleep(0.1)


@asynccontextmanager
async def connected(servers: list[EmbeddedNats], party: str) -> AsyncIterator[Link]:
    """A connection of `party` to any of the servers."""
    urls = tuple(server.url for server in servers)
    link = Link(urls, party=party, user=party, password=PASSWORDS[party], name="test")
    await link.open()
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def working(link: Link, handle: Handle) -> AsyncIterator[Worker[Spilled]]:
    """A worker of the spill that has found it, or made it with three copies."""
    worker = Worker(link, SPILL, handle, replicas=3)
    task = asyncio.create_task(worker.run())
    try:
        await until(lambda: worker.is_ready)
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def eventually_stored(link: Link, claim: Spilled) -> None:
    """Return when the claim is stored; a stream that was just made may not have a leader."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(Unavailable):
                return await store(link, SPILL, msgspec.msgpack.encode(claim))
            await asyncio.sleep(0.1)


async def until_current(link: Link, copies: int) -> None:
    """Return when so many copies are up to date."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            state = await look(link, SPILL)
            if state is not None and state.current == copies:
                return
            await asyncio.sleep(0.1)
