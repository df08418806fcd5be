"""The dispatcher's SQL: one function per statement."""

import msgspec

from shared.contracts.dispatcher import ChannelInfo
from shared.db import Connection

_CHANNELS = """SELECT id::text, name, base_url, models::text, priority, weight, abort_policy, output_parameter, is_enabled,
        version, sealed_credential, extract(epoch FROM created_at)::bigint AS created_unix FROM dispatcher.channel"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it is stored: what may be shown, the sealed credential, and when it was made (Unix seconds)."""

    info: ChannelInfo
    sealed_credential: bytes
    created_unix: int


async def list_channels(connection: Connection) -> list[Row]:
    """Return every channel, by name."""
    records = await connection.fetch(_CHANNELS + " ORDER BY name")
    return [_row(record) for record in records]


async def lock_channel(connection: Connection, name: str) -> Row | None:
    """Return the channel of this name, locked until the transaction ends."""
    record = await connection.fetchrow(_CHANNELS + " WHERE name = $1 FOR UPDATE", name)
    return None if record is None else _row(record)


async def insert_channel(connection: Connection, info: ChannelInfo, sealed_credential: bytes) -> bool:
    """Store a new channel; False when the name is taken."""
    status = await connection.execute(
        """INSERT INTO dispatcher.channel (id, name, base_url, sealed_credential, models, priority, weight,
                abort_policy, output_parameter, is_enabled, version)
           VALUES ($1::uuid, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11) ON CONFLICT (name) DO NOTHING""",
        *_values(info, sealed_credential),
    )
    return bool(status == "INSERT 0 1")


async def update_channel(connection: Connection, info: ChannelInfo, sealed_credential: bytes) -> None:
    """Replace all of a channel but its name."""
    await connection.execute(
        """UPDATE dispatcher.channel SET base_url = $3, sealed_credential = $4, models = $5::jsonb, priority = $6,
                weight = $7, abort_policy = $8, output_parameter = $9, is_enabled = $10, version = $11
           WHERE id = $1::uuid AND name = $2""",
        *_values(info, sealed_credential),
    )


async def replace_credential(connection: Connection, info: ChannelInfo, before: bytes, after: bytes) -> bool:
    """Put `after` where `before` stands; False when a channel's credential is no longer that."""
    status = await connection.execute(
        "UPDATE dispatcher.channel SET sealed_credential = $3 WHERE id = $1::uuid AND sealed_credential = $2",
        info.id,
        before,
        after,
    )
    return bool(status == "UPDATE 1")


async def delete_channel(connection: Connection, name: str) -> bool:
    """Remove a channel; False when there is none of this name."""
    return bool(
        await connection.execute("DELETE FROM dispatcher.channel WHERE name = $1", name) == "DELETE 1"
    )


def _values(info: ChannelInfo, sealed_credential: bytes) -> tuple[object, ...]:
    return (
        info.id, info.name, info.base_url, sealed_credential, msgspec.json.encode(info.models).decode(), info.priority,
        info.weight, info.abort_policy, info.output_parameter, info.is_enabled, info.version,
    )  # fmt: skip


def _row(record: "dict[str, object]") -> Row:
    fields = dict(record)
    sealed = fields.pop("sealed_credential")
    created = fields.pop("created_unix")
    fields["models"] = msgspec.json.decode(str(fields["models"]), type=dict[str, str])
    info = msgspec.convert(fields, ChannelInfo)
    assert isinstance(sealed, bytes)
    assert isinstance(created, int)
    return Row(info=info, sealed_credential=sealed, created_unix=created)
