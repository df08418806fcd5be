"""The SQL of management keys. What is a person's is found by (id, user_id)."""

from uuid import UUID

import asyncpg
import msgspec

from services.auth.secrets import StoredSecret
from shared.contracts.factors import ManagementKey, ManagementPerson
from shared.db import Connection
from shared.errors import NotFound

_COLUMNS = """id, name, extract(epoch FROM created_at)::float8 AS created_unix,
    extract(epoch FROM expires_at)::float8 AS expires_unix, extract(epoch FROM last_used_at)::float8 AS last_used_unix"""


class KnownManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """A management key as it is verified."""

    person: ManagementPerson
    secret: StoredSecret
    is_over: bool
    is_suspended: bool


async def find(connection: Connection, key_id: str) -> KnownManagementKey | None:
    """Return the key with its person as they are now, or None."""
    record = await connection.fetchrow(
        """SELECT k.secret_hmac, k.pepper_version, u.id::text AS user_id, u.account_id::text, u.email, u.role, u.language,
                k.ended_at IS NOT NULL OR coalesce(k.expires_at <= now(), false) AS is_over,
                a.status <> 'active' AS is_suspended
           FROM auth.management_key AS k JOIN auth.app_user AS u ON u.id = k.user_id JOIN auth.account AS a ON a.id = u.account_id
           WHERE k.id = $1""",
        key_id,
    )
    if record is None:
        return None
    return KnownManagementKey(
        person=ManagementPerson(
            user_id=record["user_id"], account_id=record["account_id"], email=record["email"], role=record["role"],
            language=record["language"],
        ),
        secret=StoredSecret(hmac=record["secret_hmac"], pepper_version=record["pepper_version"]),
        is_over=record["is_over"],
        is_suspended=record["is_suspended"],
    )  # fmt: skip


async def insert(
    connection: Connection,
    key_id: str,
    user_id: UUID,
    name: str,
    lifetime_seconds: float | None,
    secret: StoredSecret,
) -> ManagementKey:
    """Store a new key. Raises: NotFound when the person is unknown."""
    try:
        record = await connection.fetchrow(
            f"""INSERT INTO auth.management_key (id, user_id, name, expires_at, secret_hmac, pepper_version)
               VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5, $6) RETURNING {_COLUMNS}""",  # noqa: S608 - a constant
            key_id,
            user_id,
            name,
            lifetime_seconds,
            secret.hmac,
            secret.pepper_version,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("not_found", what="user") from error
    return msgspec.convert(dict(record), ManagementKey)


async def list_live(connection: Connection, user_id: UUID) -> tuple[ManagementKey, ...]:
    """Return a person's keys that still work, oldest first."""
    records = await connection.fetch(
        f"""SELECT {_COLUMNS} FROM auth.management_key
           WHERE user_id = $1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > now())
           ORDER BY created_at, id""",  # noqa: S608 - a constant
        user_id,
    )
    return tuple(msgspec.convert(dict(record), ManagementKey) for record in records)


async def end(connection: Connection, user_id: UUID, key_id: str) -> None:
    """End a key of a person; one that has ended stays as it is. Raises: NotFound."""
    if not await connection.fetchval(
        """UPDATE auth.management_key SET ended_at = coalesce(ended_at, now()) WHERE id = $1 AND user_id = $2
           RETURNING true""",
        key_id,
        user_id,
    ):
        raise NotFound("not_found", what="key")


async def end_all(connection: Connection, user_id: UUID) -> None:
    """End every key of a person."""
    await connection.execute(
        "UPDATE auth.management_key SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL", user_id
    )


async def write_uses(connection: Connection, seconds_ago: dict[str, float]) -> None:
    """Store when keys were last used. A key that is being changed is left out."""
    await connection.execute(
        """UPDATE auth.management_key AS k
           SET last_used_at = greatest(k.last_used_at, now() - make_interval(secs => free.seconds))
           FROM (SELECT each.id, used.seconds FROM unnest($1::text[], $2::float8[]) AS used (id, seconds)
                 JOIN auth.management_key AS each ON each.id = used.id FOR NO KEY UPDATE OF each SKIP LOCKED) AS free
           WHERE k.id = free.id""",
        list(seconds_ago),
        list(seconds_ago.values()),
    )
