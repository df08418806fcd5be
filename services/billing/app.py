"""Billing's wiring."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from services.billing.account_handlers import AccountHandlers
from services.billing.handlers import Handlers
from services.billing.lane import Lane
from services.billing.outbox import Publisher
from services.billing.reaper import Reaper
from services.billing.settings import BillingSettings
from services.billing.spill import Spill
from shared.bus import Bus
from shared.db import Connection, connect, open_pool
from shared.metrics import Metrics
from shared.service import Life, build


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
            life.run_beside(stack, publisher.run())
            handlers = Handlers(bus, pool, lanes, settings, committed=publisher.wake)
            await handlers.serve()
            await AccountHandlers(bus, pool, settings).serve()
            life.run_beside(stack, Spill(bus, handlers, metrics, replicas=settings.nats_replicas).run())
            await bus.control.flush()  # ready means heard
            async with AsyncExitStack() as serving:  # the reaper ends before renewals do
                life.run_beside(serving, Reaper(bus, pool, settings, expired=publisher.wake).run())
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
