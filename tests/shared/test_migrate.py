"""The runner of migrations, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.db import Connection
from shared.ids import base62
from shared.migrate import Difference, MigrationRefused, difference, load_migrations, migrate

Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Connect]:
    """Opens connections to one empty database."""
    opened: list[Connection] = []

    async def open_another() -> Connection:
        opened.append(await asyncpg.connect(database_url))
        return opened[-1]

    yield open_another
    for connection in opened:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations and a file that is none."""
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "0001_items.sql").write_text(
        "CREATE TABLE shop.item (id int PRIMARY KEY); GRANT SELECT ON shop.item TO relay_shop;"
    )
    (tmp_path / "0002_two_items.sql").write_text(
        "INSERT INTO shop.item VALUES (1); INSERT INTO shop.item VALUES (2);"
    )
    return tmp_path


async def applied(connection: Connection) -> list[int]:
    """Return the numbers in the order in which they were applied."""
    rows = await connection.fetch("SELECT number FROM shop.migration ORDER BY applied_at, number")
    return [row["number"] for row in rows]


async def test_files_are_applied_once_and_in_order(connect: Connect, folder: Path) -> None:
    """Each file is applied once; a file that is added later is applied by the next run."""
    connection = await connect()
    await migrate(connection, schema="shop", folder=folder)
    await migrate(connection, schema="shop", folder=folder)
    (folder / "0003_third.sql").write_text("INSERT INTO shop.item VALUES (3)")
    await migrate(connection, schema="shop", folder=folder)
    assert await applied(connection) == [1, 2, 3]
    assert await connection.fetchval("SELECT count(*) FROM shop.item") == 3
    assert await connection.fetchval("SHOW lock_timeout") == "0"
    assert await connection.fetchval("SHOW search_path") == '"$user", public'


