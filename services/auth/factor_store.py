"""The SQL of second factors: authenticators, recovery codes and passkeys. What is a person's is found by (id, user_id)."""

from uuid import UUID

import asyncpg
import msgspec

from services.auth.passkeys import Known, Registered, Shown
from shared.contracts.factors import Passkey
from shared.db import Connection
from shared.errors import InvalidRequest, NotFound

_PASSKEY = """id::text, name, extract(epoch FROM created_at)::float8 AS created_unix,
    extract(epoch FROM used_at)::float8 AS used_unix"""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A person, as far as a factor has to do with them."""

    id: UUID
    email: str
    is_suspended: bool


class Totp(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator that is in force."""

    sealed: bytes
    last_step: int


class StoredPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey as it is checked."""

    id: UUID
    user_id: UUID
    public_key: bytes
    sign_count: int


async def lock_owner(connection: Connection, user_id: UUID) -> Owner:
    """Return a person, and keep other changes of their factors away until the transaction ends. Raises: NotFound."""
    record = await connection.fetchrow(
        """SELECT u.id, u.email, a.status <> 'active' AS is_suspended
           FROM auth.app_user AS u JOIN auth.account AS a ON a.id = u.account_id
           WHERE u.id = $1 FOR NO KEY UPDATE OF u""",
        user_id,
    )
    if record is None:
        raise NotFound("not_found", what="user")
    return msgspec.convert(dict(record), Owner)


async def owner_of_email(connection: Connection, email: str) -> UUID:
    """Return the id of the person with this address. Raises: NotFound."""
    user_id: UUID | None = await connection.fetchval("SELECT id FROM auth.app_user WHERE email = $1", email)
    if user_id is None:
        raise NotFound("not_found", what="user")
    return user_id


async def site_name(connection: Connection) -> str:
    """Return what the site is called."""
    return str(await connection.fetchval("SELECT name FROM auth.site"))


async def totp_of(connection: Connection, user_id: UUID) -> Totp | None:
    """Return the authenticator of a person, None when they have none."""
    record = await connection.fetchrow("SELECT sealed, last_step FROM auth.totp WHERE user_id = $1", user_id)
    return None if record is None else msgspec.convert(dict(record), Totp)


async def put_totp(connection: Connection, user_id: UUID, totp: Totp) -> None:
    """Put an authenticator in force, in place of the one before."""
    await connection.execute(
        """INSERT INTO auth.totp (user_id, sealed, last_step) VALUES ($1, $2, $3)
           ON CONFLICT (user_id) DO UPDATE
               SET sealed = excluded.sealed, last_step = excluded.last_step, created_at = now()""",
        user_id,
        totp.sealed,
        totp.last_step,
    )


async def use_step(connection: Connection, user_id: UUID, step: int) -> bool:
    """Use up a step; False when a code of it, or of a later one, was taken already."""
    return bool(
        await connection.fetchval(
            "UPDATE auth.totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2 RETURNING true",
            user_id,
            step,
        )
    )


async def remove_totp(connection: Connection, user_id: UUID) -> bool:
    """Remove the authenticator of a person; False when they had none."""
    return bool(await connection.fetchval("DELETE FROM auth.totp WHERE user_id = $1 RETURNING true", user_id))


async def put_recovery_codes(connection: Connection, user_id: UUID, kept: tuple[bytes, ...]) -> None:
    """Store recovery codes in place of all that were there."""
    await connection.execute("DELETE FROM auth.recovery_code WHERE user_id = $1", user_id)
    await connection.execute(
        "INSERT INTO auth.recovery_code (user_id, hmac) SELECT $1, unnest($2::bytea[])", user_id, list(kept)
    )


async def use_recovery_code(connection: Connection, user_id: UUID, kept: bytes) -> bool:
    """Use up a recovery code; False when the person has no such code any more."""
    return bool(
        await connection.fetchval(
            "DELETE FROM auth.recovery_code WHERE user_id = $1 AND hmac = $2 RETURNING true", user_id, kept
        )
    )


async def passkeys_of(connection: Connection, user_id: UUID) -> tuple[Passkey, ...]:
    """Return a person's passkeys, oldest first."""
    records = await connection.fetch(
        f"SELECT {_PASSKEY} FROM auth.passkey WHERE user_id = $1 ORDER BY created_at, id",  # noqa: S608 - a constant
        user_id,
    )
    return tuple(msgspec.convert(dict(record), Passkey) for record in records)


async def credentials_of(connection: Connection, user_id: UUID) -> tuple[Known, ...]:
    """Return a person's credentials."""
    records = await connection.fetch(
        "SELECT credential_id, transports FROM auth.passkey WHERE user_id = $1 ORDER BY created_at, id",
        user_id,
    )
    return tuple(msgspec.convert(dict(record), Known) for record in records)


async def insert_passkey(
    connection: Connection, passkey_id: UUID, user_id: UUID, name: str, made: Registered
) -> Passkey:
    """Store a new passkey. Raises: InvalidRequest when somebody has this credential already."""
    try:
        record = await connection.fetchrow(
            f"""INSERT INTO auth.passkey (
                    id, user_id, name, credential_id, public_key, sign_count, is_backup_eligible, is_backed_up, transports)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_PASSKEY}""",  # noqa: S608 - a constant
            passkey_id,
            user_id,
            name,
            made.credential_id,
            made.public_key,
            made.sign_count,
            made.is_backup_eligible,
            made.is_backed_up,
            made.transports,
        )
    except asyncpg.UniqueViolationError as error:
        raise InvalidRequest("passkey_refused", param="credential") from error
    return msgspec.convert(dict(record), Passkey)


async def lock_passkey(connection: Connection, credential_id: bytes) -> StoredPasskey | None:
    """Return the passkey of a credential, and keep other uses of it away until the transaction ends; None when there is none."""
    record = await connection.fetchrow(
        """SELECT id, user_id, public_key, sign_count FROM auth.passkey WHERE credential_id = $1
           FOR NO KEY UPDATE""",
        credential_id,
    )
    return None if record is None else msgspec.convert(dict(record), StoredPasskey)


async def note_shown(connection: Connection, passkey_id: UUID, shown: Shown) -> None:
    """Store what a locked passkey told when it was shown."""
    await connection.execute(
        "UPDATE auth.passkey SET sign_count = $2, is_backed_up = $3, used_at = now() WHERE id = $1",
        passkey_id,
        shown.sign_count,
        shown.is_backed_up,
    )


async def remove_passkey(connection: Connection, user_id: UUID, passkey_id: UUID) -> None:
    """Remove a passkey of a person. Raises: NotFound."""
    if not await connection.fetchval(
        "DELETE FROM auth.passkey WHERE id = $1 AND user_id = $2 RETURNING true", passkey_id, user_id
    ):
        raise NotFound("not_found", what="passkey")


async def remove_passkeys(connection: Connection, user_id: UUID) -> None:
    """Remove every passkey of a person."""
    await connection.execute("DELETE FROM auth.passkey WHERE user_id = $1", user_id)


async def drop_spare_codes(connection: Connection, user_id: UUID) -> None:
    """Remove the recovery codes of a person who has nothing left that they could replace."""
    await connection.execute(
        """DELETE FROM auth.recovery_code WHERE user_id = $1
               AND NOT EXISTS (SELECT FROM auth.totp WHERE user_id = $1)
               AND NOT EXISTS (SELECT FROM auth.passkey WHERE user_id = $1)""",
        user_id,
    )
