"""`relay audit` and `relay migrate`: what is done on the database itself."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from services.cli.answer import Answer
from services.cli.deployment import DeploymentSettings
from services.cli.session import answering, database_url
from services.devstack.secrets import SCHEMAS
from shared.settings import load

WAIT_POLL_SECONDS = 1.0


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant of the ledger, with some of the rows that break it."""

    number: str
    sentence: str
    rows: tuple[str, ...]


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found. The ledger is sound when no invariant has rows."""

    is_sound: bool
    invariants: tuple[Checked, ...]


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """The schemas that have the newest version now."""

    schemas: tuple[str, ...]


@click.command()
@answering
async def audit() -> Answer:
    """Check every invariant of the ledger.

    Ends with 1 when one is broken. Reads whole tables: run it on a standby, or at a quiet time.
    """
    from services.billing.audit import SENTENCES, audit
    from shared.db import connect

    with refusals():
        connection = await connect(database_url(), schema="billing", application="relay-audit")
        try:
            findings = await audit(connection)
        finally:
            await connection.close()
    broken = {
        each.number: Checked(number=each.number, sentence=each.sentence, rows=each.rows) for each in findings
    }
    sound = {
        number: Checked(number=number, sentence=sentence, rows=()) for number, sentence in SENTENCES.items()
    }
    checked = tuple(sorted((sound | broken).values(), key=lambda each: int(each.number.removeprefix("I"))))
    lines = [line for each in checked for line in _lines(each)]
    return Answer(
        document=Audited(is_sound=not broken, invariants=checked),
        text="\n".join(lines),
        failure=f"{len(broken)} of {len(checked)} invariants are broken." if broken else None,
    )


@click.command()
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Change nothing: wait until somebody else has migrated, at most so long.",
)
@click.option(
    "--schema",
    "schemas",
    type=click.Choice(SCHEMAS),
    multiple=True,
    default=SCHEMAS,
    help="With --wait, the schemas to wait for; all by default.",
)
@answering
async def migrate(wait_seconds: float | None, schemas: tuple[str, ...]) -> Answer:
    """Bring the database to the newest version.

    Safe to run from many places at once. The database is RELAY_DATABASE_URL; its user may create roles and schemas. A
    service's login gets the password of RELAY_DATABASE_PASSWORD_AUTH, _BILLING or _DISPATCHER, where that is set.
    With --wait any service's own login will do.
    """
    from services.devstack.logins import make_logins
    from services.devstack.schemas import migrate_all
    from shared.migrate import MigrationRefused

    url = database_url()
    if wait_seconds is not None:
        return await _migrated_by_others(url, schemas, wait_seconds)
    passwords = load(DeploymentSettings).database_passwords
    with refusals():
        try:
            await migrate_all(url)
        except MigrationRefused as error:
            raise click.ClickException(
                f"The database was not migrated: {error.details['problem']}."
            ) from error
        await make_logins(url, passwords)
    return Answer(
        document=Migrated(schemas=SCHEMAS), text=f"The schemas are up to date: {', '.join(SCHEMAS)}."
    )


async def _migrated_by_others(url: str, schemas: tuple[str, ...], wait_seconds: float) -> Answer:
    """Return when `schemas` have the version of this release, or a later one. Raises: ClickException with what is missing."""
    give_up = time.monotonic() + wait_seconds
    while (reason := await _is_behind(url, schemas)) is not None:
        if time.monotonic() > give_up:
            raise click.ClickException(f"The database has not been migrated: {reason}.")
        await asyncio.sleep(WAIT_POLL_SECONDS)
    return Answer(
        document=Migrated(schemas=schemas), text=f"The schemas are up to date: {', '.join(schemas)}."
    )


async def _is_behind(url: str, schemas: tuple[str, ...]) -> str | None:
    """Return why the database is not what this release needs, or None. Whatever PostgreSQL says may be different soon."""
    import asyncpg

    from services.devstack.schemas import folder_of
    from shared.db import connect
    from shared.errors import RelayError
    from shared.migrate import difference

    try:
        for schema in schemas:
            connection = await connect(url, schema=schema, application="relay-migrate")
            try:
                missing = (await difference(connection, schema=schema, folder=folder_of(schema))).missing
            finally:
                await connection.close()
            if missing:
                return f"{schema} lacks {', '.join(missing)}"
    except RelayError as error:
        return str(error).rstrip(".")
    except asyncpg.PostgresError as error:
        return f"PostgreSQL says: {error.args[0]}"
    return None


@contextmanager
def refusals() -> Iterator[None]:
    """Turn PostgreSQL's own refusals into one sentence."""
    import asyncpg

    try:
        yield
    except asyncpg.PostgresError as error:
        raise click.ClickException(f"PostgreSQL refused: {error.args[0]}.") from error
    except ValueError as error:
        raise click.ClickException(
            "RELAY_DATABASE_URL is not usable: it must be postgresql://user:password@host:port/database."
        ) from error


def _lines(each: Checked) -> list[str]:
    return [
        f"{each.number:<4} {'BROKEN' if each.rows else 'ok':<6} {each.sentence}",
        *(f"       {row}" for row in each.rows),
    ]
