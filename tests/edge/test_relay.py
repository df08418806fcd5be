"""The use case without HTTP: who is admitted, and what this side ends."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.edge import relay
from services.edge.settings import EdgeSettings
from shared.bus import Attempt
from shared.contracts import billing, dispatcher
from shared.errors import (
    Forbidden,
    InsufficientFunds,
    Internal,
    RateLimited,
    RelayError,
    Unavailable,
    UpstreamTimeout,
)
from tests.dispatcher.rig import ACCOUNT_ID, chat, until
from tests.edge.relay_rig import (
    HEAD,
    PRINCIPAL,
    World,
    claim_of,
    encode,
    ending,
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
        is_stream=True,
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
        await world.relay.finish(asyncio.sleep(30))
        assert world.billing.ends
        assert world.billing.leases[world.relay.lease.id] is False


async def test_the_lease_is_kept_while_something_is_held(
    around: Around, settings: EdgeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """It then runs out by itself, and what is held under it expires without a charge."""
    async with world_of(around, settings) as world, answering(world.bus, ending(fin=None)):
        await world.run(await world.open())
        await world.relay.finish(asyncio.sleep(0.01))
        assert world.billing.leases[world.relay.lease.id] is True
        assert "or to their lease" in caplog.text


def _rich_in_words(model: str = "gpt-4o") -> bytes:
    return chat("a long question " * 100, model=model)


async def test_a_refusal_for_want_of_money_is_asked_again_with_a_counted_prompt(world: World) -> None:
    """Under the same id, with a bound far below the bytes; the dispatcher is told of the bound that is held."""
    heads: list[dispatcher.ChatCall] = []

    async def serve(attempt: Attempt) -> None:
        heads.append(msgspec.msgpack.decode(attempt.head, type=dispatcher.ChatCall))
        await ending(fin=b"x")(attempt)

    world.billing.affordable_input_tokens = 1000
    body = _rich_in_words()
    async with answering(world.bus, serve):
        await world.run(await world.open(body))

    first, second = world.billing.reserves
    assert first.input_tokens_bound == len(body)
    assert second.input_tokens_bound < len(body) / 2
    assert msgspec.structs.replace(second, input_tokens_bound=first.input_tokens_bound) == first
    assert heads[0].input_tokens_bound == second.input_tokens_bound


async def test_a_counted_prompt_can_be_refused_as_well(world: World) -> None:
    """Then that is the answer, and nobody is asked a third time."""
    world.billing.affordable_input_tokens = 10

    with pytest.raises(InsufficientFunds):
        await world.open(_rich_in_words())

    assert len(world.billing.reserves) == 2


async def test_a_model_of_an_unknown_tokenizer_is_asked_for_once(world: World) -> None:
    """An estimate is no bound."""
    world.billing.affordable_input_tokens = 1000

    with pytest.raises(InsufficientFunds):
        await world.open(_rich_in_words("claude-sonnet-4-5"))

    assert len(world.billing.reserves) == 1
