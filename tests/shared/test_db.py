"""PostgreSQL for the services: as whom they act, and what they hear when it does not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.devstack.process import free_port
from shared import db
from shared.db import Connection, Pool, connect, open_pool, transaction
from shared.errors import Conflict, Unavailable
from shared.migrate import migrate
from tests.shared.conftest import soon
from tests.shared.tcp_proxy import proxied


@pytest.fixture
async def url(database_url: str, tmp_path: Path) -> str:
    """A database with the role and the schema of a service, and two rows that it may change."""
    (tmp_path / "0001_rows.sql").write_text(
        "CREATE TABLE dbtest.row (id int PRIMARY KEY, value int);"
        "INSERT INTO dbtest.row VALUES (1, 0), (2, 0);"
        "GRANT SELECT, UPDATE ON dbtest.row TO relay_dbtest;"
    )
    connection = await asyncpg.connect(database_url)
    try:
        await migrate(connection, schema="dbtest", folder=tmp_path)
    finally:
        await connection.close()
    return database_url


@asynccontextmanager
async def pool_of(
    url: str, *, size: int = 2, statement_seconds: float | None = db.STATEMENT_SECONDS
) -> AsyncIterator[Pool]:
    """A pool of the service."""
    async with open_pool(
        url, schema="dbtest", application="relay-test", size=size, statement_seconds=statement_seconds
    ) as pool:
        yield pool


async def increase(connection: Connection, row: int) -> None:
    """Add one to a row, and so lock it."""
    await connection.execute("UPDATE row SET value = value + 1 WHERE id = $1", row)


async def increase_and_refuse(pool: Pool) -> None:
    """Change something and then find that it must not be."""
    async with transaction(pool) as connection:
        await increase(connection, 1)
        raise Conflict("id_conflict", id="1")


async def increase_impatiently(pool: Pool) -> None:
    """Wait for the lock for a moment only."""
    async with transaction(pool) as connection:
        await connection.execute("SET LOCAL lock_timeout = '50ms'")
        await increase(connection, 1)


async def increase_before(pool: Pool, happens: Callable[[], None]) -> None:
    """Change something; then `happens`, and the commit follows."""
    async with transaction(pool) as connection:
        await increase(connection, 1)
        happens()


async def be_killed(pool: Pool, url: str) -> None:
    """Lose the connection in the middle of a transaction."""
    async with transaction(pool) as connection:
        killer = await asyncpg.connect(url)
        await killer.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await killer.close()
        await connection.fetchval("SELECT 1")


async def test_a_connection_acts_as_the_role_of_its_schema(url: str) -> None:
    """It finds its tables without their schema, has no more rights than its migrations gave it, and shows its name."""
    connection = await connect(url, schema="dbtest", application="relay-test")
    try:
        assert await connection.fetchval("SELECT current_user") == "relay_dbtest"
        assert await connection.fetchval("SELECT count(*) FROM row") == 2
        assert await connection.fetchval("SHOW application_name") == "relay-test"
        assert await connection.fetchval("SHOW lock_timeout") == "2s"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM row")
    finally:
        await connection.close()


async def test_a_connection_of_the_pool_keeps_its_settings(url: str) -> None:
    """Also when the one who had it before has changed them."""
    async with pool_of(url, size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET lock_timeout = 0")
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT current_user") == "relay_dbtest"
            assert await connection.fetchval("SHOW lock_timeout") == "2s"


async def test_a_transaction_is_committed_or_undone(url: str) -> None:
    """Whole, and an error of ours passes as it is."""
    async with pool_of(url) as pool:
        async with transaction(pool) as connection:
            await increase(connection, 1)
        with pytest.raises(Conflict):
            await increase_and_refuse(pool)
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT value FROM row WHERE id = 1") == 1


async def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    """For a connection and for a pool."""
    away = urlsplit(url)._replace(netloc=f"postgres:x@127.0.0.1:{free_port()}").geturl()

    with pytest.raises(Unavailable) as caught:
        await connect(away, schema="dbtest", application="relay-test")
    assert caught.value.details == {"part": "PostgreSQL"}
    assert caught.value.retry_after_seconds
    with pytest.raises(Unavailable):
        async with pool_of(away):
            raise AssertionError("there is no pool")


async def test_a_lock_that_stays_is_unavailable(url: str) -> None:
    """After the lock_timeout of the session."""
    async with pool_of(url) as pool, transaction(pool) as first:
        await increase(first, 1)
        with pytest.raises(Unavailable):
            await increase_impatiently(pool)


async def test_a_deadlock_is_unavailable_to_one_of_two(url: str) -> None:
    """PostgreSQL undoes one transaction, whose owner may simply repeat it."""
    meeting = asyncio.Barrier(2)

    async def increase_both(pool: Pool, first: int, second: int) -> None:
        async with transaction(pool) as connection:
            await connection.execute("SET LOCAL lock_timeout = '20s'")
            await increase(connection, first)
            await meeting.wait()
            await increase(connection, second)

    async with pool_of(url) as pool:
        both = asyncio.gather(increase_both(pool, 1, 2), increase_both(pool, 2, 1), return_exceptions=True)
        outcomes = await soon(both)

    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "Unavailable"]


async def test_a_killed_connection_is_unavailable_and_replaced(url: str) -> None:
    """The transaction has failed; the next one has a new connection."""
    async with pool_of(url, size=1) as pool:
        with pytest.raises(Unavailable):
            await be_killed(pool, url)
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_pool_that_is_used_up_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; whoever waits is not kept for ever."""
    monkeypatch.setattr(db, "ACQUIRE_SECONDS", 0.05)
    async with pool_of(url, size=1) as pool, transaction(pool):
        with pytest.raises(Unavailable):
            async with transaction(pool):
                raise AssertionError("there is no second connection")


