"""The SQL of auth: one function for each statement. PostgreSQL's clock decides about time.

A version is drawn only after the row is locked. Two changes of one row can then never reach billing in the order of one
number and the database in the order of the other.
"""

from typing import TypeVar
from uuid import UUID

import asyncpg
import msgspec

from shared.contracts.auth import Account, AccountStatus, CreateUser, User
from shared.db import Connection
from shared.errors import InvalidRequest, NotFound

T = TypeVar("T")


class VersionedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and the number of its last change."""

    account: Account
    version: int


async def insert_account(connection: Connection, account_id: UUID, name: str) -> VersionedAccount:
    """Store a new, active account."""
    record = await connection.fetchrow(
        """INSERT INTO auth.account (id, name) VALUES ($1, $2)
           RETURNING id::text, name, status, version, extract(epoch FROM created_at)::float8 AS created_unix""",
        account_id,
        name,
    )
    return _versioned(record)


async def has_account(connection: Connection, account_id: UUID) -> bool:
    """Tell whether the account exists."""
    return bool(await connection.fetchval("SELECT true FROM auth.account WHERE id = $1", account_id))


async def lock_account(connection: Connection, account_id: UUID) -> None:
    """Keep other changes of the account away until the transaction ends. Raises: NotFound."""
    if not await connection.fetchval(
        "SELECT true FROM auth.account WHERE id = $1 FOR NO KEY UPDATE", account_id
    ):
        raise NotFound("not_found", what="account")


async def set_account_status(
    connection: Connection, account_id: UUID, status: AccountStatus
) -> VersionedAccount:
    """Store the status of a locked account, under a new version even when it is the same."""
    record = await connection.fetchrow(
        """UPDATE auth.account SET status = $2, version = nextval('auth.version') WHERE id = $1
           RETURNING id::text, name, status, version, extract(epoch FROM created_at)::float8 AS created_unix""",
        account_id,
        status,
    )
    return _versioned(record)


async def list_accounts(connection: Connection, limit: int) -> tuple[Account, ...]:
    """Return accounts, oldest first."""
    records = await connection.fetch(
        """SELECT id::text, name, status, extract(epoch FROM created_at)::float8 AS created_unix
           FROM auth.account ORDER BY created_at, id LIMIT $1""",
        limit,
    )
    return tuple(_read(record, Account) for record in records)


async def insert_user(
    connection: Connection, user_id: UUID, account_id: UUID, ask: CreateUser, password_hash: str
) -> User:
    """Store a new person. Raises: InvalidRequest when the e-mail address is taken, NotFound when the account is unknown."""
    try:
        record = await connection.fetchrow(
            """INSERT INTO auth.app_user (id, account_id, email, password_hash, role) VALUES ($1, $2, $3, $4, $5)
               RETURNING id::text, account_id::text, email, role, extract(epoch FROM created_at)::float8 AS created_unix""",
            user_id,
            account_id,
            ask.email,
            password_hash,
            ask.role,
        )
    except asyncpg.UniqueViolationError as error:
        raise InvalidRequest("already_exists", param="email", what="user", name=ask.email) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("not_found", what="account") from error
    return _read(record, User)


async def list_users(connection: Connection, account_id: UUID | None, limit: int) -> tuple[User, ...]:
    """Return people, oldest first; those of one account if it is given."""
    records = await connection.fetch(
        """SELECT id::text, account_id::text, email, role, extract(epoch FROM created_at)::float8 AS created_unix
           FROM auth.app_user WHERE $1::uuid IS NULL OR account_id = $1 ORDER BY created_at, id LIMIT $2""",
        account_id,
        limit,
    )
    return tuple(_read(record, User) for record in records)


async def names(
    connection: Connection, account_ids: list[UUID], key_ids: list[str], owner: UUID | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of accounts and of keys by id; with an owner, of its keys only."""
    of_accounts = await connection.fetch(
        "SELECT id::text, name FROM auth.account WHERE id = ANY ($1::uuid[])", account_ids
    )
    of_keys = await connection.fetch(
        "SELECT id, name FROM auth.api_key WHERE id = ANY ($1::text[]) AND ($2::uuid IS NULL OR account_id = $2)",
        key_ids,
        owner,
    )
    return dict(of_accounts), dict(of_keys)


def _versioned(record: asyncpg.Record) -> VersionedAccount:
    return VersionedAccount(account=_read(record, Account), version=record["version"])


def _read(record: asyncpg.Record, kind: type[T]) -> T:
    return msgspec.convert(dict(record), kind)
