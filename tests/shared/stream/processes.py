"""The processes of the simulation: an edge and dispatchers, each a small driver around the real machines."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.stream.actions import (
    BodyReady,
    CalleeAction,
    CallerAction,
    Cancelled,
    Closed,
    Confirmed,
    Delivered,
    Ended,
    Failed,
    Opened,
    Received,
    Send,
    Started,
    Unconfirmed,
    Undelivered,
    Writable,
)
from shared.stream.callee import CalleeStream, is_expired, refusal
from shared.stream.caller import Call, CallerStream
from shared.stream.frames import Frame, Open
from shared.stream.peers import Lost, PeerTable

if TYPE_CHECKING:
    from tests.shared.stream.simulation import World

WALL_MS_AT_ZERO = 1_800_000_000_000
TICK_SECONDS = 0.5


class Violation(AssertionError):
    """A promise of the protocol that a run broke."""


def check(holds: bool, promise: str) -> None:
    """Raise Violation unless the promise holds."""
    if not holds:
        raise Violation(promise)


@dataclass(kw_only=True)
class Request:
    """One request as the edge's application saw it."""

    call: Call
    opened: list[Opened] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    output: bytearray = field(default_factory=bytearray)
    unread: int = 0
    outcomes: list[Ended | Failed] = field(default_factory=list)
    words: list[Confirmed | Unconfirmed] = field(default_factory=list)
    is_closed: bool = False


class Work:
    """What a dispatcher's application does for one attempt; the answer's bytes tell who made them."""

    def __init__(self, stream: CalleeStream, process: "Dispatcher") -> None:
        self.stream = stream
        self.process = process
        self.key = f"{stream.request_id} {stream.attempt} {process.name}"
        self.is_running = False
        self.is_over = False
        self.is_settling = False
        self._rest = memoryview(process.world.answer(self.key))
        self._waits = False

    def start(self) -> None:
        """Begin the answer, unless it was cancelled before."""
        if self.is_over:
            return
        self.is_running = True
        self.process.perform(self.stream, self.stream.send_head(self.key.encode()))
        self.process.later(self.process.world.rng.choice([0.0, 0.1, 2.0]), self.go_on)

    def wake(self) -> None:
        """Go on if there was no credit."""
        if self._waits:
            self.go_on()

    def go_on(self) -> None:
        """Send some of the answer and plan the next; end when all is sent."""
        rng = self.process.world.rng
        self._waits = False
        for _ in range(rng.choice([1, 1, 8])):
            if self.is_over:
                return
            if not self._rest:
                return self.end(b"whole")
            size = min(rng.choice([1, 200, 5_000]), self.stream.can_send(), len(self._rest))
            if size == 0:
                self._waits = True
                return None
            data, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self.process.perform(self.stream, self.stream.send_data(data))
        self.process.later(rng.choice([0.0, 0.1, 1.0]), self.go_on)

    def end(self, tail: bytes) -> None:
        """Say END once, and FIN when the settlement is done."""
        if not self.is_over:
            self.is_over, self.is_running = True, False
            self.process.perform(self.stream, self.stream.end(tail, self.process.world.now))

    def settle(self) -> None:
        """Say FIN when the settlement is done, which waits for the word on the delivery."""
        check(not self.is_settling, "two words on the delivery")
        self.is_settling = True
        self.process.later(self.process.world.rng.choice([0.0, 0.5, 5.0]), self._finish)

    def _finish(self) -> None:
        self.process.perform(self.stream, self.stream.finish(b"settled", self.process.world.now))


