"""Ending a hold from outside billing: repeated until it is confirmed or refused."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared import settlement
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import BILLING, EDGE
from shared.errors import Conflict, Forbidden, Internal, InvalidRequest, NotFound, RelayError, Unavailable
from shared.ids import uuid7
from shared.settlement import settle
from tests.shared.conftest import Connect, soon

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
    """At the end of a process nobody waits for the rest of the patience."""
    settling = asyncio.create_task(settle(edge, SETTLE))
    await asyncio.sleep(0.05)
    assert not settling.done()
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(settling)
