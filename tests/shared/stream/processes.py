"""What all processes of the simulation have in common: clocks, a connection, a life that ends, and somebody to ask for money."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from shared.stream.frames import Frame
from shared.stream.peers import Lost, PeerTable
from tests.shared.stream.holds import Claim

if TYPE_CHECKING:
    from tests.shared.stream.simulation import World

WALL_MS_AT_ZERO = 1_800_000_000_000
TICK_SECONDS = 0.5
ASK_SECONDS = 1.0
RETRY_SECONDS = 0.5

T = TypeVar("T")


class Violation(AssertionError):
    """A promise of the protocol that a run broke."""


def check(holds: bool, promise: str) -> None:
    """Raise Violation unless the promise holds."""
    if not holds:
        raise Violation(promise)


class Process:
    """A process on the bus: it can sleep, lose its connection and die. A new one has a new name and knows nothing."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.peers = PeerTable(name)
        self.is_alive = True
        self.is_connected = True
        self._is_asleep = False
        self._ahead_seconds = world.rng.uniform(
            0, 100_000
        )  # monotonic clocks of two processes say nothing of each other
        self._skew_ms = world.rng.choice([-1, 0, 1]) * world.weather.skew_ms
        self._waiting: list[Callable[[], None]] = []
        self._last_tick = self.now()

    def now(self) -> float:
        """Return this process's monotonic clock."""
        return self.world.now + self._ahead_seconds

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
        """Stop, as by SIGSTOP: what arrives waits, and the clocks go on."""
        if not self._is_asleep:
            self._is_asleep = True
            self.world.at(self.world.now + seconds, self._wake)

    def suspend(self, seconds: float) -> None:
        """Stop with the whole machine: the monotonic clock stands still, the wall clock may be set right afterwards."""
        if not self._is_asleep:
            self.sleep(seconds)
            self._ahead_seconds -= seconds  # nobody looks at it before the process is awake again
            if self.world.rng.random() < 0.5:
                self._skew_ms -= int(seconds * 1000)

    def step_clock(self, milliseconds: int) -> None:
        """Set the wall clock."""
        self._skew_ms += milliseconds

    def break_connection(self, seconds: float) -> None:
        """Lose whatever is sent or arrives for so long."""
        if self.is_connected:
            self.is_connected = False
            self.world.at(self.world.now + seconds, self._connect)

    def die(self) -> None:
        """End, as by SIGKILL."""
        self.is_alive = False

    def keep_ticking(self) -> None:
        """Tick, and plan the next tick."""
        self._tick()
        self.later(TICK_SECONDS, self.keep_ticking)

    def ask(self, question: Callable[[], T], answered: Callable[[T | None], None]) -> None:
        """Ask billing. The answer is None when none came in time, and then nobody knows whether it was done."""
        world = self.world
        if not self.is_connected or world.loses():
            self.later(ASK_SECONDS, lambda: answered(None))
            return

        def reply() -> None:
            answer = question()
            is_heard = self.is_connected and not world.loses()
            self.later(
                world.delay() if is_heard else ASK_SECONDS, lambda: answered(answer if is_heard else None)
            )

        world.at(world.now + world.delay(), reply)

    def claim(self, request_id: str, claim: Claim, settled: Callable[[bool], None]) -> None:
        """Claim the hold of a request until billing has answered, and say whether it took the claim."""

        def answered(answer: bool | None) -> None:
            if answer is None:
                self.later(RETRY_SECONDS, lambda: self.claim(request_id, claim, settled))
            else:
                settled(answer)

        self.ask(lambda: self.world.holds.end(request_id, claim), answered)

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
        now = self.now()
        for lost in self.peers.paused(now, self._last_tick):
            self.give_up(lost)
        self._last_tick = now
        pulse = self.peers.tick(now)
        for lost in pulse.lost:
            self.give_up(lost)
        for peer, heartbeat in pulse.heartbeats.items():
            self.world.beat(self, peer, heartbeat)
        self.tick_streams()
