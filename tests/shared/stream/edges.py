"""The edge of the simulation: the machines of callers, and the application behind them as `services/edge/relay.py` has it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.edge.relay import CLIENT_REASONS, REPEATABLE
from shared.stream.actions import (
    CallerAction,
    Closed,
    Confirmed,
    Ended,
    Failed,
    Opened,
    Received,
    Send,
    Started,
    Unconfirmed,
)
from shared.stream.caller import Call, CallerStream
from shared.stream.frames import Frame
from shared.stream.peers import Lost
from tests.shared.stream.holds import COMPLETED, PLATFORM_FAILED, VOID, Claim
from tests.shared.stream.processes import Process, check

if TYPE_CHECKING:
    from tests.shared.stream.simulation import World

Outcome = Ended | Failed


@dataclass(kw_only=True)
class Request:
    """One request as its client sees it, with all machines that were begun for it; the last one counts."""

    request_id: str
    body: bytes
    edge: "Edge | None" = None
    legs: list["Leg"] = field(default_factory=list)
    output: bytearray = field(default_factory=bytearray)
    unread: int = 0
    fence: int = 0
    given_up: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class Leg:
    """One machine of a request, and all that it said."""

    request: Request
    stream: CallerStream
    opened: list[Opened] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    words: list[Confirmed | Unconfirmed] = field(default_factory=list)
    is_closed: bool = False
    is_in_doubt: bool = False


class Edge(Process):
    """Callers and their clients."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self._legs: dict[str, Leg] = {}

    def start(self, request: Request) -> None:
        """Open a request; its client may leave, and so may this side cut it."""
        rng, weather = self.world.rng, self.world.weather
        request.edge = self
        self.world.holds.reserve(request.request_id, self.name)
        self._open(request, first_attempt=1)
        for probability, reason in ((weather.leave, "client_gone"), (weather.cut, "deadline")):
            if rng.random() < probability:
                self.later(rng.uniform(0, 8), lambda reason=reason: self._give_up(request, reason))  # type: ignore[misc]

    def no_responders(self, request_id: str) -> None:
        """Tell a machine that nobody took its OPEN."""
        if leg := self._legs.get(request_id):
            self._perform(leg, leg.stream.no_responders(self.now()))

    def streams_left(self) -> int:
        """Return how many machines there are."""
        return len(self._legs)

    def handle(self, request_id: str, sender: Process, frame: Frame) -> None:
        """Hand a frame to its machine."""
        self.peers.heard(sender.name, self.now())
        if leg := self._legs.get(request_id):
            self._perform(leg, leg.stream.handle(frame, self.now()))

    def give_up(self, lost: Lost) -> None:
        """Tell the machines of lost requests."""
        for request_id in lost.request_ids:
            if leg := self._legs.get(request_id):
                self._perform(leg, leg.stream.peer_lost(self.now()))

    def tick_streams(self) -> None:
        """Tick every machine."""
        for leg in list(self._legs.values()):
            leg.stream.resize(self.world.window)
            self._perform(leg, leg.stream.tick(self.now()))

    def reconnect_streams(self) -> None:
        """Tell every machine that the connection is back."""
        for leg in list(self._legs.values()):
            self._perform(leg, leg.stream.reconnected(self.now()))

    # The machines

    def _open(self, request: Request, *, first_attempt: int) -> None:
        call = Call(
            request_id=request.request_id,
            caller=self.name,
            head=b"call",
            body=request.body,
            deadline_unix_ms=0,
        )
        rng = self.world.rng
        stream = CallerStream(
            call,
            window=self.world.window,
            may_reopen=lambda: rng.random() < 0.9,
            first_attempt=first_attempt,
        )
        leg = self._legs[request.request_id] = Leg(request=request, stream=stream)
        request.legs.append(leg)
        self._perform(leg, stream.open(self.now(), self.unix_ms()))

    def _perform(self, leg: Leg, actions: list[CallerAction]) -> None:
        for action in actions:
            check(not leg.is_closed, "an action after Closed")
            match action:
                case Send():
                    self.world.publish(self, action, leg.request.request_id)
                case Received():
                    self._deliver(leg, action.data)
                case _:
                    self._note(leg, action)

    def _note(self, leg: Leg, action: CallerAction) -> None:
        match action:
            case Opened():
                leg.opened.append(action)
                self.peers.attach(action.peer, leg.request.request_id, self.now())
            case Started():
                leg.heads.append(action.head)
            case Ended() | Failed():
                leg.outcomes.append(action)
                self._judge(leg, action)
            case Confirmed() | Unconfirmed():
                check(len(leg.outcomes) == 1, "a word on the settlement before the outcome")
                leg.words.append(action)
                self._see_settled(leg)
            case Closed():
                leg.is_closed = True
                self._drop(leg)

    def _drop(self, leg: Leg) -> None:
        request_id = leg.request.request_id
        if self._legs.get(request_id) is leg:
            del self._legs[request_id]
            for opened in leg.opened:
                self.peers.detach(opened.peer, request_id)

    def _deliver(self, leg: Leg, data: bytes) -> None:
        request = leg.request
        check(not leg.outcomes, "data after the outcome")
        request.output += data
        request.unread += len(data)
        check(request.unread <= self.world.largest_window, "more unread bytes than a window")
        self.later(self.world.reader_seconds, lambda: self._read(leg, len(data)))

    def _read(self, leg: Leg, size: int) -> None:
        leg.request.unread -= size
        if not leg.is_closed:
            self._perform(leg, leg.stream.consumed(size, self.now()))

    # The application

    def _give_up(self, request: Request, reason: str) -> None:
        if request.given_up is None and not request.outcomes:
            request.given_up = reason
            leg = request.legs[-1]
            if not leg.is_closed:
                self._perform(leg, leg.stream.cancel(reason, self.now()))

    def _judge(self, leg: Leg, outcome: Outcome) -> None:
        """Take the outcome of a machine for that of the request, or ask another dispatcher behind a fence."""
        request = leg.request
        is_repeatable = isinstance(outcome, Failed) and outcome.reason in REPEATABLE and not leg.heads
        if not is_repeatable or request.fence or request.given_up or self.world.rng.random() < 0.1:
            request.outcomes.append(outcome)
            return
        assert isinstance(outcome, Failed)
        request.fence = fence = outcome.attempt + 1
        leg.is_in_doubt = True
        self.ask(
            lambda: self.world.holds.raise_fence(request.request_id, fence),
            lambda is_held: self._repeat(leg, is_held=bool(is_held)),
        )

    def _repeat(self, leg: Leg, *, is_held: bool) -> None:
        leg.is_in_doubt = False
        request = leg.request
        if is_held and request.given_up in (None, *CLIENT_REASONS):
            self._drop(leg)
            self._open(request, first_attempt=request.fence)
            if request.given_up is not None:
                new = request.legs[-1]
                self._perform(new, new.stream.cancel(request.given_up, self.now()))
            return
        request.outcomes.append(leg.outcomes[0])
        self._see_settled(leg)

    def _see_settled(self, leg: Leg) -> None:
        """Be the second witness, unless the dispatcher has settled; a machine that was replaced has no say."""
        if leg.is_in_doubt or not leg.words or leg is not leg.request.legs[-1]:
            return
        word, outcome = leg.words[0], leg.outcomes[0]
        if isinstance(word, Confirmed) and word.tail:
            return
        tail = (
            outcome.tail
            if isinstance(outcome, Ended)
            else word.tail
            if isinstance(word, Unconfirmed)
            else None
        )
        self.claim(leg.request.request_id, self._claim(leg, tail), lambda is_taken: None)

    def _claim(self, leg: Leg, tail: bytes | None) -> Claim:
        own_attempt = max(leg.stream.attempt, leg.request.fence)
        if tail is None:
            return Claim(PLATFORM_FAILED if leg.heads else VOID, own_attempt)
        claim = Claim.of(tail)
        if claim.outcome == VOID:
            return Claim(VOID, own_attempt)
        is_ours = isinstance(leg.outcomes[0], Failed) and leg.request.given_up not in CLIENT_REASONS
        outcome = PLATFORM_FAILED if is_ours and claim.outcome == COMPLETED else claim.outcome
        return Claim(outcome, max(claim.attempt, leg.request.fence))
