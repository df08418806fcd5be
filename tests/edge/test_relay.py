"""The use case without HTTP: what is reserved ends, exactly once, whatever becomes of the others.

The dispatchers here speak the real protocol and do as each test says, so that each way to be lost has its moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from services.edge import openai, relay
from services.edge.relay import Exchange, Relay
from services.edge.settings import EdgeSettings
from shared.bus import Attempt, Callees, Callers
from shared.contracts import auth, billing, dispatcher
from shared.errors import (
    Forbidden,
    InsufficientFunds,
    Internal,
    RateLimited,
    RelayError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from shared.ids import uuid7
from shared.stream.actions import Ended, Failed, Started
from tests.dispatcher.rig import ACCOUNT_ID, chat, soon, until
from tests.edge.rig import Around, Serve, answering

PRINCIPAL = auth.Principal(account_id=ACCOUNT_ID, key_id="key", version=1)
HEAD = msgspec.msgpack.encode(dispatcher.AnswerHead(content_type="text/event-stream"))
encode = msgspec.msgpack.encode


class World:
    """A relay with everybody around it."""

    def __init__(self, around: Around, relay: Relay, callers: Callers) -> None:
        self.billing = around.billing
        self.bus = around.dispatcher
        self.relay = relay
        self.callers = callers

    async def open(self, body: bytes | None = None, principal: auth.Principal = PRINCIPAL) -> Exchange:
        """Open one request."""
        given = body or chat("hello")
        return await self.relay.open(uuid7(), principal, openai.parse(given), given)

    async def refusal(self, principal: auth.Principal = PRINCIPAL) -> RelayError:
        """Return the error with which a request is refused."""
        with pytest.raises(RelayError) as caught:
            await self.open(principal=principal)
        return caught.value

    async def run(self, exchange: Exchange) -> tuple[RelayError | None, bool]:
        """Read the answer to its end, and close."""
        try:
            return await soon(_outcome(exchange))
        finally:
            self.relay.close(exchange)


async def _outcome(exchange: Exchange) -> tuple[RelayError | None, bool]:
    while True:
        for step in await exchange.answer.next():
            if isinstance(step, Started):
                exchange.started(step)
            elif isinstance(step, Ended | Failed):
                return exchange.outcome(step)


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


@asynccontextmanager
async def world_of(around: Around, settings: EdgeSettings) -> AsyncIterator[World]:
    """Yield a relay with these settings."""
    async with Callers(around.bus) as callers:
        relay = Relay(around.bus, callers, settings)
        await relay.lease.begin()
        yield World(around, relay, callers)
        await relay.finish(timeout_seconds=30)


def claim_of(attempt: Attempt, **changes: object) -> billing.Settle:
    """Return what a dispatcher claims for a complete answer."""
    text = attempt.request_id
    claim = billing.Settle(
        request_id=f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",
        account_id=ACCOUNT_ID,
        attempt=attempt.number,
        outcome="completed",
        is_upstream_accepted=True,
        input_tokens_bound=10,
        output_tokens_bound=20,
        usage=billing.Usage(input_tokens=1, output_tokens=2),
        channel="one",
    )
    return msgspec.structs.replace(claim, **changes)


def ending(*, fin: bytes | None, is_claimed: bool = True) -> Serve:
    """Return a dispatcher that answers, says END, and then FIN with `fin`, or nothing more."""

    async def serve(attempt: Attempt) -> None:
        await attempt.body
        await attempt.send_head(HEAD)
        await attempt.send(b"data: {}\n\n")
        claim = claim_of(attempt) if is_claimed else None
        error = None if is_claimed else UpstreamFailed("upstream_error").to_body()
        await attempt.end(encode(dispatcher.AnswerTail(claim=claim, error=error)))
        if fin is None:
            await asyncio.Event().wait()
        await attempt.finish(fin or b"")

    return serve


async def never(attempt: Attempt) -> None:
    """Accept, and answer nothing."""
    await asyncio.Event().wait()


async def begins(attempt: Attempt) -> None:
    """Begin an answer, and then say nothing more."""
    await attempt.send_head(HEAD)
    await asyncio.Event().wait()


# Admission


async def test_what_is_reserved_covers_what_is_asked(world: World) -> None:
    """The bound of the input in tokens, the wanted output, the choices, the deadline, under this edge's lease."""
    body = chat("hello", n=3, max_tokens=77)
    async with answering(world.bus, ending(fin=b"x")):
        await world.run(await world.open(body))

    (question,) = world.billing.reserves
    assert question == billing.Reserve(
        request_id=question.request_id,
        account_id=ACCOUNT_ID,
        key_id="key",
        lease_id=world.relay.lease.id,
        model="m",
        input_tokens_bound=len(body),
        output_tokens_wanted=77,
        choices=3,
        deadline_seconds=1800.0,
        fingerprint=question.fingerprint,
    )