class Process:
    """A process on the bus: it can sleep, lose its connection and die."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.peers = PeerTable(name)
        self.is_alive = True
        self.is_connected = True
        self._is_asleep = False
        self._skew_ms = world.rng.choice([-1, 0, 1]) * world.weather.skew_ms
        self._waiting: list[Callable[[], None]] = []
        self._last_tick = 0.0

    def unix_ms(self) -> int:
        """Return this process's wall clock."""
        return WALL_MS_AT_ZERO + self._skew_ms + int(self.world.now * 1000)

    def run(self, job: Callable[[], None]) -> None:
        """Do `job` now, when awake again, or never."""
        if self._is_asleep:
            self._waiting.append(job)
        elif self.is_alive:
            job()

    def later(self, delay: float, job: Callable[[], None]) -> None:
        """Run `job` after `delay` seconds."""
        self.world.at(self.world.now + delay, lambda: self.run(job))

    def sleep(self, seconds: float) -> None:
        """Stop, as by SIGSTOP: what arrives waits."""
        self._is_asleep = True
        self.world.at(self.world.now + seconds, self._wake)

    def break_connection(self, seconds: float) -> None:
        """Lose whatever is sent or arrives for so long."""
        self.is_connected = False
        self.world.at(self.world.now + seconds, self._connect)

    def die(self) -> None:
        """End, as by SIGKILL."""
        self.is_alive = False

    def keep_ticking(self) -> None:
        """Tick, and plan the next tick."""
        self._tick()
        self.later(TICK_SECONDS, self.keep_ticking)

    def state_left(self) -> int:
        """Return how much a living process still keeps."""
        return self.streams_left() + len(self.peers) if self.is_alive else 0

    def streams_left(self) -> int:
        """Return how many machines there are."""
        raise NotImplementedError

    def handle(self, request_id: str, sender: "Process", frame: Frame) -> None:
        """Hand a frame to its machine."""
        raise NotImplementedError

    def give_up(self, lost: Lost) -> None:
        """Tell the machines of lost requests."""
        raise NotImplementedError

    def tick_streams(self) -> None:
        """Tick every machine."""
        raise NotImplementedError

    def reconnect_streams(self) -> None:
        """Tell every machine that the connection is back."""
        raise NotImplementedError

    def _connect(self) -> None:
        self.is_connected = True
        self.run(self.reconnect_streams)

    def _wake(self) -> None:
        self._is_asleep = False
        jobs, self._waiting = self._waiting, []
        if self.world.rng.random() < 0.5:
            self.run(self._tick)
        for job in jobs:
            self.run(job)

    def _tick(self) -> None:
        now = self.world.now
        for lost in self.peers.paused(now, self._last_tick):
            self.give_up(lost)
        self._last_tick = now
        pulse = self.peers.tick(now)
        for lost in pulse.lost:
            self.give_up(lost)
        for peer, heartbeat in pulse.heartbeats.items():
            self.world.beat(self, peer, heartbeat)
        self.tick_streams()


