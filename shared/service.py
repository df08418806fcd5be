"""The skeleton of all four services: how one starts, says that it is ready, and stops.

A service is `create_app(settings, bus) -> Starlette`, built here by `build()`: the bus is connected first, then the service's own
lifespan opens what it holds, then the listener opens. On SIGTERM or SIGINT the order is reversed: `Life.stopping` is set and
readiness goes off at once, the listener closes, open responses finish within `drain_seconds`, the service's lifespan takes
no new calls, finishes the running ones and settles what it owes, and the bus closes last. A second signal ends the patience, not
the order: what runs is cut visibly, and what is owed goes to the spill. A service that has lost the bus for good, or a part that
must run, ends in the same way, so that a fresh process can take over.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from types import FrameType
from typing import Any, Literal, TypeVar

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ExceptionHandler, Lifespan

from shared import failpoints, tracing
from shared import log as relay_log
from shared.bus import Bus
from shared.contracts.call import EDGE
from shared.errors import Unavailable
from shared.metrics import CONTENT_TYPE, Metrics
from shared.settings import Settings, SettingsError, T

R = TypeVar("R")
START_SECONDS = 30.0  # how long a service waits for the bus and the database before it gives up
RETRY_SECONDS = 0.5
BACKLOG = 4096
CANCEL_SECONDS = 20.0  # until a task that goes on is cancelled again; longer than it may clean up
BACKLOG_SECONDS = 0.01  # in which the loop takes in all that waits at the listener
PEER_SECONDS = 90.0  # how long a connection may take nothing of what is sent to it
GRACE_SECONDS = 5.0  # beyond drain_seconds, for the last words of streams that were cut

log = logging.getLogger(__name__)


class Life:
    """Where a service is in its life: `stopping` is set by the first signal, before anything closes, `hurrying` by the second.

    `failed` is set when a part that must run has ended by a fault. `metrics` are those of the latest start. `lag_seconds` is how
    long the event loop took to come round when `/metrics` was last asked for.
    """

    def __init__(self) -> None:
        self.is_started = False
        self.metrics = Metrics()
        self.lag_seconds = 0.0
        self.stopping = asyncio.Event()
        self.hurrying = asyncio.Event()
        self.failed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """True between the end of the start and the first signal."""
        return self.is_started and not self.stopping.is_set()

    async def patience(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as somebody hurries us."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurrying.wait()

    def guard(self, task: "asyncio.Task[None]") -> "asyncio.Task[None]":
        """Return `task`, which must run as long as the service: when it fails, the process ends instead of limping on."""
        task.add_done_callback(self._on_done)
        return task

    def run_beside(self, stack: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
        """Run `work` under guard until `stack` is left, which then cancels it."""
        stack.push_async_callback(_cancelled, self.guard(asyncio.create_task(work)))

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a part of the service has failed", exc_info=error)
            self.failed.set()


Opened = Callable[[Life, Metrics], AbstractAsyncContextManager[Mapping[str, object]]]
Check = Callable[[], str | None]
Missing = Callable[[], list[str]]
Http = type[asyncio.Protocol] | Literal["httptools"]


def build(
    bus: Bus,
    opened: Opened,
    *,
    routes: Sequence[BaseRoute] = (),
    checks: Sequence[Check] = (),
    exception_handlers: Mapping[Any, ExceptionHandler] | None = None,
) -> Starlette:
    """Return the application: `routes`, and `/healthz`, `/readyz`, `/metrics`.

    `opened` is entered after the bus is connected and yields the state that handlers find in `request.state`; while it raises
    Unavailable it is entered again, for START_SECONDS, each time with new metrics. A check returns None, or the name of what is
    missing; `/readyz` is 200 only when nothing is.
    """
    life = Life()

    def missing() -> list[str]:
        return _missing(bus, life, checks)

    app = Starlette(
        routes=[*_own_routes(life, missing), *routes],
        lifespan=_lifespan(bus, life, opened, missing),
        exception_handlers=exception_handlers,
    )
    app.state.life = life
    # A redirect would name whatever host the client wrote, and drop the request id: a wrong path is an unknown path.
    app.router.redirect_slashes = False
    return app


def run(
    name: str, create_app: Callable[[T, Bus], Starlette], settings: T, *, http: Http = "httptools"
) -> None:
    """Run a service until a signal ends it in order; the process then exits with 0.

    `http` is what the listener makes of each connection: uvicorn's protocol, or a class of the service's own.
    It exits with 1 when the start failed, or when the service lost the bus or a part of itself and ended for that.
    """
    relay_log.configure(name, settings.log_level)
    failpoints.enable(settings.failpoints_dir)
    try:
        tracing.enable(name, settings, decides=name == EDGE)
    except SettingsError as error:
        sys.exit(f"{name}: {error}")
    bus = Bus(settings, party=name)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            is_clean = runner.run(_serve(create_app(settings, bus), bus, settings, http))
    finally:
        tracing.disable()
    sys.exit(0 if is_clean else 1)


def _lifespan(bus: Bus, life: Life, opened: Opened, missing: Missing) -> Lifespan[Starlette]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            await _patiently(lambda: stack.enter_async_context(bus), life)
            state = await _patiently(lambda: stack.enter_async_context(enter()), life)
            life.is_started = True
            yield state
            life.stopping.set()

    def enter() -> AbstractAsyncContextManager[Mapping[str, object]]:
        life.metrics = Metrics()
        _measure_process(life, missing)
        bus.measure(life.metrics)
        return opened(life, life.metrics)

    return lifespan


def _measure_process(life: Life, missing: Missing) -> None:
    metrics = life.metrics
    metrics.gauges(
        "build_info", "Always 1; the version of Relay", ("version",), lambda: {(version("relay"),): 1.0}
    )
    metrics.gauge("ready", "Whether /readyz says that nothing is missing: 1 or 0").set_function(
        lambda: not missing()
    )
    metrics.gauge("draining", "Whether the process has been told to end: 1 or 0").set_function(
        life.stopping.is_set
    )
    metrics.gauge("tasks", "Tasks of the event loop").set_function(lambda: len(asyncio.all_tasks()))
    metrics.gauge(
        "loop_lag_seconds", "How long the event loop took to come round while this page was made"
    ).set_function(lambda: life.lag_seconds)
    metrics.totals("log_lines_total", "Lines logged, by level", ("level",), relay_log.lines_by_level)


def _missing(bus: Bus, life: Life, checks: Sequence[Check]) -> list[str]:
    missing = [name for check in checks if (name := check()) is not None]
    if not life.is_ready:
        missing.append("stopping" if life.is_started else "starting")
    if not bus.is_connected:
        missing.append("NATS")
    return missing


def _own_routes(life: Life, missing: Missing) -> list[BaseRoute]:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        names = missing()
        return JSONResponse({"ready": not names, "missing": names}, 503 if names else 200)

    async def metrics(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        await asyncio.sleep(0)
        life.lag_seconds = loop.time() - asked_at
        return Response(life.metrics.render(), headers={"content-type": CONTENT_TYPE})

    return [Route("/" + answer.__name__, answer, methods=["GET"]) for answer in (healthz, readyz, metrics)]


async def _serve(app: Starlette, bus: Bus, settings: Settings, http: Http) -> bool:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="none",
        http=http,
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
    server = _Server(config, app.state.life)
    sockets = [_listener(settings)]
    asyncio.get_running_loop().set_exception_handler(relay_log.log_loop_error)
    watch = asyncio.create_task(_end_with_a_loss(bus, server))
    gc.set_threshold(
        10_000, 20, 20
    )  # a request makes hundreds of objects and no cycles: look for those less often
    gc.freeze()  # what was imported lives as long as the process: spare the collector from walking it
    try:
        await server.serve(sockets=sockets)
    except SystemExit:  # the start failed, says uvicorn, with a status of its own
        return False
    finally:
        watch.cancel()
    return server.started and not server.has_lost


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
    def __init__(self, config: uvicorn.Config, life: Life) -> None:
        super().__init__(config)
        self.life = life
        self.has_lost = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Whoever has connected and was not taken in yet would be reset together with the listener.
        await asyncio.sleep(BACKLOG_SECONDS)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not that of uvicorn, which raises the signal again at the end: an orderly end would then look like a kill. Nor does a
        # second signal skip the end of the lifespan: there the debts are settled.
        if self.should_exit:
            self.life.hurrying.set()
        self.should_exit = True
        self.life.stopping.set()


async def _end_with_a_loss(bus: Bus, server: _Server) -> None:
    losses = (bus.control.closed, bus.streams.closed, server.life.failed)
    waiting = [asyncio.create_task(loss.wait()) for loss in losses]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not server.should_exit:
            log.critical(
                "the bus or a part of the service is lost; ending so that a fresh process can take over"
            )
            server.has_lost = True
            server.handle_exit(signal.SIGTERM, None)
    finally:
        for task in waiting:
            task.cancel()


async def _patiently(open_it: Callable[[], Awaitable[R]], life: Life) -> R:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + START_SECONDS
    while True:
        try:
            return await open_it()
        except Unavailable as error:
            if loop.time() > give_up or life.stopping.is_set():
                raise
            log.warning("waiting at the start: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    # A library may lose a cancellation, when what it cleans up fails; the end of the process must not hang on it.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