async def test_service_role_has_the_rights_that_files_grant(connect: Connect, folder: Path) -> None:
    """The schema's role cannot log in, sees its schema, and can do what a migration granted, no more."""
    connection = await connect()
    await migrate(connection, schema="shop", folder=folder)
    assert await connection.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'relay_shop'") is False
    await connection.execute("SET ROLE relay_shop")
    assert await connection.fetchval("SELECT count(*) FROM shop.item") == 2
    for statement in ("DELETE FROM shop.item", "DELETE FROM shop.migration", "CREATE TABLE shop.other ()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_replicas_that_start_together_take_turns(connect: Connect, folder: Path) -> None:
    """Eight replicas migrate at once, each file is applied once, and none of them fails."""
    connections = [await connect() for _ in range(8)]
    await asyncio.gather(*(migrate(each, schema="shop", folder=folder) for each in connections))
    assert await applied(connections[0]) == [1, 2]


async def test_databases_of_one_cluster_migrate_together(postgres_url: str, tmp_path: Path) -> None:
    """The role is shared by the whole cluster; databases that create it at the same moment do not fail."""
    suffix = base62(8).lower()
    schema = f"race_{suffix}"
    (tmp_path / "0001_nothing.sql").write_text("SELECT 1")
    admin = await asyncpg.connect(postgres_url)
    names = [f"race_{suffix}_{number}" for number in range(4)]
    connections: list[Connection] = []
    try:
        for name in names:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            connections.append(
                await asyncpg.connect(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
            )
        await asyncio.gather(*(migrate(each, schema=schema, folder=tmp_path) for each in connections))
        for each in connections:
            assert await each.fetchval(
                "SELECT has_schema_privilege($1, $2, 'USAGE')", f"relay_{schema}", schema
            )
    finally:
        for each in connections:
            await each.close()
        for name in names:
            await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"DROP ROLE IF EXISTS relay_{schema}")
        await admin.close()


async def test_failing_file_is_undone_whole(connect: Connect, folder: Path) -> None:
    """A file with an error leaves nothing behind; the files before it stay, and it can be repaired."""
    (folder / "0003_bad.sql").write_text(
        "INSERT INTO shop.item VALUES (3); INSERT INTO shop.item VALUES (3);"
    )
    connection = await connect()
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(connection, schema="shop", folder=folder)
    assert await applied(connection) == [1, 2]
    assert await connection.fetchval("SELECT count(*) FROM shop.item") == 2
    (folder / "0003_bad.sql").write_text("INSERT INTO shop.item VALUES (3)")
    await migrate(connection, schema="shop", folder=folder)
    assert await applied(connection) == [1, 2, 3]


async def test_changed_file_is_refused(connect: Connect, folder: Path) -> None:
    """An applied file that was edited stops everything, and the error names it."""
    connection = await connect()
    await migrate(connection, schema="shop", folder=folder)
    (folder / "0001_items.sql").write_text("CREATE TABLE shop.item (id bigint PRIMARY KEY)")
    (folder / "0003_third.sql").write_text("INSERT INTO shop.item VALUES (3)")
    with pytest.raises(MigrationRefused) as refused:
        await migrate(connection, schema="shop", folder=folder)
    assert "0001_items.sql" in str(refused.value.details["problem"])
    assert await applied(connection) == [1, 2]


async def test_newer_database_is_left_alone(connect: Connect, folder: Path) -> None:
    """A release that knows fewer files than were applied starts, so that an upgrade can be rolled back."""
    connection = await connect()
    await migrate(connection, schema="shop", folder=folder)
    (folder / "0002_two_items.sql").unlink()
    await migrate(connection, schema="shop", folder=folder)
    assert await applied(connection) == [1, 2]


async def test_the_service_itself_sees_what_is_missing_and_what_is_beyond(
    connect: Connect, folder: Path
) -> None:
    """With no more than its own rights, also in a database of a release that did not give them."""
    connection = await connect()
    await migrate(connection, schema="shop", folder=folder)
    await connection.execute("REVOKE SELECT ON shop.migration FROM relay_shop")
    await migrate(connection, schema="shop", folder=folder)
    await connection.execute("INSERT INTO shop.migration VALUES (7, '0007_later.sql', 'x')")
    (folder / "0003_third.sql").write_text("SELECT 1")
    await connection.execute("SET ROLE relay_shop")

    found = await difference(connection, schema="shop", folder=folder)

    assert found == Difference(missing=("0003_third.sql",), beyond=(7,))


async def test_statement_does_not_wait_long_for_a_lock(connect: Connect, folder: Path) -> None:
    """A migration gives up soon when the running service uses the table, instead of blocking it."""
    connection, service = await connect(), await connect()
    (folder / "0003_patience.sql").write_text(
        "DO $$ BEGIN ASSERT current_setting('lock_timeout') = '5s'; END $$"
    )
    await migrate(connection, schema="shop", folder=folder)
    (folder / "0004_change.sql").write_text(
        "SET LOCAL lock_timeout = '10ms'; ALTER TABLE shop.item ADD COLUMN name text"
    )
    async with service.transaction():
        await service.execute("LOCK TABLE shop.item IN ACCESS SHARE MODE")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await migrate(connection, schema="shop", folder=folder)
    await migrate(connection, schema="shop", folder=folder)
    assert await applied(connection) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "names",
    [
        ["0002_a.sql"],
        ["0001_a.sql", "0003_b.sql"],
        ["0001_a.sql", "0001_b.sql"],
        ["first.sql"],
        ["0001_A.sql"],
    ],
)
def test_numbers_with_gaps_repeats_or_bad_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    """Numbers run from 1 without a gap or a repeat, and names have one form."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused) as refused:
        load_migrations(tmp_path)
    assert ".sql" in str(refused.value.details["problem"])


async def test_schema_must_be_a_plain_name(connect: Connect, folder: Path) -> None:
    """A schema's name is checked before anything else happens."""
    with pytest.raises(MigrationRefused):
        await migrate(await connect(), schema='shop"; DROP', folder=folder)
