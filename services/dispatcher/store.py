"""The dispatcher's SQL: one function per statement."""

from collections.abc import Iterable

import msgspec

from shared.contracts.dispatcher import ChannelInfo, ChannelState, KeyInfo, RefusedAs
from shared.db import Connection

_CHANNELS = """SELECT id::text, name, base_url, models::text, priority, weight, abort_policy, output_parameter, state, version,
        auth_header, headers::text, set_parameters::text, default_parameters::text, drop_parameters::text, slow_seconds,
        extract(epoch FROM created_at)::bigint AS created_unix FROM dispatcher.channel"""
_KEYS = """SELECT id::text, channel_id::text, name, sealed, version, refused_as,
        extract(epoch FROM refused_at)::float8 AS refused_unix, extract(epoch FROM tested_at)::float8 AS tested_unix
        FROM dispatcher.credential"""
_TEXTS = {
    "models": dict[str, str],
    "headers": dict[str, str],
    "set_parameters": dict[str, str],
    "default_parameters": dict[str, str],
    "drop_parameters": tuple[str, ...],
}


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is stored; see `0002_keys_states_overrides.sql`."""

    id: str
    channel_id: str
    name: str
    sealed: bytes
    version: int
    refused_as: RefusedAs | None
    refused_unix: float | None
    tested_unix: float | None

    def to_info(self) -> KeyInfo:
        """Return what may be shown of it."""
        return KeyInfo(
            name=self.name,
            refused_as=self.refused_as,
            refused_unix=self.refused_unix,
            tested_unix=self.tested_unix,
        )


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it is stored: what may be shown, its keys, and when it was made (Unix seconds)."""

    info: ChannelInfo
    keys: tuple[KeyRow, ...]
    created_unix: int


async def list_channels(connection: Connection) -> list[Row]:
    """Return every channel, by name; its keys by name as well."""
    records = await connection.fetch(_CHANNELS + " ORDER BY name")
    keys = await connection.fetch(_KEYS + " ORDER BY name")
    return _rows(records, keys)


async def lock_channel(connection: Connection, name: str) -> Row | None:
    """Return the channel of this name, locked until the transaction ends."""
    record = await connection.fetchrow(_CHANNELS + " WHERE name = $1 FOR UPDATE", name)
    if record is None:
        return None
    keys = await connection.fetch(_KEYS + " WHERE channel_id = $1::uuid ORDER BY name", record["id"])
    return _rows([record], keys)[0]


async def insert_channel(connection: Connection, info: ChannelInfo, sealed: bytes) -> bool:
    """Store a new channel with its first key, which is named `default`; False when the name is taken."""
    status = await connection.execute(
        """INSERT INTO dispatcher.channel (id, name, base_url, models, priority, weight, abort_policy, output_parameter, state,
                version, auth_header, headers, set_parameters, default_parameters, drop_parameters, slow_seconds, is_enabled,
                sealed_credential)
           VALUES ($1::uuid, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb, $14::jsonb, $15::jsonb,
                $16, $9 = 'on', $17) ON CONFLICT (name) DO NOTHING""",
        *_values(info),
        sealed,
    )
    return bool(status == "INSERT 0 1")


async def update_channel(connection: Connection, info: ChannelInfo) -> None:
    """Replace all of a channel but its name and keys."""
    await connection.execute(
        """UPDATE dispatcher.channel SET base_url = $3, models = $4::jsonb, priority = $5, weight = $6, abort_policy = $7,
                output_parameter = $8, state = $9, version = $10, auth_header = $11, headers = $12::jsonb,
                set_parameters = $13::jsonb, default_parameters = $14::jsonb, drop_parameters = $15::jsonb, slow_seconds = $16,
                is_enabled = ($9 = 'on')
           WHERE id = $1::uuid AND name = $2""",
        *_values(info),
    )


async def set_states(connection: Connection, channel_ids: list[str], state: ChannelState) -> None:
    """Give these channels a state."""
    await connection.execute(
        """UPDATE dispatcher.channel SET state = $2, is_enabled = ($2 = 'on'), version = version + 1
           WHERE id = ANY($1::uuid[])""",
        channel_ids,
        state,
    )


async def replace_sealed(connection: Connection, key: KeyRow, after: bytes) -> bool:
    """Seal a key anew; False when it is no longer the one that was read.

    What the release before reads of it, the channel's own column, follows.
    """
    status = await connection.execute(
        "UPDATE dispatcher.credential SET sealed = $3 WHERE id = $1::uuid AND sealed = $2",
        key.id,
        key.sealed,
        after,
    )
    await connection.execute(
        "UPDATE dispatcher.channel SET sealed_credential = $3 WHERE id = $1::uuid AND sealed_credential = $2",
        key.channel_id,
        key.sealed,
        after,
    )
    return bool(status == "UPDATE 1")


async def delete_channel(connection: Connection, name: str) -> bool:
    """Remove a channel and its keys; False when there is none of this name."""
    return bool(
        await connection.execute("DELETE FROM dispatcher.channel WHERE name = $1", name) == "DELETE 1"
    )


