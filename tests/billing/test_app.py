"""Billing put together: replicas, the reaper, and an end in order."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from shared.bus import Bus
from shared.contracts import billing, records
from shared.contracts.call import EDGE
from shared.errors import Unavailable
from shared.settings import Settings
from tests.billing.bookkeeping import Ledger
from tests.billing.running import (
    PATIENCE_SECONDS,
    account_locked,
    reserve,
    running,
    settle,
    until,
    until_waiting,
)


async def test_two_replicas_share_the_calls(ledger: Ledger, nats_url: str) -> None:
    """Both lanes move money of the same accounts, and together they keep the balance exact."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000_000)
    async with (
        running(ledger.url, nats_url) as first,
        running(ledger.url, nats_url) as second,
        Bus(Settings(nats_url=nats_url), party=EDGE) as bus,
    ):
        await ledger.call("renew_lease", "lease", 3600)

        async def one() -> int:
            asked = reserve(account_id)
            await bus.call(billing.RESERVE, asked, timeout_seconds=PATIENCE_SECONDS)
            ended = await bus.call(billing.SETTLE, settle(asked), timeout_seconds=PATIENCE_SECONDS)
            return ended.charged_nano_usd

        charged = await asyncio.gather(*(one() for _ in range(300)))
        shares = [await _metric(app, "relay_billing_batch_seconds_count") for app in (first, second)]

        assert sum(charged) == 300 * 200
        assert min(shares) > 0
        assert await ledger.balance(account_id) == (1_000_000 - sum(charged), 0)


async def test_an_end_in_order_answers_what_runs(ledger: Ledger, nats_url: str) -> None:
    """A call that waits for its account gets its answer; what comes after it finds nobody."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000)
    async with Bus(Settings(nats_url=nats_url), party=EDGE) as bus, AsyncExitStack() as stack:
        await stack.enter_async_context(running(ledger.url, nats_url, lanes=3))
        asked = reserve(account_id)
        await bus.call(billing.RESERVE, asked)
        async with account_locked(ledger.url, account_id):
            settling = asyncio.create_task(bus.call(billing.SETTLE, settle(asked)))
            await until_waiting(ledger.connection)
            stopping = asyncio.create_task(stack.aclose())
            await until_unserved(bus)
            assert not stopping.done()
            assert not settling.done()

        assert (await settling).charged_nano_usd == 200
        await asyncio.wait_for(stopping, PATIENCE_SECONDS)
    assert await ledger.balance(account_id) == (800, 0)


async def test_an_end_that_takes_too_long_cuts_what_runs(ledger: Ledger, nats_url: str) -> None:
    """After drain_seconds the process ends all the same; the caller is told nothing and repeats."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000)
    async with Bus(Settings(nats_url=nats_url), party=EDGE) as bus, AsyncExitStack() as stack:
        await stack.enter_async_context(running(ledger.url, nats_url, drain_seconds=0.1))
        asked = reserve(account_id)
        await bus.call(billing.RESERVE, asked)
        async with account_locked(ledger.url, account_id):
            settling = asyncio.create_task(bus.call(billing.SETTLE, settle(asked), timeout_seconds=1.0))
            await until_waiting(ledger.connection)
            await asyncio.wait_for(stack.aclose(), PATIENCE_SECONDS)
        with pytest.raises(Unavailable):
            await settling
        async with running(ledger.url, nats_url):
            assert (await bus.call(billing.SETTLE, settle(asked))).charged_nano_usd == 200


