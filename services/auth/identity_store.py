"""The SQL of identities: who a person is elsewhere."""

from uuid import UUID

from services.auth.oidc import Identity
from shared.db import Connection


async def find(connection: Connection, identity: Identity) -> UUID | None:
    """Return the person of an identity, None when nobody has it yet."""
    found: UUID | None = await connection.fetchval(
        "SELECT user_id FROM auth.identity WHERE issuer = $1 AND subject = $2",
        identity.issuer,
        identity.subject,
    )
    return found


async def insert(connection: Connection, identity: Identity, user_id: UUID) -> None:
    """Let a person have an identity. One that somebody has is not given to another."""
    await connection.execute(
        "INSERT INTO auth.identity (issuer, subject, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        identity.issuer,
        identity.subject,
        user_id,
    )
