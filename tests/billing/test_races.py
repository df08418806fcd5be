"""Rivals at one ledger: locked accounts, parallel reserves, and ends that race each other."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg

from services.billing.audit import audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Command, Ledger, expire, reserve, settle, void
from tests.billing.running import PATIENCE_SECONDS

HOLD = 225  # of the default reserve at the default price


async def test_locked_account_is_busy_and_delays_nobody(ledger: Ledger) -> None:
    """Commands of an account that is locked elsewhere are answered busy; the others of the batch are done."""
    await ledger.set_price()
    account, other = await ledger.open_account(1000), await ledger.open_account(1000)
    rival = await asyncpg.connect(ledger.url)
    try:
        async with rival.transaction():
            await rival.execute("SELECT 1 FROM billing.account WHERE id = $1 FOR UPDATE", account)
            async with asyncio.timeout(PATIENCE_SECONDS):
                answers = await ledger.execute(reserve(uuid7(), account), reserve(uuid7(), other))
            assert [answer["result"] for answer in answers] == ["busy", "ok"]
            patient = asyncio.create_task(ledger.execute(reserve(uuid7(), account), is_blocking=True))
            assert not (await asyncio.wait({patient}, timeout=0.1))[0]
        assert (await patient)[0]["result"] == "ok"
    finally:
        await rival.close()


async def test_parallel_reserves_never_spend_more_than_there_is(ledger: Ledger) -> None:
    """Of 200 reserves over four connections on a balance for three, exactly three are granted."""
    await ledger.set_price()
    account = await ledger.open_account(3 * HOLD)
    rivals = [Ledger(await asyncpg.connect(ledger.url), ledger.url) for _ in range(4)]

    async def reserve_fifty(rival: Ledger) -> list[str]:
        results = [await rival.execute(reserve(uuid7(), account), is_blocking=True) for _ in range(50)]
        return [answers[0]["result"] for answers in results]

    try:
        results = [result for each in await asyncio.gather(*map(reserve_fifty, rivals)) for result in each]
    finally:
        for rival in rivals:
            await rival.connection.close()
    assert {result: results.count(result) for result in set(results)} == {"ok": 3, "held": 197}
    assert await ledger.balance(account) == (3 * HOLD, 3 * HOLD)
    assert await audit(ledger.connection) == []


async def test_same_commands_in_parallel_settle_once(ledger: Ledger) -> None:
    """Both witnesses, a void and the reaper race for the same holds; each ends exactly once."""
    await ledger.set_price()
    account = await ledger.open_account(10**6)
    requests = [uuid7() for _ in range(40)]
    await ledger.execute(*(reserve(request, account) for request in requests))
    await ledger.call("end_lease", "lease")
    rivals = [Ledger(await asyncpg.connect(ledger.url), ledger.url) for _ in range(4)]

    async def end(rival: Ledger, command: Callable[[UUID, UUID], Command]) -> list[str]:
        return [
            (await rival.execute(command(request, account), is_blocking=True))[0]["result"]
            for request in requests
        ]

    try:
        results = await asyncio.gather(*(map(end, rivals, (settle, settle, void, expire))))
    finally:
        for rival in rivals:
            await rival.connection.close()
    for outcome in zip(*results, strict=True):
        assert outcome.count("ok") == 1
        assert outcome.count("late") <= 1
    assert (await ledger.balance(account))[1] == 0
    assert await audit(ledger.connection) == []
