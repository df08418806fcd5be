"""`relay audit` and `relay migrate`: what is done on the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from services.cli.answer import Answer
from services.cli.session import answering, database_url


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

    with _refusals():
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
@answering
async def migrate() -> Answer:
    """Bring the database to the newest version.

    Safe to run from many places at once. The database is RELAY_DATABASE_URL; its user may create roles and schemas.
    """
    from services.devstack.schemas import SCHEMAS, migrate_all
    from shared.migrate import MigrationRefused

    with _refusals():
        try:
            await migrate_all(database_url())
        except MigrationRefused as error:
            raise click.ClickException(
                f"The database was not migrated: {error.details['problem']}."
            ) from error
    return Answer(
        document=Migrated(schemas=SCHEMAS), text=f"The schemas are up to date: {', '.join(SCHEMAS)}."
    )


@contextmanager
def _refusals() -> Iterator[None]:
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
