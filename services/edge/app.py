"""The edge's wiring, and its whole HTTP surface on one screen."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from services.edge.account import AccountEndpoint
from services.edge.admission import Admission
from services.edge.chat import ChatEndpoint, language_in
from services.edge.console import Console
from services.edge.errors import render
from services.edge.models import Models, ModelsEndpoint
from services.edge.mounted import Mounted
from services.edge.principals import Principals
from services.edge.relay import Relay
from services.edge.settings import EdgeSettings
from services.edge.visits import Visit, Visits
from shared.bus import Bus, Callers
from shared.errors import Internal, MethodNotAllowed, NotFound, RelayError, Unavailable
from shared.metrics import Metrics
from shared.service import Life, build

# The commonest mistakes with a base URL: without the version, and with the version twice.
PREFIXES = ("/v1", "", "/v1/v1")
_UNFINISHED = "ASGI callable returned without completing response."


def create_app(settings: EdgeSettings, bus: Bus, visits: Visits | None = None) -> Starlette:
    """Return the edge as an application; `visits` are given by whoever counts requests as well."""
    visits = visits or Visits(access_log=settings.access_log)
    # A broken answer is left unfinished on purpose, and counted; the server need not call it an error.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() != _UNFINISHED)
    chat, models, account = Mounted("chat"), Mounted("models"), Mounted("account")
    console = Console(settings)
    admission = Admission(requests_max=settings.streams_max, body_bytes_max=settings.body_memory_bytes)

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            callers = await stack.enter_async_context(Callers(bus))
            relay = Relay(bus, callers, settings)
            principals = Principals(
                bus, cache_seconds=settings.key_cache_seconds, trusted_proxies=settings.trusted_proxies
            )
            known = Models(bus)
            await principals.listen()
            await known.listen()
            await relay.lease.begin()
            for work in (relay.lease.run(), _cut_when_drained(life, relay, settings.drain_seconds)):
                life.run_beside(stack, work)
            _measure(metrics, relay, admission, visits, callers, principals, relay.lease)
            chat.app = ChatEndpoint(relay, principals, admission, settings, visits)
            models.app = ModelsEndpoint(bus, known, principals, settings.default_language, visits)
            account.app = AccountEndpoint(bus, principals, settings.default_language, visits)
            console.open(bus, relay, admission, visits)
            yield {}
            await relay.finish(life.patience(settings.drain_seconds))

    def answered(request: Request, error: RelayError) -> Response:
        if isinstance(error, NotFound) and console.pages.is_wanted(request):
            return console.pages.answer(request)
        return _error_response(settings, request, error, visits)

    async def on_http_error(request: Request, error: Exception) -> Response:
        return answered(request, _translated(request, error))

    async def on_fault(request: Request, error: Exception) -> Response:
        # The edge's last resort: Starlette logs the exception; the client learns only that it was ours.
        return answered(request, Internal("internal_error"))

    return build(
        bus,
        opened,
        routes=[*_routes(chat, models, account), *console.routes()],
        exception_handlers={HTTPException: on_http_error, Exception: on_fault},
    )


def _routes(chat: ASGIApp, models: ASGIApp, account: ASGIApp) -> list[BaseRoute]:
    return [
        route
        for prefix in PREFIXES
        for route in (
            Route(prefix + "/chat/completions", chat, methods=["POST"]),
            Route(prefix + "/models", models, methods=["GET"]),
            Route(prefix + "/models/{model:path}", models, methods=["GET"]),
            Route(prefix + "/key", account, methods=["GET"]),
            Route(prefix + "/receipts/{request_id}", account, methods=["GET"]),
            Route(prefix + "/dashboard/billing/subscription", account, methods=["GET"]),
            Route(prefix + "/dashboard/billing/usage", account, methods=["GET"]),
        )
    ]


def _translated(request: Request, error: Exception) -> RelayError:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed("method_not_allowed", method=request.method, allowed=allowed)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("unknown_url", method=request.method, path=request.scope["path"][:200])
    return Internal("internal_error")


def _error_response(settings: EdgeSettings, request: Request, error: RelayError, visits: Visits) -> Response:
    visit = Visit("other")
    language = language_in(request.scope, settings.default_language)
    visit.failed("refused", error)
    visit.status, headers, body = render(error, language=language, request_id=str(visit.request_id))
    response = Response(body, visit.status)
    response.raw_headers = list(headers)
    visits.end(visit)
    return response


class _Measured(Protocol):
    def measure(self, metrics: Metrics) -> None: ...


def _measure(metrics: Metrics, relay: Relay, admission: Admission, *others: _Measured) -> None:
    for other in others:
        other.measure(metrics)
    for name, help_text, value in (
        ("streams", "Requests being answered", lambda: relay.running),
        ("requests", "Requests being read or answered", lambda: admission.requests),
        ("body_bytes", "Bytes of the bodies of running requests", lambda: admission.body_bytes),
        ("unsettled", "Holds whose end is not yet confirmed", lambda: relay.unsettled),
    ):
        metrics.gauge(f"edge_{name}", help_text).set_function(value)


async def _cut_when_drained(life: Life, relay: Relay, drain_seconds: float) -> None:
    await life.stopping.wait()
    await life.patience(drain_seconds)
    relay.cut_all(Unavailable("stream_interrupted"))
