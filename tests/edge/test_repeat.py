"""A dispatcher that is lost before anything of its answer was seen: another one is asked, once, behind a fence."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from services.edge.settings import EdgeSettings
from shared.bus import Attempt, Callees
from shared.contracts import billing
from shared.contracts.dispatcher import AnswerHead, AnswerTail
from shared.errors import UpstreamFailed
from tests.dispatcher.rig import until
from tests.edge.relay_rig import claim_of, kill, never
from tests.edge.rig import Around, Edge, Serve, Torn, answering, edge_of, stream

HEAD = msgspec.msgpack.encode(AnswerHead(content_type="text/event-stream; charset=utf-8"))
EVENT = b'data: {"id":"x","object":"chat.completion.chunk","choices":[]}\n\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes seconds take a tenth of them."""
    monkeypatch.setattr("shared.stream.caller.SETTLE_SECONDS", 0.3)
    monkeypatch.setattr("shared.stream.peers.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("shared.settlement.RETRY_SECONDS", 0.02)


async def completes(attempt: Attempt) -> None:
    """Answer in full, and leave the settlement to the edge."""
    await attempt.body
    await attempt.send_head(HEAD)
    await attempt.send(EVENT)
    await attempt.end(msgspec.msgpack.encode(AnswerTail(claim=claim_of(attempt))))
    await attempt.finish(b"")


async def refuses(attempt: Attempt) -> None:
    """Say that no upstream took it, and leave the hold to the edge."""
    error = UpstreamFailed("upstream_error").to_body()
    await attempt.end(msgspec.msgpack.encode(AnswerTail(error=error)))
    await attempt.finish(b"")


async def begins(attempt: Attempt) -> None:
    """Show the beginning of an answer, and no more."""
    await attempt.send_head(HEAD)
    await attempt.send(EVENT)
    await asyncio.Event().wait()


async def lost_first(around: Around, edge: Edge, first: Serve, second: Serve) -> Torn:
    """Return what the client of a stream sees whose first dispatcher is killed; the second one then takes its place."""
    async with AsyncExitStack() as stack:
        lost: Callees = await stack.enter_async_context(answering(around.dispatcher, first))
        request = asyncio.create_task(stream(edge))
        await until(lambda: lost.active)
        await asyncio.sleep(0.1)  # what it has said has arrived
        await stack.enter_async_context(answering(around.dispatcher, second))
        await kill(lost)
        return await request


async def test_a_client_does_not_notice_that_its_dispatcher_was_lost(
    around: Around, settings: EdgeSettings
) -> None:
    """The hold is fenced before the second one is asked, and what that one claims is what counts."""
    async with edge_of(around, settings) as edge:
        answer = await lost_first(around, edge, never, completes)
        claim = await around.billing.only_end()

    assert answer.is_whole
    assert answer.data == EVENT + b"data: [DONE]\n\n"
    (fence,) = around.billing.fences
    assert (fence.request_id, fence.attempt) == (around.billing.reserves[0].request_id, 2)
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.attempt) == ("completed", 2)


async def test_a_second_loss_is_an_error(around: Around, settings: EdgeSettings) -> None:
    """One repeat, not a storm; the void of the edge passes its own fence."""
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(edge_of(around, settings))
        first = await stack.enter_async_context(answering(around.dispatcher, never))
        request = asyncio.create_task(stream(edge))
        await until(lambda: first.active)
        second = await stack.enter_async_context(answering(around.dispatcher, never))
        await kill(first)
        await until(lambda: second.active)
        await kill(second)
        answer = await request
        claim = await around.billing.only_end()

    assert answer.status == 503
    assert isinstance(claim, billing.Void)
    assert claim.attempt == 2


async def test_what_has_begun_is_not_begun_again(around: Around, settings: EdgeSettings) -> None:
    """The client has seen some of it: it gets an error event, and does not pay."""
    async with edge_of(around, settings) as edge:
        answer = await lost_first(around, edge, begins, completes)
        claim = await around.billing.only_end()

    assert answer.error["code"] == "stream_interrupted"
    assert not answer.is_finished
    assert around.billing.fences == []
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "platform_failed"


async def test_a_hold_that_has_ended_is_not_used_again(around: Around, settings: EdgeSettings) -> None:
    """The lost dispatcher was alive and has ended it: a second answer would be free."""
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(edge_of(around, settings))
        lost = await stack.enter_async_context(answering(around.dispatcher, never))
        request = asyncio.create_task(stream(edge))
        await until(lambda: lost.active)
        reserve = around.billing.reserves[0]
        around.billing.ends[reserve.request_id] = billing.Void(
            request_id=reserve.request_id, account_id=reserve.account_id, reason="not_accepted_upstream"
        )
        await stack.enter_async_context(answering(around.dispatcher, completes))
        await kill(lost)
        answer = await request

    assert answer.status == 503
    assert len(around.billing.fences) == 1


async def test_a_refusal_is_not_repeated(around: Around, settings: EdgeSettings) -> None:
    """A dispatcher that says how it ended was not lost."""
    async with edge_of(around, settings) as edge, answering(around.dispatcher, refuses):
        answer = await stream(edge)

    assert answer.status == 502
    assert around.billing.fences == []


async def test_a_client_that_leaves_while_it_is_asked_again_is_noticed(
    around: Around, settings: EdgeSettings
) -> None:
    """The second dispatcher is told as soon as it has accepted."""
    told: list[str] = []

    async def listens(attempt: Attempt) -> None:
        told.append(await attempt.cancelled)
        await refuses(attempt)

    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(edge_of(around, settings))
        lost = await stack.enter_async_context(answering(around.dispatcher, never))
        request = asyncio.create_task(stream(edge))
        await until(lambda: lost.active)
        around.billing.may_answer.clear()
        await stack.enter_async_context(answering(around.dispatcher, listens))
        await kill(lost)
        await until(lambda: around.billing.fences)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await asyncio.sleep(0.1)  # the edge has noticed
        around.billing.may_answer.set()
        await until(lambda: told)

    assert told == ["client_gone"]
