"""The SQL of mail: messages wait in a table until a mail server has them, so none is lost with a process or a mail server.

Whoever wants a message sent adds a row in the transaction that gives the reason. What it says is written when it is sent.
"""

from typing import Literal
from uuid import UUID

import msgspec

from shared.contracts.people import Language
from shared.contracts.site import Message
from shared.db import Connection

Kind = Literal["sign_up", "reset_password", "password_changed", "invitation"]
Outcome = Literal["sent", "kept", "needless", "failed"]

LEASE_SECONDS = 60.0  # how long the replica that has taken a message may be busy with it
LONGEST_WAIT_SECONDS = 3600.0
GIVE_UP_SECONDS = 24 * 3600.0
BATCH = 10


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is due. `is_last` when it is given up if it cannot be sent now."""

    id: int
    kind: str
    to_address: str
    language: Language
    ticket_id: UUID | None
    invitation_id: UUID | None
    is_last: bool


async def add(
    connection: Connection,
    kind: Kind,
    to_address: str,
    language: Language,
    *,
    ticket_id: UUID | None = None,
    invitation_id: UUID | None = None,
) -> None:
    """Let a message be written and sent as soon as the transaction is committed."""
    await connection.execute(
        """INSERT INTO auth.mail (kind, to_address, language, ticket_id, invitation_id)
           VALUES ($1, $2, $3, $4, $5)""",
        kind,
        to_address,
        language,
        ticket_id,
        invitation_id,
    )


async def claim(connection: Connection) -> tuple[Mail, ...]:
    """Return messages that are due, for this replica alone: each is due again later, twice as late each time, until it ends."""
    records = await connection.fetch(
        """UPDATE auth.mail SET tries = tries + 1,
               due_at = now() + make_interval(secs => least($2::float8, $1::float8 * power(2, least(tries, 20))))
           WHERE id IN (SELECT id FROM auth.mail WHERE ended_at IS NULL AND due_at <= now()
                        ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING id, kind, to_address, language, ticket_id, invitation_id,
               created_at < now() - make_interval(secs => $4) AS is_last""",
        LEASE_SECONDS,
        LONGEST_WAIT_SECONDS,
        BATCH,
        GIVE_UP_SECONDS,
    )
    return tuple(msgspec.convert(dict(record), Mail) for record in records)


async def end(connection: Connection, mail_id: int, outcome: Outcome) -> None:
    """Store how a message ended."""
    await connection.execute(
        "UPDATE auth.mail SET ended_at = now(), outcome = $2 WHERE id = $1 AND ended_at IS NULL",
        mail_id,
        outcome,
    )


async def keep(connection: Connection, mail_id: int, subject: str, body: str) -> None:
    """Store what a message says, for people to read here."""
    await connection.execute(
        """UPDATE auth.mail SET ended_at = now(), outcome = 'kept', subject = $2, body = $3
           WHERE id = $1 AND ended_at IS NULL""",
        mail_id,
        subject,
        body,
    )


async def list_kept(connection: Connection, limit: int) -> tuple[Message, ...]:
    """Return the messages that are kept here, newest first."""
    records = await connection.fetch(
        """SELECT id, to_address AS "to", subject, body, extract(epoch FROM created_at)::float8 AS created_unix
           FROM auth.mail WHERE outcome = 'kept' ORDER BY id DESC LIMIT $1""",
        limit,
    )
    return tuple(msgspec.convert(dict(record), Message) for record in records)


async def has_usable_ticket(connection: Connection, ticket_id: UUID) -> bool:
    """Tell whether a ticket can still be used, once it has a token."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM auth.ticket WHERE id = $1 AND used_at IS NULL AND expires_at > now()", ticket_id
        )
    )
