"""The drivers of the stream protocol over a real nats-server: whole answers, credit, cancelling and draining."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator

import pytest

from shared.bus import Attempt
from shared.stream.actions import Confirmed, Ended, Failed, Failure, Received, Started, Unconfirmed
from shared.stream.flow import MAX_WINDOW_BYTES
from tests.shared.conftest import PATIENCE_SECONDS, soon, until
from tests.shared.streams import (
    END,
    HEAD,
    SETTLED,
    Ends,
    Serve,
    answering,
    call,
    finish,
    outcome,
    read,
    until_cancelled,
    until_forgotten,
)


@pytest.fixture
async def ends(nats_url: str) -> AsyncIterator[Ends]:
    """Ends on the shared server."""
    made = Ends(nats_url)
    async with made.stack:
        yield made


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

    drain = asyncio.create_task(draining.drain(asyncio.sleep(PATIENCE_SECONDS)))
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

    assert await soon(dispatcher.drain(asyncio.sleep(0.05))) == 1

    ended = await outcome(answer)
    assert isinstance(ended, Failed)
    assert ended.reason is Failure.ABORTED
    assert await soon(answer.settlement) == Confirmed(tail=SETTLED)
    assert dispatcher.active == 0


async def test_a_drain_waits_for_the_last_words_of_what_it_cut(ends: Ends) -> None:
    """What is owed is settled before the process may end."""
    words: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        await attempt.cancelled
        await asyncio.sleep(0.2)  # billing takes its time
        await finish(attempt)
        words.append("finished")

    dispatcher = await ends.callees(serve)
    edge = await ends.callers()
    answer = await call(edge)
    assert await soon(answer.next()) == [Started(head=HEAD)]

    assert await soon(dispatcher.drain(asyncio.sleep(0.0))) == 1

    assert words == ["finished"]