async def test_a_silent_server_is_abandoned(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cancelled: the connection is dropped, the outcome is unknown, and the pool goes on."""
    monkeypatch.setattr(db, "SILENCE_SECONDS", 1.0)
    async with proxied(url) as proxy, pool_of(proxy.url, size=1, statement_seconds=None) as pool:
        with pytest.raises(Unavailable):
            await increase_before(pool, proxy.fall_silent)
        assert proxy.dropped_bytes > 0
        monkeypatch.undo()
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT value FROM row WHERE id = 1") == 1, "it was committed"


async def test_whoever_is_cancelled_before_a_silent_server_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation is what it hears of, and not an outage, which it would wait for to pass."""
    monkeypatch.setattr(db, "SILENCE_SECONDS", 0.5)
    async with proxied(url) as proxy, pool_of(proxy.url, size=1) as pool:
        is_silent = asyncio.Event()

        def fall_silent() -> None:
            proxy.fall_silent()
            is_silent.set()

        waiting = asyncio.create_task(increase_before(pool, fall_silent))
        await soon(is_silent.wait())
        await asyncio.sleep(0.05)  # until the commit is under way

        waiting.cancel()
        await soon(asyncio.wait({waiting}))

        assert waiting.cancelled()


async def test_a_statement_has_a_limit_where_nothing_is_at_stake(url: str) -> None:
    """A pool and a connection that move no money give a statement up."""
    async with pool_of(url, statement_seconds=0.05) as pool:
        with pytest.raises(Unavailable):
            async with transaction(pool) as connection:
                await connection.execute("SELECT pg_sleep(20)")
    connection = await connect(url, schema="dbtest", application="relay-test", statement_seconds=0.05)
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(20)")
    finally:
        connection.terminate()


async def test_a_fault_of_a_statement_stays_what_it_is(url: str) -> None:
    """Our own mistakes are not called an outage."""
    async with pool_of(url) as pool:
        with pytest.raises(asyncpg.UndefinedTableError):
            async with transaction(pool) as connection:
                await connection.execute("SELECT FROM nowhere")
