"""What was done, counted by the hour: each end once, where it belongs, whoever dies; and what is shown is what the rows say."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.billing import traffic_store
from services.billing.audit import audit
from services.billing.outbox import Publisher
from shared.bus import Bus
from shared.contracts import records
from shared.contracts.call import BILLING
from shared.errors import InvalidRequest
from shared.ids import uuid7
from shared.migrate import migrate
from shared.settings import Settings
from tests.billing.bookkeeping import Ledger, expire, migrated, reserve, settle, void
from tests.billing.running import asking, until

NOW = datetime(2026, 5, 17, 13, 45, 7, tzinfo=UTC)
FAULT = {"reason": "not_accepted_upstream", "error": "no_channel_available"}


@pytest.fixture
async def account(ledger: Ledger) -> UUID:
    """An account with money, and prices for the models `m` and `n`."""
    await ledger.set_price()
    await ledger.set_price(model="n")
    return await ledger.open_account(10**9)


async def history(ledger: Ledger, account: UUID) -> None:
    """Three answers, one of them a stream, a fault, a refusal, one that was left, one lost, one settled late, and one that runs."""
    answered, streamed, other, fault, refused, left, lost, late, running = (uuid7() for _ in range(9))
    lease = f"gone-{account}"
    await ledger.call("renew_lease", lease, 3600)
    await ledger.execute(
        *(reserve(request, account) for request in (answered, fault, refused, left, running)),
        reserve(streamed, account, is_stream=True), reserve(other, account, model="n"),
        *(reserve(request, account, lease_id=lease) for request in (lost, late)),
    )  # fmt: skip
    await ledger.call("end_lease", lease)
    await ledger.execute(
        settle(answered, account, cache_read_tokens=20), settle(streamed, account, first_output_ms=200, took_ms=1200),
        settle(other, account, output_tokens=10), void(fault, account, channel="b", **FAULT),
        void(refused, account, reason="refused", error="context_length_exceeded"), void(left, account),
        expire(lost, account), expire(late, account),
    )  # fmt: skip
    await ledger.execute(settle(late, account, output_tokens=1))


async def count_everything(ledger: Ledger) -> None:
    """Take everything out of the outbox."""
    rows = await ledger.connection.fetch("SELECT id FROM billing.outbox WHERE subject <> ''")
    await ledger.call("outbox_published", [row["id"] for row in rows])
    await ledger.call("count_untold", 1000)
    assert await ledger.count("outbox") == 0


async def shown(ledger: Ledger, account: UUID | None) -> traffic_store.Counts:
    """What is shown of the last day."""
    async with ledger.connection.transaction():
        await ledger.connection.execute("SET LOCAL ROLE relay_billing")
        span = traffic_store.span_of(await traffic_store.bound(ledger.connection), 1)
        return await traffic_store.counts(ledger.connection, None if account is None else str(account), span)


async def test_each_end_counts_once_and_late_money_is_no_request(ledger: Ledger, account: UUID) -> None:
    """The same before it is counted, while it is, and after it; a late charge adds money and tokens to its hour, and no more."""
    await history(ledger, account)
    waiting = await shown(ledger, account)
    rows = await ledger.connection.fetch("SELECT id FROM billing.outbox WHERE subject <> '' LIMIT 3")
    await ledger.call("outbox_published", [row["id"] for row in rows])
    partly = await shown(ledger, account)
    await count_everything(ledger)
    counted = await shown(ledger, account)

    assert waiting == partly == counted
    assert counted.of(traffic_store.ALL) == records.Figures(
        requests=8, failed=4, faults=3, input_tokens=400, cached_tokens=20, output_tokens=111, cost_nano_usd=604,
        charged_nano_usd=604, writeoff_nano_usd=0, first_output_ms=206,
    )  # fmt: skip
    charged = await ledger.connection.fetchval("SELECT sum(charged_nano_usd) FROM billing.usage")
    assert counted.of(traffic_store.ALL).charged_nano_usd == charged
    assert await audit(ledger.connection) == []


async def test_parts_add_up_to_the_whole(ledger: Ledger, account: UUID) -> None:
    """By model, key, error and step; the dearest first. The site has its channels, which no account is told."""
    other = await ledger.open_account(10**9)
    await history(ledger, account)
    await history(ledger, other)
    mine, site = await shown(ledger, account), await shown(ledger, None)

    assert [part.id for part in mine.parts(traffic_store.BY_MODEL)] == ["m", "n"]
    assert [part.id for part in mine.parts(traffic_store.BY_KEY)] == [f"key-{account}"]
    assert {part.id for part in mine.parts(traffic_store.BY_CHANNEL)} == {""}
    assert {part.id: part.figures.requests for part in mine.parts(traffic_store.BY_ERROR)} == {
        "": 4, "no_channel_available": 1, "context_length_exceeded": 1, "lost": 2,
    }  # fmt: skip
    assert {part.id: part.figures.requests for part in site.parts(traffic_store.BY_CHANNEL)} == {
        "": 8, "b": 2, "channel": 6,
    }  # fmt: skip
    for level in (
        traffic_store.BY_MODEL,
        traffic_store.BY_ERROR,
        traffic_store.BY_CHANNEL,
        traffic_store.BY_STEP,
    ):
        parts = site.parts(level)
        whole = site.of(traffic_store.ALL)
        assert sum(part.figures.charged_nano_usd for part in parts) == whole.charged_nano_usd == 2 * 604
        assert sum(part.figures.requests for part in parts) == whole.requests == 16
    assert sum(sum(steps.values()) for steps in mine.charged.values()) == 604


async def test_two_who_publish_count_once(ledger: Ledger, account: UUID) -> None:
    """Whoever is second to take a row out of the outbox finds it gone, and counts nothing."""
    await history(ledger, account)
    rows = await ledger.connection.fetch("SELECT id FROM billing.outbox WHERE subject <> ''")
    ids = [row["id"] for row in rows]
    rival = await asyncpg.connect(ledger.url)
    try:
        async with rival.transaction():
            assert await rival.fetchval("SELECT billing.outbox_published($1)", ids) == len(ids)
            second = asyncio.create_task(ledger.call("outbox_published", ids))
            await asyncio.sleep(0.1)
        assert await second == 0
    finally:
        await rival.close()
    assert await audit(ledger.connection) == []


async def test_a_publisher_that_dies_has_counted_nothing(ledger: Ledger, account: UUID) -> None:
    """Counting and forgetting are one transaction."""
    await history(ledger, account)
    before = await shown(ledger, None)
    rows = await ledger.connection.fetch("SELECT id FROM billing.outbox")
    transaction = ledger.connection.transaction()
    await transaction.start()
    await ledger.call("outbox_published", [row["id"] for row in rows])
    await transaction.rollback()

    assert await ledger.count("traffic") == 0
    assert await shown(ledger, None) == before
    assert await audit(ledger.connection) == []


async def test_a_publisher_counts_what_nobody_is_told_of(
    ledger: Ledger, account: UUID, nats_url: str
) -> None:
    """Voids wait in the outbox to be counted, and are not published."""
    await history(ledger, account)
    before = await shown(ledger, None)
    async with Bus(Settings(nats_url=nats_url), party=BILLING) as bus:
        publisher = Publisher(bus, ledger.url)
        task = asyncio.create_task(publisher.run())
        try:
            await until(lambda: publisher.published_total == 7)
            async with asyncio.timeout(30):
                while await ledger.count("outbox"):  # noqa: ASYNC110 - PostgreSQL tells nobody
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert await shown(ledger, None) == before
    assert await audit(ledger.connection) == []


async def test_what_was_before_is_counted_by_the_migration(database_url: str, tmp_path: Path) -> None:
    """What was published then, once; what waits is counted when it leaves the outbox."""
    connection = await asyncpg.connect(database_url)
    try:
        for file in sorted(
            (resources.files("services.billing") / "migrations").iterdir(), key=lambda each: each.name
        ):
            if file.name < "0013":
                shutil.copy(str(file), tmp_path / file.name)
        await migrate(connection, schema="billing", folder=tmp_path)
        ledger = Ledger(connection, database_url)
        await ledger.set_price()
        await ledger.set_price(model="n")
        account = await ledger.open_account(10**9)
        await history(ledger, account)
        rows = await connection.fetch("SELECT id FROM billing.outbox WHERE subject <> '' ORDER BY id LIMIT 4")
        await ledger.call("outbox_published", [row["id"] for row in rows])

        await migrated(connection)

        assert (await shown(ledger, account)).of(traffic_store.ALL).charged_nano_usd == 604
        assert await audit(connection) == []
        await count_everything(ledger)
        assert (await shown(ledger, account)).of(traffic_store.ALL).requests == 8
        assert await audit(connection) == []
    finally:
        await connection.close()


@pytest.mark.parametrize("days", [1, 7, 30, 90])
def test_a_span_has_no_gaps(days: int) -> None:
    """It ends with the step that runs, and the span before it ends where it begins."""
    span = traffic_store.span_of(NOW, days)
    steps = span.begins

    assert steps[-1] <= NOW < span.end
    assert len(steps) == span.steps == (24 if days == 1 else days)
    assert {later - earlier for earlier, later in itertools.pairwise(steps)} == {
        timedelta(seconds=span.step_seconds)
    }
    assert span.former.end == span.first
    assert span.former.steps == span.steps
    assert days == 1 or steps[0].hour == 0


@pytest.fixture
async def bus(ledger: Ledger, nats_url: str) -> AsyncIterator[Bus]:
    """Whoever asks; billing runs."""
    async with asking(ledger, nats_url) as asker:
        yield asker


async def test_an_account_hears_of_itself(ledger: Ledger, bus: Bus) -> None:
    """In steps without gaps, with zeros where nothing happened; another account's traffic is in none of it."""
    await ledger.set_price(model="n")
    account, other = await ledger.open_account(10**9), await ledger.open_account(10**9)
    await history(ledger, account)
    await history(ledger, other)
    await ledger.connection.execute(
        """INSERT INTO billing.traffic VALUES
            ('account', $1, now() - interval '8 days', 'k', 'm', '', '', 5, 1, 1, 10, 0, 10, 50, 50, 0)""",
        account,
    )
    found = await bus.call(records.GET_OVERVIEW, records.GetOverview(account_id=str(account), days=7))
    nobody = await bus.call(records.GET_OVERVIEW, records.GetOverview(account_id=str(uuid7()), days=30))

    course = found.course
    assert (course.totals.requests, course.totals.charged_nano_usd) == (8, 604)
    assert (course.before.requests, course.before.charged_nano_usd) == (5, 50)
    assert [step.figures.requests for step in course.steps] == [0, 0, 0, 0, 0, 0, 8]
    assert {step.began_unix % 86_400 for step in course.steps} == {0}
    assert [(part.id, part.figures.charged_nano_usd) for part in found.models] == [("m", 484), ("n", 120)]
    assert [(series.model, sum(series.charged_nano_usd)) for series in found.series] == [
        ("m", 484),
        ("n", 120),
    ]
    only = records.GetOverview(account_id=str(account), days=1, model="n", key_id=f"key-{account}")
    assert (await bus.call(records.GET_OVERVIEW, only)).course.totals.requests == 1
    assert (nobody.course.totals, nobody.models, nobody.keys) == (records.Figures(), (), ())
    assert len(nobody.course.steps) == 30
    spent = records.GetKeySpending(account_id=str(account), key_ids=(f"key-{account}", f"key-{other}", "k"))
    assert (await bus.call(records.GET_KEY_SPENDING, spent)).charged_nano_usd == {
        f"key-{account}": 604,
        "k": 50,
    }
    with pytest.raises(InvalidRequest):
        await bus.call(records.GET_OVERVIEW, records.GetOverview(account_id="x", days=7))


