"""Leases, expiry, what auth decides, money by hand, prices and the outbox."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from services.billing.audit import audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, reserve, settle, void


async def test_lease_is_renewed_until_it_is_ended(ledger: Ledger) -> None:
    """A live lease gets its full time again, and so does one that has lapsed; one that was ended stays so, by whoever did it."""
    assert 59 < await ledger.call("renew_lease", "edge", 60) <= 60
    assert 89 < await ledger.call("renew_lease", "edge", 90) <= 90
    assert await ledger.call("renew_lease", "edge", 60) > 80, "a renewal never shortens"
    assert await ledger.call("end_lease", "edge") is True
    assert await ledger.call("end_lease", "edge") is False
    assert await ledger.call("renew_lease", "edge", 60) is None
    await ledger.call("renew_lease", "paused", 60)
    await ledger.lapse("paused")
    assert 59 < await ledger.call("renew_lease", "paused", 60) <= 60
    await ledger.lapse("paused")
    await ledger.call("expire", 256, 0, 0)
    assert await ledger.call("renew_lease", "paused", 60) is None


async def test_a_lapsed_lease_takes_no_reserve_until_it_is_renewed(ledger: Ledger) -> None:
    """Its holds live on; a new one needs a lease that nobody may be about to end."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    await ledger.one(reserve(request, account))
    await ledger.lapse("lease")
    assert (await ledger.one(reserve(uuid7(), account)))["result"] == "lease_ended"
    assert await ledger.state(request) == "HELD"
    await ledger.call("renew_lease", "lease", 60)
    assert (await ledger.one(reserve(uuid7(), account)))["result"] == "ok"
    assert await ledger.call("expire", 256, 0, 0) == 0
    assert await ledger.balance(account) == (1000, 450)


async def test_renewing_and_expiring_decide_on_one_row(ledger: Ledger) -> None:
    """Whoever comes first decides, also while it is not committed: the lease is ended with its holds, or lives with them."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    await ledger.one(reserve(request, account))
    rival = Ledger(await asyncpg.connect(ledger.url), ledger.url)
    try:
        await ledger.lapse("lease")
        async with rival.connection.transaction():
            await rival.call("renew_lease", "lease", 60)
            expiring = asyncio.create_task(ledger.call("expire", 256, 0, 0))
            assert not (await asyncio.wait({expiring}, timeout=0.1))[0]
        assert await expiring == 0
        assert await ledger.state(request) == "HELD"

        await ledger.lapse("lease")
        async with rival.connection.transaction():
            assert await rival.call("expire", 256, 0, 0) == 1
            renewing = asyncio.create_task(ledger.call("renew_lease", "lease", 60))
            assert not (await asyncio.wait({renewing}, timeout=0.1))[0]
        assert await renewing is None
    finally:
        await rival.connection.close()
    assert await ledger.balance(account) == (1000, 0)
    assert await audit(ledger.connection) == []


async def test_reaper_that_was_stopped_expires_by_the_time_it_began(ledger: Ledger) -> None:
    """What lapsed after it had looked at the clock is left to a later look."""
    await ledger.set_price()
    account = await ledger.open_account(1000)
    await ledger.one(reserve(uuid7(), account))
    rival = Ledger(await asyncpg.connect(ledger.url), ledger.url)
    lapse = "UPDATE billing.lease SET expires_at = clock_timestamp()"
    try:
        async with rival.connection.transaction():
            await rival.connection.fetchval("SELECT transaction_timestamp()")
            await ledger.connection.execute(lapse)
            assert await rival.call("expire", 256, 0, 0) == 0
        assert await rival.call("expire", 256, 0, 0) == 1
    finally:
        await rival.connection.close()


async def test_hold_that_was_late_for_the_end_of_its_lease_is_expired(ledger: Ledger) -> None:
    """A reserve that saw its lease alive and is committed when it has ended leaves a hold that the next look finds."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    rival = Ledger(await asyncpg.connect(ledger.url), ledger.url)
    try:
        async with rival.connection.transaction():
            assert (await rival.one(reserve(request, account)))["result"] == "ok"
            await ledger.lapse("lease")
            assert await ledger.call("expire", 256, 0, 0) == 0
        assert await ledger.call("renew_lease", "lease", 60) is None
        assert await ledger.call("expire", 256, 0, 0) == 1
    finally:
        await rival.connection.close()
    assert await ledger.state(request) == "EXPIRED"


async def test_lease_out_of_range_is_refused(ledger: Ledger) -> None:
    """A lease needs an id and a sane time."""
    for arguments in (("", 60), ("x" * 65, 60), ("edge", 0), ("edge", 10**6), (None, 60)):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await ledger.call("renew_lease", *arguments)


