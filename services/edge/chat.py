"""`POST /v1/chat/completions`: one request over HTTP, plain or as server-sent events.

What the client sees follows from three rules. The status is not sent before the answer has begun, so that a refusal is a real
status; only a stream that has been silent for `status_held_seconds` gets its 200 early, with keep-alive comments from then
on. `[DONE]` is written only when every byte up to the end has arrived. What breaks after the status ends with an error event,
no `[DONE]`, and a body that is not finished, so that it looks as broken as it is.
"""

import asyncio
import re
import time
from typing import Protocol
from uuid import UUID

from starlette.types import Receive, Scope, Send

from services.edge import openai
from services.edge.addresses import client_address, is_allowed
from services.edge.admission import Admission
from services.edge.body import ClientGone, discard_body, read_body
from services.edge.errors import Headers, Language, event, language_of, ratelimit_headers, render
from services.edge.relay import Exchange, Relay
from services.edge.settings import EdgeSettings
from services.edge.visits import Route, Visit, Visits
from shared.bus import Answer, Idle
from shared.contracts.auth import Principal
from shared.contracts.billing import Standing
from shared.errors import Forbidden, Internal, InvalidRequest, RelayError
from shared.failpoints import failpoint
from shared.stream.actions import Ended, Failed, Received, Started
from shared.stream.flow import MIN_WINDOW_BYTES

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
STREAM_TYPE = b"text/event-stream; charset=utf-8"
CHECK_SECONDS_MAX = 5.0
DISCARD_SECONDS = 10.0
TORN_BYTES_MAX = MIN_WINDOW_BYTES // 2  # of an event that waits for its rest: the rest can always come
_IDEMPOTENCY_KEY = re.compile(rb"[!-~]{1,255}")


class Identifies(Protocol):
    """Finds out who calls."""

    async def of(self, scope: Scope) -> Principal:
        """Return whose call it is. Raises: the errors of `Principals.of`."""


class ChatEndpoint:
    """The route as an ASGI application. `route` is what its requests are counted as."""

    def __init__(
        self,
        relay: Relay,
        principals: Identifies,
        admission: Admission,
        settings: EdgeSettings,
        visits: Visits,
        route: Route = "chat",
    ) -> None:
        self._route = route
        self._relay = relay
        self._principals = principals
        self._admission = admission
        self._settings = settings
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = Visit(self._route)
        language = language_in(scope, self._settings.default_language)
        unread: Receive | None = receive
        try:
            with self._admission.entered(receive) as counting:
                principal = await self._caller(scope)
                visit.identified(principal)
                body = await self._body(scope, counting)
                unread = None
                request = openai.parse(body)
                exchange = await self._relay.open(
                    visit.request_id, principal, request, body, idempotency_key(scope["headers"])
                )
                visit.call = exchange.call
                client = _Client(self._relay, exchange, send, language, self._settings, visit)
                try:
                    await client.serve(receive)
                finally:
                    self._relay.close(exchange)
        except RelayError as error:
            visit.failed("refused", error)
            visit.status = await self._refuse(send, error, language, visit.request_id, unread)
        except ClientGone:
            visit.outcome = "left"  # there is nobody to answer, and nothing was begun
        finally:
            self._visits.end(visit)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(
            receive,
            scope["headers"],
            limit_bytes=self._settings.body_bytes_max,
            total_seconds=self._settings.body_seconds_max,
            bytes_per_second_min=self._settings.body_bytes_per_second_min,
        )

    async def _refuse(
        self, send: Send, error: RelayError, language: Language, request_id: UUID, unread: Receive | None
    ) -> int:
        """Send `error`; a body that is still on its way is taken and thrown away, or the client would never read this answer."""
        if unread is None:
            return await send_error(send, error, language=language, request_id=request_id)
        status, headers, text = render(error, language=language, request_id=str(request_id))
        if (b"connection", b"close") not in headers:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text, "more_body": True})
        limits = self._settings
        await discard_body(unread, limit_bytes=limits.body_bytes_max, total_seconds=DISCARD_SECONDS)
        await send({"type": "http.response.body", "body": b""})
        return status

    async def _caller(self, scope: Scope) -> Principal:
        principal = await self._principals.of(scope)
        if principal.allowed_addresses and not is_allowed(
            client_address(scope, self._settings.trusted_proxies), principal.allowed_addresses
        ):
            raise Forbidden("ip_not_allowed")
        return principal


