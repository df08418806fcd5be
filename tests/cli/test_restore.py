"""A dump and its restore, by the steps of docs/operations.md: the doctor finds nothing wrong afterwards."""

import asyncio
import secrets
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.devstack.logins import make_logins
from services.devstack.postgres import binaries
from services.devstack.schemas import migrate_all
from services.devstack.secrets import SCHEMAS
from shared.ids import uuid7
from tests.cli.conftest import run
from tests.devstack.test_logins import url_of

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
DUMP = ("pg_dump", "--format=custom", "--file=relay.dump")
RESTORE = ("pg_restore", "--no-owner", "--exit-on-error")


@pytest.mark.parametrize("with_rights", [True, False], ids=["as documented", "without rights"])
async def test_a_restored_dump_is_what_it_was(
    database_url: str, postgres_url: str, tmp_path: Path, with_rights: bool
) -> None:
    """Rows, migrations and rights; a dump without rights would be no backup, and the doctor says so."""
    await migrate_all(database_url)
    account_id = uuid7()
    await execute(database_url, f"INSERT INTO auth.account (id, name) VALUES ('{account_id}', 'ada')")
    passwords = {schema: secrets.token_hex(16) for schema in SCHEMAS}
    restored = urlsplit(postgres_url)._replace(path=f"/restored_{secrets.token_hex(8)}").geturl()
    await execute(postgres_url, f"CREATE DATABASE {urlsplit(restored).path[1:]} TEMPLATE template0")

    await program(tmp_path, *DUMP, database_url)
    await program(
        tmp_path,
        *RESTORE,
        *([] if with_rights else ["--no-privileges"]),
        f"--dbname={restored}",
        "relay.dump",
    )
    await migrate_all(restored)
    await make_logins(restored, passwords)
    urls = {
        f"RELAY_DATABASE_URL_{schema.upper()}": url_of(restored, schema, passwords[schema])
        for schema in SCHEMAS
    }
    result = await asyncio.to_thread(run, "doctor", environment=urls)

    connection = await asyncpg.connect(restored)
    assert await connection.fetchval("SELECT name FROM auth.account WHERE id = $1", account_id) == "ada"
    await connection.close()
    await execute(postgres_url, f"DROP DATABASE {urlsplit(restored).path[1:]} WITH (FORCE)")
    wrong = [line for line in result.stdout.splitlines() if line.startswith("PostgreSQL: ")]
    # The server of the tests does not sync, for speed; what else is wrong would be the restore's doing.
    assert bool([line for line in wrong if "so that a crash" not in line]) != with_rights


def test_the_steps_are_those_of_the_document() -> None:
    """What is tested here is what stands there."""
    text = OPERATIONS.read_text()

    assert " ".join(DUMP) in text
    assert " ".join(RESTORE) in text


async def program(folder: Path, name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs in `folder`."""
    process = await asyncio.create_subprocess_exec(
        binaries() / name, *arguments, cwd=folder, stdout=PIPE, stderr=PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def execute(url: str, statement: str) -> None:
    """Execute a statement as the owner."""
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