@pytest.mark.parametrize(
    "passing",
    [
        "UPDATE billing.lease SET expires_at = now() - interval '5 seconds'",
        "UPDATE billing.hold SET deadline = now() - interval '5 seconds'",
    ],
)
async def test_reaper_expires_what_is_due_after_the_grace(ledger: Ledger, passing: str) -> None:
    """A hold whose lease or deadline passed ends at no charge, with a usage row `lost`, when the grace is over too."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    await ledger.one(reserve(request, account))
    assert await ledger.call("expire", 256, 0, 0) == 0
    await ledger.connection.execute(passing)
    assert await ledger.call("expire", 256, 3600, 0) == 0
    assert await ledger.call("expire", 256, 0, 10**6) == 0, "PostgreSQL is not up for that long"
    assert await ledger.call("expire", 256, 0, 0) == 1
    assert await ledger.call("expire", 256, 0, 0) == 0
    assert await ledger.balance(account) == (1000, 0)
    usage = await ledger.connection.fetchrow(
        "SELECT rule, outcome, charged_nano_usd, witness FROM billing.usage"
    )
    assert tuple(usage) == ("C9", "lost", 0, "reaper")
    assert await audit(ledger.connection) == []


async def test_reapers_in_parallel_expire_each_hold_once(ledger: Ledger) -> None:
    """Any number of replicas may reap at once, and none waits for an account that is in use."""
    await ledger.set_price()
    accounts = [await ledger.open_account(10_000) for _ in range(5)]
    await ledger.execute(*(reserve(uuid7(), account) for account in accounts * 10))
    await ledger.call("end_lease", "lease")
    rivals = [await asyncpg.connect(ledger.url) for _ in range(4)]
    try:
        async with rivals[0].transaction():
            await rivals[0].execute("SELECT 1 FROM billing.account WHERE id = $1 FOR UPDATE", accounts[0])
            reaping = [rival.fetchval("SELECT billing.expire(256, 0, 0)") for rival in rivals[1:]]
            counts = await asyncio.gather(*reaping)
            while await ledger.call("expire", 256, 0, 0):
                counts.append(0)
            assert (
                await ledger.connection.fetchval("SELECT count(*) FROM billing.hold WHERE state = 'HELD'")
                == 10
            )
        while await ledger.call("expire", 256, 0, 0):
            pass
    finally:
        for rival in rivals:
            await rival.close()
    assert await ledger.count("usage") == 50
    assert await audit(ledger.connection) == []


async def test_old_tombstones_are_pruned_and_other_holds_are_not(ledger: Ledger) -> None:
    """Pruning forgets tombstones of more than an hour ago, and nothing else."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    await ledger.execute(
        void(uuid7(), account), reserve(request, account), void(request, account), void(uuid7(), account)
    )
    await ledger.connection.execute(
        """SET session_replication_role = replica;
           UPDATE billing.hold SET created_at = now() - interval '2 hours' WHERE ctid <> (SELECT max(ctid) FROM billing.hold);
           SET session_replication_role = origin"""
    )
    assert await ledger.call("prune_tombstones", 0) == 1
    assert await ledger.count("hold") == 2


async def test_older_version_never_replaces_a_newer_one(ledger: Ledger) -> None:
    """Status of account and key follow the highest version, in whatever order versions arrive."""
    account, other = uuid7(), uuid7()
    assert await ledger.call("put_key", "key", account, "active", None, 1) == "account_unknown"
    assert await ledger.call("put_account", account, "active", 5) == "stored"
    assert await ledger.call("put_account", account, "suspended", 5) == "kept"
    assert await ledger.call("put_account", account, "suspended", 4) == "kept"
    assert await ledger.call("put_account", account, "suspended", 6) == "stored"
    assert await ledger.call("put_account", other, "active", 1) == "stored"
    assert await ledger.call("put_key", "key", account, "revoked", None, 3) == "stored"
    assert await ledger.call("put_key", "key", account, "active", None, 2) == "kept"
    assert await ledger.call("put_key", "key", other, "active", None, 4) == "conflict"
    row = await ledger.connection.fetchrow("SELECT account_id, status, version FROM billing.api_key")
    assert (row["status"], row["version"], str(row["account_id"])) == ("revoked", 3, str(account))


async def test_account_of_the_platform_is_nobodys(ledger: Ledger) -> None:
    """No customer gets the id of an account that the platform books against."""
    for number in (1, 2, 3):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await ledger.call("put_account", UUID(int=number), "active", 1)


async def test_revoking_waits_for_the_batch_that_did_not_see_it(ledger: Ledger) -> None:
    """Once a revocation has returned, no reserve that overlooked it is still to be committed."""
    await ledger.set_price()
    account = await ledger.open_account(1000)
    rival = Ledger(await asyncpg.connect(ledger.url), ledger.url)
    try:
        async with rival.connection.transaction():
            assert (await rival.one(reserve(uuid7(), account)))["result"] == "ok"
            revoking = asyncio.create_task(
                ledger.call("put_key", f"key-{account}", account, "revoked", None, 2)
            )
            assert not (await asyncio.wait({revoking}, timeout=0.1))[0]
        assert await revoking == "stored"
        assert (await rival.one(reserve(uuid7(), account)))["result"] == "key_revoked"
    finally:
        await rival.connection.close()