def language_in(scope: Scope, default: Language) -> Language:
    """Return the language that the client wants of those that we have."""
    for name, value in scope["headers"]:
        if name == b"accept-language":
            return language_of(value.decode("latin-1"), default)
    return default


def idempotency_key(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return what the client calls this request, so that it runs once however often it is sent; None if it says nothing.

    Source: draft-ietf-httpapi-idempotency-key-header. Raises: InvalidRequest.
    """
    given = [value for name, value in headers if name == b"idempotency-key"]
    if not given:
        return None
    if len(given) > 1 or not _IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise InvalidRequest("invalid_idempotency_key", param="Idempotency-Key")
    return given[0].decode("ascii")


async def send_error(
    send: Send,
    error: RelayError,
    *,
    language: Language,
    request_id: UUID,
    should_retry: bool | None = None,
    further: Headers | None = None,
) -> int:
    """Send `error` as a whole response, with `further` headers; return its status."""
    status, headers, body = render(
        error, language=language, request_id=str(request_id), should_retry=should_retry
    )
    await send({"type": "http.response.start", "status": status, "headers": headers + (further or [])})
    await send({"type": "http.response.body", "body": body})
    return status


def standing_headers(standing: Standing | None) -> Headers:
    """Return what a client is told of its limits per minute; nothing for one without limits."""
    if standing is None:
        return []
    headers: Headers = []
    if standing.requests_limit is not None and standing.requests_remaining is not None:
        headers += ratelimit_headers("requests", standing.requests_limit, standing.requests_remaining)
    if standing.tokens_limit is not None and standing.tokens_remaining is not None:
        headers += ratelimit_headers("tokens", standing.tokens_limit, standing.tokens_remaining)
    return headers


class _Client:
    """The client of one exchange: what has been sent to it, and whether it is still there."""

    def __init__(
        self,
        relay: Relay,
        exchange: Exchange,
        send: Send,
        language: Language,
        settings: EdgeSettings,
        visit: Visit,
    ) -> None:
        self._visit = visit
        self._relay = relay
        self._exchange = exchange
        self._is_stream = exchange.call.is_stream
        self._send = send
        self._request_id = exchange.request_id
        self._language = language
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._sent_at = self._opened_at
        self._sending_since: float | None = None
        self._is_gone = False
        self._is_stalled = False
        self._is_between_events = True
        self._torn = b""  # the beginning of an event, which has not been written
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _answer(self) -> Answer:
        return self._exchange.answer

    async def serve(self, receive: Receive) -> None:
        """Pass the answer on until it ends, breaks, or the client leaves."""
        watch = self._loop.create_task(self._watch(receive))
        self._check()
        try:
            await self._pass_on()
        except asyncio.CancelledError:
            if not self._is_stalled or self._task is None:
                raise
            self._task.uncancel()
            self._visit.outcome = "stalled"
            await self._answer.cancel("client_stalled")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            watch.cancel()
            await self._answer.cancel("edge_stops")  # whatever ended us; nothing happens after an outcome

    async def _pass_on(self) -> None:
        while True:
            data: list[bytes] = []
            for step in await self._answer.next():
                match step:
                    case Received():
                        data.append(step.data)
                    case Started():
                        await self._start(step)
                    case Idle():
                        await self._keep_alive()
                    case Ended() | Failed() if not await self._is_asked_again(step):
                        await self._end(self._take(data), *self._exchange.outcome(step))
                        return
            await self._write(self._take(data))

    async def _is_asked_again(self, step: Ended | Failed) -> bool:
        if self._is_gone or isinstance(step, Ended) or not await self._relay.repeat(self._exchange, step):
            return False
        if self._is_gone:  # while the call was sent again
            await self._answer.cancel("client_gone")
        return True

    async def _start(self, step: Started) -> None:
        head = self._exchange.started(step)
        failpoint("edge.started")
        if self._visit.status == 0:
            await self._send_head(head.content_type.encode("latin-1"), head.body_bytes)

    async def _send_head(self, content_type: bytes, body_bytes: int | None) -> None:
        request_id = str(self._request_id).encode()
        headers = [
            (b"content-type", content_type),
            (b"x-request-id", request_id),
            (b"request-id", request_id),
            *standing_headers(self._exchange.standing),
        ]
        if body_bytes is None:
            headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        else:
            headers.append((b"content-length", b"%d" % body_bytes))
        self._visit.status = 200
        self._visit.first_byte_at = time.perf_counter()
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _take(self, parts: list[bytes]) -> bytes:
        """Return what can go to the client now. The beginning of an event waits for its rest, so that a break tears none."""
        data = parts[0] if len(parts) == 1 and not self._torn else b"".join((self._torn, *parts))
        self._torn = b""
        if self._is_stream and not data.endswith(b"\n\n"):
            end = data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
            if len(data) - end <= TORN_BYTES_MAX:
                data, self._torn = data[:end], data[end:]
        return data

    async def _write(self, data: bytes) -> None:
        """Write to the client, if there is anything; only when it has taken the bytes is their credit given back."""
        if not data:
            return
        self._is_between_events = data.endswith(b"\n\n")
        await self._send_body(data, more=True)
        failpoint("edge.first_byte")
        await self._answer.consumed(len(data))

    async def _send_body(self, data: bytes, *, more: bool) -> None:
        self._sending_since = self._sent_at = self._loop.time()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._sending_since = None

    async def _end(self, data: bytes, error: RelayError | None, may_be_billed: bool) -> None:
        if self._is_gone:
            self._visit.outcome = "left"
            return
        if error is None:
            if self._visit.status == 0:
                await self._send_error(Internal("internal_error"), may_be_billed)
                return
            failpoint("edge.ended")
            await self._send_body(data + self._torn + DONE if self._is_stream else data, more=False)
            failpoint("edge.done")
            self._visit.outcome = "complete"
            return
        if self._visit.status == 0:
            await self._send_error(error, may_be_billed)
            return
        self._visit.failed("broken", error)
        # The body is left unfinished on purpose: the server then closes the connection without a final chunk.
        if self._is_stream:
            is_whole = data.endswith(b"\n\n") if data else self._is_between_events
            data += (b"" if is_whole else b"\n\n") + event(error, self._language)
        await self._send_body(data, more=True)

    async def _send_error(self, error: RelayError, may_be_billed: bool) -> None:
        # A repeat is invited only when this one cannot have cost anything upstream.
        should_retry = error.retry_after_seconds is not None and not may_be_billed
        self._visit.failed("refused", error)
        self._visit.status = await send_error(
            self._send,
            error,
            language=self._language,
            request_id=self._request_id,
            should_retry=should_retry,
            further=standing_headers(self._exchange.standing),
        )

    async def _keep_alive(self) -> None:
        if not self._is_stream or not self._is_between_events:
            return
        if self._visit.status == 0:
            if self._loop.time() - self._opened_at < self._settings.status_held_seconds:
                return
            await self._send_head(STREAM_TYPE, None)
        await self._send_body(KEEP_ALIVE, more=True)

    async def _watch(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._is_gone = True
                await self._answer.cancel("client_gone")
                return

    def _check(self) -> None:
        """Look at the clock: has the stream been silent, or has the client stopped reading?"""
        now = self._loop.time()
        settings = self._settings
        if self._sending_since is not None and now - self._sending_since >= settings.client_stall_seconds:
            self._is_stalled = self._is_gone = True
            assert self._task is not None
            self._task.cancel()
            return
        held = self._visit.status == 0 and now - self._opened_at >= settings.status_held_seconds
        if self._sending_since is None and (held or now - self._sent_at >= settings.keep_alive_seconds):
            self._sent_at = now
            self._answer.push(Idle())
        pause = (
            min(settings.keep_alive_seconds, settings.status_held_seconds, settings.client_stall_seconds) / 2
        )
        self._timer = self._loop.call_later(min(pause, CHECK_SECONDS_MAX), self._check)
