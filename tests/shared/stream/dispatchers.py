"""The dispatcher of the simulation: the machines of callees, and the application as `services/dispatcher/answering.py` has it."""

from typing import TYPE_CHECKING

from services.dispatcher.answering import CLIENT_REASONS, FENCED_REASONS
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
from shared.stream.frames import Frame, Open
from shared.stream.peers import Lost
from tests.shared.stream.holds import (
    CLIENT_GONE,
    COMPLETED,
    PLATFORM_FAILED,
    UPSTREAM_FAILED,
    VOID,
    Claim,
)
from tests.shared.stream.processes import Process, check

if TYPE_CHECKING:
    from tests.shared.stream.simulation import World


class Work:
    """What a dispatcher's application does for one attempt; the answer's bytes tell who made them."""

    def __init__(self, stream: CalleeStream, process: "Dispatcher") -> None:
        self.stream = stream
        self.process = process
        self.key = f"{stream.request_id} {stream.attempt} {process.name}"
        self.is_running = False
        self.is_over = False
        self._rest = memoryview(process.world.answer(self.key))
        self._ends_as = COMPLETED
        if process.world.rng.random() < process.world.weather.fail:
            self._ends_as = UPSTREAM_FAILED
            self._rest = self._rest[: process.world.rng.randrange(len(self._rest) + 1)]
        self._is_accepted = False
        self._is_settling = False
        self._cancel_reason: str | None = None
        self._waits = False

    def start(self) -> None:
        """Begin the answer, unless it was cancelled before or no upstream takes it."""
        if self.is_over or self._cancel_reason is not None:
            return
        if self._ends_as == UPSTREAM_FAILED and not self._rest:
            return self._end(UPSTREAM_FAILED)
        self.is_running = self._is_accepted = True
        self.process.perform(self.stream, self.stream.send_head(self.key.encode()))
        return self.process.later(self.process.world.rng.choice([0.0, 0.1, 2.0]), self.go_on)

    def go_on(self) -> None:
        """Send some of the answer and plan the next; end when all is sent."""
        rng = self.process.world.rng
        self._waits = False
        for _ in range(rng.choice([1, 1, 8])):
            if self.is_over or self._cancel_reason is not None:
                return
            if not self._rest:
                return self._end(self._ends_as)
            size = min(rng.choice([1, 200, 5_000]), self.stream.can_send(), len(self._rest))
            if size == 0:
                self._waits = True
                return None
            data, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self.process.perform(self.stream, self.stream.send_data(data))
        self.process.later(rng.choice([0.0, 0.1, 1.0]), self.go_on)

    def hear(self, word: Writable | Cancelled | Delivered | Undelivered) -> None:
        """Take a word of the machine."""
        match word:
            case Writable():
                self.process.later(0.0, self._wake)
            case Cancelled():
                self._cancel(word.reason)
            case Delivered():
                self._delivered(None)
            case Undelivered():
                self._delivered(word.reason)

    def _wake(self) -> None:
        if self._waits:
            self.go_on()

    def _cancel(self, reason: str) -> None:
        check(not self.is_over and self._cancel_reason is None, "cancelled after the end, or twice")
        self.is_running = False
        self._cancel_reason = reason
        outcome = CLIENT_GONE if reason in CLIENT_REASONS else PLATFORM_FAILED
        self.process.later(self.process.world.rng.choice([0.0, 0.2]), lambda: self._end(outcome))

    def _delivered(self, reason: str | None) -> None:
        """Settle by the one word on the delivery: None if the edge has it all, or why it has not."""
        check(self.is_over, "a word on the delivery before the end")
        check(not self._is_settling, "two words on the delivery")
        self._settle(reason)

    def _end(self, outcome: str) -> None:
        self.is_over, self.is_running = True, False
        self._outcome = outcome
        self.process.perform(self.stream, self.stream.end(self._claim(outcome).encoded(), self.process.now()))

    def _claim(self, outcome: str) -> Claim:
        return Claim(outcome if self._is_accepted else VOID, self.stream.attempt)

    def _settle(self, reason: str | None) -> None:
        self._is_settling = True
        if reason in FENCED_REASONS:
            return self._finish(is_taken=False)
        is_lost = self._outcome == COMPLETED and reason is not None and reason not in CLIENT_REASONS
        claim = self._claim(PLATFORM_FAILED if is_lost else self._outcome)
        delay = self.process.world.rng.choice([0.0, 0.5, 5.0])  # billing takes its time
        request_id = self.stream.request_id
        return self.process.later(
            delay, lambda: self.process.claim(request_id, claim, lambda taken: self._finish(is_taken=taken))
        )

    def _finish(self, *, is_taken: bool) -> None:
        tail = b"settled" if is_taken else b""
        self.process.perform(self.stream, self.stream.finish(tail, self.process.now()))


