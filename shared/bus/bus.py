"""Calls, services and events over NATS, typed by the contracts; raw frames for the stream protocol.

A process has two connections: one for money and control, one for streams, so that a stream too fast for the server can never
cut off the money. Errors of the family cross the bus and are raised again, as the same class, at the caller.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import msgspec
from nats.aio.subscription import Subscription

from shared import tracing
from shared.bus.link import MESSAGE_BYTES_MAX, Link, Message, measure_links
from shared.bus.work import store
from shared.contracts.call import Call, Event, M, Q, R, WorkQueue
from shared.errors import ErrorBody, Internal, RelayError, Unavailable, from_body
from shared.metrics import Metrics
from shared.settings import Settings

HANDLERS_MAX = 2048
OK = "ok"
Observe = Callable[[float], None]

log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)


class Bus:
    """The bus as one party sees it. Enter it to connect both connections, leave it to close them."""

    def __init__(self, settings: Settings, *, party: str) -> None:
        servers = tuple(url.strip() for url in settings.nats_url.split(","))
        user, password = settings.nats_user, settings.nats_password.reveal()
        self.party = party
        self.control = Link(servers, party=party, user=user, password=password, name=f"{party}-control")
        self.streams = Link(servers, party=party, user=user, password=password, name=f"{party}-streams")
        self._serving: list[Subscription] = []
        self._running: set[asyncio.Task[None]] = set()
        self._has_stopped = False
        self._call_errors: Counter[tuple[str, ...]] = Counter()
        self._answers: Counter[tuple[str, ...]] = Counter()
        self._stored: Counter[tuple[str, ...]] = Counter()
        self._observe: dict[str, Observe] = {}
        self._observer_of: Callable[[str], Observe] = _nobody

    async def __aenter__(self) -> Self:
        await self.control.open()
        try:
            await self.streams.open()
        except Unavailable:
            await self.control.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.streams.close()
        await self.control.close()

    @property
    def is_connected(self) -> bool:
        """True while both connections can send."""
        return self.control.is_connected and self.streams.is_connected

    @property
    def running(self) -> int:
        """How many handlers are at work."""
        return len(self._running)

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` what happens on this bus."""
        seconds = metrics.seconds(
            "bus_call_seconds", "From a call on the bus to its answer or failure", "subject"
        )
        self._observer_of = lambda subject: seconds.labels(subject).observe
        self._observe.clear()
        for name, help_text, labels, counts in (
            (
                "call_errors",
                "Calls on the bus that were refused or failed",
                ("subject", "kind"),
                self._call_errors,
            ),
            (
                "answers",
                "Calls answered by this process: ok, or the kind of error",
                ("subject", "result"),
                self._answers,
            ),
            (
                "stored",
                "Messages left in a work queue on JetStream's disk",
                ("queue", "result"),
                self._stored,
            ),
        ):
            metrics.totals(f"bus_{name}_total", help_text, labels, counts.copy)
        measure_links(metrics, {"control": self.control, "streams": self.streams})

    async def call(self, call: Call[Q, R], request: Q, *, timeout_seconds: float | None = None) -> R:
        """Return the owner's answer. Nothing is repeated here: an outcome may be unknown after a time-out.

        Raises: the RelayError that the handler raised; Unavailable when nobody serves the subject, the bus is away or no
        answer came within the call's time.
        """
        began = time.perf_counter()
        try:
            with tracing.span(call.subject, "client"):
                return await self._call(call, request, timeout_seconds)
        except RelayError as error:
            self._call_errors[call.subject, error.kind] += 1
            raise
        finally:
            observe = self._observe.get(call.subject)
            if observe is None:
                observe = self._observe[call.subject] = self._observer_of(call.subject)
            observe(time.perf_counter() - began)

    async def _call(self, call: Call[Q, R], request: Q, timeout_seconds: float | None) -> R:
        answer = await self.control.request(
            call.subject,
            _encoder.encode(request),
            timeout_seconds=timeout_seconds or call.timeout_seconds,
            part=call.owner,
            trace=tracing.traceparent(),
        )
        if answer.is_unanswered:
            raise Unavailable("service_unavailable", retry_after_seconds=2, part=call.owner)
        if answer.error is not None:
            raise from_body(_error_decoder.decode(answer.error))
        try:
            return msgspec.msgpack.decode(answer.payload, type=call.reply)
        except msgspec.MsgspecError as error:
            raise Internal("internal_error") from error

    async def publish(self, event: Event[M], message: M) -> None:
        """Tell `message` to whoever listens at this moment. Raises: Unavailable when the bus is away."""
        await self.control.publish(event.subject, _encoder.encode(message))

    async def store(self, queue: WorkQueue[M], message: M) -> None:
        """Leave `message` to the owner of `queue`; it is on JetStream's disk then, and outlives both. Repeats are harmless.

        Raises: Unavailable when that is not known.
        """
        try:
            await store(self.control, queue, _encoder.encode(message))
        except Unavailable:
            self._stored[queue.stream, "failed"] += 1
            raise
        self._stored[queue.stream, OK] += 1

    async def serve(self, call: Call[Q, R], handler: Callable[[Q], Awaitable[R]]) -> None:
        """Answer `call` with `handler`, sharing the work with the other replicas; each call is a task of its own.

        At most HANDLERS_MAX run at once; further calls are refused as overloaded.
        """
        decoder = msgspec.msgpack.Decoder(call.request)

        async def receive(message: Message) -> None:
            if self._has_stopped or len(self._running) >= HANDLERS_MAX:
                await self._answer_error(message, Unavailable("overloaded", retry_after_seconds=1))
                return
            task = asyncio.create_task(self._handle(message, decoder, handler))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        self._serving.append(await self.control.subscribe(call.subject, receive, queue=call.owner))

    async def listen(self, event: Event[M], handler: Callable[[M], Awaitable[None]]) -> None:
        """Call `handler` for each `event`, one after another."""
        decoder = msgspec.msgpack.Decoder(event.message)

        async def receive(message: Message) -> None:
            await handler(decoder.decode(message.payload))

        await self.control.subscribe(event.subject, receive, is_direct=False)

    async def stop_serving(self, *, timeout_seconds: float) -> int:
        """Take no new calls, let the running ones answer for at most `timeout_seconds`; return how many were cut off."""
        await asyncio.gather(*(self.control.end(subscription) for subscription in self._serving))
        self._serving.clear()
        self._has_stopped = True  # a subscription that ended while the bus was away comes back with it
        if not self._running:
            return 0
        _, unfinished = await asyncio.wait(self._running, timeout=timeout_seconds)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    async def _handle(
        self, message: Message, decoder: msgspec.msgpack.Decoder[Q], handler: Callable[[Q], Awaitable[R]]
    ) -> None:
        request: Q | None = None
        try:
            request = decoder.decode(message.payload)
            with tracing.span(message.subject, "server", parent=message.trace):
                reply = _encoder.encode(await handler(request))
            if len(reply) > MESSAGE_BYTES_MAX:
                log.error(
                    "the answer on %s is too large: %d bytes",
                    message.subject,
                    len(reply),
                    extra=_about(request),
                )
                raise Internal("internal_error")
        except RelayError as error:
            await self._answer_error(message, error)
        except msgspec.MsgspecError:
            log.exception("a message on %s could not be read", message.subject)
            await self._answer_error(message, Internal("internal_error"))
        except (
            Exception
        ):  # the handler boundary: whatever else went wrong is ours, and the caller must hear of it
            log.exception("the handler of %s failed", message.subject, extra=_about(request))
            await self._answer_error(message, Internal("internal_error"))
        else:
            self._answers[message.subject, OK] += 1
            await self._answer(message, reply, is_error=False)

    async def _answer_error(self, message: Message, error: RelayError) -> None:
        self._answers[message.subject, error.kind] += 1
        await self._answer(message, _encoder.encode(error.to_body()), is_error=True)

    async def _answer(self, message: Message, payload: bytes, *, is_error: bool) -> None:
        if not message.reply:
            return
        try:
            await self.control.publish(message.reply, payload, error=is_error)
        except RelayError:
            # The caller's deadline tells it; every call that matters may be repeated.
            log.warning("the answer on %s could not be sent", message.subject)


def _about(request: msgspec.Struct | None) -> dict[str, str]:
    """Return whose call it was, as members of a line in the log."""
    named = {name: getattr(request, name, None) for name in ("request_id", "account_id", "key_id")}
    return {name: value for name, value in named.items() if isinstance(value, str)}


def _nobody(subject: str) -> Observe:
    return lambda seconds: None