async def set_default_key(connection: Connection, channel_id: str, sealed: bytes) -> None:
    """Replace the key named `default`, or make it; a trigger keeps the table of keys, see the migration."""
    await connection.execute(
        "UPDATE dispatcher.channel SET sealed_credential = $2 WHERE id = $1::uuid", channel_id, sealed
    )


async def insert_key(connection: Connection, channel_id: str, key_id: str, name: str, sealed: bytes) -> bool:
    """Store one more key of a channel; False when it has one of this name."""
    status = await connection.execute(
        """INSERT INTO dispatcher.credential (id, channel_id, name, sealed) VALUES ($1::uuid, $2::uuid, $3, $4)
           ON CONFLICT (channel_id, name) DO NOTHING""",
        key_id,
        channel_id,
        name,
        sealed,
    )
    return bool(status == "INSERT 0 1")


async def delete_key(connection: Connection, channel_id: str, name: str) -> None:
    """Remove a key, also where the former release looks for it."""
    await connection.execute(
        "DELETE FROM dispatcher.credential WHERE channel_id = $1::uuid AND name = $2", channel_id, name
    )
    if name == "default":
        await set_default_key(connection, channel_id, b"")


async def count_version(connection: Connection, channel_id: str) -> None:
    """Say that something of a channel has changed."""
    await connection.execute(
        "UPDATE dispatcher.channel SET version = version + 1 WHERE id = $1::uuid", channel_id
    )


async def refuse_key(connection: Connection, key_id: str, version: int, refused_as: RefusedAs) -> bool:
    """Take a key out until a test of it succeeds; False when it is out already, or is another one by now."""
    status = await connection.execute(
        """UPDATE dispatcher.credential SET refused_as = $3, refused_at = now(), tested_at = now()
           WHERE id = $1::uuid AND version = $2 AND refused_as IS NULL""",
        key_id,
        version,
        refused_as,
    )
    return bool(status == "UPDATE 1")


async def forgive_key(connection: Connection, key_id: str, version: int) -> bool:
    """Take a key in again; False when it was not out, or is another one by now."""
    status = await connection.execute(
        """UPDATE dispatcher.credential SET refused_as = NULL, refused_at = NULL
           WHERE id = $1::uuid AND version = $2 AND refused_as IS NOT NULL""",
        key_id,
        version,
    )
    return bool(status == "UPDATE 1")


async def note_tests(connection: Connection, key_ids: list[str]) -> None:
    """Note that these keys are tested now."""
    await connection.execute(
        "UPDATE dispatcher.credential SET tested_at = now() WHERE id = ANY($1::uuid[])", key_ids
    )


async def claim_tests(
    connection: Connection, *, refused_seconds: float, all_seconds: float, limit: int
) -> list[str]:
    """Return the ids of up to `limit` keys whose test is due, each to one replica.

    Those that are out are due every `refused_seconds`, all of them every `all_seconds` unless that is 0; keys of channels that
    are off never are.
    """
    records = await connection.fetch(
        """UPDATE dispatcher.credential SET tested_at = now() WHERE id IN (
               SELECT k.id FROM dispatcher.credential AS k JOIN dispatcher.channel AS c ON c.id = k.channel_id
               WHERE c.state <> 'off' AND (
                   (k.refused_as IS NOT NULL AND (k.tested_at IS NULL OR k.tested_at <= now() - make_interval(secs => $1::float8)))
                   OR ($2::float8 > 0 AND (k.tested_at IS NULL OR k.tested_at <= now() - make_interval(secs => $2::float8))))
               ORDER BY k.tested_at NULLS FIRST LIMIT $3 FOR UPDATE OF k SKIP LOCKED)
           RETURNING id::text""",
        refused_seconds,
        all_seconds,
        limit,
    )
    return [record["id"] for record in records]


def _values(info: ChannelInfo) -> tuple[object, ...]:
    return (
        info.id, info.name, info.base_url, _json(info.models), info.priority, info.weight, info.abort_policy,
        info.output_parameter, info.state, info.version, info.auth_header, _json(info.headers), _json(info.set_parameters),
        _json(info.default_parameters), _json(info.drop_parameters), info.slow_seconds,
    )  # fmt: skip


def _json(value: dict[str, str] | tuple[str, ...]) -> str:
    return msgspec.json.encode(value).decode()


def _rows(records: "Iterable[dict[str, object]]", keys: "Iterable[dict[str, object]]") -> list[Row]:
    of_channel: dict[str, list[KeyRow]] = {}
    for key in keys:
        row = msgspec.convert(dict(key), KeyRow)
        of_channel.setdefault(row.channel_id, []).append(row)
    return [_row(record, of_channel.get(str(record["id"]), [])) for record in records]


def _row(record: "dict[str, object]", keys: list[KeyRow]) -> Row:
    fields = dict(record)
    created = fields.pop("created_unix")
    for name, kind in _TEXTS.items():
        fields[name] = msgspec.json.decode(str(fields[name]), type=kind)
    fields["keys"] = tuple(key.to_info() for key in keys)
    info = msgspec.convert(fields, ChannelInfo)
    assert isinstance(created, int)
    return Row(info=info, keys=tuple(keys), created_unix=created)
