"""The drivers of the stream protocol over a real nats-server when something breaks: servers, connections, peers, applications."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Attempt, callees, endpoint
from shared.contracts.dispatcher import OPEN, TO_CALLEE, TO_CALLER
from shared.errors import Internal
from shared.ids import uuid7
from shared.stream import peers
from shared.stream.actions import Ended, Failed, Failure, Started, Unconfirmed
from shared.stream.frames import Open, encode
from tests.shared.conftest import soon, until
from tests.shared.streams import (
    END,
    HEAD,
    Ends,
    answering,
    call,
    finish,
    outcome,
    read,
    until_cancelled,
    until_forgotten,
)
from tests.shared.tcp_proxy import proxied


@pytest.fixture
async def ends(nats_url: str) -> AsyncIterator[Ends]:
    """Ends on the shared server."""
    made = Ends(nats_url)
    async with made.stack:
        yield made


async def test_a_restart_of_the_server_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of streams and of bodies, twice: what was lost is sent again, and heartbeats in between lose nobody."""
    monkeypatch.setattr(
        peers, "HEARTBEAT_SECONDS", 0.2
    )  # some will meet the moment when one side is back and not the other
    data = random.Random(3).randbytes(3 * 1024 * 1024)
    received: list[bytes] = []

    async def serve(attempt: Attempt) -> None:
        received.append(await attempt.body)
        await answering(data, part_bytes=4096, pause_seconds=0.002)(attempt)

    server = EmbeddedNats(tmp_path, "")
    server.start()
    try:
        ends = Ends(server.url)
        async with ends.stack:
            dispatcher = await ends.callees(serve)
            edge = await ends.callers()
            answers = [asyncio.create_task(read(await call(edge, data))) for _ in range(10)]
            for _ in range(2):
                await asyncio.sleep(0.4)
                server.stop()
                await asyncio.sleep(0.1)
                server.start()

            for answer in await asyncio.gather(*answers):
                assert answer == (data, Ended(tail=END))
            assert received == [data] * 10
            assert dispatcher.lost_peers_total == edge.lost_peers_total == 0
            await until_forgotten(edge, dispatcher)
    finally:
        server.stop()


