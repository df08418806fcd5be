"""The SQL of invitations: links with which one person each may sign up.

The token follows from the invitation's id and the pepper, so it can be written into a message later without being kept.
"""

from uuid import UUID

import msgspec

from services.auth.secrets import Pepper
from shared import bearer
from shared.contracts.site import Invitation
from shared.db import Connection
from shared.errors import NotFound


def token_of(pepper: Pepper, invitation_id: UUID) -> str:
    """Return the token of an invitation."""
    return pepper.derive("invitation", str(invitation_id))


async def insert(
    connection: Connection,
    pepper: Pepper,
    invitation_id: UUID,
    *,
    email: str | None,
    created_by: UUID | None,
    lifetime_seconds: float,
) -> Invitation:
    """Store a new invitation."""
    record = await connection.fetchrow(
        """INSERT INTO auth.invitation (id, token_sha256, email, created_by, expires_at)
           VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
           RETURNING id::text, email, extract(epoch FROM created_at)::float8 AS created_unix,
               extract(epoch FROM expires_at)::float8 AS expires_unix""",
        invitation_id,
        bearer.sha256_of(token_of(pepper, invitation_id)),
        email,
        created_by,
        lifetime_seconds,
    )
    return msgspec.convert(dict(record), Invitation)


async def list_newest(connection: Connection, limit: int) -> tuple[Invitation, ...]:
    """Return invitations, newest first."""
    records = await connection.fetch(
        """SELECT id::text, email, extract(epoch FROM created_at)::float8 AS created_unix,
               extract(epoch FROM expires_at)::float8 AS expires_unix, extract(epoch FROM used_at)::float8 AS used_unix,
               extract(epoch FROM revoked_at)::float8 AS revoked_unix
           FROM auth.invitation ORDER BY created_at DESC, id DESC LIMIT $1""",
        limit,
    )
    return tuple(msgspec.convert(dict(record), Invitation) for record in records)


async def find_usable(connection: Connection, token_sha256: bytes, email: str) -> UUID | None:
    """Return the id of the invitation that lets this address sign up, None when the token gives none."""
    found: UUID | None = await connection.fetchval(
        """SELECT id FROM auth.invitation
           WHERE token_sha256 = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
               AND (email IS NULL OR email = $2)""",
        token_sha256,
        email,
    )
    return found


async def is_usable(connection: Connection, invitation_id: UUID) -> bool:
    """Tell whether somebody can still sign up with an invitation."""
    return bool(
        await connection.fetchval(
            """SELECT true FROM auth.invitation
               WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()""",
            invitation_id,
        )
    )


async def use(connection: Connection, invitation_id: UUID, user_id: UUID) -> bool:
    """Let a new person have used the invitation; False when somebody else was faster, or it has ended."""
    return bool(
        await connection.fetchval(
            """UPDATE auth.invitation SET used_at = now(), used_by = $2
               WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now() RETURNING true""",
            invitation_id,
            user_id,
        )
    )


async def revoke(connection: Connection, invitation_id: UUID) -> Invitation:
    """Take back an invitation that nobody has used; repeating it changes nothing. Raises: NotFound, also for one that was used."""
    record = await connection.fetchrow(
        """UPDATE auth.invitation SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 AND used_at IS NULL
           RETURNING id::text, email, extract(epoch FROM created_at)::float8 AS created_unix,
               extract(epoch FROM expires_at)::float8 AS expires_unix, extract(epoch FROM revoked_at)::float8 AS revoked_unix""",
        invitation_id,
    )
    if record is None:
        raise NotFound("not_found", what="invitation")
    return msgspec.convert(dict(record), Invitation)
