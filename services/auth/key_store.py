"""The SQL of API keys. What belongs to an account is found by (id, account_id); `store.py` says how versions are drawn."""

from uuid import UUID

import asyncpg
import msgspec

from services.auth.secrets import StoredSecret
from shared.contracts.auth import CreateKey, Key, KeyPage, KeyState, Principal, UpdateKey
from shared.db import Connection
from shared.errors import NotFound

_COLUMNS = """id, account_id::text, name, version, allowed_models, allowed_addresses,
    extract(epoch FROM created_at)::float8 AS created_unix, extract(epoch FROM expires_at)::float8 AS expires_unix,
    extract(epoch FROM revoked_at)::float8 AS revoked_unix, extract(epoch FROM last_used_at)::float8 AS last_used_unix"""


class KnownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as `verify` needs it: what it may do, what proves it, and what stands against it at this moment."""

    principal: Principal
    secret: StoredSecret
    is_revoked: bool
    is_expired: bool
    is_account_suspended: bool


async def find(connection: Connection, key_id: str) -> KnownKey | None:
    """Return the key with its account's status, or None. A playground's key has no secret, so it is not found."""
    record = await connection.fetchrow(
        """SELECT k.account_id::text, k.version, k.secret_hmac, k.pepper_version, k.allowed_models, k.allowed_addresses,
                extract(epoch FROM k.expires_at)::float8 AS expires_unix,
                k.revoked_at IS NOT NULL AS is_revoked,
                coalesce(k.expires_at <= now(), false) AS is_expired,
                a.status <> 'active' AS is_account_suspended
           FROM auth.api_key AS k JOIN auth.account AS a ON a.id = k.account_id
           WHERE k.id = $1 AND k.kind = 'api'""",
        key_id,
    )
    if record is None:
        return None
    return KnownKey(
        principal=Principal(
            account_id=record["account_id"],
            key_id=key_id,
            version=record["version"],
            expires_unix=record["expires_unix"],
            allowed_models=tuple(record["allowed_models"]),
            allowed_addresses=tuple(record["allowed_addresses"]),
        ),
        secret=StoredSecret(hmac=record["secret_hmac"], pepper_version=record["pepper_version"]),
        is_revoked=record["is_revoked"],
        is_expired=record["is_expired"],
        is_account_suspended=record["is_account_suspended"],
    )


async def insert(
    connection: Connection, key_id: str, account_id: UUID, ask: CreateKey, secret: StoredSecret
) -> Key:
    """Store a new key. Raises: NotFound when the account is unknown."""
    try:
        record = await connection.fetchrow(
            f"""INSERT INTO auth.api_key (
                    id, account_id, name, secret_hmac, pepper_version, allowed_models, allowed_addresses, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, least(now() + make_interval(secs => $8), to_timestamp($9)))
               RETURNING {_COLUMNS}""",  # noqa: S608 - a constant
            key_id,
            account_id,
            ask.name,
            secret.hmac,
            secret.pepper_version,
            ask.allowed_models,
            ask.allowed_addresses,
            ask.lifetime_seconds,
            ask.expires_unix,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("not_found", what="account") from error
    return _key(record)


async def count_live(connection: Connection, account_id: UUID) -> int:
    """Return how many keys of the account are not revoked."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM auth.api_key WHERE account_id = $1 AND revoked_at IS NULL AND kind = 'api'",
            account_id,
        )
    )


async def get(connection: Connection, key_id: str, account_id: UUID) -> Key:
    """Return a key of the account. Raises: NotFound."""
    record = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM auth.api_key WHERE id = $1 AND account_id = $2 AND kind = 'api'",  # noqa: S608 - a constant
        key_id,
        account_id,
    )
    return _found(record)


async def lock(connection: Connection, key_id: str, account_id: UUID | None) -> Key:
    """Return a key, of the account if one is given, and keep other changes of it away until the transaction ends.

    Raises: NotFound.
    """
    record = await connection.fetchrow(
        f"""SELECT {_COLUMNS} FROM auth.api_key
           WHERE id = $1 AND ($2::uuid IS NULL OR account_id = $2) AND kind = 'api' FOR NO KEY UPDATE""",  # noqa: S608 - a constant
        key_id,
        account_id,
    )
    return _found(record)


async def update(connection: Connection, key: Key, ask: UpdateKey) -> Key:
    """Store what is given of a locked key, under a new version."""
    given = msgspec.structs.asdict(ask)
    value = {
        name: getattr(key, name) if given[name] is msgspec.UNSET else given[name]
        for name in ("name", "expires_unix", "allowed_models", "allowed_addresses")
    }
    record = await connection.fetchrow(
        f"""UPDATE auth.api_key SET name = $2, expires_at = to_timestamp($3), allowed_models = $4, allowed_addresses = $5,
                version = nextval('auth.version')
           WHERE id = $1 RETURNING {_COLUMNS}""",  # noqa: S608 - a constant
        key.id,
        value["name"],
        value["expires_unix"],
        value["allowed_models"],
        value["allowed_addresses"],
    )
    return _key(record)


