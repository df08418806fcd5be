"""A seeded simulation of the stream protocol: whole processes on a bus that does whatever core NATS may do, and worse.

One seed is one run: a weather (what goes wrong, and how often), one edge, two or three dispatchers, a few requests. The
real machines run under a small driver of each kind, and time is a number. When the run is over, every promise is checked.

Replay a seed with `python -m tests.shared.stream.simulation SEED`.
"""

import heapq
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from shared.stream.actions import Ended, Send
from shared.stream.caller import Call
from shared.stream.frames import Credit, Data, Frame, Open, decode
from shared.stream.peers import Heartbeat, HeartbeatReply
from tests.shared.stream.processes import TICK_SECONDS, Dispatcher, Edge, Process, Request, Violation, check

HEALED_AT = 40.0
END_OF_TIME = 200.0
TROUBLE_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What goes wrong in a run until it heals. The default is a calm day, on which every request must succeed."""

    drop: float = 0.0
    duplicate: float = 0.0
    slow_seconds: float = 0.0
    keeps_order: bool = True
    breaks: int = 0
    pauses: int = 0
    kills: int = 0
    cancel: float = 0.0
    busy: float = 0.0
    skew_ms: int = 0


def forecast(rng: random.Random) -> Weather:
    """Return the weather of a run: one kind of trouble, none, or everything at once."""
    kind = rng.choice(["calm", "loss", "disorder", "breaks", "pauses", "kills", "clients", "all", "all"])
    has_all = kind == "all"
    return Weather(
        drop=rng.choice([0.02, 0.1, 0.3]) if has_all or kind == "loss" else 0.0,
        duplicate=rng.choice([0.05, 0.3]) if has_all or kind == "disorder" else 0.0,
        slow_seconds=rng.choice([0.05, 0.7, 2.0]) if has_all or kind == "disorder" else 0.0,
        keeps_order=not (has_all or kind == "disorder"),
        breaks=rng.randint(1, 4) if has_all or kind == "breaks" else 0,
        pauses=rng.randint(1, 3) if has_all or kind == "pauses" else 0,
        kills=rng.randint(1, 3) if has_all or kind == "kills" else 0,
        cancel=0.5 if has_all or kind == "clients" else 0.0,
        busy=0.4 if has_all or kind == "clients" else 0.0,
        skew_ms=rng.choice([0, 0, 700, 3_600_000]) if has_all else 0,
    )


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
        self.frames = 0
        self.edge = Edge(self, "e" * 24)
        dispatchers = [Dispatcher(self, f"{n:04x}" + "d" * 20) for n in range(self.rng.randint(2, 3))]
        self._dispatchers: list[Process] = list(dispatchers)
        self._processes: dict[str, Process] = {p.name: p for p in (self.edge, *dispatchers)}
        self._limits: dict[tuple[str, int], int] = {}
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

    def publish(self, sender: Process, send: Send, request_id: str) -> None:
        """Carry a frame to a process or to one of the queue: perhaps, perhaps twice, perhaps late."""
        self.frames += 1
        frame = decode(send.frame)
        assert frame is not None
        self._check_credit(request_id, frame)
        for _ in range(2 if self._goes_wrong(self.weather.duplicate) else 1):
            receiver = self._receiver(send.peer)
            if receiver is None:
                self.edge.later(self._delay(), partial(self.edge.no_responders, request_id))
            else:
                self._carry(sender, receiver, partial(receiver.handle, request_id, sender, frame))

    def beat(self, sender: Process, peer: str, heartbeat: Heartbeat) -> None:
        """Carry a heartbeat and its reply, or the news that nobody is there."""
        receiver = self._processes[peer]

        def answer() -> None:
            reply = receiver.peers.answer(heartbeat, self.now)
            self._carry(receiver, sender, lambda: hear(reply))

        def hear(reply: HeartbeatReply) -> None:
            sender.give_up(sender.peers.handle_reply(peer, reply, self.now))

        if receiver.is_alive:
            self._carry(sender, receiver, answer)
        else:
            sender.later(self._delay(), lambda: sender.give_up(sender.peers.no_responders(peer)))

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
            self._audit(request)

    def _plan(self) -> None:
        rng, everyone = self.rng, list(self._processes.values())
        for number in range(rng.randint(2, 6)):
            request = self._request(number)
            self.at(rng.uniform(0, 8), partial(self.edge.run, partial(self.edge.start, request)))
        for process in everyone:
            self.at(rng.uniform(0, TICK_SECONDS), process.keep_ticking)
        for _ in range(self.weather.breaks):
            self._trouble(partial(rng.choice(everyone).break_connection, rng.choice([0.1, 2.0, 7.0, 25.0])))
        for _ in range(self.weather.pauses):
            self._trouble(partial(rng.choice(everyone).sleep, rng.choice([0.5, 4.0, 12.0, 20.0, 20.0])))
        for _ in range(self.weather.kills):
            self._trouble(rng.choice(everyone).die)
        self._trouble(self._shrink)

    def _request(self, number: int) -> Request:
        body = self.rng.randbytes(self.rng.choice([0, 10, 10, 262_144, 900_000]))
        call = Call(
            request_id=f"{number:032x}", caller=self.edge.name, head=b"call", body=body, deadline_unix_ms=0
        )
        request = self.requests[call.request_id] = Request(call=call)
        return request

    def _trouble(self, job: Callable[[], None]) -> None:
        self.at(self.rng.uniform(0, TROUBLE_SECONDS), job)

    def _shrink(self) -> None:
        self.window = 8_192

    def _goes_wrong(self, probability: float) -> bool:
        return self.now < HEALED_AT and self.rng.random() < probability

    def _receiver(self, peer: str | None) -> Process | None:
        if peer is not None:
            return self._processes[peer]
        living = [dispatcher for dispatcher in self._dispatchers if dispatcher.is_alive]
        return self.rng.choice(living) if living else None

    def _carry(self, sender: Process, receiver: Process, job: Callable[[], None]) -> None:
        if self._goes_wrong(self.weather.drop) or not sender.is_connected:
            return
        arrival = self.now + self._delay()
        if self.weather.keeps_order:
            pair = (sender.name, receiver.name)
            arrival = self._arrivals[pair] = max(arrival, self._arrivals.get(pair, 0.0))
        self.at(arrival, lambda: receiver.run(job) if receiver.is_connected else None)

    def _delay(self) -> float:
        slow_seconds = self.weather.slow_seconds if self._goes_wrong(0.1) else 0.0
        return self.rng.uniform(0, 0.002 + slow_seconds)

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
        return [process.name for process in self._processes.values() if process.state_left()]

    def _audit(self, request: Request) -> None:
        check(len(request.opened) <= 1 and len(request.heads) <= 1, "two callees were listened to")
        whole = b""
        if request.heads:
            key, opened = request.heads[0].decode(), request.opened[0]
            check(key.split()[1:] == [str(opened.attempt), opened.peer], "another callee's answer")
            whole = self.answer(key)
        check(whole.startswith(request.output), "the output is not what the callee answered")
        if self.edge.is_alive:
            self._audit_outcome(request, whole)

    def _audit_outcome(self, request: Request, whole: bytes) -> None:
        check(
            request.is_closed and len(request.outcomes) == len(request.words) == 1, "not exactly one outcome"
        )
        outcome = request.outcomes[0]
        if isinstance(outcome, Ended):
            check(request.output == whole and outcome.tail == b"whole", "a silent cut")
        else:
            check(self.weather != Weather(), f"a failure on a calm day: {outcome}")


def simulate(seed: int) -> World:
    """Run one seed and return its world.

    Raises: Violation, which names the seed, when a promise is broken.
    """
    world = World(seed)
    try:
        world.run()
    except AssertionError as error:
        raise Violation(f"seed {seed} at {world.now:.3f} s in {world.weather}: {error}") from error
    return world


if __name__ == "__main__":
    finished = simulate(int(sys.argv[1]))
    print(f"{finished.weather}\n{finished.frames} frames in {finished.now:.0f} s")  # noqa: T201
    for done in finished.requests.values():
        print(*done.outcomes, *done.words, f"{len(done.output)} bytes")  # noqa: T201