class Edge(Process):
    """Callers and their clients."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.streams: dict[str, CallerStream] = {}

    def start(self, request: Request) -> None:
        """Open a request; its client may leave."""
        rng = self.world.rng
        stream = CallerStream(request.call, window=self.world.window, may_reopen=lambda: rng.random() < 0.9)
        self.streams[request.call.request_id] = stream
        self._perform(request, stream.open(self.world.now, self.unix_ms()))
        if rng.random() < self.world.weather.cancel:
            self.later(rng.uniform(0, 8), lambda: self._cancel(request))

    def no_responders(self, request_id: str) -> None:
        """Tell a machine that nobody took its OPEN."""
        if stream := self.streams.get(request_id):
            self._perform(self.world.requests[request_id], stream.no_responders(self.world.now))

    def streams_left(self) -> int:
        """Return how many machines there are."""
        return len(self.streams)

    def handle(self, request_id: str, sender: Process, frame: Frame) -> None:
        """Hand a frame to its machine."""
        self.peers.heard(sender.name, self.world.now)
        if stream := self.streams.get(request_id):
            self._perform(self.world.requests[request_id], stream.handle(frame, self.world.now))

    def give_up(self, lost: Lost) -> None:
        """Tell the machines of lost requests."""
        for request_id in lost.request_ids:
            if stream := self.streams.get(request_id):
                self._perform(self.world.requests[request_id], stream.peer_lost(self.world.now))

    def tick_streams(self) -> None:
        """Tick every machine."""
        for request_id, stream in list(self.streams.items()):
            stream.resize(self.world.window)
            self._perform(self.world.requests[request_id], stream.tick(self.world.now))

    def reconnect_streams(self) -> None:
        """Tell every machine that the connection is back."""
        for request_id, stream in list(self.streams.items()):
            self._perform(self.world.requests[request_id], stream.reconnected(self.world.now))

    def _cancel(self, request: Request) -> None:
        if stream := self.streams.get(request.call.request_id):
            self._perform(request, stream.cancel("client_gone", self.world.now))

    def _perform(self, request: Request, actions: list[CallerAction]) -> None:
        for action in actions:
            check(not request.is_closed, "an action after Closed")
            match action:
                case Send():
                    self.world.publish(self, action, request.call.request_id)
                case Received():
                    self._deliver(request, action.data)
                case _:
                    self._note(request, action)

    def _note(self, request: Request, action: CallerAction) -> None:
        match action:
            case Opened():
                request.opened.append(action)
                self.peers.attach(action.peer, request.call.request_id, self.world.now)
            case Started():
                request.heads.append(action.head)
            case Ended() | Failed():
                request.outcomes.append(action)
            case Confirmed() | Unconfirmed():
                check(len(request.outcomes) == 1, "a word on the settlement before the outcome")
                request.words.append(action)
            case Closed():
                self._close(request)

    def _close(self, request: Request) -> None:
        request.is_closed = True
        del self.streams[request.call.request_id]
        for opened in request.opened:
            self.peers.detach(opened.peer, request.call.request_id)

    def _deliver(self, request: Request, data: bytes) -> None:
        check(not request.outcomes, "data after the outcome")
        request.output += data
        request.unread += len(data)
        check(request.unread <= self.world.largest_window, "more unread bytes than a window")
        self.later(self.world.reader_seconds, lambda: self._read(request, len(data)))

    def _read(self, request: Request, size: int) -> None:
        request.unread -= size
        if stream := self.streams.get(request.call.request_id):
            self._perform(request, stream.consumed(size, self.world.now))


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
        self.peers.heard(sender.name, self.world.now)
        if isinstance(frame.content, Open):
            self._open(frame, frame.content)
        elif work := self.works.get((request_id, frame.attempt)):
            self.perform(work.stream, work.stream.handle(frame, self.world.now))

    def give_up(self, lost: Lost) -> None:
        """Tell the machines of lost requests."""
        for (request_id, _), work in list(self.works.items()):
            if request_id in lost.request_ids:
                self.perform(work.stream, work.stream.peer_lost(self.world.now))

    def tick_streams(self) -> None:
        """Tick every machine."""
        for work in list(self.works.values()):
            self.perform(work.stream, work.stream.tick(self.world.now))

    def reconnect_streams(self) -> None:
        """Tell every machine that the connection is back."""
        for work in list(self.works.values()):
            self.perform(work.stream, work.stream.reconnected(self.world.now))

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
                case Writable():
                    self.later(0.0, work.wake)
                case Cancelled():
                    check(not work.is_over, "cancelled after the end")
                    work.is_running = False
                    self.later(self.world.rng.choice([0.0, 0.2]), lambda: work.end(b"cancelled"))
                case Delivered() | Undelivered():
                    check(work.is_over, "a word on the delivery before the end")
                    work.settle()
                case Closed():
                    self._remove(work)

    def _open(self, frame: Frame, opening: Open) -> None:
        now, rivals = self.world.now, self._works_of(opening.request_id)
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
        check(body == self.world.requests[request_id].call.body, "another body")
        check(not any(other.is_running for other in self._works_of(request_id)), "two current attempts")
        self.world.calls.add(work.key)
        self.later(0.0, work.start)

    def _remove(self, work: Work) -> None:
        check(work.is_over, "closed before the end")
        stream = work.stream
        del self.works[stream.request_id, stream.attempt]
        if not self._works_of(stream.request_id):
            self.peers.detach(stream.caller, stream.request_id)
