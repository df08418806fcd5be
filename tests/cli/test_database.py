"""`relay migrate` and `relay audit` on a database of their own."""

import asyncio

import asyncpg
import msgspec
import pytest
from click.testing import Result

from services.cli.database import Audited, Migrated
from services.devstack.schemas import SCHEMAS, migrate_all
from shared.ids import uuid7
from tests.cli.conftest import run
from tests.cli.subprocesses import DEADLINE_SECONDS, relay_process, started
from tests.devstack.test_logins import url_of


async def test_a_broken_ledger_is_told_and_ends_with_1(database_url: str) -> None:
    """The rows stand under the invariant; with --json the document is still the only thing on standard output."""
    await migrate_all(database_url)
    account_id = uuid7()
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO billing.account (id, status, status_version, posted_nano_usd) VALUES ($1, 'active', 1, 5)",
        account_id,
    )
    await connection.close()

    for_people = await _run("audit", database_url=database_url)
    as_json = await _run("audit", "--json", database_url=database_url)

    assert (for_people.exit_code, as_json.exit_code) == (1, 1)
    assert f"\n       account {account_id}: posted 5" in for_people.stdout
    assert for_people.stderr.endswith(" invariants are broken.\n")
    audited = msgspec.json.decode(as_json.stdout, type=Audited)
    assert not audited.is_sound
    assert "I1" in {each.number for each in audited.invariants if each.rows}


async def test_many_may_migrate_at_once(database_url: str) -> None:
    """Each finds every schema up to date when it ends."""
    for_people, as_json = await asyncio.gather(
        relay_process("migrate", RELAY_DATABASE_URL=database_url),
        relay_process("migrate", "--json", RELAY_DATABASE_URL=database_url),
    )

    assert (for_people.status, for_people.errors, as_json.errors) == (0, "", "")
    assert for_people.output == "The schemas are up to date: auth, billing, dispatcher.\n"
    assert msgspec.json.decode(as_json.output, type=Migrated).schemas == SCHEMAS


async def test_the_logins_get_the_passwords_that_are_given(database_url: str) -> None:
    """In the same run, and no others."""
    ended = await relay_process(
        "migrate", RELAY_DATABASE_URL=database_url, RELAY_DATABASE_PASSWORD_BILLING="p4ss"
    )
    assert (ended.status, ended.errors) == (0, "")

    login = url_of(database_url, "billing", "p4ss")
    waited = await relay_process("migrate", "--wait", "0", "--schema", "billing", RELAY_DATABASE_URL=login)
    assert (waited.status, waited.output) == (0, "The schemas are up to date: billing.\n")


async def test_who_waits_goes_on_when_somebody_has_migrated(database_url: str) -> None:
    """A service's new pod, before and after the job."""
    async with started("migrate", "--wait", "60", RELAY_DATABASE_URL=database_url) as waiting:
        await asyncio.sleep(1)
        assert waiting.returncode is None
        await migrate_all(database_url)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await waiting.communicate()
    assert waiting.returncode == 0


async def test_who_has_waited_in_vain_says_what_is_missing(database_url: str) -> None:
    """A schema, or a file of it."""
    nothing = await relay_process("migrate", "--wait", "0", RELAY_DATABASE_URL=database_url)
    assert nothing.status == 1
    assert nothing.errors.startswith("Error: The database has not been migrated: ")

    await migrate_all(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM billing.migration WHERE number = 6")
    await connection.close()
    behind = await relay_process("migrate", "--wait", "0", RELAY_DATABASE_URL=database_url)
    assert behind.errors == "Error: The database has not been migrated: billing lacks 0006_idempotency.sql.\n"


async def test_a_changed_migration_is_refused_in_words(database_url: str) -> None:
    """The sentence names the file and what to do."""
    await migrate_all(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE auth.migration SET sha256 = 'other'")
    await connection.close()

    result = await _run("migrate", database_url=database_url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: The database was not migrated: 0001_accounts.sql of auth was changed after it was applied; "
        "restore it and add a new file.\n"
    )


async def test_what_postgresql_refuses_is_one_sentence(database_url: str) -> None:
    """Here because nothing was migrated yet."""
    result = await _run("audit", database_url=database_url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: PostgreSQL refused: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://user:hunter2@127.0.0.1:1/relay", "(PostgreSQL) does not answer"),
        ("postgresql://user:hunter2@host:port/relay", "RELAY_DATABASE_URL is not usable"),
        ("", "No database is named."),
    ],
)
@pytest.mark.parametrize("command", ["audit", "migrate"])
def test_a_database_that_is_away_is_one_sentence(command: str, url: str, problem: str) -> None:
    """With exit status 1, and without the password."""
    result = run(command, environment={"RELAY_DATABASE_URL": url})

    assert (result.exit_code, result.stdout) == (1, "")
    assert problem in result.stderr
    assert "hunter2" not in result.stderr


async def _run(*arguments: str, database_url: str) -> Result:
    """Run a command beside this loop, since it has a loop of its own."""
    return await asyncio.to_thread(run, *arguments, environment={"RELAY_DATABASE_URL": database_url})
