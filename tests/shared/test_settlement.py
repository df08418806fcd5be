"""Ending a hold from outside billing: repeated until it is confirmed or refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from shared import settlement
from shared.bus import Bus, Worker
from shared.contracts import billing
from shared.contracts.call import BILLING, EDGE
from shared.errors import Conflict, Forbidden, Internal, InvalidRequest, NotFound, RelayError, Unavailable
from shared.ids import uuid7
from shared.settings import Settings
from shared.settlement import settle
from tests.shared.conftest import Connect, soon, until

ENDED = billing.Ended(state="SETTLED", charged_nano_usd=5)
VOID = billing.Void(request_id=str(uuid7()), account_id=str(uuid7()), reason="gone")
SETTLE = billing.Settle(
    request_id=VOID.request_id,
    account_id=VOID.account_id,
    attempt=1,
    outcome="completed",
    is_upstream_accepted=True,
    input_tokens_bound=1,
    output_tokens_bound=1,
)

Claims = list[billing.Settle | billing.Void]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat after a moment, so that the tests need not wait."""
    monkeypatch.setattr(settlement, "RETRY_SECONDS", 0.01)


@pytest.fixture
async def edge(connect: Connect) -> Bus:
    """Whoever owes a settlement."""
    return await connect(EDGE)


async def billing_that(connect: Connect, *refusals: RelayError) -> Claims:
    """Serve SETTLE and VOID: the first claims are refused with the `refusals`, then they are accepted. Return the claims."""
    bus = await connect(BILLING)
    claims: Claims = []

    async def answer(claim: billing.Settle | billing.Void) -> billing.Ended:
        claims.append(claim)
        if len(claims) <= len(refusals):
            raise refusals[len(claims) - 1]
        return ENDED

    handler: Callable[[billing.Settle | billing.Void], Awaitable[billing.Ended]] = answer
    await bus.serve(billing.SETTLE, handler)
    await bus.serve(billing.VOID, handler)
    await bus.control.flush()
    return claims


@pytest.mark.parametrize("claim", [SETTLE, VOID], ids=["settle", "void"])
async def test_a_claim_is_repeated_until_it_is_confirmed(
    connect: Connect, edge: Bus, claim: billing.Settle | billing.Void
) -> None:
    """With the same words, since a repeat changes nothing."""
    away = Unavailable("service_unavailable", part="PostgreSQL")
    claims = await billing_that(connect, away, away, away)

    assert await soon(settle(edge, claim)) == ENDED
    assert claims == [claim] * 4


@pytest.mark.parametrize("family", [Conflict, Internal, InvalidRequest, NotFound, Forbidden])
async def test_a_claim_that_is_refused_is_not_repeated(
    connect: Connect, edge: Bus, family: type[RelayError], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, with the id and the reason."""
    claims = await billing_that(connect, family("id_conflict", id="x"))

    assert await soon(settle(edge, SETTLE)) is None
    assert len(claims) == 1
    (record,) = [record for record in caplog.records if "refused the end" in record.getMessage()]
    assert vars(record)["request_id"] == SETTLE.request_id
    assert vars(record)["reason"] == "id_conflict"


async def test_a_claim_that_nobody_confirms_is_given_up(edge: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """After the patience: the lease of the hold does the rest."""
    assert await soon(settle(edge, SETTLE, patience_seconds=0.05)) is None
    assert "did not confirm" in caplog.text


async def test_a_claim_that_is_cancelled_ends_at_once(edge: Bus) -> None:
    """At the end of a process nobody waits for the rest of the patience, and where there is no spill for nothing else."""
    settling = asyncio.create_task(settle(edge, SETTLE))
    await asyncio.sleep(0.05)
    assert not settling.done()
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(settling)


@pytest.mark.parametrize("claim", [SETTLE, VOID], ids=["settle", "void"])
async def test_a_claim_that_has_waited_is_spilled(
    spill: Claims, near: Bus, claim: billing.Settle | billing.Void, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody serves billing; the claim is delivered all the same, as it was."""
    monkeypatch.setattr(settlement, "SPILL_AFTER_SECONDS", 0.05)
    claim = another(claim)

    assert await soon(settle(near, claim)) is None
    await until(lambda: spill == [claim])


async def test_a_claim_is_not_spilled_while_billing_may_still_answer(
    spill: Claims, near: Bus, jetstream_url: str
) -> None:
    """A short outage is waited out."""
    async with Bus(Settings(nats_url=jetstream_url), party=BILLING) as back:
        settling = asyncio.create_task(settle(near, another(SETTLE)))
        await asyncio.sleep(0.05)
        await back.serve(billing.SETTLE, _end)
        assert await soon(settling) == ENDED
    assert not spill


async def test_a_claim_that_is_cancelled_is_spilled_first(spill: Claims, near: Bus) -> None:
    """What a process owes outlives it."""
    claim = another(SETTLE)
    settling = asyncio.create_task(settle(near, claim))
    await asyncio.sleep(0.05)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(settling)
    await until(lambda: spill == [claim])


async def test_a_claim_that_cannot_be_spilled_waits_in_memory(
    connect: Connect, edge: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without JetStream it is repeated until billing is back."""
    monkeypatch.setattr(settlement, "SPILL_AFTER_SECONDS", 0.0)
    settling = asyncio.create_task(settle(edge, SETTLE))
    await asyncio.sleep(0.1)
    assert not settling.done()

    claims = await billing_that(connect)
    assert await soon(settling) == ENDED
    assert claims == [SETTLE]


@pytest.fixture
async def near(jetstream_url: str) -> AsyncIterator[Bus]:
    """Whoever owes a settlement, on a server with JetStream."""
    async with Bus(Settings(nats_url=jetstream_url), party=EDGE) as bus:
        yield bus


@pytest.fixture
async def spill(jetstream_url: str) -> AsyncIterator[Claims]:
    """What reaches billing through the spill."""
    claims: Claims = []

    async def note(spilled: billing.Spilled) -> None:
        claims.append(spilled.claim)

    async with Bus(Settings(nats_url=jetstream_url), party=BILLING) as bus:
        worker = Worker(bus.control, billing.SPILL, note)
        working = asyncio.create_task(worker.run())
        await until(lambda: worker.is_ready)
        yield claims
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def another(claim: billing.Settle | billing.Void) -> billing.Settle | billing.Void:
    """Return the claim on a hold of its own: the spill keeps an exact repeat once."""
    return msgspec.structs.replace(claim, request_id=str(uuid7()))


async def _end(claim: billing.Settle) -> billing.Ended:
    return ENDED
