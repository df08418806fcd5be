"""A seeded simulation of the stream protocol: whole processes on a bus that does whatever core NATS may do, and worse.

One seed is one run: a weather (what goes wrong, and how often), an edge or two, two or three dispatchers, billing, and a
few requests. The real machines run under a small driver of each kind, and time is a number. When the run is over, every
promise is checked.

`python -m tests.shared.stream` runs 10,000 seeds, `python -m tests.shared.stream SEED` replays one.
"""

import heapq
import random
from collections.abc import Callable
from functools import partial

from shared.stream.actions import Send
from shared.stream.frames import Credit, Data, Fin, Frame, Open, decode
from shared.stream.peers import Heartbeat, HeartbeatReply
from tests.shared.stream.audit import audit
from tests.shared.stream.dispatchers import Dispatcher
from tests.shared.stream.edges import Edge, Request
from tests.shared.stream.holds import Holds
from tests.shared.stream.processes import TICK_SECONDS, Process, Violation, check
from tests.shared.stream.weather import forecast

HEALED_AT = 40.0
END_OF_TIME = 200.0
TROUBLE_SECONDS = 15.0
START_SECONDS = 10.0
LEASE_SECONDS = 60.0


class World:
    """The bus, the clock and the book of what was promised."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.weather = forecast(self.rng)
        self.largest_window = self.window = self.rng.choice([8_192, 16_384, 65_536])
        self.reader_seconds = self.rng.choice([0.0, 0.0, 0.05, 0.5])
        self.requests: dict[str, Request] = {}
        self.calls: set[str] = set()
        self.holds = Holds()
        self.frames = self.resends = self.kills = self.restarts = 0
        self._processes: dict[str, Process] = {}
        self._limits: dict[tuple[str, int], int] = {}
        self._newest: dict[tuple[str, str, int], int] = {}
        self._arrivals: dict[tuple[str, str], float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def at(self, time: float, job: Callable[[], None]) -> None:
        """Do `job` at `time`; jobs of one time run in the order in which they were planned."""
        self._planned += 1
        heapq.heappush(self._events, (time, self._planned, job))

    def answer(self, key: str) -> bytes:
        """Return the bytes that the attempt named `key` answers with, other ones for every attempt."""
        rng = random.Random(key)
        return rng.randbytes(rng.choice([0, 1, 3_000, 40_000, 150_000, 300_000]))

    def loses(self) -> bool:
        """Whether the bus loses the message at hand."""
        return self._goes_wrong(self.weather.drop)

    def delay(self) -> float:
        """Return how long the message at hand takes."""
        slow_seconds = self.weather.slow_seconds if self._goes_wrong(0.1) else 0.0
        return self.rng.uniform(0, 0.002 + slow_seconds)

    def publish(self, sender: Process, send: Send, request_id: str) -> None:
        """Carry a frame to a process or to one of the queue: perhaps, perhaps twice, perhaps late."""
        frame = decode(send.frame)
        assert frame is not None
        self._count(sender, request_id, frame)
        self._check_credit(request_id, frame)
        for _ in range(2 if self._goes_wrong(self.weather.duplicate) else 1):
            receiver = self._receiver(send.peer)
            if receiver is not None:
                self._carry(sender, receiver, partial(receiver.handle, request_id, sender, frame))
            elif isinstance(sender, Edge):
                sender.later(self.delay(), partial(sender.no_responders, request_id))

    def beat(self, sender: Process, peer: str, heartbeat: Heartbeat) -> None:
        """Carry a heartbeat and its reply, or the news that nobody is there."""
        receiver = self._processes[peer]

        def answer() -> None:
            reply = receiver.peers.answer(heartbeat, receiver.now())
            self._carry(receiver, sender, lambda: hear(reply))

        def hear(reply: HeartbeatReply) -> None:
            sender.give_up(sender.peers.handle_reply(peer, reply, sender.now()))

        if receiver.is_alive:
            self._carry(sender, receiver, answer)
        else:
            sender.later(self.delay(), lambda: sender.give_up(sender.peers.no_responders(peer)))

    def run(self) -> None:
        """Run until all is quiet, and check every promise."""
        self._plan()
        while self._events and self.now < END_OF_TIME:
            self.now, _, job = heapq.heappop(self._events)
            job()
            if self.now > HEALED_AT and not self._state_left():
                break
        check(not self._state_left(), f"state is left in {self._state_left()}")
        for request in self.requests.values():
            if request.edge is not None:
                audit(self, request)

    # The plan

    def _plan(self) -> None:
        rng, weather = self.rng, self.weather
        for kind in [Edge] * rng.choice([1, 1, 2]) + [Dispatcher] * rng.randint(2, 3):
            self._begin(kind)
        for number in range(rng.randint(2, 6)):
            body = rng.randbytes(rng.choice([0, 10, 10, 262_144, 900_000]))
            request = Request(request_id=f"{number:032x}", body=body)
            self.requests[request.request_id] = request
            self.at(rng.uniform(0, START_SECONDS), partial(self._start, request))
        for count, trouble in (
            (weather.breaks, lambda victim: victim.break_connection(rng.choice([0.1, 2.0, 7.0, 25.0]))),
            (weather.pauses, lambda victim: victim.sleep(rng.choice([0.5, 4.0, 12.0, 20.0, 20.0]))),
            (weather.suspends, lambda victim: victim.suspend(rng.choice([2.0, 8.0, 20.0]))),
            (weather.jumps, lambda victim: victim.step_clock(rng.choice([-3_600_000, -900, 900, 3_600_000]))),
            (weather.kills, self._kill),
        ):
            for _ in range(count):
                self.at(rng.uniform(0, TROUBLE_SECONDS), partial(self._befall, trouble))
        self.at(rng.uniform(0, TROUBLE_SECONDS), self._shrink)

    def _begin(self, kind: type[Process]) -> None:
        number = len(self._processes)
        name = f"{number:04x}" + ("e" if kind is Edge else "d") * 20
        process = self._processes[name] = kind(self, name)
        process.later(self.rng.uniform(0, TICK_SECONDS), process.keep_ticking)

    def _start(self, request: Request) -> None:
        edges = [process for process in self._living() if isinstance(process, Edge)]
        if edges:
            edge = self.rng.choice(edges)
            edge.run(partial(edge.start, request))

    def _befall(self, trouble: Callable[[Process], None]) -> None:
        if living := self._living():
            trouble(self.rng.choice(living))

    def _kill(self, victim: Process) -> None:
        """Kill a process; mostly another one of its kind takes its place, and whatever was held by its lease expires."""
        self.kills += 1
        victim.die()
        self.at(self.now + LEASE_SECONDS, partial(self.holds.expire, victim.name))
        if self.rng.random() < 0.75:
            self.restarts += 1
            self.at(self.now + self.rng.choice([0.1, 2.0, 10.0]), partial(self._begin, type(victim)))

    def _shrink(self) -> None:
        self.window = 8_192

    # The bus

    def _living(self) -> list[Process]:
        return [process for process in self._processes.values() if process.is_alive]

    def _goes_wrong(self, probability: float) -> bool:
        return self.now < HEALED_AT and self.rng.random() < probability

    def _receiver(self, peer: str | None) -> Process | None:
        if peer is not None:
            return self._processes[peer]
        living = [process for process in self._living() if isinstance(process, Dispatcher)]
        return self.rng.choice(living) if living else None

    def _carry(self, sender: Process, receiver: Process, job: Callable[[], None]) -> None:
        if self.loses() or not sender.is_connected:
            return
        arrival = self.now + self.delay()
        if self.weather.keeps_order:
            pair = (sender.name, receiver.name)
            arrival = self._arrivals[pair] = max(arrival, self._arrivals.get(pair, 0.0))
        self.at(arrival, lambda: receiver.run(job) if receiver.is_connected else None)

    # The book

    def _count(self, sender: Process, request_id: str, frame: Frame) -> None:
        self.frames += 1
        if isinstance(frame.content, Fin):
            return  # it carries the number of END, and is none of the counted
        key = (sender.name, request_id, frame.attempt)
        if 0 < frame.seq <= self._newest.get(key, 0):
            self.resends += 1
        self._newest[key] = max(frame.seq, self._newest.get(key, 0))

    def _check_credit(self, request_id: str, frame: Frame) -> None:
        content, key = frame.content, (request_id, frame.attempt)
        match content:
            case Open():
                self._limits[key] = content.credit_limit
            case Credit():
                self._limits[key] = max(self._limits[key], content.limit)
            case Data():
                end = frame.offset + len(content.payload)
                check(end <= self._limits[key], "sent beyond the credit")

    def _state_left(self) -> list[str]:
        left = [process.name for process in self._processes.values() if process.state_left()]
        return [*left, "billing"] if self.holds.live else left


def simulate(seed: int) -> World:
    """Run one seed and return its world.

    Raises: Violation, which names the seed, when a promise is broken or a machine breaks down.
    """
    world = World(seed)
    try:
        world.run()
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        fault = str(error) if isinstance(error, Violation) else repr(error)
        raise Violation(f"seed {seed} at {world.now:.3f} s in {world.weather}: {fault}") from error
    return world
