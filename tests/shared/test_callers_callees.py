"""The drivers of the stream protocol over a real nats-server: both ends, whole answers, and everything that breaks."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Answer, Attempt, Bus, Callees, Callers, callees, endpoint
from shared.contracts.call import DISPATCHER, EDGE
from shared.ids import uuid7
from shared.settings import Settings
from shared.stream import peers
from shared.stream.actions import Confirmed, Ended, Failed, Failure, Received, Started, Unconfirmed
from shared.stream.flow import MAX_WINDOW_BYTES
from tests.shared.conftest import PATIENCE_SECONDS, soon, until
from tests.shared.tcp_proxy import proxied

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


@pytest.fixture
async def ends(nats_url: str) -> AsyncIterator[Ends]:
    """Ends on the shared server."""
    made = Ends(nats_url)
    async with made.stack:
        yield made


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


async def test_a_call_is_answered_and_settled(ends: Ends) -> None:
    """Head, bytes, end and settlement arrive as they were sent, and then nothing is left of it."""
    dispatcher = await ends.callees(answering(b"hello"))
    edge = await ends.callers()

    answer = await call(edge, b"question")
    events = await soon(answer.next())
    while not isinstance(events[-1], Ended):
        events += await soon(answer.next())

    assert events == [Started(head=HEAD), Received(data=b"hello"), Ended(tail=END)]
    assert await soon(answer.settlement) == Confirmed(tail=SETTLED)
    await until_forgotten(edge, dispatcher)


async def test_a_body_of_20_mb_arrives_whole(ends: Ends) -> None:
    """In parts under credit, through a server with its default max_payload; and 20 MB come back."""
    body = random.Random(1).randbytes(20 * 1024 * 1024)

    async def echo(attempt: Attempt) -> None:
        assert attempt.head == HEAD
        await attempt.send_head(HEAD)
        await attempt.send(await attempt.body)
        await finish(attempt)

    dispatcher = await ends.callees(echo)
    edge = await ends.callers()

    data, ended = await read(await call(edge, body))

    assert ended == Ended(tail=END)
    assert hashlib.sha256(data).digest() == hashlib.sha256(body).digest()
    await until_forgotten(edge, dispatcher)


async def test_a_slow_reader_stops_its_sender(ends: Ends) -> None:
    """What is sent stays within the window until the client has taken it, and a fast reader beside it is not slowed."""
    data = random.Random(2).randbytes(4 * 1024 * 1024)
    attempts: list[Attempt] = []

    async def serve(attempt: Attempt) -> None:
        attempts.append(attempt)
        await answering(data)(attempt)

    await ends.callees(serve)
    edge = await ends.callers()

    slow = await call(edge)
    await until(lambda: bool(attempts) and attempts[0].machine.can_send() == 0)
    assert (await read(await call(edge)))[0] == data
    assert attempts[0].machine.can_send() == 0
    assert attempts[0].machine.retained_bytes <= MAX_WINDOW_BYTES
    arrived = [event for event in await soon(slow.next()) if isinstance(event, Received)]
    assert sum(len(event.data) for event in arrived) <= MAX_WINDOW_BYTES

    first = b"".join(event.data for event in arrived)
    await slow.consumed(len(first))
    rest, ended = await read(slow)
    assert first + rest == data
    assert ended == Ended(tail=END)


async def test_a_cancel_reaches_the_other_side(ends: Ends) -> None:
    """With its reason; the callee then settles, and the caller hears of it."""
    reasons: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        reasons.append(await attempt.cancelled)
        await finish(attempt)

    dispatcher = await ends.callees(serve)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    await answer.cancel("client_gone")

    ended = await outcome(answer)
    assert isinstance(ended, Failed)
    assert (ended.reason, ended.has_accept) == (Failure.CANCELLED, True)
    assert await soon(answer.settlement) == Confirmed(tail=SETTLED)
    assert reasons == ["client_gone"]
    await until_forgotten(edge, dispatcher)


async def test_nobody_there_is_known_at_once(ends: Ends) -> None:
    """The server says so; nothing can have been billed."""
    edge = await ends.callers()

    answer = await call(edge)

    assert await outcome(answer) == Failed(reason=Failure.NO_RESPONDERS, attempt=1, has_accept=False)
    assert await soon(answer.settlement) == Unconfirmed(tail=None)
    await until_forgotten(edge)


async def test_callees_share_the_calls(ends: Ends) -> None:
    """Each call goes to one of them."""
    counts = [0, 0]

    def counting(place: int) -> Serve:
        async def serve(attempt: Attempt) -> None:
            counts[place] += 1
            await answering(b"x")(attempt)

        return serve

    dispatchers = [await ends.callees(counting(place)) for place in range(2)]
    edge = await ends.callers()

    answers = await asyncio.gather(*(call(edge) for _ in range(100)))
    assert {(await outcome(answer)) for answer in answers} == {Ended(tail=END)}

    assert sum(counts) == 100
    assert min(counts) > 0
    await until_forgotten(edge, *dispatchers)


async def test_a_callee_that_is_full_passes_calls_on(ends: Ends) -> None:
    """BUSY is answered by another attempt, which another callee takes; when all refuse, nothing can have been billed."""
    full = await ends.callees(answering(b"never"), streams_max=0)
    edge = await ends.callers()
    refused = await outcome(await call(edge))
    assert isinstance(refused, Failed)
    assert (refused.reason, refused.has_accept) == (Failure.BUSY, False)

    free = await ends.callees(answering(b"answer"))
    answers = [await call(edge) for _ in range(8)]
    ended = [await read(answer) for answer in answers]

    assert (b"answer", Ended(tail=END)) in ended
    assert all(isinstance(end, Ended) or end.reason is Failure.BUSY for _, end in ended)
    await until_forgotten(edge, full, free)


async def test_a_callee_without_memory_for_a_body_passes_it_on(ends: Ends) -> None:
    """One body always fits; a second one that would not is refused, and its memory is free again in the end."""
    dispatcher = await ends.callees(until_cancelled, body_bytes_max=1024)
    edge = await ends.callers()
    first = await call(edge, b"x" * 1000)
    assert await soon(first.next()) == [Started(head=HEAD)]

    refused = await outcome(await call(edge, b"x" * 1000))
    assert isinstance(refused, Failed)
    assert refused.reason is Failure.BUSY

    await first.cancel("client_gone")
    await until(lambda: dispatcher.active == 0)
    second = await call(edge, b"x" * 1000)
    assert await soon(second.next()) == [Started(head=HEAD)]
    await second.cancel("client_gone")
    await until_forgotten(edge, dispatcher)


async def test_a_callee_that_drains_finishes_what_runs(ends: Ends) -> None:
    """New calls go to the other one; the drain ends when the last answer has ended, and cuts nothing."""
    go_on = asyncio.Event()

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        await go_on.wait()
        await attempt.send(b"old")
        await finish(attempt)

    draining = await ends.callees(serve)
    edge = await ends.callers()
    running = await call(edge)
    assert await soon(running.next()) == [Started(head=HEAD)]

    drain = asyncio.create_task(draining.drain(timeout_seconds=PATIENCE_SECONDS))
    await ends.callees(answering(b"new"))
    await until(lambda: draining._is_draining)
    for _ in range(20):
        assert (await read(await call(edge)))[0] == b"new"
    assert not drain.done()
    go_on.set()

    assert await read(running) == (b"old", Ended(tail=END))
    assert await soon(drain) == 0


async def test_a_drain_that_takes_too_long_cuts_visibly(ends: Ends) -> None:
    """What still runs is cancelled, ends as not complete, and is settled."""
    dispatcher = await ends.callees(until_cancelled)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    assert await soon(dispatcher.drain(timeout_seconds=0.05)) == 1

    ended = await outcome(answer)
    assert isinstance(ended, Failed)
    assert ended.reason is Failure.ABORTED
    assert await soon(answer.settlement) == Confirmed(tail=SETTLED)
    assert dispatcher.active == 0


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
    leaving = AsyncExitStack()
    ends.stack, kept = leaving, ends.stack
    dispatcher = await ends.callees(until_cancelled)
    ends.stack = kept
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
    await leaving.aclose()


@pytest.mark.usefixtures("quick_heartbeats")
async def test_a_caller_that_has_gone_is_missed(ends: Ends, nats_url: str) -> None:
    """The callee gives the call up, so that upstream is not paid for nobody."""
    reasons: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        reasons.append(await attempt.cancelled)
        await finish(attempt)

    dispatcher = await ends.callees(serve)
    async with Ends(nats_url).stack as stack:
        gone = Ends(nats_url)
        gone.stack = stack
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


async def test_what_no_frame_is_counted_and_dropped(ends: Ends) -> None:
    """Neither end is stopped by bytes that make no sense."""
    dispatcher = await ends.callees(answering(b"x"))
    edge = await ends.callers()
    link = edge._link
    await link.publish("dispatch.open", b"nonsense")
    await link.publish(f"stream.callee.{dispatcher.id}.{uuid7().hex}", b"nonsense")
    await link.publish(f"stream.caller.{edge.id}.{uuid7().hex}", b"nonsense")

    assert (await read(await call(edge)))[0] == b"x"
    await until(lambda: (dispatcher.undecodable_total, edge.undecodable_total) == (2, 1))


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

    assert await soon(dispatcher.drain(timeout_seconds=0.0)) == 1
    assert dispatcher.active == 1
    await dispatcher.__aexit__(None, None, None)

    assert ended.is_set()
    assert dispatcher.active == 0
