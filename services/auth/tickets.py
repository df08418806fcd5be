"""The SQL of tickets: proofs that are good once and for a short time, whatever they prove.

A ticket is used by one conditional UPDATE, in the transaction of what it allows: of two who show it at the same moment one gets
through, and what fails takes the use back with it.
"""

from typing import Literal, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from shared import bearer
from shared.db import Connection
from shared.ids import uuid7

Kind = Literal["confirm_email", "reset_password", "change_email", "second_factor", "oidc", "passkey", "totp"]
S = TypeVar("S", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket's data when there is nothing to say."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket whose token was shown. `data` is JSON; `read` returns it typed."""

    id: UUID
    user_id: UUID | None
    email: str | None
    data: str

    def read(self, kind: type[S]) -> S:
        """Return the data as the struct that the ticket was made with."""
        return msgspec.json.decode(self.data, type=kind)


async def make(
    connection: Connection,
    kind: Kind,
    *,
    lifetime_seconds: float,
    user_id: UUID | None = None,
    email: str | None = None,
    data: msgspec.Struct | None = None,
) -> str:
    """Store a new ticket and return its token."""
    ticket_id = await prepare(
        connection, kind, lifetime_seconds=lifetime_seconds, user_id=user_id, email=email, data=data
    )
    return await arm(connection, ticket_id, user_id)


async def prepare(
    connection: Connection,
    kind: Kind,
    *,
    lifetime_seconds: float,
    user_id: UUID | None = None,
    email: str | None = None,
    data: msgspec.Struct | None = None,
) -> UUID:
    """Store a new ticket that nobody can show before `arm`; its time runs from now on. Return its id."""
    ticket_id = uuid7()
    await connection.execute(
        """INSERT INTO auth.ticket (id, kind, user_id, email, data, expires_at)
           VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))""",
        ticket_id,
        kind,
        user_id,
        email,
        msgspec.json.encode(data or Nothing()).decode(),
        lifetime_seconds,
    )
    return ticket_id


async def arm(connection: Connection, ticket_id: UUID, user_id: UUID | None) -> str:
    """Give a ticket to `user_id` under a new token, which is returned; any token before it is void."""
    token = bearer.mint()
    await connection.execute(
        "UPDATE auth.ticket SET token_sha256 = $2, user_id = $3 WHERE id = $1",
        ticket_id,
        bearer.sha256_of(token),
        user_id,
    )
    return token


async def look(connection: Connection, kind: Kind, token_sha256: bytes) -> Ticket | None:
    """Return a ticket that can still be used, without using it; None for any other token."""
    record = await connection.fetchrow(
        """SELECT id, user_id, email, data FROM auth.ticket
           WHERE token_sha256 = $1 AND kind = $2 AND used_at IS NULL AND expires_at > now()""",
        token_sha256,
        kind,
    )
    return None if record is None else _read(record)


async def use(connection: Connection, kind: Kind, token_sha256: bytes) -> Ticket | None:
    """Return the ticket, which is used from now on; None when it was used, has expired, or there is none of that kind."""
    record = await connection.fetchrow(
        """UPDATE auth.ticket SET used_at = now()
           WHERE token_sha256 = $1 AND kind = $2 AND used_at IS NULL AND expires_at > now()
           RETURNING id, user_id, email, data""",
        token_sha256,
        kind,
    )
    return None if record is None else _read(record)


async def use_newest(connection: Connection, kind: Kind, email: str) -> Ticket | None:
    """Return the newest usable ticket of an address, which is used from now on, without anybody showing its token."""
    record = await connection.fetchrow(
        """UPDATE auth.ticket SET used_at = now()
           WHERE id = (SELECT id FROM auth.ticket
                       WHERE email = $2 AND kind = $1 AND used_at IS NULL AND expires_at > now()
                       ORDER BY created_at DESC, id DESC LIMIT 1)
               AND used_at IS NULL
           RETURNING id, user_id, email, data""",
        kind,
        email,
    )
    return None if record is None else _read(record)


async def void(connection: Connection, kind: Kind, user_id: UUID) -> None:
    """Let no ticket of this kind of a person be used any more."""
    await connection.execute(
        "UPDATE auth.ticket SET used_at = now() WHERE user_id = $1 AND kind = $2 AND used_at IS NULL",
        user_id,
        kind,
    )


def _read(record: asyncpg.Record) -> Ticket:
    return Ticket(id=record["id"], user_id=record["user_id"], email=record["email"], data=record["data"])
