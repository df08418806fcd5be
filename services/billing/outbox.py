"""The outbox: events that a commit has promised, published from the table by one replica at a time.

A row is deleted after it was published and flushed, so every event is told at least once, and is counted in the transaction that
deletes it (`0013_traffic.sql`), so it is counted once. The events of one account are told in
the order of their ids, and so is whatever is committed when a batch is read; a transaction that commits late may bring a lower
id after a higher one. Consumers know a repeat by `outbox_id`. The replica that leads holds an advisory lock on its own connection;
when it dies another takes over.
"""

import asyncio
import logging

import asyncpg
import msgspec

from services.billing import store
from services.billing.takings import Row, Takings
from shared.bus import Bus
from shared.contracts import billing
from shared.db import AWAY, STATEMENT_SECONDS, Connection, connect
from shared.errors import RelayError
from shared.failpoints import failpoint
from shared.metrics import Metrics

BATCH = 500
IDLE_SECONDS = 1.0
# One delete serves many events, and nobody waits for them: pages count what still stands in the outbox.
LINGER_SECONDS = 0.1

log = logging.getLogger(__name__)


class Publisher:
    """Publishes the outbox until it is cancelled; `wake` says that there is something new."""

    def __init__(self, bus: Bus, database_url: str) -> None:
        self._bus = bus
        self._url = database_url
        self._news = asyncio.Event()
        self.takings = Takings()
        self.is_leading = False
        self.published_total = 0

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` what was published, and whether this process does it."""
        self.takings.measure(metrics)
        metrics.gauge(
            "billing_leads", "Whether this process publishes the outbox and audits: 1 or 0"
        ).set_function(lambda: self.is_leading)
        metrics.total(
            "billing_published_total", "Events published from the outbox", lambda: self.published_total
        )

    def wake(self) -> None:
        """Note that a commit has written an event."""
        self._news.set()

    async def run(self) -> None:
        """Lead whenever nobody else does, and publish. Faults of bus and database are waited out, and nothing is passed over."""
        while True:
            try:
                connection = await connect(
                    self._url,
                    schema="billing",
                    application="relay-outbox",
                    statement_seconds=STATEMENT_SECONDS,
                )
            except (RelayError, asyncpg.PostgresError) as error:
                log.warning("the outbox cannot connect: %s", type(error).__name__)
                await asyncio.sleep(IDLE_SECONDS)
                continue
            try:
                await self._publish_on(connection)
            except (*AWAY, asyncpg.PostgresError, RelayError, msgspec.MsgspecError) as error:
                log.warning("the outbox waits: %s", type(error).__name__)
                await asyncio.sleep(IDLE_SECONDS)
            finally:
                self.is_leading = False
                connection.terminate()

    async def _publish_on(self, connection: Connection) -> None:
        while not await store.lead_outbox(connection):  # noqa: ASYNC110 - the lead is PostgreSQL's to give
            await asyncio.sleep(IDLE_SECONDS)
        self.is_leading = True
        while True:
            self._news.clear()
            events = await store.outbox(connection, BATCH)
            if events:
                rows = [await self._publish(event) for event in events]
                await self._bus.control.flush()
                failpoint("billing.published")
                await store.outbox_published(connection, [event.id for event in events])
                self.published_total += len(events)
                self.takings.add(rows)
            untold = await store.count_untold(connection, BATCH)
            if max(len(events), untold) < BATCH:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):  # not wait_for: in Python 3.11 it can lose our end
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(LINGER_SECONDS)

    async def _publish(self, event: store.Event) -> Row:
        row = msgspec.json.decode(event.body, type=Row)
        if event.subject == billing.USAGE_RECORDED.subject:
            usage = billing.UsageRecorded(
                outbox_id=event.id,
                request_id=row.request_id,
                account_id=row.account_id,
                charged_nano_usd=row.charged_nano_usd,
            )
            await self._bus.publish(billing.USAGE_RECORDED, usage)
            return row
        is_credit = row.kind == "credit"
        credited = billing.Credited(
            outbox_id=event.id,
            account_id=row.credit_account if is_credit else row.debit_account,
            amount_nano_usd=row.amount_nano_usd if is_credit else -row.amount_nano_usd,
        )
        await self._bus.publish(billing.CREDITED, credited)
        return row
