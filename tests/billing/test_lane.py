"""The lane over a real PostgreSQL: what it batches, what it keeps apart, and what it does when something breaks."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from services.billing import lane as lane_module
from services.billing.commands import Command
from services.billing.lane import BATCH_MAX, BUSY_TRIES, Lane
from services.devstack.postgres import EmbeddedPostgres
from shared import db
from shared.db import Connection, connect
from shared.errors import Internal, Unavailable
from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, migrated
from tests.billing.running import (
    PATIENCE_SECONDS,
    account_locked,
    answered,
    lane_on,
    ledger_locked,
    locked,
    reserve_command,
    results,
    submitted,
    until,
    until_waiting,
)
from tests.shared.tcp_proxy import proxied

HELD_NANO_USD = 225  # of one reserve_command: 100 · 1.25 + 50 · 2
TOMBSTONE = (
    "INSERT INTO billing.hold (id, account_id, amount_nano_usd, state, closed_at)"
    " VALUES ($1, $2, 0, 'VOIDED', now())"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again after a moment, so that the tests need not wait."""
    monkeypatch.setattr(lane_module, "RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr(lane_module, "PROBE_SECONDS", 0.05)


async def deadlock_finding_connection(url: str) -> Connection:
    """A lane's connection that waits for locks for long, and looks for a deadlock soon."""
    connection = await connect(url, schema="billing", application="relay-billing-lane")
    await connection.execute(
        "SET lock_timeout = '1min'; SET ROLE NONE; SET deadlock_timeout = '10ms'; SET ROLE relay_billing"
    )
    return connection


async def until_blocked(connection: Connection, pid: int) -> None:
    """Return when another transaction keeps the backend `pid` waiting."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await connection.fetchval("SELECT pg_blocking_pids($1)", pid):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.005)


async def test_what_queues_up_while_a_call_runs_is_one_batch(ledger: Ledger) -> None:
    """The first command goes alone and at once; the 200 that come meanwhile share the next call and its commit."""
    account_id = await ledger.open_account(1_000_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        await until(lambda: not lane.is_away)
        before = lane.batches_total
        async with ledger_locked(ledger.url):
            first = submitted(lane, reserve_command(account_id))
            await until_waiting(ledger.connection)
            others = submitted(lane, *(reserve_command(account_id) for _ in range(200)))
            await asyncio.sleep(0)
        answers = await answered(*first, *others)

        assert {answer.result for answer in answers} == {"ok"}
        assert lane.batches_total - before == 2
        assert lane.commands_total == 201
    assert await ledger.balance(account_id) == (1_000_000, 201 * HELD_NANO_USD)


async def test_more_than_a_batch_is_several(ledger: Ledger) -> None:
    """PostgreSQL takes 256 commands at once; nothing is lost beyond."""
    account_id = await ledger.open_account(1_000_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        answers = await answered(*submitted(lane, *(reserve_command(account_id) for _ in range(600))))

    assert {answer.result for answer in answers} == {"ok"}
    assert await ledger.balance(account_id) == (1_000_000, 600 * HELD_NANO_USD)


async def test_commands_of_one_account_keep_their_order(ledger: Ledger) -> None:
    """Whatever is submitted after another command of its account is decided after it."""
    accounts = [await ledger.open_account(1_000) for _ in range(5)]
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        chains = []
        for account_id in accounts:
            opening = reserve_command(account_id)
            void = Command(op="void", id=opening.id, account_id=opening.account_id, reason="test")
            again = reserve_command(account_id, id=opening.id)
            chains.append(submitted(lane, opening, void, again))
        for chain in chains:
            assert await results(chain) == ["ok", "ok", "voided"]


@pytest.mark.parametrize("poison", ["NUL", "constraint"])
async def test_a_command_that_breaks_the_batch_fails_alone(ledger: Ledger, poison: str) -> None:
    """PostgreSQL undoes the whole batch; all others are answered, and nothing happens twice."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    await ledger.connection.execute("ALTER TABLE billing.hold ADD CHECK (fingerprint <> 'unlucky')")
    bad = {"model": "m\0"} if poison == "NUL" else {"fingerprint": "unlucky"}
    async with lane_on(ledger.url) as lane:
        commands = [reserve_command(account_id) for _ in range(BATCH_MAX - 1)]
        commands.insert(7, reserve_command(account_id, **bad))
        tasks = submitted(lane, *commands)

        assert await results(tasks[:7] + tasks[8:]) == ["ok"] * (BATCH_MAX - 1)
        with pytest.raises(Internal):
            await tasks[7]
    assert await ledger.balance(account_id) == (100_000, (BATCH_MAX - 1) * HELD_NANO_USD)


async def test_a_locked_account_delays_nobody_else(ledger: Ledger) -> None:
    """Its own commands wait on the patient connection until the lock is gone, and then share one call."""
    stuck, free = await ledger.open_account(100_000), await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        async with account_locked(ledger.url, stuck):
            waiting = submitted(lane, *(reserve_command(stuck) for _ in range(20)))
            await answered(*submitted(lane, *(reserve_command(free) for _ in range(20))))
            await until_waiting(ledger.connection)
            assert not any(task.done() for task in waiting)
            before = lane.batches_total
        assert await results(waiting) == ["ok"] * 20
        assert lane.batches_total - before <= 2 * BUSY_TRIES  # and not one for each
    assert await ledger.balance(stuck) == (100_000, 20 * HELD_NANO_USD)


async def test_a_lock_that_stays_refuses_its_commands_alone(ledger: Ledger) -> None:
    """After lock_timeout they are unavailable, all together; their account works again when the lock is gone."""
    stuck, free = await ledger.open_account(100_000), await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        async with account_locked(ledger.url, stuck):
            assert (
                await results(submitted(lane, *(reserve_command(stuck) for _ in range(50))))
                == ["Unavailable"] * 50
            )
            assert await results(submitted(lane, reserve_command(free))) == ["ok"]
        assert await results(submitted(lane, reserve_command(stuck))) == ["ok"]
    assert await ledger.balance(stuck) == (100_000, HELD_NANO_USD)


async def test_a_lock_that_stays_delays_other_locked_accounts_for_a_moment_only(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns: whose lock is gone is served while the other still waits."""
    monkeypatch.setattr(lane_module, "PATIENCE_SECONDS", 60.0)
    stuck, late = await ledger.open_account(100_000), await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        async with account_locked(ledger.url, stuck):
            async with account_locked(ledger.url, late):
                (first,) = submitted(lane, reserve_command(stuck))
                await until_waiting(ledger.connection)
                (second,) = submitted(lane, reserve_command(late))
                await asyncio.sleep(2 * lane_module.TURN_SECONDS)
                assert not second.done()
            assert await results([second]) == ["ok"]
            assert not first.done()
        assert await results([first]) == ["ok"]


async def test_a_locked_table_does_not_end_the_lane(ledger: Ledger) -> None:
    """A batch that cannot have its lock in time, as under a migration, is refused; the next one is served."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        async with ledger_locked(ledger.url):
            assert (
                await results(submitted(lane, *(reserve_command(account_id) for _ in range(3))))
                == ["Unavailable"] * 3
            )
        assert await results(submitted(lane, reserve_command(account_id))) == ["ok"]
    assert await ledger.balance(account_id) == (100_000, HELD_NANO_USD)


async def test_a_batch_that_loses_a_deadlock_is_sent_again(ledger: Ledger) -> None:
    """It was undone by PostgreSQL, and the callers notice nothing.

    The lane waits for an id that a rival is writing, with its account locked, for which the rival comes to wait; the lane is the
    first to look for a deadlock. Another rival holds it up before that id, so that the rival's wait is there when it looks.
    """
    account_id, other_id = await ledger.open_account(100_000), await ledger.open_account()
    await ledger.set_price()
    first, second = reserve_command(account_id), reserve_command(account_id)
    async with AsyncExitStack() as stack:
        doorkeeper = await stack.enter_async_context(locked(ledger.url, TOMBSTONE, first.id, other_id))
        rival = await stack.enter_async_context(locked(ledger.url, TOMBSTONE, second.id, other_id))
        await rival.execute("SET LOCAL deadlock_timeout = '10min'")
        lane = await stack.enter_async_context(Lane(lambda: deadlock_finding_connection(ledger.url)))
        tasks = submitted(lane, first, second)
        await until_waiting(ledger.connection)
        locking = asyncio.create_task(
            rival.execute("SELECT FROM billing.account WHERE id = $1 FOR UPDATE", account_id)
        )
        await until_blocked(ledger.connection, rival.get_server_pid())
        await doorkeeper.execute("ROLLBACK")

        await asyncio.wait_for(locking, PATIENCE_SECONDS)  # the lane has lost, and let go of the account
        await rival.execute("ROLLBACK")
        assert await results(tasks) == ["ok", "ok"]
    assert await ledger.balance(account_id) == (100_000, 2 * HELD_NANO_USD)


async def test_a_killed_backend_is_repeated_without_double_effect(ledger: Ledger) -> None:
    """The connection breaks in the middle of a batch; the callers notice nothing."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        await until(lambda: not lane.is_away)
        async with ledger_locked(ledger.url):
            tasks = submitted(lane, *(reserve_command(account_id) for _ in range(10)))
            await until_waiting(ledger.connection)
            await ledger.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'relay-billing-lane' AND datname = current_database()"
            )
        assert await results(tasks) == ["ok"] * 10
    assert await ledger.balance(account_id) == (100_000, 10 * HELD_NANO_USD)


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(ledger: Ledger) -> None:
    """PostgreSQL committed, and the connection fell silent and broke: the repeat by id learns the stored outcome."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with proxied(ledger.url) as proxy, lane_on(proxy.url) as lane:
        opening = reserve_command(account_id)
        await answered(*submitted(lane, opening))
        proxy.fall_silent()
        settling = Command(
            op="settle", id=opening.id, account_id=opening.account_id, attempt=1, rule="C1", outcome="completed",
            is_estimated=False, is_upstream_accepted=True, is_charged=True, input_tokens=100, cache_read_tokens=0,
            cache_write_tokens=0, output_tokens=50, reasoning_tokens=0, channel="c", witness="dispatcher",
        )  # fmt: skip
        tasks = submitted(lane, settling)
        await until(lambda: proxy.dropped_bytes > 0)
        assert await ledger.balance(account_id) == (99_800, 0)
        proxy.cut()
        (answer,) = await answered(*tasks)

        assert (answer.result, answer.charged_nano_usd) == ("already", 200)
    assert await ledger.balance(account_id) == (99_800, 0)
    assert await ledger.count("usage") == 1


async def test_a_silent_connection_is_abandoned(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes and nothing breaks: the lane takes another connection and sends the batch again by id."""
    monkeypatch.setattr(db, "SILENCE_SECONDS", 2.0)
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with proxied(ledger.url) as proxy, lane_on(proxy.url) as lane:
        await answered(*submitted(lane, reserve_command(account_id)))
        proxy.fall_silent()

        assert await results(submitted(lane, reserve_command(account_id))) == ["ok"]
        assert proxy.dropped_bytes > 0
    assert await ledger.balance(account_id) == (100_000, 2 * HELD_NANO_USD)


async def test_commands_are_refused_while_postgresql_is_away(tmp_path: Path) -> None:
    """They are unavailable at once and not later; when the server is back, so is the lane, also if nobody asks."""
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    try:
        connection = await asyncpg.connect(server.url)
        await migrated(connection)
        ledger = Ledger(connection, server.url)
        account_id = await ledger.open_account(100_000)
        await ledger.set_price()
        await connection.close()
        async with lane_on(server.url) as lane:
            await answered(*submitted(lane, reserve_command(account_id)))
            server.stop()
            assert (
                await results(submitted(lane, *(reserve_command(account_id) for _ in range(3))))
                == ["Unavailable"] * 3
            )
            assert lane.is_away
            server.start()
            await until(lambda: not lane.is_away)
            assert await results(submitted(lane, reserve_command(account_id))) == ["ok"]
        connection = await asyncpg.connect(server.url)
        assert await Ledger(connection, server.url).balance(account_id) == (100_000, 2 * HELD_NANO_USD)
        await connection.close()
    finally:
        server.stop()


async def test_a_schema_that_is_not_there_yet_is_waited_for(database_url: str) -> None:
    """A lane that starts before the migration refuses, and works once the tables are there."""
    async with lane_on(database_url) as lane:
        assert await results(submitted(lane, reserve_command(uuid7()))) == ["Unavailable"]
        connection = await asyncpg.connect(database_url)
        await migrated(connection)
        await connection.close()
        await until(lambda: not lane.is_away)
        assert await results(submitted(lane, reserve_command(uuid7()))) == ["lease_ended"]


async def test_a_command_is_dropped_when_its_callers_time_has_passed(ledger: Ledger) -> None:
    """It is refused and never sent, whether it waited in the queue or for the lock of its account."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        await until(lambda: not lane.is_away)
        async with account_locked(ledger.url, account_id):
            first = submitted(lane, reserve_command(account_id))
            await until_waiting(ledger.connection)
            late = submitted(lane, reserve_command(account_id), within_seconds=0.05)
            await asyncio.sleep(0.1)
        assert await results(first) == ["ok"]
        assert await results(late) == ["Unavailable"]
    assert await ledger.balance(account_id) == (100_000, HELD_NANO_USD)


async def test_a_command_whose_caller_has_gone_is_not_sent(ledger: Ledger) -> None:
    """Cancelled in the queue, it has no effect."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        await until(lambda: not lane.is_away)
        async with ledger_locked(ledger.url):
            first = submitted(lane, reserve_command(account_id))
            await until_waiting(ledger.connection)
            (gone,) = submitted(lane, reserve_command(account_id))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        assert await results(first) == ["ok"]
    assert await ledger.balance(account_id) == (100_000, HELD_NANO_USD)


async def test_the_queue_is_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is refused at once, so that a slow database cannot fill the memory."""
    monkeypatch.setattr(lane_module, "QUEUE_MAX", 2)
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    async with lane_on(ledger.url) as lane:
        await until(lambda: not lane.is_away)
        async with ledger_locked(ledger.url):
            first = submitted(lane, reserve_command(account_id))
            await until_waiting(ledger.connection)
            queued = submitted(lane, *(reserve_command(account_id) for _ in range(2)))
            assert await results(submitted(lane, reserve_command(account_id))) == ["Unavailable"]
        assert await results(first + queued) == ["ok"] * 3


async def test_a_lane_that_is_left_answers_what_runs_and_refuses_what_waits(ledger: Ledger) -> None:
    """Nobody is left without an answer, and nothing is sent any more."""
    account_id = await ledger.open_account(100_000)
    await ledger.set_price()
    lane = lane_on(ledger.url)
    await lane.__aenter__()
    await until(lambda: not lane.is_away)
    async with ledger_locked(ledger.url):
        under_way = submitted(lane, reserve_command(account_id))
        await until_waiting(ledger.connection)
        queued = submitted(lane, *(reserve_command(account_id) for _ in range(3)))
        await asyncio.sleep(0)
        leaving = asyncio.create_task(lane.__aexit__())
        await asyncio.sleep(0)

    assert await results(under_way) == ["ok"]
    assert await results(queued) == ["Unavailable"] * 3
    await asyncio.wait_for(leaving, PATIENCE_SECONDS)
    with pytest.raises(Unavailable):
        await lane.submit(reserve_command(account_id), within_seconds=1.0)
    assert await ledger.balance(account_id) == (100_000, HELD_NANO_USD)


async def test_a_fault_of_the_lane_is_not_silent() -> None:
    """Who waits is refused, and the task that failed shows its error to whoever guards it."""

    async def broken() -> Connection:
        raise ZeroDivisionError

    async with Lane(broken) as lane:
        assert await results(submitted(lane, reserve_command(uuid7()))) == ["Unavailable"]
        assert isinstance(lane.tasks[0].exception(), ZeroDivisionError)
