"""The dispatcher's end of the streams: take calls from the queue, answer them under credit."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TypeVar

from nats.aio.subscription import Subscription

from shared import tracing
from shared.bus.bus import Bus
from shared.bus.endpoint import Endpoint, unix_ms
from shared.bus.link import Message
from shared.contracts import dispatcher
from shared.contracts.call import DISPATCHER
from shared.failpoints import failpoint
from shared.metrics import Bounded, Metrics
from shared.patience import until_done
from shared.stream.actions import (
    BodyReady,
    CalleeAction,
    Cancelled,
    Closed,
    Delivered,
    Send,
    Undelivered,
    Writable,
)
from shared.stream.callee import CalleeStream, is_expired, refusal
from shared.stream.frames import Frame, FrameError, FrameType, Open, decode

BODY_WINDOW_BYTES = 2 * 1024 * 1024
DATA_BYTES_MAX = 64 * 1024
SPAN = "dispatch"
REFUSALS = ("draining", "full", "memory")
REASONS_MAX = 32  # why an answer is not wanted any more; edges say it in a word
LAST_WORDS_SECONDS = 10.0  # for calls that were cut to end, settle and finish

T = TypeVar("T")

log = logging.getLogger(__name__)


class Attempt:
    """One accepted call. The application reads `body`, sends head and data, and says `end` and then `finish`, always."""

    def __init__(
        self, callees: "Callees", machine: CalleeStream, head: bytes, body_bytes: int, trace: str
    ) -> None:
        loop = asyncio.get_running_loop()
        self.request_id = machine.request_id
        self.number = machine.attempt
        self.head = head
        self.body_bytes = body_bytes
        self.trace = trace  # that the call belongs to, as a `traceparent`
        self.machine = machine
        self.is_finished = False
        self.body: asyncio.Future[bytes] = loop.create_future()
        self.cancelled: asyncio.Future[str] = loop.create_future()
        self.delivery: asyncio.Future[str | None] = loop.create_future()
        self._callees = callees
        self._writable: asyncio.Future[None] | None = None

    async def send_head(self, head: bytes) -> None:
        """Say how the answer begins."""
        await self._callees.perform(self, self.machine.send_head(head))

    async def send(self, data: bytes) -> None:
        """Send bytes of the answer, waiting for credit as needed: this is how a slow client slows the upstream.

        After the call was cancelled it never returns; whoever runs it is cancelled by the application.
        """
        start = 0
        while start < len(data):
            credit = self.machine.can_send()
            if credit == 0:
                await self._wait_writable()
                continue
            end = min(len(data), start + min(credit, DATA_BYTES_MAX))
            part = data if start == 0 and end == len(data) else data[start:end]
            await self._callees.perform(self, self.machine.send_data(part))
            start = end

    async def end(self, tail: bytes) -> None:
        """Say how the answer ended; it is complete unless the call was cancelled.

        `delivery` is then done as soon as the edge has all of it, with None, or else with the reason why it has not. The body of
        the call is forgotten: a settlement may wait for long.
        """
        self._callees.release_body(self)
        await self._callees.perform(self, self.machine.end(tail, self._callees.now()))

    async def finish(self, tail: bytes) -> None:
        """Say how the call was settled; the last word."""
        self.is_finished = True
        await self._callees.perform(self, self.machine.finish(tail, self._callees.now()))

    async def abort(self, reason: str) -> None:
        """Give the call up from this side, as if the edge had cancelled it; the answer can no longer end as complete."""
        await self._callees.perform(self, self.machine.abort(reason))

    def wake(self) -> None:
        """Let `send` look again: there is more credit."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    async def _wait_writable(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()
        self._callees.credit_waits_total += 1
        self._callees.credit_waiting += 1
        try:
            await self._writable
        finally:
            self._callees.credit_waiting -= 1
            self._writable = None


