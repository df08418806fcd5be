"""`relay doctor` on a whole deployment in which one thing is wrong at a time."""

import asyncio
import contextlib
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from click.testing import Result

from services.cli.doctor import bus
from services.cli.doctor.report import Diagnosis, Report
from services.devstack.logins import make_logins
from services.devstack.nats import EmbeddedNats
from services.devstack.postgres import EmbeddedPostgres
from services.devstack.schemas import migrate_all
from services.devstack.secrets import SCHEMAS
from services.devstack.settings import STACK_FILE, StackFile
from shared.contracts import site
from shared.contracts.call import PARTIES
from shared.contracts.nats_config import nats_config
from shared.ids import uuid7
from shared.settings import environment
from tests.cli.conftest import NOWHERE, Relay, Services, run
from tests.devstack.test_logins import url_of
from tests.nats_cluster import free_ports

START_SECONDS = 60.0
OTHER_KEY = "f0e1d2c3b4a5968778695a4b3c2d1e0f" * 2  # the same in each process, since tests are named by it
ACCOUNT = uuid7()
MAIL = {
    "RELAY_OUTBOX_PAGE": "false",
    "RELAY_SMTP_HOST": "127.0.0.1",
    "RELAY_SMTP_FROM": "relay@relay.example",
}
SITE = site.SiteSettings(
    version=1,
    name="Relay",
    sign_up="open",
    sign_up_credit_nano_usd=0,
    notice=site.Text(),
    about=site.Text(),
    contact="",
)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A deployment in which nothing is wrong; `environment` is what its doctor is told."""
    passwords = {party: secrets.token_hex(16) for party in PARTIES}
    logins = {schema: secrets.token_hex(16) for schema in SCHEMAS}
    with (
        EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as postgres,
        EmbeddedNats(tmp_path_factory.mktemp("nats"), nats_config(passwords)) as nats,
    ):
        execute(postgres.url, "CREATE DATABASE relay")
        owner = urlsplit(postgres.url)._replace(path="/relay").geturl()
        asyncio.run(migrate_all(owner))
        asyncio.run(make_logins(owner, logins))
        urls = {schema: url_of(owner, schema, password) for schema, password in logins.items()}
        made = Relay(nats.url, owner, passwords, urls)
        with Services(made, **MAIL), edge(made) as edge_url:
            made.text(
                "channel", "create", "upstream", "--base-url", "https://api.example.org/v1", "--model", "model",
                "--credential-stdin", given="sk-secret",
            )  # fmt: skip
            made.text("price", "set", "model", "--input", "1", "--output", "2")
            made.environment = {
                **{f"RELAY_NATS_PASSWORD_{party.upper()}": text for party, text in passwords.items()},
                **{f"RELAY_DATABASE_URL_{schema.upper()}": url for schema, url in urls.items()},
                "RELAY_NATS_URL": nats.url,
                "RELAY_DATABASE_URL": owner,
                "RELAY_KEY_PEPPER": made.key_pepper,
                "RELAY_FACTOR_KEY": secrets.token_hex(32),
                "RELAY_CODE_PEPPER": secrets.token_hex(32),
                "RELAY_MASTER_KEY": made.master_key,
                "RELAY_TRUSTED_PROXIES": "10.0.0.0/8",
                "RELAY_EDGE_URL": edge_url,
            }
            yield made


def test_people_who_may_sign_up_must_get_mail() -> None:
    """With nobody to send the link, or with links for this machine alone, nobody can; and no stranger reads messages."""
    private = site.Site(settings=SITE, public_url="https://relay.example", has_mail=True, has_outbox=False)
    change = msgspec.structs.replace
    assert mail_problems(private) == []
    assert mail_problems(change(private, has_mail=False, settings=change(SITE, sign_up="off"))) == []
    [missing] = mail_problems(change(private, has_mail=False))
    assert "no mail server is set" in missing
    [leading] = mail_problems(change(private, public_url="http://127.0.0.1:8080"))
    assert "lead to http://127.0.0.1:8080" in leading
    [shown] = mail_problems(change(private, has_mail=False, has_outbox=True))
    assert "/api/outbox" in shown
    assert (
        mail_problems(change(private, has_mail=False, has_outbox=True, public_url="http://localhost:80"))
        == []
    )


def mail_problems(known: site.Site) -> list[str]:
    """Return what the doctor finds wrong with such a site."""
    report = Report()
    bus.check_site(known, report)
    return [problem.problem for problem in report.problems]


def test_a_deployment_in_order_is_healthy(relay: Relay) -> None:
    """Everything was looked at, and nothing is wrong."""
    result = relay.run("doctor")
    diagnosis = msgspec.json.decode(relay.run("doctor", "--json").stdout, type=Diagnosis)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("Nothing is wrong.\n")
    assert diagnosis.is_healthy
    assert diagnosis.left_out == ()
    assert {"NATS", "NATS user edge", "PostgreSQL", "the schema auth", "the credentials of channels", "the ledger",
            "the services", "the edge", "the master key", "the pepper", "the factor key",
            "the pepper of codes"} <= set(diagnosis.checked)  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("RELAY_NATS_PASSWORD_EDGE", "wrong", "NATS: user edge is not let in with RELAY_NATS_PASSWORD_EDGE."),
        ("RELAY_NATS_PASSWORD_OPERATOR", "wrong", "NATS: user operator is not let in."),
        ("RELAY_NATS_URL", "nats://127.0.0.1:1", "NATS: nobody listens at 127.0.0.1:1."),
        ("RELAY_DATABASE_URL_AUTH", "postgresql://auth_service:no@HERE", "PostgreSQL: RELAY_DATABASE_URL_AUTH is refused: "),
        ("RELAY_DATABASE_URL_AUTH", "postgresql://x@127.0.0.1:1/x", "PostgreSQL: RELAY_DATABASE_URL_AUTH does not answer"),
        ("RELAY_DATABASE_URL_AUTH", "postgresql://x@host:port/x", "PostgreSQL: RELAY_DATABASE_URL_AUTH is not usable"),
        ("RELAY_DATABASE_URL_BILLING", "OWNER", "PostgreSQL: billing connects as a superuser."),
        ("RELAY_MASTER_KEY", OTHER_KEY, "channels: RELAY_MASTER_KEY does not open the key default of upstream."),
        ("RELAY_MASTER_KEY", "00" * 32, "settings: RELAY_MASTER_KEY is not usable: "),
        ("RELAY_KEY_PEPPER", "1234", "settings: RELAY_KEY_PEPPER must be at least 64 hexadecimal digits."),
        ("RELAY_KEY_PEPPER", "MASTER", "settings: RELAY_MASTER_KEY and RELAY_KEY_PEPPER are the same."),
        ("RELAY_FACTOR_KEY", "11" * 32, "settings: RELAY_FACTOR_KEY is not usable: "),
        ("RELAY_FACTOR_KEY", "MASTER", "settings: RELAY_MASTER_KEY and RELAY_FACTOR_KEY are the same."),
        ("RELAY_CODE_PEPPER", "1234", "settings: RELAY_CODE_PEPPER must be at least 64 hexadecimal digits."),
        ("RELAY_TRUSTED_PROXIES", "0.0.0.0/0", "settings: RELAY_TRUSTED_PROXIES holds 0.0.0.0/0, "),
        ("RELAY_TRUSTED_PROXIES", "proxy", "settings: RELAY_TRUSTED_PROXIES is not usable: "),
        ("RELAY_EDGE_URL", "http://127.0.0.1:1", "edge: RELAY_EDGE_URL does not answer"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line(relay: Relay, variable: str, value: str, line: str) -> None:
    """It names the setting and what to do, and shows no secret."""
    here = relay.database_url.partition("@")[2]
    value = {"OWNER": relay.database_url, "MASTER": relay.master_key}.get(value, value).replace("HERE", here)

    lines = problems(relay.run("doctor", "--no-audit", **{variable: value}))

    assert len(lines) == 1
    assert lines[0].startswith(line)
    assert not any(secret in lines[0] for secret in (relay.master_key, OTHER_KEY, *relay.passwords.values()))


@pytest.mark.parametrize(
    ("broken", "mended", "line"),
    [
        (
            "ALTER DATABASE relay SET synchronous_commit = off", "ALTER DATABASE relay RESET synchronous_commit",
            "PostgreSQL: synchronous_commit is off, so that a crash can lose what was answered.",
        ),
        (
            "CREATE TABLE kept AS SELECT * FROM billing.migration WHERE number = 6; DELETE FROM billing.migration WHERE number = 6",
            "INSERT INTO billing.migration SELECT * FROM kept; DROP TABLE kept",
            "PostgreSQL: the schema billing lacks 0006_idempotency.sql.",
        ),
        (
            "INSERT INTO auth.migration VALUES (999, '0999_later.sql', 'x')", "DELETE FROM auth.migration WHERE number = 999",
            "PostgreSQL: the schema auth has 0999, which this release does not know.",
        ),
        (
            "UPDATE auth.migration SET sha256 = 'x' || sha256 WHERE number = 1",
            "UPDATE auth.migration SET sha256 = substr(sha256, 2) WHERE number = 1",
            "PostgreSQL: 0001_accounts.sql of auth was changed after it was applied;",
        ),
        (
            "REVOKE SELECT ON auth.app_user FROM relay_auth", "GRANT SELECT ON auth.app_user TO relay_auth",
            "PostgreSQL: relay_auth may not read app_user.",
        ),
        (
            "GRANT relay_billing TO auth_service", "REVOKE relay_billing FROM auth_service",
            "PostgreSQL: the login of auth may act as relay_billing too.",
        ),
        (
            f"INSERT INTO billing.account (id, status, status_version, posted_nano_usd) VALUES ('{ACCOUNT}', 'active', 1, 5)",
            f"SET session_replication_role = replica; DELETE FROM billing.account WHERE id = '{ACCOUNT}'",
            "ledger: I1 is broken: ",
        ),
    ],
    ids=["commit", "behind", "ahead", "changed", "rights", "login", "ledger"],
)  # fmt: skip
def test_a_fault_of_the_database_is_one_line(relay: Relay, broken: str, mended: str, line: str) -> None:
    """And nothing else is said to be wrong."""
    with while_executed(relay.database_url, broken, mended):
        lines = problems(relay.run("doctor"))

    assert {each.partition(". ")[0] for each in lines} == {lines[0].partition(". ")[0]}
    assert lines[0].startswith(line)


def test_models_and_prices_belong_together(relay: Relay) -> None:
    """A model without a price cannot be called, a price without a channel is never asked for."""
    operator = relay.variables_of("operator")
    run("channel", "update", "upstream", "--model", "other", environment=operator)
    both = problems(relay.run("doctor", "--no-audit"))
    run("channel", "off", "upstream", environment=operator)
    none = problems(relay.run("doctor", "--no-audit"))
    run("channel", "on", "upstream", environment=operator)
    run("channel", "update", "upstream", "--model", "model", environment=operator)

    assert [line.partition(". ")[0] for line in both] == [
        "prices: other has no price, so that nobody can call it",
        "prices: model has a price, but no enabled channel offers it",
    ]
    assert [line.partition(". ")[0] for line in none] == ["channels: no channel offers a model"]


def test_a_bus_without_users_and_services_is_told(relay: Relay, nats_url: str) -> None:
    """Everybody is let in, nothing is kept, and nobody answers."""
    lines = problems(relay.run("doctor", "--no-audit", RELAY_NATS_URL=nats_url))

    assert [line.partition(".")[0].partition(",")[0] for line in lines] == [
        "NATS: anybody is let in without a password",
        "NATS: JetStream is off",
        "auth: no replica answers auth",
        "billing: no replica answers billing",
        "dispatcher: no replica answers dispatch",
    ]


def test_an_edge_that_is_not_ready_says_what_it_misses(relay: Relay, tmp_path: Path) -> None:
    """As its /readyz names it; here the bus, which has ended under it."""
    with EmbeddedNats(tmp_path, nats_config(relay.passwords)) as nats:
        other = Relay(nats.url, relay.database_url, relay.passwords, relay.logins)
        with Services(other, **MAIL), edge(other) as url:
            nats.stop()
            lines = problems(relay.run("doctor", "--no-audit", RELAY_EDGE_URL=url))
            nats.start()

    assert [line.partition(". ")[0] for line in lines] == ["edge: /readyz says that it misses NATS"]


def test_what_is_not_told_is_not_checked(relay: Relay) -> None:
    """And that is said, with the setting that it needs."""
    only = {"RELAY_DATABASE_URL": relay.database_url}

    result = run("doctor", environment=only)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "Not checked: the master key (RELAY_MASTER_KEY);" in result.stdout
    assert "the login of billing (RELAY_DATABASE_URL_BILLING)" in result.stdout
    assert "NATS and the services (RELAY_NATS_URL)" in result.stdout


def test_the_local_stack_is_checked_when_nothing_is_named(relay: Relay, tmp_path: Path) -> None:
    """From the file that the stack writes."""
    noted = StackFile(
        nats_url=relay.nats_url,
        nats_user="operator",
        nats_password=relay.passwords["operator"],
        database_url=relay.database_url,
    )
    (tmp_path / STACK_FILE).write_bytes(msgspec.json.encode(noted))

    result = run("doctor", environment={"RELAY_DATA_DIR": str(tmp_path)})

    assert (result.exit_code, result.stderr) == (0, "")
    assert "the ledger" in result.stdout
    assert "the services" in result.stdout


def test_without_a_deployment_it_says_what_to_set() -> None:
    """Nor is there a local stack."""
    result = run("doctor", environment={})

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "Error: No deployment is named. Set RELAY_NATS_URL and RELAY_DATABASE_URL"
    )


def problems(result: Result) -> list[str]:
    """Return the lines of what is wrong, of a doctor that ended as it does when something is."""
    lines = result.stdout.splitlines()
    wrong = lines[: next(number for number, line in enumerate(lines) if line.startswith("Checked: "))]
    assert result.exit_code == (1 if wrong else 0)
    assert wrong
    assert f"Error: {len(wrong)} " in result.stderr
    return wrong


@contextmanager
def edge(relay: Relay, **variables: str) -> Iterator[str]:
    """Run an edge as a process; yield its URL once it is ready."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    given = NOWHERE | relay.variables_of("edge") | {"RELAY_PORT": str(port)} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "edge"], env=environment(**given),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        give_up = time.monotonic() + START_SECONDS
        while not is_ready(url):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)


def is_ready(url: str) -> bool:
    """Tell whether a service is ready."""
    with contextlib.suppress(OSError, urllib.error.HTTPError):
        return bool(urllib.request.urlopen(url + "/readyz", timeout=5).status == 200)
    return False


@contextmanager
def while_executed(url: str, broken: str, mended: str) -> Iterator[None]:
    """Break something for a block."""
    execute(url, broken)
    try:
        yield
    finally:
        execute(url, mended)


def execute(url: str, statement: str) -> None:
    """Execute a statement as the owner."""

    async def once() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(once())
