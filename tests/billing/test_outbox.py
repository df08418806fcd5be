"""The outbox: what was committed is told, at least once, whatever dies in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.billing import outbox
from services.billing.outbox import Publisher
from services.devstack.nats import EmbeddedNats
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import BILLING, EDGE
from shared.ids import uuid7
from shared.settings import Settings
from tests.billing import bookkeeping
from tests.billing.bookkeeping import Ledger
from tests.billing.running import until

Told = list[billing.UsageRecorded | billing.Credited]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again after a moment, so that the tests need not wait."""
    monkeypatch.setattr(outbox, "IDLE_SECONDS", 0.05)


async def listening(bus: Bus) -> Told:
    """Return a list that receives every event of billing's outbox from now on, in the order of their arrival."""
    told: Told = []

    async def note(event: billing.UsageRecorded | billing.Credited) -> None:
        told.append(event)

    await bus.listen(billing.USAGE_RECORDED, note)
    await bus.listen(billing.CREDITED, note)
    await bus.control.flush()
    return told


@pytest.fixture
async def told(nats_url: str) -> AsyncIterator[Told]:
    """What a subscriber has heard."""
    async with Bus(Settings(nats_url=nats_url), party=EDGE) as bus:
        yield await listening(bus)


@asynccontextmanager
async def publishing(ledger: Ledger, nats_url: str) -> AsyncIterator[Publisher]:
    """Run a publisher until it is cancelled, as if its process had died."""
    async with (
        Bus(Settings(nats_url=nats_url), party=BILLING) as bus,
        publishing_on(bus, ledger) as publisher,
    ):
        yield publisher


@asynccontextmanager
async def publishing_on(bus: Bus, ledger: Ledger) -> AsyncIterator[Publisher]:
    """Run a publisher on a bus that is there already."""
    publisher = Publisher(bus, ledger.url)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), "it runs until it is cancelled"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def used(ledger: Ledger, account_id: UUID, requests: int) -> list[str]:
    """Reserve and settle so many requests; return their ids in order."""
    ids = [uuid7() for _ in range(requests)]
    await ledger.execute(*(bookkeeping.reserve(each, account_id) for each in ids))
    await ledger.execute(*(bookkeeping.settle(each, account_id) for each in ids))
    return [str(each) for each in ids]


async def until_empty(ledger: Ledger) -> None:
    """Return when nothing waits in the outbox."""
    async with asyncio.timeout(30):
        while await ledger.count("outbox"):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.01)


async def until_nobody_publishes(ledger: Ledger) -> None:
    """Return when PostgreSQL has noticed that the publishers are gone, and has ended what they had asked."""
    publishers = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'relay-outbox' AND datname = current_database()"
    )
    async with asyncio.timeout(30):
        while await ledger.connection.fetchval(publishers):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.01)


async def test_each_settlement_and_credit_is_told_once_and_in_order(
    ledger: Ledger, told: Told, nats_url: str
) -> None:
    """With the figures of the row that it names."""
    await ledger.set_price()
    async with publishing(ledger, nats_url) as publisher:
        account_id = await ledger.open_account(10_000)
        requests = await used(ledger, account_id, 20)
        await ledger.call("credit", account_id, -300, "back", "taken back")
        publisher.wake()
        await until(lambda: len(told) == 22)
        await until_empty(ledger)

        assert publisher.published_total == 22
    credits = [event for event in told if isinstance(event, billing.Credited)]
    records = [event for event in told if isinstance(event, billing.UsageRecorded)]
    assert [event.amount_nano_usd for event in credits] == [10_000, -300]
    assert {event.account_id for event in told} == {str(account_id)}
    assert [event.request_id for event in records] == requests
    assert {event.charged_nano_usd for event in records} == {200}
    assert len({event.outbox_id for event in told}) == 22


async def test_what_waited_is_told_by_the_next_publisher(ledger: Ledger, told: Told, nats_url: str) -> None:
    """More than one batch of it, and without being woken."""
    await ledger.set_price()
    account_id = await ledger.open_account(1_000_000)
    for _ in range(5):
        await used(ledger, account_id, 128)

    async with publishing(ledger, nats_url):
        await until(lambda: len(told) == 641)
        await until_empty(ledger)
    ids = [event.outbox_id for event in told if isinstance(event, billing.UsageRecorded)]
    assert ids == sorted(set(ids))


