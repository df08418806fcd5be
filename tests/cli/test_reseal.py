"""`relay reseal` on a real database: the master key changes, and every credential goes on working."""

import asyncio
import secrets

import asyncpg
import msgspec
import pytest
from click.testing import Result

from services.cli.reseal import Resealed
from services.devstack.schemas import migrate_all
from services.dispatcher import store
from services.dispatcher.channels import CREDENTIAL
from services.dispatcher.master_key import sealer
from shared.contracts.dispatcher import ChannelInfo
from shared.ids import uuid7
from shared.settings import Secret
from tests.cli.conftest import run

OLD, NEW, LOST = (secrets.token_hex(32) for _ in range(3))


async def test_what_the_previous_key_has_sealed_opens_with_the_new_one_alone(database_url: str) -> None:
    """Once it was run; a second run has nothing to do."""
    await migrate_all(database_url)
    for name in ("one", "two"):
        await insert(database_url, name, OLD)
    await insert(database_url, "new", NEW)

    first = await reseal(database_url)
    second = await reseal(database_url)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert msgspec.json.decode(first.stdout, type=Resealed) == Resealed(
        resealed=("one/default", "two/default"), closed=()
    )
    assert msgspec.json.decode(second.stdout, type=Resealed) == Resealed(resealed=(), closed=())
    assert await opened(database_url, NEW) == {"new": "sk-new", "one": "sk-one", "two": "sk-two"}


async def test_a_credential_that_neither_key_opens_is_named_and_left(database_url: str) -> None:
    """The others are sealed anew, and the command ends with 1."""
    await migrate_all(database_url)
    await insert(database_url, "lost", LOST)
    await insert(database_url, "good", OLD)

    result = await reseal(database_url)

    assert result.exit_code == 1
    assert result.stderr == "Error: Neither key opens the credentials of: lost/default.\n"
    assert msgspec.json.decode(result.stdout, type=Resealed).resealed == ("good/default",)


@pytest.mark.parametrize("key", ["", "short"])
def test_without_a_key_nothing_is_tried(key: str) -> None:
    """And the setting is named."""
    result = run("reseal", environment={"RELAY_DATABASE_URL": "postgresql://x", "RELAY_MASTER_KEY": key})

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: RELAY_MASTER_KEY is not usable")


async def reseal(database_url: str) -> Result:
    """Run the command beside this loop, since it has a loop of its own."""
    variables = {
        "RELAY_DATABASE_URL": database_url,
        "RELAY_MASTER_KEY": NEW,
        "RELAY_MASTER_KEY_PREVIOUS": OLD,
    }
    return await asyncio.to_thread(run, "reseal", "--json", environment=variables)


async def insert(database_url: str, name: str, key: str) -> None:
    """Store a channel whose credential is sealed with `key`."""
    info = ChannelInfo(
        id=str(uuid7()), name=name, base_url="https://api.example.org/v1", models={}, priority=0, weight=1,
        abort_policy="estimate", output_parameter="max_tokens", state="on", version=1,
    )  # fmt: skip
    sealed = sealer(Secret(key), Secret("")).seal(f"sk-{name}".encode(), purpose=CREDENTIAL, row_id=info.id)
    connection = await asyncpg.connect(database_url)
    assert await store.insert_channel(connection, info, sealed)
    await connection.close()


async def opened(database_url: str, key: str) -> dict[str, str]:
    """Return the credential of each channel, as `key` alone opens it."""
    keys = sealer(Secret(key), Secret(""))
    connection = await asyncpg.connect(database_url)
    rows = await store.list_channels(connection)
    await connection.close()
    return {
        row.info.name: keys.open(key.sealed, purpose=CREDENTIAL, row_id=key.id).decode()
        for row in rows
        for key in row.keys
    }
