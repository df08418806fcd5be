"""Billing's wiring."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from starlette.applications import Starlette

from services.billing import store
from services.billing.handlers import Handlers
from services.billing.lane import Lane
from services.billing.outbox import Publisher
from services.billing.settings import BillingSettings
from shared.bus import Bus
from shared.db import Connection, Pool, connect, open_pool, transaction
from shared.errors import Unavailable
from shared.metrics import Metrics
from shared.service import Life, build

EXPIRE_BATCH = 256
TOMBSTONE_SECONDS = 86_400  # no reserve is under way for so long

log = logging.getLogger(__name__)


def create_app(settings: BillingSettings, bus: Bus) -> Starlette:
    """Return billing as an application: it serves `billing.*`, publishes the outbox and expires holds while it runs."""
    url = settings.database_url.reveal()
    lanes: list[Lane] = []

    async def connect_lane() -> Connection:
        return await connect(url, schema="billing", application="relay-billing-lane")

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                open_pool(
                    url,
                    schema="billing",
                    application="relay-billing",
                    size=settings.database_pool_size,
                    statement_seconds=None,
                )
            )
            lanes[:] = [await stack.enter_async_context(Lane(connect_lane)) for _ in range(settings.lanes)]
            for task in (task for lane in lanes for task in lane.tasks):
                life.guard(task)
            _measure(metrics, bus, lanes)
            publisher = Publisher(bus, url)
            for work in (publisher.run(), _reap(pool, settings, publisher)):
                life.run_beside(stack, work)
            await Handlers(bus, pool, lanes, settings, committed=publisher.wake).serve()
            await bus.control.flush()  # ready means heard
            yield {}
            await bus.stop_serving(timeout_seconds=settings.drain_seconds)

    return build(bus, opened, checks=[lambda: "PostgreSQL" if any(lane.is_away for lane in lanes) else None])


def _measure(metrics: Metrics, bus: Bus, lanes: list[Lane]) -> None:
    metrics.gauge("billing_calls_running", "Calls being answered").set_function(lambda: bus.running)
    metrics.gauge("billing_batches", "Batches sent to PostgreSQL since the start").set_function(
        lambda: sum(lane.batches_total for lane in lanes)
    )
    metrics.gauge("billing_commands", "Commands in those batches").set_function(
        lambda: sum(lane.commands_total for lane in lanes)
    )


async def _reap(pool: Pool, settings: BillingSettings, publisher: Publisher) -> None:
    while True:
        await asyncio.sleep(settings.reap_seconds)
        try:
            while await _expire(pool, settings, publisher) == EXPIRE_BATCH:
                continue
            async with transaction(pool) as connection:
                await store.prune_tombstones(connection, age_seconds=TOMBSTONE_SECONDS)
        except Unavailable:
            continue  # the lanes say so, and the next look repairs what this one missed
        except asyncpg.PostgresError:
            log.exception("the reaper failed; it goes on")


async def _expire(pool: Pool, settings: BillingSettings, publisher: Publisher) -> int:
    async with transaction(pool) as connection:
        expired = await store.expire(
            connection,
            batch=EXPIRE_BATCH,
            grace_seconds=settings.expiry_grace_seconds,
            uptime_seconds=settings.lease_seconds,
        )
    if expired:
        log.warning("holds expired whose edge or deadline had passed", extra={"holds": expired})
        publisher.wake()
    return expired
