"""How an operator finds accounts and changes roles: the SQL, one function for each statement.

Ids are UUIDv7: the newest account has the highest, and a page begins below the last id of the page before.

A search looks for a text anywhere in names and addresses. No index helps with that (a trigram index needs an extension), so it
walks accounts and people from the newest on and stops at a full page: what is frequent is found at once, what is rare costs one
walk over both tables, one to two seconds at a million accounts, which STATEMENT_MILLISECONDS bounds. What is an id, or the whole
address of somebody, is looked up by its index.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec

from services.auth.database import Database
from services.auth.factors import factors_of
from shared.contracts.auth import AccountStatus, FoundAccount, PersonSheet, Role, User
from shared.db import Connection
from shared.errors import InvalidRequest

STATEMENT_MILLISECONDS = 3000
ROLES_LOCK = 7_305_428_190_101  # an advisory lock; any number that nothing else in the database uses
PEOPLE_MAX = 100
LAST_ID = UUID(int=2**128 - 1)

_SHOWN = """SELECT a.id::text, a.name, a.status, extract(epoch FROM a.created_at)::float8 AS created_unix,
        (SELECT count(*) FROM auth.api_key AS k WHERE k.account_id = a.id AND k.revoked_at IS NULL) AS keys
    FROM auth.account AS a"""
_LISTED = f"""{_SHOWN} WHERE a.id < $1 AND ($2::text IS NULL OR a.status = $2) ORDER BY a.id DESC LIMIT $3"""
_AMONG = f"""{_SHOWN} WHERE a.id = ANY($1::uuid[]) AND ($2::text IS NULL OR a.status = $2)
    AND ($3::text IS NULL OR strpos(lower(a.name), lower($3)) > 0
        OR EXISTS (SELECT FROM auth.app_user AS u WHERE u.account_id = a.id AND strpos(u.email, lower($3)) > 0))
    ORDER BY a.id DESC"""
# Each side walks its index downwards and stops at a full page; the newest of both are the page.
_SEARCHED = f"""WITH found AS (
        (SELECT a.id FROM auth.account AS a
         WHERE a.id < $1 AND strpos(lower(a.name), lower($3)) > 0 AND ($2::text IS NULL OR a.status = $2)
         ORDER BY a.id DESC LIMIT $4)
        UNION
        (SELECT DISTINCT u.account_id FROM auth.app_user AS u
         WHERE u.account_id < $1 AND strpos(u.email, lower($3)) > 0
             AND ($2::text IS NULL OR EXISTS (SELECT FROM auth.account AS a WHERE a.id = u.account_id AND a.status = $2))
         ORDER BY u.account_id DESC LIMIT $4))
    {_SHOWN} WHERE a.id IN (SELECT id FROM found) ORDER BY a.id DESC LIMIT $4"""  # noqa: S608 - constants


@asynccontextmanager
async def searching(database: Database) -> AsyncIterator[Connection]:
    """Yield a connection for statements that search. Raises: InvalidRequest when one takes too long."""
    async with database.look_up() as connection:
        try:
            async with connection.transaction(readonly=True):
                await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
                yield connection
        except asyncpg.QueryCanceledError as error:
            seconds = STATEMENT_MILLISECONDS // 1000
            raise InvalidRequest("search_too_slow", param="search", limit_seconds=seconds) from error


async def newest(
    connection: Connection, below: UUID, status: AccountStatus | None, limit: int
) -> tuple[FoundAccount, ...]:
    """Return accounts below an id, newest first."""
    return _read(await connection.fetch(_LISTED, below, status, limit))


async def search(
    connection: Connection, text: str, below: UUID, status: AccountStatus | None, limit: int
) -> tuple[FoundAccount, ...]:
    """Return accounts below an id with a name, or somebody's address, that has this text in it, newest first."""
    return _read(await connection.fetch(_SEARCHED, below, status, text, limit))


async def among(
    connection: Connection, account_ids: Iterable[UUID], status: AccountStatus | None, text: str | None
) -> tuple[FoundAccount, ...]:
    """Return those of these accounts that fit, newest first."""
    return _read(await connection.fetch(_AMONG, list(account_ids), status, text))


async def accounts_of_email(connection: Connection, text: str) -> list[UUID]:
    """Return the id of the account of the person who has this address."""
    records = await connection.fetch(
        "SELECT account_id FROM auth.app_user WHERE email = lower($1)",
        text,
    )
    return [record["account_id"] for record in records]


async def accounts_of_id(connection: Connection, some_id: UUID) -> list[UUID]:
    """Return the id of the account, or of the account of the person, that has this id."""
    records = await connection.fetch(
        """SELECT id FROM auth.account WHERE id = $1
           UNION SELECT account_id FROM auth.app_user WHERE id = $1""",
        some_id,
    )
    return [record["id"] for record in records]


async def people(connection: Connection, account_id: UUID) -> tuple[PersonSheet, ...]:
    """Return the people of an account, oldest first."""
    records = await connection.fetch(
        """SELECT u.id, u.account_id::text, u.email, u.role, extract(epoch FROM u.created_at)::float8 AS created_unix,
                u.email_confirmed_at IS NOT NULL AS is_confirmed,
                (SELECT extract(epoch FROM max(s.seen_at))::float8 FROM auth.session AS s WHERE s.user_id = u.id) AS seen_unix
           FROM auth.app_user AS u WHERE u.account_id = $1 ORDER BY u.created_at, u.id LIMIT $2""",
        account_id,
        PEOPLE_MAX,
    )
    people = []
    for record in records:
        has_second_factor = bool(await factors_of(connection, record["id"]))
        given = {**record, "id": str(record["id"]), "has_second_factor": has_second_factor}
        people.append(msgspec.convert(given, PersonSheet))
    return tuple(people)


async def lock_operators(connection: Connection) -> list[UUID]:
    """Return the ids of every operator; nobody else takes a role away until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", ROLES_LOCK)
    records = await connection.fetch("SELECT id FROM auth.app_user WHERE role = 'admin'")
    return [record["id"] for record in records]


async def set_role(connection: Connection, user_id: UUID, role: Role) -> User | None:
    """Store what a person may do; None when there is no such person."""
    record = await connection.fetchrow(
        """UPDATE auth.app_user SET role = $2 WHERE id = $1
           RETURNING id::text, account_id::text, email, role, extract(epoch FROM created_at)::float8 AS created_unix""",
        user_id,
        role,
    )
    return None if record is None else msgspec.convert(dict(record), User)


def _read(records: list[asyncpg.Record]) -> tuple[FoundAccount, ...]:
    return tuple(msgspec.convert(dict(record), FoundAccount) for record in records)
