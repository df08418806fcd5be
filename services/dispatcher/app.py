"""The dispatcher's wiring."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from services.dispatcher.addresses import AddressPolicy
from services.dispatcher.answering import Answering
from services.dispatcher.channels import Channels
from services.dispatcher.failover import Failover
from services.dispatcher.handlers import Handlers
from services.dispatcher.health import Health
from services.dispatcher.keys import Keys
from services.dispatcher.master_key import sealer
from services.dispatcher.probing import Prober
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.transport import AiohttpTransport
from services.dispatcher.upstream import Upstream
from shared.bus import Bus, Callees
from shared.contracts import dispatcher
from shared.db import open_pool
from shared.metrics import Metrics
from shared.service import Life, build


def create_app(settings: DispatcherSettings, bus: Bus) -> Starlette:
    """Return the dispatcher as an application: it answers streams, and serves `dispatch.*` and `channel.*`."""
    sealing = sealer(settings.master_key, settings.master_key_previous)
    networks = settings.networks()
    known: list[Channels] = []

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                open_pool(
                    settings.database_url.reveal(),
                    schema="dispatcher",
                    application="relay-dispatcher",
                    size=settings.database_pool_size,
                )
            )
            transport = AiohttpTransport(
                addresses=AddressPolicy(allowed_networks=networks),
                limit_per_host=settings.upstream_connections_per_host,
            )
            stack.push_async_callback(transport.aclose)
            health = Health()
            channels = Channels(pool, sealing, health, reread_seconds=settings.channels_reread_seconds)
            known[:] = [channels]
            await channels.read()
            life.run_beside(stack, channels.run())
            upstream = Upstream(transport, settings)
            keys = await stack.enter_async_context(Keys(bus, pool, channels, health))
            prober = Prober(pool, channels, upstream, health, keys, settings)
            life.run_beside(stack, prober.run())
            answering = Answering(bus, Failover(channels, upstream, health, keys, settings, metrics))
            callees = await stack.enter_async_context(
                Callees(
                    bus,
                    answering.serve,
                    streams_max=settings.streams_max,
                    body_bytes_max=settings.body_memory_bytes,
                )
            )
            _measure(metrics, callees, channels)
            await bus.listen(dispatcher.CHANNEL_CHANGED, channels.on_changed)
            await Handlers(bus, pool, sealing, channels).serve()
            await bus.serve(dispatcher.TEST_CHANNEL, prober.on_demand)
            await callees.start()
            yield {}
            await callees.drain(life.patience(settings.drain_seconds))
            await bus.stop_serving(timeout_seconds=settings.drain_seconds)

    return build(bus, opened, checks=[lambda: "channels" if any(c.is_stale for c in known) else None])


def _measure(metrics: Metrics, callees: Callees, channels: Channels) -> None:
    callees.measure(metrics)
    for name, help_text, value in (
        ("streams", "Answers being carried", lambda: callees.active),
        ("body_bytes", "Bytes of the bodies of running calls", lambda: callees.body_bytes),
        ("channels", "Channels that can be called", lambda: len(channels.routes)),
        (
            "channels_age_seconds",
            "Since the channels were last read from PostgreSQL",
            lambda: time.monotonic() - channels.read_at,
        ),
    ):
        metrics.gauge(f"dispatcher_{name}", help_text).set_function(value)