async def test_a_publisher_that_dies_before_it_could_forget_tells_again(
    ledger: Ledger, told: Told, nats_url: str
) -> None:
    """Published and not deleted: the next one repeats it, and consumers know it by its id."""
    await ledger.open_account(1_000)
    await ledger.connection.execute("REVOKE EXECUTE ON FUNCTION billing.outbox_published FROM relay_billing")
    async with publishing(ledger, nats_url):
        await until(lambda: len(told) >= 1)
    await until_nobody_publishes(ledger)  # a delete still on its way would find the right given back
    assert await ledger.count("outbox") == 1
    heard = len(told)

    await ledger.connection.execute("GRANT EXECUTE ON FUNCTION billing.outbox_published TO relay_billing")
    async with publishing(ledger, nats_url):
        await until(lambda: len(told) > heard)
        await until_empty(ledger)
    assert len({event.outbox_id for event in told}) == 1


async def test_one_of_two_publishers_leads(ledger: Ledger, told: Told, nats_url: str) -> None:
    """Nothing is told twice, and when the leader dies the other one goes on."""
    async with publishing(ledger, nats_url) as first:
        await ledger.open_account(1_000)
        first.wake()
        await until(lambda: first.published_total == 1)
        async with contextlib.AsyncExitStack() as stack:
            second = await stack.enter_async_context(publishing(ledger, nats_url))
            for _ in range(5):
                await ledger.open_account(1_000)
                first.wake()
                second.wake()
            await until(lambda: first.published_total == 6)
            assert second.published_total == 0
            keep = stack.pop_all()
    async with keep:
        await ledger.open_account(1_000)
        await until(lambda: second.published_total == 1)
        await until_empty(ledger)
    assert len(told) == 7
    assert len({event.outbox_id for event in told}) == 7


async def test_a_bus_that_is_away_is_waited_for(ledger: Ledger, tmp_path: Path) -> None:
    """What is committed in the meantime stays, and is told when it is back."""
    server = EmbeddedNats(tmp_path, "")
    server.start()
    try:
        async with Bus(Settings(nats_url=server.url), party=BILLING) as bus:
            told = await listening(bus)
            async with publishing_on(bus, ledger) as publisher:
                await ledger.open_account(1)
                publisher.wake()
                await until(lambda: len(told) == 1)
                server.stop()
                await until(lambda: not bus.is_connected)
                for amount in (2, 3):
                    await ledger.open_account(amount)
                publisher.wake()
                await asyncio.sleep(0.1)
                assert await ledger.count("outbox") == 2
                server.start()
                await until(lambda: len(told) >= 3)
                await until_empty(ledger)
    finally:
        server.stop()
    assert sorted({event.amount_nano_usd for event in told if isinstance(event, billing.Credited)}) == [
        1,
        2,
        3,
    ]


async def test_a_publisher_outlives_its_connection(ledger: Ledger, told: Told, nats_url: str) -> None:
    """Killed by an administrator, it takes another one and leads again."""
    async with publishing(ledger, nats_url) as publisher:
        await ledger.open_account(1)
        publisher.wake()
        await until(lambda: publisher.published_total == 1)
        await ledger.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'relay-outbox' AND datname = current_database()"
        )
        await ledger.open_account(1)
        await until_empty(ledger)
    assert len(told) == 2


async def test_an_event_without_its_row_stops_nobody_for_good(
    ledger: Ledger, told: Told, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log again and again; once it has been repaired, what waited behind it is told."""
    insert = "INSERT INTO billing.outbox (subject, transfer_id) VALUES ('billing.event.credited', 999) RETURNING id"
    broken = await ledger.connection.fetchval(insert)
    await ledger.open_account(1)
    async with publishing(ledger, nats_url):
        await until(lambda: "the outbox waits: ValidationError" in caplog.text)
        assert not told
        await ledger.connection.execute("DELETE FROM billing.outbox WHERE id = $1", broken)
        await until_empty(ledger)
    assert len(told) == 1


async def test_a_database_that_does_not_let_us_in_is_waited_for(
    database_url: str, told: Told, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The publisher starts before the migration and works after it."""
    connection = await asyncpg.connect(database_url)
    try:
        ledger = Ledger(connection, database_url)
        async with publishing(ledger, nats_url):
            await until(lambda: "the outbox" in caplog.text)
            await bookkeeping.migrated(connection)
            await ledger.open_account(1)
            await until(lambda: len(told) == 1)
            await until_empty(ledger)
    finally:
        await connection.close()
