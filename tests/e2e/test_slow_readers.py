"""Clients that do not read cost little memory, and nobody else anything."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.e2e.endless import EndlessUpstream, endless_upstream
from tests.e2e.stack import wait_until_async
from tests.e2e.tenants import Operator
from tests.e2e.wire import RawConnection, ask, chat_request

pytestmark = pytest.mark.xdist_group("e2e")

SLOW_READERS = 200
READERS = 40
TOKENS = 200
PATIENCE_SECONDS = 30.0
STANDSTILL_SECONDS = 0.5
STANDSTILL_LOOKS = 5  # on a busy machine one look can fall between two moves
# For each process: 24 MB are the windows of all streams, the rest is for the buffers of sockets and parsers, 0.5 MB a stream.
GROWTH_BYTES_MAX = 150 * 1024 * 1024


async def _stands_still(upstream: EndlessUpstream) -> None:
    """Return when all streams have begun, and none of them takes any more."""
    seen, looks = -1, 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while looks < STANDSTILL_LOOKS:
            is_moving = (
                len(upstream.sent) < SLOW_READERS or not all(upstream.sent) or sum(upstream.sent) != seen
            )
            looks = 0 if is_moving else looks + 1
            seen = sum(upstream.sent)
            await asyncio.sleep(STANDSTILL_SECONDS)


async def test_200_clients_that_read_nothing_slow_only_themselves(operator: Operator) -> None:
    """The memory of every process stays bounded, other streams are whole, and what the slow leave is ended and settled."""
    async with endless_upstream() as endless, AsyncExitStack() as connections:
        slow = await operator.make_tenant(upstream_url=endless.url)
        quick = await operator.make_tenant()
        before = operator.stack.memory_bytes()
        for _ in range(SLOW_READERS):
            connection = RawConnection(operator.stack, receive_bytes=4_096)
            await connections.enter_async_context(connection)
            await connection.send(chat_request(slow, "go on"))
        await _stands_still(endless)
        taken = sum(endless.sent)

        answers = await asyncio.gather(
            *(
                ask(operator.stack, quick, f"{number} [[sim out={TOKENS} tps=100]]")
                for number in range(READERS)
            )
        )
        after = operator.stack.memory_bytes()

        assert all(answer.is_whole for answer in answers)
        assert {len(answer.events()) for answer in answers} == {TOKENS + 3}  # with role, finish and [DONE]
        assert (endless.running, sum(endless.sent)) == (SLOW_READERS, taken)
        grown = {name: after[name] - before[name] for name in before}
        assert max(grown.values()) < GROWTH_BYTES_MAX, grown

        await connections.aclose()
        await wait_until_async(
            lambda: endless.running == 0, PATIENCE_SECONDS, "the end of all streams upstream"
        )
        records = await operator.settled(slow, SLOW_READERS)
    assert {record.rule for record in records} == {"C6"}
    await operator.settled(quick, READERS)