async def test_what_the_dispatcher_is_told_is_what_was_granted(world: World) -> None:
    """Bounds, choices and deadline of the hold."""
    heads: list[dispatcher.ChatCall] = []

    async def serve(attempt: Attempt) -> None:
        heads.append(msgspec.msgpack.decode(attempt.head, type=dispatcher.ChatCall))
        await ending(fin=b"x")(attempt)

    world.billing.output_tokens_granted = 55
    body = chat("hello", n=2)
    async with answering(world.bus, serve):
        await world.run(await world.open(body))

    assert heads == [
        dispatcher.ChatCall(
            account_id=ACCOUNT_ID,
            model="m",
            is_stream=True,
            include_usage=False,
            output_tokens_granted=55,
            choices=2,
            input_tokens_bound=len(body),
            deadline_seconds=1800.0,
        )
    ]


@pytest.mark.parametrize("error", [InsufficientFunds("insufficient_balance"), RateLimited("balance_held")])
async def test_a_refusal_holds_nothing_and_ends_nothing(world: World, error: RelayError) -> None:
    """It is told as it is."""
    world.billing.refusal = error

    assert (await world.refusal()).code == error.code

    assert world.billing.claims == []
    assert world.relay.running == 0


async def test_a_model_that_the_key_may_not_use_is_refused_before_money_is_asked(world: World) -> None:
    """By its name."""
    error = await world.refusal(msgspec.structs.replace(PRINCIPAL, allowed_models=("other",)))

    assert isinstance(error, Forbidden)
    assert error.code == "model_not_allowed"
    assert world.billing.reserves == []


async def test_a_reserve_without_an_answer_is_voided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome is unknown: the void ends the hold, or keeps it from being made."""
    monkeypatch.setattr(billing.RESERVE, "timeout_seconds", 0.1)
    monkeypatch.setattr(billing.VOID, "timeout_seconds", 0.1)
    world.billing.may_answer.clear()

    assert isinstance(await world.refusal(), Unavailable)

    (question,) = world.billing.reserves
    assert isinstance(await world.billing.end_of(question.request_id), billing.Void)
    world.billing.may_answer.set()


async def test_a_reserve_with_an_answer_that_says_nothing_is_voided(world: World) -> None:
    """A fault in billing may have come after its commit."""
    world.billing.refusal = Internal("internal_error")

    assert isinstance(await world.refusal(), Internal)

    (question,) = world.billing.reserves
    assert isinstance(await world.billing.end_of(question.request_id), billing.Void)


async def test_a_client_that_leaves_during_the_reserve_leaves_no_hold(world: World) -> None:
    """Whoever runs the request is cancelled; the void goes out all the same."""
    world.billing.may_answer.clear()
    opening = asyncio.create_task(world.open())
    await until(lambda: world.billing.reserves)

    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    (question,) = world.billing.reserves
    assert isinstance(await world.billing.end_of(question.request_id), billing.Void)
    world.billing.may_answer.set()


async def test_a_lease_that_has_ended_is_replaced_and_the_request_succeeds(world: World) -> None:
    """Once: with the new lease, and nothing is voided that was never held."""
    old = world.relay.lease.id
    world.billing.end_lease(old)
    async with answering(world.bus, ending(fin=b"x")):
        assert await world.run(await world.open()) == (None, False)

    first, second = world.billing.reserves
    assert (first.lease_id, second.lease_id) == (old, world.relay.lease.id)
    assert first.request_id == second.request_id
    assert world.billing.claims == []


async def test_a_lease_that_never_lives_is_not_asked_for_without_end(world: World) -> None:
    """The second refusal is the client's."""
    world.billing.refusal = Unavailable("lease_ended", retry_after_seconds=1)

    assert (await world.refusal()).code == "lease_ended"

    assert len(world.billing.reserves) == 2


