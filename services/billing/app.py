"""Billing's wiring."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from services.billing.account_handlers import AccountHandlers
from services.billing.auditor import Auditor
from services.billing.handlers import Handlers
from services.billing.lane import Lane
from services.billing.outbox import Publisher
from services.billing.reaper import Reaper
from services.billing.record_handlers import RecordHandlers
from services.billing.settings import BillingSettings
from services.billing.spill import Spill
from services.billing.standing import Watch
from shared.bus import Bus
from shared.db import Connection, connect, open_pool
from shared.metrics import Metrics
from shared.service import Life, build

PAST_CONNECTIONS = 2  # looks at the past at the same time; others wait, and money never waits for them


def create_app(settings: BillingSettings, bus: Bus) -> Starlette:
    """Return billing as an application: it serves `billing.*`, publishes the outbox and expires holds while it runs."""
    url = settings.database_url.reveal()
    lanes: list[Lane] = []

    async def connect_lane() -> Connection:
        return await connect(url, schema="billing", application="relay-billing-lane")

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            size = settings.database_pool_size
            pool = await stack.enter_async_context(
                open_pool(
                    url, schema="billing", application="relay-billing", size=size, statement_seconds=None
                )
            )
            observe = metrics.seconds(
                "billing_batch_seconds", "From sending a batch to PostgreSQL to its commit"
            ).observe
            lanes[:] = [
                await stack.enter_async_context(Lane(connect_lane, observe=observe))
                for _ in range(settings.lanes)
            ]
            for task in (task for lane in lanes for task in lane.tasks):
                life.guard(task)
            _measure(metrics, bus, lanes)
            publisher = Publisher(bus, url)
            publisher.measure(metrics)
            life.run_beside(stack, publisher.run())
            handlers = Handlers(bus, pool, lanes, settings, committed=publisher.wake)
            await handlers.serve()
            await AccountHandlers(bus, pool, settings).serve()
            past = await stack.enter_async_context(
                open_pool(url, schema="billing", application="relay-billing-past", size=PAST_CONNECTIONS)
            )
            await RecordHandlers(bus, past).serve()
            spill = Spill(bus, handlers, metrics, replicas=settings.nats_replicas)
            auditor = Auditor(settings, pool, leads=lambda: publisher.is_leading, metrics=metrics)
            for work in (spill.run(), Watch(pool, spill, metrics).run(), auditor.run()):
                life.run_beside(stack, work)
            await bus.control.flush()  # ready means heard
            async with AsyncExitStack() as serving:  # the reaper ends before renewals do
                life.run_beside(serving, Reaper(bus, pool, settings, expired=publisher.wake).run())
                yield {}
            await bus.stop_serving(timeout_seconds=settings.drain_seconds)

    return build(bus, opened, checks=[lambda: "PostgreSQL" if any(lane.is_away for lane in lanes) else None])


def _measure(metrics: Metrics, bus: Bus, lanes: list[Lane]) -> None:
    for name, help_text, read in (
        ("calls_running", "Calls being answered", lambda: bus.running),
        (
            "commands_queued",
            "Commands that wait for the next batch",
            lambda: sum(lane.queued for lane in lanes),
        ),
        (
            "commands_blocked",
            "Commands that wait for an account which another transaction has locked",
            lambda: sum(lane.blocked for lane in lanes),
        ),
        (
            "postgresql_away",
            "Whether a lane has lost PostgreSQL: 1 or 0",
            lambda: any(lane.is_away for lane in lanes),
        ),
    ):
        metrics.gauge(f"billing_{name}", help_text).set_function(read)
    metrics.total(
        "billing_postgresql_lost_total",
        "Times a lane lost PostgreSQL, or did not find it",
        lambda: sum(lane.lost_total for lane in lanes),
    )
    metrics.totals(
        "billing_commands_total",
        "Commands on holds by what they are and their result; a busy one is sent again",
        ("op", "result"),
        lambda: sum((lane.results for lane in lanes), Counter()),
    )
