"""The SQL of people: who they are to themselves, and what proves it."""

from uuid import UUID

import asyncpg
import msgspec

from services.auth.factors import held_by
from shared.contracts.auth import Role, User
from shared.contracts.people import Language, Person
from shared.db import Connection
from shared.errors import InvalidRequest, NotFound


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """A person to be made, with an account of their own. `password_hash` None is somebody of another's sign-in."""

    account_id: UUID
    email: str
    password_hash: str | None
    language: Language
    role: Role = "member"
    is_confirmed: bool = True


class KnownPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person as whoever asks for proof needs to know them."""

    user_id: UUID
    email: str
    language: Language
    password_hash: str | None
    is_confirmed: bool
    is_suspended: bool


async def insert(connection: Connection, user_id: UUID, newcomer: Newcomer) -> None:
    """Store a person of an account that exists. Raises: InvalidRequest when the e-mail address is taken."""
    try:
        await connection.execute(
            """INSERT INTO auth.app_user (id, account_id, email, password_hash, role, language, email_confirmed_at)
               VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END)""",
            user_id,
            newcomer.account_id,
            newcomer.email,
            newcomer.password_hash,
            newcomer.role,
            newcomer.language,
            newcomer.is_confirmed,
        )
    except asyncpg.UniqueViolationError as error:
        raise InvalidRequest("already_exists", param="email", what="user", name=newcomer.email) from error


async def find(connection: Connection, email: str) -> KnownPerson | None:
    """Return the person of an address in its normal form, or None."""
    record = await connection.fetchrow(
        """SELECT u.id AS user_id, u.email, u.language, u.password_hash, u.email_confirmed_at IS NOT NULL AS is_confirmed,
                a.status <> 'active' AS is_suspended
           FROM auth.app_user AS u JOIN auth.account AS a ON a.id = u.account_id WHERE u.email = $1""",
        email,
    )
    return None if record is None else msgspec.convert(dict(record), KnownPerson)


async def get(connection: Connection, user_id: UUID) -> KnownPerson:
    """Return the person of an id. Raises: NotFound."""
    record = await connection.fetchrow(
        """SELECT u.id AS user_id, u.email, u.language, u.password_hash, u.email_confirmed_at IS NOT NULL AS is_confirmed,
                a.status <> 'active' AS is_suspended
           FROM auth.app_user AS u JOIN auth.account AS a ON a.id = u.account_id WHERE u.id = $1""",
        user_id,
    )
    if record is None:
        raise NotFound("not_found", what="user")
    return msgspec.convert(dict(record), KnownPerson)


async def describe(connection: Connection, user_id: UUID) -> Person:
    """Return what a person sees of themselves. Raises: NotFound."""
    record = await connection.fetchrow(
        """SELECT id::text, account_id::text, email, role, language, password_hash IS NOT NULL AS has_password,
                email_confirmed_at IS NOT NULL AS is_confirmed, extract(epoch FROM created_at)::float8 AS created_unix
           FROM auth.app_user WHERE id = $1""",
        user_id,
    )
    if record is None:
        raise NotFound("not_found", what="user")
    held = await held_by(connection, user_id)
    return msgspec.convert({**dict(record), **msgspec.structs.asdict(held)}, Person)


async def user_of(connection: Connection, user_id: UUID) -> User:
    """Return a person as an operator sees them. Raises: NotFound."""
    record = await connection.fetchrow(
        """SELECT id::text, account_id::text, email, role, extract(epoch FROM created_at)::float8 AS created_unix
           FROM auth.app_user WHERE id = $1""",
        user_id,
    )
    if record is None:
        raise NotFound("not_found", what="user")
    return msgspec.convert(dict(record), User)


async def set_language(connection: Connection, user_id: UUID, language: Language) -> None:
    """Store in which language a person is spoken to."""
    await connection.execute("UPDATE auth.app_user SET language = $2 WHERE id = $1", user_id, language)


async def set_password(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Store a new password."""
    await connection.execute(
        "UPDATE auth.app_user SET password_hash = $2, password_changed_at = now() WHERE id = $1",
        user_id,
        password_hash,
    )


async def lock_password(connection: Connection, user_id: UUID, password_hash: str) -> bool:
    """Tell whether a person still has this password; nobody changes it before the transaction ends."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM auth.app_user WHERE id = $1 AND password_hash = $2 FOR NO KEY UPDATE",
            user_id,
            password_hash,
        )
    )


async def refresh_hash(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Store the same password under a newer hash."""
    await connection.execute(
        "UPDATE auth.app_user SET password_hash = $2 WHERE id = $1", user_id, password_hash
    )


async def confirm(connection: Connection, user_id: UUID) -> None:
    """Note that the address of a person is theirs."""
    await connection.execute(
        "UPDATE auth.app_user SET email_confirmed_at = coalesce(email_confirmed_at, now()) WHERE id = $1",
        user_id,
    )