class Callees(Endpoint):
    """All calls that this process answers, each by a task that runs `serve`, which ends and finishes its attempt.

    An attempt whose `serve` fails is forgotten: heartbeats then tell its edge that it is lost.
    """

    def __init__(
        self,
        bus: Bus,
        serve: Callable[[Attempt], Awaitable[None]],
        *,
        streams_max: int,
        body_bytes_max: int,
    ) -> None:
        super().__init__(
            bus,
            inbound=dispatcher.TO_CALLEE,
            outbound=dispatcher.TO_CALLER,
            own_life=dispatcher.CALLEE_LIFE,
            peer_life=dispatcher.CALLER_LIFE,
        )
        self._serve = serve
        self._streams_max = streams_max
        self._body_bytes_max = body_bytes_max
        self._body_bytes = 0
        self._forgotten: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()  # is never done
        self._attempts: dict[str, list[Attempt]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._queue: Subscription | None = None
        self._is_draining = False
        self.credit_waits_total = 0
        self.credit_waiting = 0
        self._refusals: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self._cancels: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._reasons = Bounded(REASONS_MAX)
        self.now = self._now

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave_queue()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    @property
    def active(self) -> int:
        """How many calls are being answered."""
        return len(self._serving)

    @property
    def body_bytes(self) -> int:
        """Bytes of the bodies of the calls that are being answered."""
        return self._body_bytes

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` what happens on these streams, and why answers stop."""
        super().measure(metrics)
        for name, help_text, label, counts in (
            ("refusals", "Calls refused before anything was done, by reason", "reason", self._refusals),
            (
                "cancels",
                "Answers that nobody wanted any more, by reason; their upstream was closed",
                "reason",
                self._cancels,
            ),
            (
                "deliveries",
                "Whole answers by whether the edge has all of them: delivered, or why not",
                "result",
                self._deliveries,
            ),
        ):
            metrics.totals(f"stream_{name}_total", help_text, (label,), partial(_labelled, counts))
        metrics.total(
            "stream_credit_waits_total",
            "Times an answer waited for its client to read",
            lambda: self.credit_waits_total,
        )
        metrics.gauge("stream_credit_waiting", "Answers that wait for their client to read").set_function(
            lambda: self.credit_waiting
        )

    async def start(self) -> None:
        """Take calls from the queue from now on."""
        self._queue = await self._link.subscribe(
            dispatcher.OPEN.subject(), self._on_open_message, queue=DISPATCHER
        )
        await self._link.flush()

    async def drain(self, patience: Awaitable[None]) -> int:
        """Take no new calls; let the running ones end until `patience` does, then cut them, which ends in 10 s.

        Return how many were cut.
        """
        self._is_draining = True
        await self._leave_queue()
        await until_done(self._serving, patience)
        cut = list(self._serving)
        for attempts in list(self._attempts.values()):
            for attempt in list(attempts):
                await attempt.abort("draining")
        if cut:
            await asyncio.wait(cut, timeout=LAST_WORDS_SECONDS)
        return len(cut)

    def release_body(self, attempt: Attempt) -> None:
        """Forget the body of a call, and carry its bytes no more."""
        attempt.body = self._forgotten
        self._body_bytes -= attempt.body_bytes
        attempt.body_bytes = 0

    async def _leave_queue(self) -> None:
        if self._queue is not None:
            queue, self._queue = self._queue, None
            await self._link.end(queue)

    async def perform(self, attempt: Attempt, actions: list[CalleeAction]) -> None:
        """Do what the machine of `attempt` asks, in order."""
        for action in actions:
            match action:
                case Send():
                    assert action.peer is not None
                    self.repairs_total += action.is_repair
                    await self.send(action.peer, attempt.request_id, action.frame)
                case Writable():
                    attempt.wake()
                case Closed():
                    self._drop(attempt)
                case _:
                    self._count(action)
                    _tell(attempt, action)

    def _count(self, action: BodyReady | Cancelled | Delivered | Undelivered) -> None:
        if isinstance(action, Cancelled):
            self._cancels[self._reasons.of(action.reason)] += 1
        elif isinstance(action, Delivered):
            self._deliveries["delivered"] += 1
        elif isinstance(action, Undelivered):
            self._deliveries[self._reasons.of(action.reason)] += 1

    async def on_frame(self, request_id: str, frame: Frame) -> None:
        """Take a frame of an edge."""
        now = self.now()
        for attempt in list(self._attempts.get(request_id, ())):
            self._peers.heard(attempt.machine.caller, now)
            await self.perform(attempt, attempt.machine.handle(frame, now))

    async def on_unanswered(self, request_id: str) -> None:
        """Nothing that a dispatcher publishes for a request wants an answer."""

    async def on_tick(self, now: float) -> None:
        """Let time pass."""
        for attempts in list(self._attempts.values()):
            for attempt in list(attempts):
                await self.perform(attempt, attempt.machine.tick(now))

    async def on_lost(self, request_ids: list[str], now: float) -> None:
        """The edge of these requests is gone."""
        for request_id in request_ids:
            for attempt in list(self._attempts.get(request_id, ())):
                await self.perform(attempt, attempt.machine.peer_lost(now))

    async def on_reconnected(self, now: float) -> None:
        """The bus is back."""
        for attempts in list(self._attempts.values()):
            for attempt in list(attempts):
                await self.perform(attempt, attempt.machine.reconnected(now))

    async def _on_open_message(self, message: Message) -> None:
        try:
            frame = decode(message.payload)
        except FrameError:
            frame = None
        if frame is None or not isinstance(frame.content, Open):
            self.undecodable_total += 1
            return
        self.received[FrameType.OPEN] += 1
        opening = frame.content
        await self.on_frame(opening.request_id, frame)
        known = self._attempts.get(opening.request_id, ())
        wall = unix_ms()
        if any(attempt.number >= frame.attempt for attempt in known) or is_expired(opening, wall):
            return
        reason = self._refuses(opening)
        if reason is not None:
            self._refusals[reason] += 1
            action = refusal(opening, frame.attempt, reason)
            await self.send(opening.caller, opening.request_id, action.frame)
            return
        await self._accept(opening, frame.attempt, wall, message.trace)

    def _refuses(self, opening: Open) -> str | None:
        if self._is_draining:
            return "draining"
        if len(self._serving) >= self._streams_max:
            return "full"
        if self._body_bytes and self._body_bytes + opening.body_bytes > self._body_bytes_max:
            return "memory"
        return None

    async def _accept(self, opening: Open, number: int, wall: int, trace: str) -> None:
        failpoint("dispatcher.opened")
        now = self.now()
        machine = CalleeStream(
            opening, attempt=number, callee=self.id, body_window=BODY_WINDOW_BYTES, now=now, unix_ms=wall
        )
        attempt = Attempt(self, machine, opening.head, opening.body_bytes, trace)
        self._attempts.setdefault(attempt.request_id, []).append(attempt)
        self._peers.attach(opening.caller, attempt.request_id, now)
        self._body_bytes += attempt.body_bytes
        task = asyncio.create_task(self._run(attempt))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await self.perform(attempt, machine.accept(now))

    async def _run(self, attempt: Attempt) -> None:
        try:
            with tracing.span(SPAN, "server", parent=attempt.trace):
                await self._serve(attempt)
        finally:
            self.release_body(attempt)
            if not attempt.is_finished:
                self._drop(attempt)

    def _drop(self, attempt: Attempt) -> None:
        left = [other for other in self._attempts.get(attempt.request_id, ()) if other is not attempt]
        if left:
            self._attempts[attempt.request_id] = left
            return
        self._attempts.pop(attempt.request_id, None)
        self._peers.detach(attempt.machine.caller, attempt.request_id)


def _tell(attempt: Attempt, action: BodyReady | Cancelled | Delivered | Undelivered) -> None:
    match action:
        case BodyReady():
            _resolve(attempt.body, action.body)
        case Cancelled():
            _resolve(attempt.cancelled, action.reason)
        case Delivered():
            _resolve(attempt.delivery, None)
        case Undelivered():
            _resolve(attempt.delivery, action.reason)


def _labelled(counts: Counter[str]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counts.items()}


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():  # who waited for it may have been cancelled, and the future with it
        future.set_result(value)