async def test_operators_hear_of_the_whole_site(ledger: Ledger, bus: Bus) -> None:
    """Its traffic by channel and error, its money, and the last audit, from any replica."""
    await ledger.set_price(model="n")
    account = await ledger.open_account(10**9)
    await history(ledger, account)
    await ledger.call("credit", account, -1_000, "back", "a mistake")
    before = await bus.call(records.GET_TRAFFIC, records.GetTraffic(days=7))
    await ledger.call("note_audit", 1_500, 19, 2)
    found = await bus.call(records.GET_TRAFFIC, records.GetTraffic(days=7))

    assert before.audit is None
    assert found.audit is not None
    assert (found.audit.took_ms, found.audit.invariants, found.audit.findings) == (1_500, 19, 2)
    posted, held = await ledger.balance(account)
    assert (found.owed_nano_usd, found.held_nano_usd, found.running, found.accounts) == (posted, held, 1, 1)
    assert found.credited_nano_usd == 10**9 - 1_000
    assert {part.id: part.figures.failed for part in found.channels} == {"b": 1, "channel": 0}
    assert (found.errors[0].id, found.errors[0].figures.requests) == ("lost", 2)
    assert found.course.totals.requests == 8


async def test_status_counts_faults_and_no_refusals(ledger: Ledger, bus: Bus) -> None:
    """By model, in slices without gaps; times are those of streams, and a model without one has none."""
    await ledger.set_price(model="n")
    account = await ledger.open_account(10**9)
    await history(ledger, account)
    for hours, slices in ((1, 12), (24, 24), (168, 28)):
        found = await bus.call(records.GET_STATUS, records.GetStatus(hours=hours))  # type: ignore[arg-type]
        m, n = found.items
        assert (m.model, m.requests, m.faults) == ("m", 7, 3)
        assert (n.model, n.requests, n.faults) == ("n", 1, 0)
        assert len(m.slices) == slices
        assert (m.slices[-1].began_unix - m.slices[0].began_unix) == (slices - 1) * found.slice_seconds
        assert (m.first_output_ms, m.first_output_p95_ms) == (206, 206)
        assert m.tokens_per_second is not None
        assert abs(m.tokens_per_second / 50 - 1) < 0.05
        assert (n.first_output_ms, n.tokens_per_second) == (None, None)