async def test_too_many_holds_without_an_end_stop_new_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A billing that confirms nothing must not fill this process with claims."""
    monkeypatch.setattr(relay, "ENDINGS_MAX", 3)
    monkeypatch.setattr(billing.RESERVE, "timeout_seconds", 0.05)
    world.billing.may_answer.clear()
    codes = [(await world.refusal()).code for _ in range(5)]

    assert codes == ["service_unavailable"] * 3 + ["overloaded"] * 2
    world.billing.may_answer.set()


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


# What this side ends


async def test_a_request_ends_at_its_deadline(around: Around, settings: EdgeSettings) -> None:
    """Whatever its dispatcher does: the client is told so, and the dispatcher why."""
    told: list[str] = []

    async def serve(attempt: Attempt) -> None:
        told.append(await attempt.cancelled)
        await attempt.end(encode(dispatcher.AnswerTail()))
        await attempt.finish(b"")

    async with (
        world_of(around, msgspec.structs.replace(settings, request_seconds_max=0.6)) as world,
        answering(world.bus, serve),
    ):
        error, _ = await world.run(await world.open())
        await until(lambda: told)

    assert isinstance(error, UpstreamTimeout)
    assert (error.code, error.details) == ("deadline_exceeded", {"limit_seconds": 1})
    assert told == ["deadline"]


async def test_a_lost_lease_cuts_what_runs_under_it(world: World) -> None:
    """Its money is not held any more; what runs under the new lease goes on."""
    told: list[str] = []

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        told.append(await attempt.cancelled)
        await attempt.end(encode(dispatcher.AnswerTail(claim=claim_of(attempt, outcome="platform_failed"))))
        await attempt.finish(b"settled")

    async with answering(world.bus, serve):
        old = await world.open()
        running = asyncio.create_task(world.run(old))
        await until(lambda: old.is_accepted)
        world.billing.end_lease(world.relay.lease.id)
        await world.relay.lease.renew()
        new = await world.open()
        error, _ = await running
        await asyncio.sleep(0.1)
        assert told == ["lease_ended"]
        assert world.relay.running == 1
        await new.answer.cancel("client_gone")
        world.relay.close(new)
        await until(lambda: world.callers.active == 0)

    assert isinstance(error, Unavailable)
    assert error.code == "stream_interrupted"


async def test_the_lease_is_given_back_when_nothing_is_held(around: Around, settings: EdgeSettings) -> None:
    """After the last hold has been seen to its end."""
    async with world_of(around, settings) as world, answering(world.bus, ending(fin=None)):
        await world.run(await world.open())
        await world.relay.finish(timeout_seconds=30)
        assert world.billing.ends
        assert world.billing.leases[world.relay.lease.id] is False


async def test_the_lease_is_kept_while_something_is_held(
    around: Around, settings: EdgeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """It then runs out by itself, and what is held under it expires without a charge."""
    async with world_of(around, settings) as world, answering(world.bus, ending(fin=None)):
        await world.run(await world.open())
        await world.relay.finish(timeout_seconds=0.01)
        assert world.billing.leases[world.relay.lease.id] is True
        assert "left to their lease" in caplog.text


async def kill(callees: Callees) -> None:
    """End a dispatcher as a killed process does: without a word."""
    await callees.__aexit__(None, None, None)
