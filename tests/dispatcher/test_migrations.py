"""The dispatcher's tables from one release to the next: what is stored stays, and the former release goes on beside the new one."""

import asyncio
import secrets
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from services.dispatcher import store
from shared.db import Connection
from shared.migrate import migrate
from tests.dispatcher.rig import MIGRATIONS

INSERT = """INSERT INTO dispatcher.channel (id, name, base_url, sealed_credential, models, priority, weight,
                abort_policy, output_parameter, is_enabled, version)
           VALUES ($1, $2, 'https://x.example/v1', $3, '{"m":"m"}', 0, 1, 'estimate', 'max_tokens', $4, 1)"""
UPDATE = "UPDATE dispatcher.channel SET sealed_credential = $2, is_enabled = $3, version = version + 1 WHERE name = $1"


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[Connection]:
    """A connection to a new database, which acts as the superuser."""
    name = f"test_{secrets.token_hex(8)}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await server.close()
    connection = await asyncpg.connect(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
    yield connection
    await connection.close()


async def stored(connection: Connection) -> dict[str, store.Row]:
    """Return the channels as this release reads them, with its own rights."""
    await connection.execute("SET ROLE relay_dispatcher")
    try:
        return {row.info.name: row for row in await store.list_channels(connection)}
    finally:
        await connection.execute("RESET ROLE")


async def test_the_channels_of_the_former_release_stay_what_they_are(
    connection: Connection, tmp_path: Path
) -> None:
    """Their key becomes the first, under the id that it was sealed for; one that was disabled is off."""
    await asyncio.to_thread(shutil.copy, MIGRATIONS / "0001_channel.sql", tmp_path)
    await migrate(connection, schema="dispatcher", folder=tmp_path)
    ids = uuid.uuid4(), uuid.uuid4()
    await connection.execute(INSERT, ids[0], "one", b"sealed one", True)
    await connection.execute(INSERT, ids[1], "two", b"sealed two", False)

    await migrate(connection, schema="dispatcher", folder=MIGRATIONS)

    rows = await stored(connection)
    assert {name: row.info.state for name, row in rows.items()} == {"one": "on", "two": "off"}
    (key,) = rows["one"].keys
    assert (key.id, key.name, key.sealed, key.version) == (str(ids[0]), "default", b"sealed one", 1)


async def test_what_the_former_release_writes_is_seen(connection: Connection) -> None:
    """While both run: a new channel, a new key, which is not refused any more, and whether the channel is on."""
    await migrate(connection, schema="dispatcher", folder=MIGRATIONS)
    channel = uuid.uuid4()
    await connection.execute("SET ROLE relay_dispatcher")
    await connection.execute(INSERT, channel, "one", b"first", True)
    assert await store.refuse_key(connection, str(channel), 1, "credential")

    await connection.execute(UPDATE, "one", b"second", False)
    off = (await stored(connection))["one"]
    await connection.execute(UPDATE, "one", b"second", True)
    on = (await stored(connection))["one"]

    assert [(key.sealed, key.version, key.refused_as) for key in off.keys] == [(b"second", 2, None)]
    assert (off.info.state, on.info.state) == ("off", "on")
    assert on.keys == off.keys


async def test_what_this_release_writes_is_seen_by_the_former(connection: Connection) -> None:
    """A channel that drains is disabled there, and a key that was removed is none."""
    await migrate(connection, schema="dispatcher", folder=MIGRATIONS)
    channel = uuid.uuid4()
    await connection.execute(INSERT, channel, "one", b"first", True)
    row = (await stored(connection))["one"]

    draining = msgspec.structs.replace(row.info, state="draining")
    await store.update_channel(connection, draining)
    await store.delete_key(connection, row.info.id, "default")

    seen = await connection.fetchrow("SELECT is_enabled, sealed_credential FROM dispatcher.channel")
    assert tuple(seen) == (False, b"")
    after = (await stored(connection))["one"]
    assert (after.info.state, after.keys) == ("draining", ())
