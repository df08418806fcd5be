"""Bring one schema of the database up to date from numbered, plain SQL files.

A folder holds `0001_name.sql`, `0002_name.sql`, … without a gap. Each file is applied once and in order, in a transaction
together with its row in `<schema>.migration`, so a file is applied whole or not at all. Every such transaction begins with
the database's advisory lock and looks again at what is applied: replicas that start together take turns, and the later
ones find the work done.

A file that was applied is never edited; its SHA-256 is stored to prove it. A database that is ahead of the folder is in
order: the release before must be able to run on it, or nobody could roll back.

Each schema belongs to the role that migrates. The service works as the group role `relay_<schema>`, which cannot log in;
its login role is a member and says `SET ROLE`. Roles are shared by all databases of a cluster, so the role may exist.
"""

import hashlib
import re
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg
import msgspec

from shared.db import Connection
from shared.errors import RelayError

LOCK_KEY = 7_305_428_190_021  # of the advisory lock; any number that nothing else in the database uses
TURN_SECONDS = 120  # how long a replica waits for the others to finish migrating
LOCK_SECONDS = 5  # how long a statement may wait for a table: while it waits, it blocks the running service

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_SCHEMA_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class MigrationRefused(RelayError):
    """The files and the database contradict each other; `details["problem"]` says how. Nothing was applied."""

    kind = "migration_refused"

    def __init__(self, problem: str) -> None:
        super().__init__("migration_refused", problem=problem)


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its number, its name, what it says, and the SHA-256 of that in hexadecimal."""

    number: int
    name: str
    statements: str
    sha256: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The names of files that a schema lacks, and the numbers of those that it has and this release does not know."""

    missing: tuple[str, ...]
    beyond: tuple[int, ...]


def load_migrations(folder: Traversable | Path) -> list[Migration]:
    """Return the SQL files of `folder` in order; other files are passed over.

    Raises: MigrationRefused when a name is malformed, or the numbers are not 1, 2, 3, … each once.
    """
    migrations = sorted(
        (_read(file) for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda each: each.name
    )
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationRefused(
                f"{migration.name} stands where number {expected:04} belongs; "
                "each number is used once and none is left out"
            )
    return migrations


async def migrate(connection: Connection, *, schema: str, folder: Traversable | Path) -> None:
    """Apply to `schema` what `folder` has and the database has not; the schema and its role exist afterwards.

    Idempotent, and safe to call from many replicas at once. The connection's user may create roles and schemas, and no
    transaction is open on it. Raises: MigrationRefused; asyncpg.PostgresError when a statement fails, and its file is undone.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise MigrationRefused(f"{schema!r} is not the name of a schema")
    migrations = load_migrations(folder)
    await _create_role(connection, schema)
    async with connection.transaction():
        await _take_turn(connection)
        await _create_schema(connection, schema)
    while await _apply_next(connection, schema, migrations):
        pass


async def difference(connection: Connection, *, schema: str, folder: Traversable | Path) -> Difference:
    """Return what of `folder` the schema lacks, and what it has beyond it. Needs no more than the rights of the service.

    Raises: MigrationRefused when a file was changed after it was applied; asyncpg.PostgresError when there is no schema.
    """
    migrations = load_migrations(folder)
    query = await connection.fetchval(
        "SELECT format('SELECT number, sha256 FROM %I.migration', $1::text)", schema
    )
    applied: dict[int, str] = dict(await connection.fetch(query))
    _check_unchanged(schema, migrations, applied)
    known = {migration.number for migration in migrations}
    return Difference(
        missing=tuple(migration.name for migration in migrations if migration.number not in applied),
        beyond=tuple(sorted(number for number in applied if number not in known)),
    )


def _read(file: Traversable | Path) -> Migration:
    match = _FILE_NAME.fullmatch(file.name)
    if match is None:
        raise MigrationRefused(f"{file.name} is not named like 0001_what_it_does.sql")
    content = file.read_bytes()
    return Migration(
        number=int(match[1]),
        name=file.name,
        statements=content.decode(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


async def _create_role(connection: Connection, schema: str) -> None:
    # The advisory lock does not reach into the cluster's other databases, where the same role may be made at this moment.
    try:
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", f"relay_{schema}"):
            await _execute(connection, "CREATE ROLE %I NOLOGIN", f"relay_{schema}")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return


async def _create_schema(connection: Connection, schema: str) -> None:
    if not await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", schema):
        await _execute(connection, "CREATE SCHEMA %I", schema)
        await _execute(connection, "GRANT USAGE ON SCHEMA %I TO %I", schema, f"relay_{schema}")
    if not await connection.fetchval(
        "SELECT to_regclass(format('%I.migration', $1::text)) IS NOT NULL", schema
    ):
        await _execute(
            connection,
            "CREATE TABLE %I.migration (number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())",
            schema,
        )
    # So that a service, and whoever waits for a migration with its login, can tell which version this is.
    role = f"relay_{schema}"
    if not await connection.fetchval(
        "SELECT has_table_privilege($1, format('%I.migration', $2::text), 'SELECT')", role, schema
    ):
        await _execute(connection, "GRANT SELECT ON %I.migration TO %I", schema, role)


async def _apply_next(connection: Connection, schema: str, migrations: list[Migration]) -> bool:
    async with connection.transaction():
        await _take_turn(connection)
        await connection.execute("SELECT set_config('search_path', $1, true)", schema)
        applied: dict[int, str] = dict(await connection.fetch("SELECT number, sha256 FROM migration"))
        _check_unchanged(schema, migrations, applied)
        pending = [migration for migration in migrations if migration.number not in applied]
        if not pending:
            return False
        migration = pending[0]
        if applied and max(applied) > migration.number:
            raise MigrationRefused(f"{migration.name} of {schema} was left out when later files were applied")
        await connection.execute(migration.statements)
        await _execute(
            connection,
            "INSERT INTO %I.migration (number, name, sha256) VALUES (%L, %L, %L)",
            schema,
            str(migration.number),
            migration.name,
            migration.sha256,
        )
    return True


def _check_unchanged(schema: str, migrations: list[Migration], applied: dict[int, str]) -> None:
    for migration in migrations:
        if applied.get(migration.number, migration.sha256) != migration.sha256:
            raise MigrationRefused(
                f"{migration.name} of {schema} was changed after it was applied; restore it and add a new file"
            )


async def _take_turn(connection: Connection) -> None:
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", f"{TURN_SECONDS}s")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", f"{LOCK_SECONDS}s")


async def _execute(connection: Connection, template: str, *names: str) -> None:
    """Execute a statement that takes no parameters where its names stand; PostgreSQL itself quotes them."""
    await connection.execute(
        await connection.fetchval("SELECT format($1, VARIADIC $2::text[])", template, names)
    )