async def revoke(connection: Connection, key_id: str) -> Key:
    """Store the end of a locked key."""
    record = await connection.fetchrow(
        f"""UPDATE auth.api_key SET revoked_at = now(), version = nextval('auth.version') WHERE id = $1
           RETURNING {_COLUMNS}""",  # noqa: S608 - a constant
        key_id,
    )
    return _key(record)


async def next_version(connection: Connection) -> int:
    """Return a version that is higher than every one before, also when this transaction is rolled back."""
    return int(await connection.fetchval("SELECT nextval('auth.version')"))


async def list_all(connection: Connection, account_id: UUID | None, limit: int) -> tuple[Key, ...]:
    """Return keys, oldest first; those of one account if it is given."""
    records = await connection.fetch(
        f"""SELECT {_COLUMNS} FROM auth.api_key
           WHERE ($1::uuid IS NULL OR account_id = $1) AND kind = 'api' ORDER BY created_at, id LIMIT $2""",  # noqa: S608 - a constant
        account_id,
        limit,
    )
    return tuple(_key(record) for record in records)


async def search(
    connection: Connection,
    account_id: UUID,
    sought: str | None,
    state: KeyState | None,
    after: tuple[int, str] | None,
    limit: int,
) -> KeyPage:
    """Return a page of an account's keys, newest first, from behind the key that `after` names by microseconds and id."""
    micros, after_id = after or (None, None)
    records = await connection.fetch(
        f"""SELECT {_COLUMNS}, (extract(epoch FROM created_at) * 1000000)::bigint AS micros FROM auth.api_key
           WHERE account_id = $1 AND kind = 'api'
               AND ($2::text IS NULL OR strpos(lower(name), $2) > 0)
               AND ($3::text IS NULL OR $3 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                    WHEN expires_at <= now() THEN 'expired' ELSE 'active' END)
               AND ($4::bigint IS NULL OR (created_at, id) < (timestamptz 'epoch' + $4 * interval '1 microsecond', $5))
           ORDER BY created_at DESC, id DESC LIMIT $6""",  # noqa: S608 - a constant
        account_id,
        sought,
        state,
        micros,
        after_id,
        limit + 1,
    )
    more = len(records) > limit
    shown = records[:limit]
    cursor = f"{shown[-1]['micros']}.{shown[-1]['id']}" if more else None
    return KeyPage(items=tuple(_key(record) for record in shown), next_cursor=cursor)


async def find_playground(connection: Connection, account_id: UUID) -> KnownKey | None:
    """Return the playground's key of an account with its status, None when there is none yet."""
    record = await connection.fetchrow(
        """SELECT k.id, k.version, k.secret_hmac, k.pepper_version, a.status <> 'active' AS is_account_suspended
           FROM auth.api_key AS k JOIN auth.account AS a ON a.id = k.account_id
           WHERE k.account_id = $1 AND k.kind = 'playground'""",
        account_id,
    )
    if record is None:
        return None
    return KnownKey(
        principal=Principal(account_id=str(account_id), key_id=record["id"], version=record["version"]),
        secret=StoredSecret(hmac=record["secret_hmac"], pepper_version=record["pepper_version"]),
        is_revoked=False,
        is_expired=False,
        is_account_suspended=record["is_account_suspended"],
    )


async def insert_playground(
    connection: Connection, key_id: str, account_id: UUID, secret: StoredSecret
) -> Key:
    """Store the playground's key of a locked account that has none."""
    record = await connection.fetchrow(
        f"""INSERT INTO auth.api_key (
                id, account_id, name, kind, secret_hmac, pepper_version, allowed_models, allowed_addresses)
           VALUES ($1, $2, 'Playground', 'playground', $3, $4, '{{}}', '{{}}') RETURNING {_COLUMNS}""",  # noqa: S608 - a constant
        key_id,
        account_id,
        secret.hmac,
        secret.pepper_version,
    )
    return _key(record)


async def write_uses(connection: Connection, seconds_ago: dict[str, float]) -> None:
    """Store when keys were last used. A key that is being changed is left out."""
    await connection.execute(
        """UPDATE auth.api_key AS k SET last_used_at = greatest(k.last_used_at, now() - make_interval(secs => free.seconds))
           FROM (SELECT each.id, used.seconds FROM unnest($1::text[], $2::float8[]) AS used (id, seconds)
                 JOIN auth.api_key AS each ON each.id = used.id FOR NO KEY UPDATE OF each SKIP LOCKED) AS free
           WHERE k.id = free.id""",
        list(seconds_ago),
        list(seconds_ago.values()),
    )


def _found(record: asyncpg.Record | None) -> Key:
    if record is None:
        raise NotFound("not_found", what="key")
    return _key(record)


def _key(record: asyncpg.Record) -> Key:
    fields = dict(record)
    fields.pop("micros", None)
    return msgspec.convert(fields, Key)