async def test_credit_counts_once_for_each_key(ledger: Ledger) -> None:
    """A repeated credit is recognised by its key; the same key with other arguments is a conflict."""
    account, other = await ledger.open_account(), await ledger.open_account()

    async def credit(to: UUID, amount: int, key: str = "key") -> str:
        answer = await ledger.call("credit", to, amount, key, "why")
        return str(answer["result"])

    assert [await credit(account, 70), await credit(account, 70)] == ["ok", "already"]
    assert [await credit(account, 71), await credit(other, 70), await credit(account, -70)] == [
        "conflict"
    ] * 3
    assert await credit(uuid7(), 1, "new") == "account_unknown"
    assert [
        await credit(account, 0, "z"),
        await credit(account, 10**18 + 1, "z"),
        await credit(account, 1, ""),
    ] == ["invalid"] * 3
    assert await credit(account, 10**18 - 69, "z") == "too_large"
    assert await ledger.balance(account) == (70, 0)
    assert await audit(ledger.connection) == []


async def test_adjustment_takes_only_what_is_available(ledger: Ledger) -> None:
    """A negative credit cannot take what running requests hold."""
    await ledger.set_price()
    account = await ledger.open_account(300)
    await ledger.one(reserve(uuid7(), account))
    refused = await ledger.call("credit", account, -76, "back", "a mistake")
    assert (refused["result"], refused["posted_nano_usd"], refused["held_nano_usd"]) == (
        "insufficient",
        300,
        225,
    )
    assert (await ledger.call("credit", account, -75, "back", "a mistake"))["result"] == "ok"
    assert await ledger.balance(account) == (225, 225)
    assert await audit(ledger.connection) == []


async def test_same_credit_in_parallel_counts_once(ledger: Ledger) -> None:
    """Twenty webhooks for one payment credit it once."""
    account = await ledger.open_account()
    pool = await asyncpg.create_pool(ledger.url, min_size=10, max_size=10)
    try:
        results = await asyncio.gather(
            *(
                pool.fetchval("SELECT (billing.credit($1, 5, 'one', 'paid')).result", account)
                for _ in range(20)
            )
        )
    finally:
        await pool.close()
    assert sorted(results) == ["already"] * 19 + ["ok"]
    assert await ledger.balance(account) == (5, 0)


async def test_price_is_the_newest_that_is_effective(ledger: Ledger) -> None:
    """A price of the future waits for its time, and of two of one time the later entry counts."""
    account = await ledger.open_account(10**6)
    first, second = await ledger.set_price(), await ledger.set_price(5000, 5000)
    tomorrow = await ledger.connection.fetchval("SELECT now() + interval '1 day'")
    yesterday = await ledger.connection.fetchval("SELECT now() - interval '1 day'")
    await ledger.call("set_price", "m", 1, 1, 1, 1, 1, tomorrow)
    await ledger.call("set_price", "m", 1, 1, 1, 1, 1, yesterday)
    assert (await ledger.one(reserve(uuid7(), account)))["price_id"] == second > first


async def test_price_out_of_range_is_refused(ledger: Ledger) -> None:
    """No price is negative or beyond the bound that keeps every cost within a BIGINT."""
    for arguments in ((-1, 0), (0, 10**11 + 1)):
        with pytest.raises(asyncpg.CheckViolationError):
            await ledger.set_price(*arguments)
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger.set_price(max_output_tokens=0)


async def test_outbox_is_published_by_one_session_in_order(ledger: Ledger) -> None:
    """One session leads at a time; what it has published is forgotten, the rest stays."""
    await ledger.set_price()
    account, request = await ledger.open_account(1000), uuid7()
    await ledger.execute(reserve(request, account), settle(request, account))
    rival = await asyncpg.connect(ledger.url)
    try:
        assert await ledger.call("lead_outbox") is True
        assert await rival.fetchval("SELECT billing.lead_outbox()") is False
        rows = await rival.fetch("SELECT id, subject FROM billing.outbox_batch(1)")
        assert [row["subject"] for row in rows] == ["billing.event.credited"]
        assert await ledger.call("outbox_published", [rows[0]["id"], 10**9]) == 1
        rows = await rival.fetch("SELECT subject FROM billing.outbox_batch(10)")
        assert [row["subject"] for row in rows] == ["billing.event.usage_recorded"]
        await ledger.connection.close()
        for _ in range(100):
            if await rival.fetchval("SELECT billing.lead_outbox()"):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the lead was not handed on")
    finally:
        await rival.close()