async def test_a_callee_that_comes_back_soon_is_not_missed(
    ends: Ends, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost its connection, and heartbeats find nobody for a moment: the stream goes on where it was."""
    monkeypatch.setattr(peers, "HEARTBEAT_SECONDS", 0.1)
    data = random.Random(4).randbytes(200_000)
    async with proxied(nats_url) as proxy:
        far = Ends(proxy.url)
        async with far.stack:
            dispatcher = await far.callees(answering(data, part_bytes=1000, pause_seconds=0.01))
            edge = await ends.callers()
            answer = asyncio.create_task(read(await call(edge)))
            await asyncio.sleep(0.3)

            proxy.refuse()
            await asyncio.sleep(0.5)
            await proxy.listen()

            assert await soon(answer) == (data, Ended(tail=END))
            assert dispatcher.lost_peers_total == edge.lost_peers_total == 0


@pytest.fixture
def quick_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats ten times as often, so that the tests need not wait."""
    monkeypatch.setattr(peers, "HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setattr(endpoint, "RECONNECT_SECONDS", 0.2)


@pytest.mark.usefixtures("quick_heartbeats")
async def test_a_callee_that_has_gone_is_missed(ends: Ends) -> None:
    """Its process leaves without a word, while its bus is still there: the caller fails long before silence would tell."""
    dispatcher = await ends.callees(until_cancelled)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    await dispatcher.__aexit__(None, None, None)

    ended = await outcome(answer)
    assert isinstance(ended, Failed)
    assert (ended.reason, ended.has_accept) == (Failure.PEER_LOST, True)
    assert await soon(answer.settlement) == Unconfirmed(tail=None)
    assert edge.lost_peers_total == 1
    assert dispatcher.active == 0
    await until_forgotten(edge)


@pytest.mark.usefixtures("quick_heartbeats")
async def test_a_caller_that_has_gone_is_missed(ends: Ends, nats_url: str) -> None:
    """The callee gives the call up, so that upstream is not paid for nobody."""
    reasons: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        reasons.append(await attempt.cancelled)
        await finish(attempt)

    dispatcher = await ends.callees(serve)
    gone = Ends(nats_url)
    async with gone.stack:
        edge = await gone.callers()
        answer = await call(edge)
        assert await soon(answer.next()) == [Started(head=HEAD)]

    await until(lambda: bool(reasons))
    assert reasons == ["peer_lost"]
    await until(lambda: dispatcher.active == 0 and len(dispatcher._peers) == 0)


@pytest.mark.usefixtures("quick_heartbeats")
async def test_an_attempt_whose_application_fails_is_forgotten(ends: Ends) -> None:
    """No end was said, so the caller hears that the callee does not know the call any more, and settles by itself."""
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.append(str(context["message"]))
    )

    async def fail(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        await attempt.send(b"half")
        raise ZeroDivisionError

    dispatcher = await ends.callees(fail)
    edge = await ends.callers()

    answer = await call(edge)
    data, ended = await read(answer)

    assert data == b"half"
    assert isinstance(ended, Failed)
    assert ended.reason is Failure.PEER_LOST
    assert await soon(answer.settlement) == Unconfirmed(tail=None)
    assert dispatcher.active == 0
    await until_forgotten(edge, dispatcher)
    assert faults


async def test_who_no_longer_waits_for_the_settlement_stops_nothing(ends: Ends) -> None:
    """A task that was cancelled takes its future with it; the stream ends all the same."""
    dispatcher = await ends.callees(until_cancelled)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    async def wait() -> None:
        await answer.settlement

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert answer.settlement.cancelled()
    await answer.cancel("client_gone")

    assert isinstance(await outcome(answer), Failed)
    await until_forgotten(edge, dispatcher)


async def test_a_call_that_cannot_be_sent_leaves_nothing_behind(ends: Ends) -> None:
    """Its caller hears of it, and no clock tries again."""
    edge = await ends.callers()

    with pytest.raises(Internal):
        await edge.open(request_id=uuid7().hex, head=bytes(800_000), body=b"", deadline_seconds=60.0)

    assert edge.active == 0


async def test_what_no_frame_is_counted_and_dropped(ends: Ends) -> None:
    """Neither end is stopped by bytes that make no sense."""
    dispatcher = await ends.callees(answering(b"x"))
    edge = await ends.callers()
    link = edge._link
    await link.publish(OPEN.subject(), b"nonsense")
    await link.publish(TO_CALLEE.subject(dispatcher.id, uuid7().hex), b"nonsense")
    await link.publish(TO_CALLER.subject(edge.id, uuid7().hex), b"nonsense")

    assert (await read(await call(edge)))[0] == b"x"
    await until(lambda: (dispatcher.undecodable_total, edge.undecodable_total) == (2, 1))


async def test_an_open_that_comes_twice_is_answered_once(ends: Ends) -> None:
    """The bus may repeat it; upstream is called and paid for once."""
    served: list[int] = []

    async def serve(attempt: Attempt) -> None:
        served.append(attempt.number)
        await attempt.cancelled
        await finish(attempt)

    dispatcher = await ends.callees(serve)
    edge = await ends.callers()
    opening = Open(
        caller=edge.id,
        request_id=uuid7().hex,
        valid_until_unix_ms=endpoint.unix_ms() + 3_600_000,
        deadline_unix_ms=0,
        head=HEAD,
        body=b"",
        body_bytes=0,
        credit_limit=0,
    )
    for frame in (encode(opening, attempt=2), encode(opening, attempt=2), encode(opening, attempt=1), b""):
        await edge._link.publish(OPEN.subject(), frame)

    await until(lambda: dispatcher.undecodable_total == 1 and bool(served))  # the last of them has come
    assert served == [2]
    assert dispatcher.active == 1
    await soon(dispatcher.drain(asyncio.sleep(0.0)))


async def test_a_clock_that_stops_ends_the_process(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that would never time anything out again counts as a connection that is lost for good."""
    edge = await ends.callers()

    async def broken(now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(edge, "on_tick", broken)

    await soon(edge._link.closed.wait())


async def test_an_endpoint_that_is_left_cancels_what_it_still_runs(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever started a task owns it: an application that does not end with its drain ends with its endpoint."""
    monkeypatch.setattr(callees, "LAST_WORDS_SECONDS", 0.05)
    ended = asyncio.Event()

    async def stubborn(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    dispatcher = await ends.callees(stubborn)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    assert await soon(dispatcher.drain(asyncio.sleep(0.0))) == 1
    assert dispatcher.active == 1
    await dispatcher.__aexit__(None, None, None)

    assert ended.is_set()
    assert dispatcher.active == 0
