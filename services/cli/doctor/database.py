"""Whether PostgreSQL is fit for money, has the version of this release, and gives each service its rights and no others."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from services.billing.audit import audit
from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report
from services.devstack.schemas import SCHEMAS, folder_of
from services.devstack.secrets import login_of
from services.dispatcher import store
from services.dispatcher.channels import CREDENTIAL
from services.dispatcher.master_key import sealer
from shared.db import AWAY, Connection, connect
from shared.errors import Unavailable
from shared.migrate import MigrationRefused, difference
from shared.sealing import CannotOpen
from shared.settings import SettingsError

PART = "PostgreSQL"
OWNER = "owner"
OLDEST, NEWEST = 15, 18
SKEW_SECONDS_MAX = 2.0
CONNECT_SECONDS = 5.0

_FACTS = """
    SELECT current_setting('server_version_num')::integer / 10000 AS version, pg_is_in_recovery() AS is_standby,
        current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes, extract(epoch FROM clock_timestamp())::float8 AS unix"""
_LOGIN = """
    SELECT rolsuper, ARRAY(
        SELECT other FROM unnest($1::text[]) AS other
        WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = other) AND pg_has_role(session_user, other, 'MEMBER')
    ) AS others
    FROM pg_roles WHERE rolname = session_user"""
_CLOSED_TABLES = """
    SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT has_table_privilege($2, c.oid, 'SELECT') ORDER BY c.relname"""


async def check(settings: DeploymentSettings, report: Report, *, with_audit: bool) -> None:
    """Report what is wrong with each database and each login that the settings name."""
    owner = settings.database_url.reveal()
    urls = settings.database_urls
    if not owner and not urls:
        report.left_out("PostgreSQL (RELAY_DATABASE_URL, or that of each service)")
        return
    if owner:
        with report.checking("PostgreSQL"):
            await _check_server(owner, OWNER, report)
    for schema in SCHEMAS:
        url = urls.get(schema, owner)
        if not url:
            report.left_out(f"the schema {schema} (RELAY_DATABASE_URL_{schema.upper()})")
            continue
        if schema not in urls:
            report.left_out(f"the login of {schema} (RELAY_DATABASE_URL_{schema.upper()})")
        with report.checking(f"the schema {schema}"):
            await _check_schema(url, schema, settings, report, is_own=schema in urls, with_audit=with_audit)


async def _check_schema(
    url: str, schema: str, settings: DeploymentSettings, report: Report, *, is_own: bool, with_audit: bool
) -> None:
    if is_own and not await _check_server(url, schema, report):
        return
    async with _acting(url, schema, report) as connection:
        if connection is None or not await _is_current(connection, schema, report):
            return
        if is_own:
            await _check_login(connection, schema, report)
        await _check_rights(connection, schema, report)
        if schema == "dispatcher":
            await _check_credentials(connection, settings, report)
        if schema == "billing" and with_audit:
            await _check_ledger(connection, report)


async def _check_server(url: str, who: str, report: Report) -> bool:
    """Report what is wrong with the server; False when `who` is not let in."""
    variable = "RELAY_DATABASE_URL" + ("" if who == OWNER else f"_{who.upper()}")
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        report.wrong(
            PART,
            f"{variable} is refused: {error.args[0]}",
            "Correct it; `relay migrate` makes the logins and gives them their passwords",
        )
        return False
    except AWAY as error:
        report.wrong(
            PART,
            f"{variable} does not answer ({type(error).__name__})",
            "Start the server, or correct the URL",
        )
        return False
    except (asyncpg.PostgresError, ValueError) as error:
        report.wrong(PART, f"{variable} is not usable ({type(error).__name__})", "Correct it")
        return False
    try:
        asked = time.time()
        facts = await connection.fetchrow(_FACTS)
        check_facts(dict(facts), facts["unix"] - (asked + time.time()) / 2, report)
    finally:
        await connection.close()
    return True


def check_facts(facts: Mapping[str, object], skew_seconds: float, report: Report) -> None:
    """Report what of the server is unfit for money; `skew_seconds` is how far its clock is ahead."""
    version = facts["version"]
    assert isinstance(version, int)
    if not OLDEST <= version <= NEWEST:
        report.wrong(PART, f"version {version} is not one of {OLDEST} to {NEWEST}", "Move to one of these")
    if facts["is_standby"]:
        report.wrong(PART, "this is a standby, which cannot be written", "Name the primary")
    if facts["synchronous_commit"] in ("off", "local"):
        report.wrong(
            PART,
            f"synchronous_commit is {facts['synchronous_commit']}, so that a crash can lose what was answered",
            "Set it to on, for the server and for each role",
        )
    for name in ("fsync", "full_page_writes"):
        if facts[name] != "on":
            report.wrong(PART, f"{name} is off, so that a crash can destroy the ledger", "Set it to on")
    if abs(skew_seconds) > SKEW_SECONDS_MAX:
        report.wrong(
            PART,
            f"its clock is {abs(skew_seconds):.0f} s {'ahead of' if skew_seconds > 0 else 'behind'} this machine's",
            "Keep both in time with NTP",
        )


@asynccontextmanager
async def _acting(url: str, schema: str, report: Report) -> AsyncIterator[Connection | None]:
    """Yield a connection that acts as the service does, None when that is not possible."""
    try:
        connection = await connect(url, schema=schema, application="relay-doctor")
    except Unavailable:
        report.wrong(PART, f"it does not answer for {schema}", "Start the server, or correct the URL")
        yield None
        return
    except (asyncpg.PostgresError, ValueError) as error:
        report.wrong(
            PART,
            f"nobody can act as relay_{schema}: {error.args[0]}",
            f"Run `relay migrate`, and make {login_of(schema)} a member of relay_{schema}",
        )
        yield None
        return
    try:
        yield connection
    finally:
        await connection.close()


async def _is_current(connection: Connection, schema: str, report: Report) -> bool:
    """Tell whether the schema can be looked at by this release."""
    try:
        found = await difference(connection, schema=schema, folder=folder_of(schema))
    except MigrationRefused as error:
        report.wrong(PART, str(error.details["problem"]), "Install the release that this database belongs to")
        return False
    except asyncpg.PostgresError as error:
        report.wrong(
            PART,
            f"the schema {schema} cannot be read: {error.args[0]}",
            "Run `relay migrate` as the database's owner",
        )
        return False
    if found.missing:
        report.wrong(PART, f"the schema {schema} lacks {', '.join(found.missing)}", "Run `relay migrate`")
    if found.beyond:
        numbers = ", ".join(f"{number:04}" for number in found.beyond)
        report.wrong(
            PART,
            f"the schema {schema} has {numbers}, which this release does not know",
            "It may run so for a while after a rollback; install the newer release again",
        )
    return not found.missing


async def _check_login(connection: Connection, schema: str, report: Report) -> None:
    others = [f"relay_{other}" for other in SCHEMAS if other != schema]
    login = await connection.fetchrow(_LOGIN, others)
    remedy = f"Let {schema} connect as {login_of(schema)}, which `relay migrate` makes"
    if login["rolsuper"]:
        report.wrong(PART, f"{schema} connects as a superuser", remedy)
    elif login["others"]:
        report.wrong(PART, f"the login of {schema} may act as {', '.join(login['others'])} too", remedy)


async def _check_rights(connection: Connection, schema: str, report: Report) -> None:
    closed = [row["relname"] for row in await connection.fetch(_CLOSED_TABLES, schema, f"relay_{schema}")]
    if closed:
        report.wrong(
            PART,
            f"relay_{schema} may not read {', '.join(closed)}",
            "Rights get lost when a dump is restored without them: restore it with privileges",
        )


async def _check_credentials(connection: Connection, settings: DeploymentSettings, report: Report) -> None:
    """Report each channel whose credential this master key does not open."""
    try:
        keys = sealer(settings.master_key, settings.master_key_previous)
    except SettingsError:
        return  # it is missing, or reported already
    with report.checking("the credentials of channels"):
        rows = await store.list_channels(connection)
        for channel, key in ((row.info.name, key) for row in rows for key in row.keys):
            try:
                keys.open(key.sealed, purpose=CREDENTIAL, row_id=key.id)
            except CannotOpen:
                report.wrong(
                    "channels",
                    f"RELAY_MASTER_KEY does not open the key {key.name} of {channel}",
                    f"Restore the master key, or enter the key again: `relay channel key add {channel} {key.name}`",
                )


async def _check_ledger(connection: Connection, report: Report) -> None:
    with report.checking("the ledger"):
        for finding in await audit(connection):
            report.wrong(
                "ledger",
                f"{finding.number} is broken: {finding.sentence.rstrip('.')}",
                "Run `relay audit` for the rows, and credit no account before it is understood",
            )
