"""The edge's end of the streams: open a call, read its answer, learn how it was settled."""

import asyncio
from collections import Counter, deque

import msgspec

from shared import tracing
from shared.budget import Budget
from shared.bus.bus import Bus
from shared.bus.endpoint import Endpoint, unix_ms
from shared.contracts import dispatcher
from shared.errors import Unavailable
from shared.metrics import Metrics
from shared.stream.actions import (
    CallerAction,
    Closed,
    Confirmed,
    Ended,
    Failed,
    Failure,
    Opened,
    Received,
    Send,
    Started,
    Unconfirmed,
)
from shared.stream.caller import Call, CallerStream
from shared.stream.flow import window_bytes
from shared.stream.frames import Frame, FrameType

REOPEN_SHARE = 0.1  # of the calls, so that a slow moment does not become a storm
REOPEN_BURST = 20.0


class Idle(msgspec.Struct, frozen=True):
    """Nothing has happened for a while; pushed by the reader's own timer."""


AnswerEvent = Started | Received | Ended | Failed | Idle


class Answer:
    """The answer to one call as it arrives. `settlement` is done when it is known, or given up, how the call was settled."""

    def __init__(self, callers: "Callers", machine: CallerStream, request_id: str) -> None:
        self.request_id = request_id
        self.machine = machine
        self.callee: str | None = None
        self.cancel_reason: str | None = None  # why this side gave the call up, if it did
        self.settlement: asyncio.Future[Confirmed | Unconfirmed] = asyncio.get_running_loop().create_future()
        self._callers = callers
        self._events: deque[AnswerEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None

    async def next(self) -> list[AnswerEvent]:
        """Return everything that has arrived since the last call, at least one event. After Ended or Failed nothing comes."""
        if not self._events:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        events = list(self._events)
        self._events.clear()
        return events

    async def consumed(self, nbytes: int) -> None:
        """Say that the client has taken `nbytes`, so that as many more may come."""
        await self._callers.perform(self, self.machine.consumed(nbytes, self._callers.now()))

    async def cancel(self, reason: str) -> None:
        """Give the call up: upstream is told. The outcome Failed follows unless there is one already."""
        actions = self.machine.cancel(reason, self._callers.now())
        if actions:
            self.cancel_reason = reason
        await self._callers.perform(self, actions)

    def push(self, event: AnswerEvent) -> None:
        """Hand an event to whoever waits in `next`."""
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def settle(self, word: Confirmed | Unconfirmed) -> None:
        """Say how the call was settled. Who waits for it may have been cancelled, and the future with it."""
        if not self.settlement.done():
            self.settlement.set_result(word)


class Callers(Endpoint):
    """All calls of this process."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(
            bus,
            inbound=dispatcher.TO_CALLER,
            outbound=dispatcher.TO_CALLEE,
            own_life=dispatcher.CALLER_LIFE,
            peer_life=dispatcher.CALLEE_LIFE,
        )
        self._answers: dict[str, Answer] = {}
        self._ends: Counter[str] = Counter()
        self.now = self._now
        self._reopens = Budget(share=REOPEN_SHARE, per_second=0.0, burst=REOPEN_BURST, now=self.now())

    @property
    def active(self) -> int:
        """How many calls have not ended, their settlement included."""
        return len(self._answers)

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` what happens on these streams, and how answers end."""
        super().measure(metrics)
        results = ("ended", *(reason.value for reason in Failure))
        metrics.totals(
            "stream_ends_total",
            "Answers by how they ended between dispatcher and edge: ended, or why there is none",
            ("result",),
            lambda: {(result,): self._ends[result] for result in results},
        )

    async def open(
        self, *, request_id: str, head: bytes, body: bytes, deadline_seconds: float, first_attempt: int = 1
    ) -> Answer:
        """Send a call to any dispatcher. `request_id` is 32 hexadecimal digits.

        It is used once, or again with a higher `first_attempt` after the former answer has failed, which then counts no more: a
        dispatcher that still works on it is told so as soon as it speaks.
        """
        if (former := self._answers.get(request_id)) is not None:
            self._drop(former)
        self._reopens.earn(self.now())
        wall = unix_ms()
        call = Call(
            request_id=request_id,
            caller=self.id,
            head=head,
            body=body,
            deadline_unix_ms=wall + int(deadline_seconds * 1000),
        )
        machine = CallerStream(
            call,
            window=window_bytes(len(self._answers) + 1),
            may_reopen=self.take_reopen,
            first_attempt=first_attempt,
        )
        answer = Answer(self, machine, request_id)
        self._answers[request_id] = answer
        try:
            await self.perform(answer, machine.open(self.now(), wall))
        except BaseException:  # nobody will read the answer
            self._drop(answer)
            raise
        return answer

    async def perform(self, answer: Answer, actions: list[CallerAction]) -> None:
        """Do what the machine of `answer` asks, in order."""
        for action in actions:
            match action:
                case Send():
                    await self._send(answer, action)
                case Started() | Received():
                    answer.push(action)
                case Ended() | Failed():
                    self._ends["ended" if isinstance(action, Ended) else action.reason.value] += 1
                    answer.push(action)
                case Opened():
                    answer.callee = action.peer
                    self._peers.attach(action.peer, answer.request_id, self.now())
                case Confirmed() | Unconfirmed():
                    answer.settle(action)
                case Closed():
                    self._drop(answer)

    async def on_frame(self, request_id: str, frame: Frame) -> None:
        """Take a frame of a dispatcher; one for a request that is over is dropped, its sender repeats itself in vain."""
        answer = self._answers.get(request_id)
        if answer is None:
            return
        now = self.now()
        if answer.callee is not None:
            self._peers.heard(answer.callee, now)
        await self.perform(answer, answer.machine.handle(frame, now))

    async def on_unanswered(self, request_id: str) -> None:
        """No dispatcher listens."""
        answer = self._answers.get(request_id)
        if answer is not None:
            await self.perform(answer, answer.machine.no_responders(self.now()))

    async def on_tick(self, now: float) -> None:
        """Let time pass; share the window anew."""
        window = window_bytes(len(self._answers))
        for answer in list(self._answers.values()):
            answer.machine.resize(window)
            await self.perform(answer, answer.machine.tick(now))

    async def on_lost(self, request_ids: list[str], now: float) -> None:
        """The dispatcher of these requests is gone."""
        for request_id in request_ids:
            answer = self._answers.get(request_id)
            if answer is not None:
                await self.perform(answer, answer.machine.peer_lost(now))

    async def on_reconnected(self, now: float) -> None:
        """The bus is back."""
        for answer in list(self._answers.values()):
            await self.perform(answer, answer.machine.reconnected(now))

    async def _send(self, answer: Answer, action: Send) -> None:
        self.repairs_total += action.is_repair
        if action.peer is not None:
            await self.send(action.peer, answer.request_id, action.frame)
            return
        reply = dispatcher.TO_CALLER.subject(self.id, answer.request_id)
        self.sent[FrameType.OPEN] += 1
        try:
            trace = tracing.traceparent()
            await self._link.publish(dispatcher.OPEN.subject(), action.frame, reply=reply, trace=trace)
        except Unavailable:
            await self.perform(answer, answer.machine.no_responders(self.now()))

    def _drop(self, answer: Answer) -> None:
        if self._answers.get(answer.request_id) is not answer:
            return
        del self._answers[answer.request_id]
        if answer.callee is not None:
            self._peers.detach(answer.callee, answer.request_id)

    def take_reopen(self) -> bool:
        """Take one further attempt from the budget of this process; return whether there was one."""
        return self._reopens.take(self.now())
