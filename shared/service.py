"""The skeleton of all four services: how one starts, says that it is ready, and stops.

A service is `create_app(settings, bus) -> Starlette`, built here by `build()`: the bus is connected first, then the service's own
lifespan opens what it holds, then the listener opens. On SIGTERM or SIGINT the order is reversed: readiness goes off and
`on_stop` is told at once, the listener closes, open responses finish within `drain_seconds`, the service's lifespan takes
no new calls, finishes the running ones and settles what it owes, and the bus closes last.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import FrameType
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ExceptionHandler

from shared import log as relay_log
from shared.bus import Bus
from shared.errors import Unavailable
from shared.metrics import CONTENT_TYPE, Metrics
from shared.settings import Settings, T

START_SECONDS = 30.0  # how long a service waits for the bus and the database before it gives up
BACKLOG = 4096
PEER_SECONDS = 90.0  # how long a connection may take nothing of what is sent to it
GRACE_SECONDS = 5.0  # beyond drain_seconds, for the last words of streams that were cut

log = logging.getLogger(__name__)


class Life:
    """Where a service is in its life: `stopping` is set by the first signal, before anything closes."""

    def __init__(self) -> None:
        self.is_started = False
        self.stopping = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """True between the end of the start and the first signal."""
        return self.is_started and not self.stopping.is_set()


Opened = Callable[[Life, Metrics], AbstractAsyncContextManager[Mapping[str, object]]]
Check = Callable[[], str | None]


def build(
    bus: Bus,
    opened: Opened,
    *,
    routes: Sequence[BaseRoute] = (),
    checks: Sequence[Check] = (),
    exception_handlers: Mapping[Any, ExceptionHandler] | None = None,
) -> Starlette:
    """Return the application: `routes`, and `/healthz`, `/readyz`, `/metrics`.

    `opened` is entered after the bus is connected and yields the state that handlers find in `request.state`. A check
    returns None, or the name of what is missing; `/readyz` is 200 only when nothing is.
    """
    life = Life()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, object]]:
        app.state.life = life
        await _patiently(bus.__aenter__)
        try:
            async with opened(life, metrics) as state:
                life.is_started = True
                yield state
                life.stopping.set()
        finally:
            await bus.__aexit__(None, None, None)

    async def readyz(request: Request) -> Response:
        missing = [name for check in checks if (name := check()) is not None]
        if not life.is_ready:
            missing.append("stopping" if life.is_started else "starting")
        if not bus.is_connected:
            missing.append("NATS")
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def show_metrics(request: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/healthz", _healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", show_metrics, methods=["GET"]),
            *routes,
        ],
        lifespan=lifespan,
        exception_handlers=exception_handlers,
    )


def run(name: str, create_app: Callable[[T, Bus], Starlette], settings: T) -> None:
    """Run a service until a signal ends it; the process then exits, with 1 when the start failed or the bus was lost."""
    relay_log.configure(name, settings.log_level)
    bus = Bus(settings, party=name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        is_clean = runner.run(_serve(create_app(settings, bus), bus, settings))
    sys.exit(0 if is_clean else 1)


async def _serve(app: Starlette, bus: Bus, settings: Settings) -> bool:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose X-Forwarded-For is believed is the edge's decision, not the server's
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.drain_seconds + GRACE_SECONDS),
        backlog=BACKLOG,
    )
    server = _Server(config, app)
    sockets = [_listener(settings)]
    watch = asyncio.create_task(_end_with_the_bus(bus, server))
    gc.freeze()  # what was imported lives as long as the process: spare the collector from walking it
    try:
        await server.serve(sockets=sockets)
    finally:
        watch.cancel()
    return server.started and not server.is_bus_lost


def _listener(settings: Settings) -> socket.socket:
    if settings.listen_fd >= 0:
        listener = socket.socket(fileno=settings.listen_fd)
    else:
        listener = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A peer that takes nothing for so long is gone, also when it still answers probes with a closed window.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PEER_SECONDS * 1000))
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app
        self.is_bus_lost = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        life: Life | None = getattr(self._app.state, "life", None)
        if life is not None:
            life.stopping.set()
        super().handle_exit(sig, frame)


async def _end_with_the_bus(bus: Bus, server: _Server) -> None:
    waiting = [asyncio.create_task(link.closed.wait()) for link in (bus.control, bus.streams)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not server.should_exit:
            log.critical("the bus is lost for good; ending so that a fresh process can take over")
            server.is_bus_lost = True
            server.handle_exit(signal.SIGTERM, None)
    finally:
        for task in waiting:
            task.cancel()


async def _healthz(request: Request) -> Response:
    return JSONResponse({"alive": True})


async def _patiently(open_it: Callable[[], Awaitable[object]]) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + START_SECONDS
    while True:
        try:
            await open_it()
            return
        except Unavailable as error:
            if loop.time() > give_up:
                raise
            log.warning("waiting at the start: %s", error)
        await asyncio.sleep(0.5)