async def test_holds_expire_when_their_lease_has_ended(ledger: Ledger, nats_url: str) -> None:
    """The money is free again without a charge, for more holds than one batch takes, and it is told."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000_000)
    told: list[str] = []

    async def note(event: billing.UsageRecorded) -> None:
        told.append(event.request_id)

    async with running(ledger.url, nats_url), Bus(Settings(nats_url=nats_url), party=EDGE) as bus:
        await bus.listen(billing.USAGE_RECORDED, note)
        await bus.call(billing.RENEW_LEASE, billing.Lease(lease_id="mortal"))
        await ledger.call("renew_lease", "mortal", 3600)
        asked = [reserve(account_id, lease_id="mortal") for _ in range(300)]
        await asyncio.gather(*(bus.call(billing.RESERVE, each) for each in asked))
        assert (await ledger.balance(account_id))[1] == 300 * 225

        await bus.call(billing.END_LEASE, billing.Lease(lease_id="mortal"))
        await until(lambda: len(told) == 300)

        assert await ledger.balance(account_id) == (1_000_000, 0)
        assert set(told) == {each.request_id for each in asked}
        (record,) = (await bus.call(records.LIST_USAGE, records.GetUsage(request_id=told[0]))).items
        assert (record.rule, record.outcome, record.charged_nano_usd) == ("C9", "lost", 0)
        late = await bus.call(billing.SETTLE, settle(asked[0]))
        assert late == billing.Ended(state="EXPIRED", charged_nano_usd=200)


async def test_the_reaper_outlives_a_fault(
    ledger: Ledger, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so and looks again."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000)
    revoke = "REVOKE EXECUTE ON FUNCTION billing.expire FROM relay_billing"
    await ledger.connection.execute(revoke)
    async with running(ledger.url, nats_url), Bus(Settings(nats_url=nats_url), party=EDGE) as bus:
        await bus.call(billing.RESERVE, reserve(account_id))
        await bus.call(billing.END_LEASE, billing.Lease(lease_id="lease"))
        await until(lambda: "the reaper failed" in caplog.text)
        await ledger.connection.execute(revoke.replace("REVOKE", "GRANT").replace("FROM", "TO"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await ledger.balance(account_id))[1]:  # noqa: ASYNC110 - PostgreSQL tells nobody
                await asyncio.sleep(0.01)


async def test_old_tombstones_are_forgotten(ledger: Ledger, nats_url: str) -> None:
    """Those of a day ago; a young one still keeps its reserve out."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000)
    async with running(ledger.url, nats_url), Bus(Settings(nats_url=nats_url), party=EDGE) as bus:
        old, young = reserve(account_id), reserve(account_id)
        for each in (old, young):
            void = billing.Void(request_id=each.request_id, account_id=each.account_id, reason="gone")
            await bus.call(billing.VOID, void)
        async with ledger.connection.transaction():
            await ledger.connection.execute("ALTER TABLE billing.hold DISABLE TRIGGER hold_stays_closed")
            await ledger.connection.execute(
                "UPDATE billing.hold SET created_at = created_at - interval '2 days' WHERE id = $1",
                old.request_id,
            )
            await ledger.connection.execute("ALTER TABLE billing.hold ENABLE TRIGGER hold_stays_closed")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await ledger.count("hold") > 1:  # noqa: ASYNC110 - PostgreSQL tells nobody
                await asyncio.sleep(0.01)
        assert str(await ledger.connection.fetchval("SELECT id FROM billing.hold")) == young.request_id


async def test_billing_is_ready_when_its_lanes_have_reached_postgresql(ledger: Ledger, nats_url: str) -> None:
    """Not before, since whoever is ready gets calls."""
    async with running(ledger.url, nats_url, lanes=2) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://billing") as client:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (answer := await client.get("/readyz")).status_code != 200:
                    assert answer.json() == {"ready": False, "missing": ["PostgreSQL"]}
                    await asyncio.sleep(0.01)
            assert answer.json() == {"ready": True, "missing": []}


async def until_unserved(bus: Bus) -> None:
    """Return when nobody answers for billing any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await bus.call(billing.LIST_PRICES, billing.ListPrices())
            except Unavailable:
                return


async def _metric(app: object, name: str) -> float:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
        base_url="http://billing",
    ) as client:
        text = (await client.get("/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[1])
