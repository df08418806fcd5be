"""The audit as a job: by one replica, in a process of its own, with a result that is a metric."""

import asyncio
import time

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from services.billing.audit import SENTENCES
from services.billing.audit_job import Order, Result, run
from shared.errors import Unavailable
from shared.ids import uuid7
from shared.settings import Secret
from tests.billing.bookkeeping import Ledger, reserve
from tests.billing.running import PATIENCE_SECONDS, running

VIOLATIONS = "relay_billing_audit_violations"
SUCCEEDED = "relay_billing_audit_last_success_timestamp_seconds"
FAULT = (
    "SET session_replication_role = replica; UPDATE billing.account SET posted_nano_usd = posted_nano_usd + 1; "
    "RESET session_replication_role"
)
REPAIR = FAULT.replace("+ 1", "- 1")


def figures(app: Starlette, name: str) -> dict[str, float]:
    """Return the series of a metric by the value of their only label."""
    return {
        next(iter(sample.labels.values()), ""): sample.value
        for family in text_string_to_metric_families(app.state.life.metrics.render().decode())
        for sample in family.samples
        if sample.name == name
    }


async def until_runs(app: Starlette, result: str, least: float) -> None:
    """Return when so many audits have had this result."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while figures(app, "relay_billing_audit_runs_total")[result] < least:  # noqa: ASYNC110 - a figure has no event
            await asyncio.sleep(0.02)


async def test_a_sound_ledger_has_no_violations(ledger: Ledger, nats_url: str) -> None:
    """Every invariant is shown with 0, and when it was seen."""
    await ledger.open_account(1_000)
    began = time.time()
    async with running(ledger.url, nats_url, audit_seconds=0.2) as app:
        await until_runs(app, "sound", 1)

        assert figures(app, VIOLATIONS) == dict.fromkeys(SENTENCES, 0.0)
        assert began <= figures(app, SUCCEEDED)[""] <= time.time()
        assert figures(app, "relay_billing_audit_seconds")[""] > 0


async def test_a_violation_is_shown_and_told_until_it_is_repaired(
    ledger: Ledger, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the invariant and how many rows break it, and nobody's money."""
    account_id = await ledger.open_account(1_234_567)
    async with running(ledger.url, nats_url, audit_seconds=0.2) as app:
        await ledger.connection.execute(FAULT)
        await until_runs(app, "broken", 1)
        shown = figures(app, VIOLATIONS)
        await ledger.connection.execute(REPAIR)
        await until_runs(app, "sound", figures(app, "relay_billing_audit_runs_total")["sound"] + 2)

        assert (shown["I1"], shown["I2"]) == (1, 0)
        assert figures(app, VIOLATIONS)["I1"] == 0
    line = next(record for record in caplog.records if getattr(record, "invariant", "") == "I1")
    assert (line.levelname, line.__dict__["rows"]) == ("ERROR", 1)
    assert "123456" not in str(line.__dict__)
    assert str(account_id) not in str(line.__dict__)


async def test_only_the_replica_that_leads_audits(ledger: Ledger, nats_url: str) -> None:
    """The other shows nothing, and takes over when the first has ended."""
    async with running(ledger.url, nats_url, audit_seconds=0.2) as first:
        await until_runs(first, "sound", 1)
        async with running(ledger.url, nats_url, audit_seconds=0.2) as second:
            await until_runs(first, "sound", 4)
            assert figures(second, VIOLATIONS) == figures(second, SUCCEEDED) == {}
            assert figures(second, "relay_billing_audit_runs_total") == {
                "sound": 0, "broken": 0, "failed": 0, "skipped": 0,
            }  # fmt: skip
            await ledger.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay-outbox'"
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                while sum(bool(figures(app, VIOLATIONS)) for app in (first, second)) != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_without_audits_nothing_is_shown(ledger: Ledger, nats_url: str) -> None:
    """With 0 there is none, however long it is waited for."""
    async with running(ledger.url, nats_url, audit_seconds=0) as app:
        await asyncio.sleep(0.5)

        assert figures(app, VIOLATIONS) == {}


async def test_a_database_that_cannot_be_audited_is_a_failed_run(
    ledger: Ledger, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Billing goes on; the line says what kind of fault it was, and no password."""
    url = Secret("postgresql://nobody:recognisable@127.0.0.1:1/nowhere")
    async with running(ledger.url, nats_url, audit_seconds=0.2, audit_database_url=url) as app:
        await until_runs(app, "failed", 2)

        assert figures(app, SUCCEEDED) == {}
    (*_, line) = [record for record in caplog.records if "the audit failed" in record.getMessage()]
    assert "Unavailable" in line.getMessage()
    assert "recognisable" not in caplog.text


async def test_an_audit_takes_no_longer_than_it_may(ledger: Ledger) -> None:
    """One that is locked out of a table gives up."""
    async with ledger.connection.transaction():
        await ledger.connection.execute("LOCK TABLE billing.transfer IN ACCESS EXCLUSIVE MODE")
        with pytest.raises((TimeoutError, asyncpg.QueryCanceledError)):
            await run(Order(database_url=ledger.url, seconds_max=0.5))


async def test_two_audits_of_one_database_do_not_run_together(ledger: Ledger) -> None:
    """Whoever comes second does nothing."""
    await ledger.connection.execute("SELECT pg_advisory_lock(hashtextextended('relay billing audit', 0))")

    assert await run(Order(database_url=ledger.url, seconds_max=10)) == Result(violations=None)


async def test_an_audit_changes_nothing_and_sees_one_moment(ledger: Ledger) -> None:
    """It may run while requests do: a live hold is no violation."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000)
    await ledger.execute(reserve(uuid7(), account_id))

    result = await run(Order(database_url=ledger.url, seconds_max=10))

    assert result.violations == dict.fromkeys(SENTENCES, 0)


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    """In the words that the parent logs."""
    with pytest.raises(Unavailable):
        await run(Order(database_url="postgresql://127.0.0.1:1/x", seconds_max=10))
