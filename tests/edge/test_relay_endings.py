"""What is reserved ends, exactly once, whatever becomes of the dispatcher."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.edge.settings import EdgeSettings
from shared.bus import Attempt
from shared.contracts import billing, dispatcher
from shared.errors import (
    Unavailable,
    UpstreamFailed,
)
from tests.dispatcher.rig import chat, until
from tests.edge.relay_rig import (
    HEAD,
    World,
    begins,
    claim_of,
    encode,
    ending,
    kill,
    never,
    world_of,
)
from tests.edge.rig import Around, answering


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes seconds take a tenth of them."""
    monkeypatch.setattr("shared.stream.caller.SETTLE_SECONDS", 0.3)
    monkeypatch.setattr("shared.stream.peers.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("shared.bus.endpoint.RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr("shared.settlement.RETRY_SECONDS", 0.02)


@pytest.fixture
async def world(around: Around, settings: EdgeSettings) -> AsyncIterator[World]:
    """A relay whose lease has begun."""
    async with world_of(around, settings) as world:
        yield world


# Who ends the hold


async def test_a_confirmed_settlement_needs_no_second_witness(world: World) -> None:
    """The dispatcher has done it all."""
    async with answering(world.bus, ending(fin=b"settled")):
        assert await world.run(await world.open()) == (None, False)
        await until(lambda: world.callers.active == 0)

    assert world.billing.claims == []


async def test_a_missing_confirmation_makes_the_edge_the_second_witness(world: World) -> None:
    """It sends the very claim that END carried, and says who it is."""
    async with answering(world.bus, ending(fin=None)):
        assert await world.run(await world.open()) == (None, False)
        claim = await world.billing.only_end()

    assert isinstance(claim, billing.Settle)
    assert (claim.witness, claim.outcome, claim.channel) == ("edge", "completed", "one")
    assert claim.usage == billing.Usage(input_tokens=1, output_tokens=2)


@pytest.mark.parametrize("fin", [None, b""])
async def test_an_answer_that_no_upstream_accepted_is_voided_by_the_edge(
    world: World, fin: bytes | None
) -> None:
    """When its dispatcher did not confirm it, or left it to us."""
    async with answering(world.bus, ending(fin=fin, is_claimed=False)):
        error, _ = await world.run(await world.open())
        claim = await world.billing.only_end()

    assert isinstance(error, UpstreamFailed)
    assert isinstance(claim, billing.Void)


async def test_an_empty_confirmation_leaves_the_hold_to_the_edge(world: World) -> None:
    """A dispatcher that billing has refused says so, and the other witness tries."""
    async with answering(world.bus, ending(fin=b"")):
        await world.run(await world.open())
        claim = await world.billing.only_end()

    assert isinstance(claim, billing.Settle)
    assert claim.witness == "edge"


async def test_a_dispatcher_lost_in_its_answer_costs_the_user_nothing(world: World) -> None:
    """The edge claims what it knows, that Relay broke; the client is not invited to repeat."""
    async with AsyncExitStack() as stack:
        callees = await stack.enter_async_context(answering(world.bus, begins))
        exchange = await world.open(chat("hello", n=2, max_tokens=9))
        running = asyncio.create_task(world.run(exchange))
        await until(lambda: exchange.is_accepted)
        await kill(callees)
        error, may_be_billed = await running

        claim = await world.billing.only_end()

    assert isinstance(error, Unavailable)
    assert error.code == "stream_interrupted"
    assert may_be_billed
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.witness, claim.usage) == ("platform_failed", "edge", None)
    assert (claim.input_tokens_bound, claim.output_tokens_bound) == (exchange.call.input_tokens_bound, 18)


async def test_an_answer_that_broke_on_the_way_is_not_claimed_as_complete(world: World) -> None:
    """Its dispatcher believes that it was whole; the client has not got it, and does not pay."""

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        await attempt.cancelled
        await attempt.end(encode(dispatcher.AnswerTail(claim=claim_of(attempt))))
        await asyncio.Event().wait()

    async with answering(world.bus, serve):
        exchange = await world.open()
        running = asyncio.create_task(world.run(exchange))
        await until(lambda: exchange.is_accepted)
        world.relay.cut_all(Unavailable("stream_interrupted"))
        error, _ = await running
        claim = await world.billing.only_end()

    assert isinstance(error, Unavailable)
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.witness) == ("platform_failed", "edge")


async def test_a_dispatcher_lost_before_its_answer_leaves_a_void(world: World) -> None:
    """Nothing was accepted that anybody knows of; yet it may have cost, so no repeat is invited."""
    async with AsyncExitStack() as stack:
        callees = await stack.enter_async_context(answering(world.bus, never))
        exchange = await world.open()
        running = asyncio.create_task(world.run(exchange))
        await until(lambda: exchange.answer.callee)
        await kill(callees)
        error, may_be_billed = await running

        claim = await world.billing.only_end()

    assert isinstance(error, Unavailable)
    assert may_be_billed
    assert isinstance(claim, billing.Void)


async def test_a_void_of_the_second_witness_tells_what_came_of_each_channel(world: World) -> None:
    """As the dispatcher told it with its last word, before it was lost."""
    tried = billing.UpstreamAttempt(channel="one", result="failed", status=500)

    async def serve(attempt: Attempt) -> None:
        error = Unavailable("no_channel_available", model="m").to_body()
        await attempt.end(encode(dispatcher.AnswerTail(error=error, attempts=(tried,))))
        await asyncio.Event().wait()

    async with answering(world.bus, serve):
        await world.run(await world.open())
        claim = await world.billing.only_end()

    assert isinstance(claim, billing.Void)
    assert claim.attempts == (tried,)


async def test_no_dispatcher_is_said_at_once(world: World) -> None:
    """A repeat is invited, and the hold is given back."""
    error, may_be_billed = await world.run(await world.open())

    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after_seconds, may_be_billed) == ("service_unavailable", 2, False)
    assert isinstance(await world.billing.only_end(), billing.Void)


async def test_a_client_that_left_is_seen_to_its_end(world: World) -> None:
    """Its exchange is closed with the answer still running: what the dispatcher says is what counts."""
    told: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        told.append(await attempt.cancelled)
        await attempt.end(encode(dispatcher.AnswerTail(claim=claim_of(attempt, outcome="client_gone"))))
        await asyncio.Event().wait()

    async with answering(world.bus, serve):
        exchange = await world.open()
        await exchange.answer.next()
        await exchange.answer.cancel("client_gone")
        world.relay.close(exchange)
        claim = await world.billing.only_end()

    assert told == ["client_gone"]
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.witness) == ("client_gone", "edge")