class Dispatcher(Process):
    """Callees and their upstream work."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.works: dict[tuple[str, int], Work] = {}

    def streams_left(self) -> int:
        """Return how many machines there are."""
        return len(self.works)

    def handle(self, request_id: str, sender: Process, frame: Frame) -> None:
        """Hand a frame to its machine."""
        self.peers.heard(sender.name, self.now())
        if isinstance(frame.content, Open):
            self._open(frame, frame.content)
        elif work := self.works.get((request_id, frame.attempt)):
            self.perform(work.stream, work.stream.handle(frame, self.now()))

    def give_up(self, lost: Lost) -> None:
        """Tell the machines of lost requests."""
        for (request_id, _), work in list(self.works.items()):
            if request_id in lost.request_ids:
                self.perform(work.stream, work.stream.peer_lost(self.now()))

    def tick_streams(self) -> None:
        """Tick every machine."""
        for work in list(self.works.values()):
            self.perform(work.stream, work.stream.tick(self.now()))

    def reconnect_streams(self) -> None:
        """Tell every machine that the connection is back."""
        for work in list(self.works.values()):
            self.perform(work.stream, work.stream.reconnected(self.now()))

    def perform(self, stream: CalleeStream, actions: list[CalleeAction]) -> None:
        """Do what a machine asks."""
        work = self.works[stream.request_id, stream.attempt]
        for action in actions:
            match action:
                case Send():
                    check(stream.retained_bytes <= self.world.largest_window, "retained more than a window")
                    self.world.publish(self, action, stream.request_id)
                case BodyReady():
                    self._call_upstream(work, action.body)
                case Closed():
                    self._remove(work)
                case _:
                    work.hear(action)

    def _open(self, frame: Frame, opening: Open) -> None:
        now, rivals = self.now(), self._works_of(opening.request_id)
        for rival in rivals:
            self.perform(rival.stream, rival.stream.handle(frame, now))
        if is_expired(opening, self.unix_ms()) or any(r.stream.attempt >= frame.attempt for r in rivals):
            return
        if self.world.rng.random() < self.world.weather.busy:
            self.world.publish(self, refusal(opening, frame.attempt, "full"), opening.request_id)
            return
        stream = CalleeStream(
            opening,
            attempt=frame.attempt,
            callee=self.name,
            body_window=300_000,
            now=now,
            unix_ms=self.unix_ms(),
        )
        self.works[opening.request_id, frame.attempt] = Work(stream, self)
        self.peers.attach(opening.caller, opening.request_id, now)
        self.perform(stream, stream.accept(now))

    def _works_of(self, request_id: str) -> list[Work]:
        return [work for work in self.works.values() if work.stream.request_id == request_id]

    def _call_upstream(self, work: Work, body: bytes) -> None:
        request_id = work.stream.request_id
        check(work.key not in self.world.calls, "a second upstream call for one attempt")
        check(body == self.world.requests[request_id].body, "another body")
        check(not any(other.is_running for other in self._works_of(request_id)), "two current attempts")
        self.world.calls.add(work.key)
        self.later(0.0, work.start)

    def _remove(self, work: Work) -> None:
        check(work.is_over, "closed before the end")
        stream = work.stream
        del self.works[stream.request_id, stream.attempt]
        if not self._works_of(stream.request_id):
            self.peers.detach(stream.caller, stream.request_id)
