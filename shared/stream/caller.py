"""The caller's side of a stream: one request at the edge, from OPEN to the word on its settlement.

                 │ open(): OPEN to the queue
                 ▼
    ┌──────── OPENING ◀─┐ BUSY:
    │            │      └ attempt + 1, OPEN again, while the budget allows
    │            │ ACCEPT                                     Opened
    │            ▼
    ├──────── FLOWING     HEAD, DATA in, credit out;          Started, Received …
    │            │        BODY out under the callee's credit
    │            │ END, all bytes here                        Ended
    │            ▼
    │         SETTLING    FIN within 3 s, or not              Confirmed or Unconfirmed ─┐
    │                                                                                   ├▶ CLOSED   Closed
    └───────▶ LEAVING     CANCEL each second until END or FIN Confirmed or Unconfirmed ─┘
      Failed              or for 10 s; FIN within 3 s of END

The application sees at most one Opened, then at most one Started and any number of Received, then exactly one outcome
(Ended or Failed), exactly one word on the settlement (Confirmed or Unconfirmed), and Closed. Ended means that every
byte up to END was delivered; nothing that a callee or the bus does turns a cut answer into Ended.

Fencing. The caller listens to one callee of one attempt: the first whose ACCEPT of the current attempt arrives. Whoever
else accepts gets CANCEL, at most once a second, and its frames are dropped. BUSY is a promise that nothing was begun; after
silence or a loss nobody can know. Such a request is not opened again here: it is the application's choice to fence off what
may still run, and to begin a new machine with a higher `first_attempt`.

END outside its turn counts only when nothing can be lost by it: in LEAVING, for its tail, and when it says that the
callee aborted, which is a failure.
"""

import enum
from collections.abc import Callable

import msgspec

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
from shared.stream.flow import Inflow, Outflow
from shared.stream.frames import (
    MAX_PART_BYTES,
    Accept,
    BodyCredit,
    Busy,
    Cancel,
    Content,
    Credit,
    Data,
    End,
    Fin,
    Frame,
    FrameType,
    Head,
    Nack,
    Open,
    encode,
)
from shared.stream.strangers import Strangers

OPEN_SECONDS = 1.0
CANCEL_REPEAT_SECONDS = 1.0
CANCEL_SECONDS = 10.0
SETTLE_SECONDS = 3.0
MAX_OPENS = 4


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: by the process `caller`, with an opaque `head` for the callee's application, and a body."""

    request_id: str
    caller: str
    head: bytes
    body: bytes
    deadline_unix_ms: int


class _State(enum.Enum):
    OPENING = enum.auto()
    FLOWING = enum.auto()
    SETTLING = enum.auto()
    LEAVING = enum.auto()
    CLOSED = enum.auto()


class CallerStream:
    """One request at the caller. All times are monotonic seconds; `tick` is called at least twice a second.

    `window` is the first credit, `may_reopen` takes one token from the budget of further attempts and says whether
    there was one.
    """

    def __init__(
        self,
        call: Call,
        *,
        window: int,
        may_reopen: Callable[[], bool],
        open_seconds: float = OPEN_SECONDS,
        first_attempt: int = 1,
    ) -> None:
        self._call = call
        self._may_reopen = may_reopen
        self._open_seconds = open_seconds
        self._state = _State.OPENING
        self._attempt = first_attempt
        self._callee: str | None = None
        self._tag = -1
        self._inflow = Inflow(Credit, window=window, now=0.0)
        self._outflow: Outflow | None = None
        self._unix_ms_at_zero = 0.0
        self._opens = 0
        self._is_doubtful = False
        self._open_until = 0.0
        self._closes_at = 0.0
        self._cancel: Cancel | None = None
        self._cancelled_at = 0.0
        self._end_tail: bytes | None = None
        self._fin_tail: bytes | None = None
        self._strangers = Strangers()

    @property
    def attempt(self) -> int:
        """The number of the current attempt."""
        return self._attempt

    def open(self, now: float, unix_ms: int) -> list[CallerAction]:
        """Send the first OPEN; `unix_ms` is the wall clock at `now`. Called once, before anything else."""
        self._unix_ms_at_zero = unix_ms - now * 1000
        return self._open(now)

    def handle(self, frame: Frame, now: float) -> list[CallerAction]:
        """Take a frame that arrived for this request."""
        if self._state is _State.CLOSED:
            return []
        if frame.attempt != self._attempt or frame.callee != self._tag:
            return self._handle_other(frame, now)
        content = frame.content
        if isinstance(content, Data | Head | End):
            return self._handle_answer(frame, content, now)
        if isinstance(content, Fin):
            return self._handle_fin(frame, content, now)
        return self._handle_control(frame, content, now) if self._state is _State.FLOWING else []

    def consumed(self, nbytes: int, now: float) -> list[CallerAction]:
        """Note that the client has taken `nbytes` of what was Received; the callee may send as many more."""
        if self._state is not _State.FLOWING:
            return []
        credit = self._inflow.consume(nbytes, now)
        return [] if credit is None else [self._send(credit)]

    def resize(self, window: int) -> None:
        """Use another window from now on; what was granted stays granted."""
        self._inflow.window = window

    def tick(self, now: float) -> list[CallerAction]:
        """Do what time demands."""
        match self._state:
            case _State.OPENING:
                return self._give_up_silence(now) if now >= self._open_until else []
            case _State.FLOWING:
                return self._tick_flow(now)
            case _State.SETTLING | _State.LEAVING:
                return self._tick_leaving(now)
            case _:
                return []

    def cancel(self, reason: str, now: float) -> list[CallerAction]:
        """Give the request up; `reason` is a word for the callee, ≤ 64 letters. Changes nothing once there is an outcome."""
        if self._state is _State.OPENING:
            self._is_doubtful = True
            return self._fail(Failure.CANCELLED, now, SETTLE_SECONDS, reason)
        if self._state is _State.FLOWING:
            return self._fail(Failure.CANCELLED, now, CANCEL_SECONDS, reason)
        return []

    def no_responders(self, now: float) -> list[CallerAction]:
        """Fail: the bus says that nobody listens on the queue."""
        if self._state is not _State.OPENING:
            return []
        return self._fail(Failure.NO_RESPONDERS, now, SETTLE_SECONDS)

    def peer_lost(self, now: float) -> list[CallerAction]:
        """Give the callee up: its process is gone, or does not know this request."""
        if self._state is _State.FLOWING:
            return self._fail(Failure.PEER_LOST, now, 0.0)
        if self._state in (_State.SETTLING, _State.LEAVING):
            return self._close()
        return []

    def reconnected(self, now: float) -> list[CallerAction]:
        """Repair what the bus may have lost while this process was not connected to it."""
        if self._state is _State.FLOWING:
            resent = self._outflow.resend_all() if self._outflow else []
            return [self._send(self._inflow.demand(now)), *self._repair(resent)]
        if self._state is _State.LEAVING and self._cancel is not None:
            return self._send_cancel(now)
        return []

    # Opening

    def _open(self, now: float) -> list[CallerAction]:
        self._opens += 1
        self._open_until = now + self._open_seconds
        self._inflow = Inflow(Credit, window=self._inflow.window, now=now)
        opening = Open(
            caller=self._call.caller,
            request_id=self._call.request_id,
            valid_until_unix_ms=int(self._unix_ms_at_zero + self._open_until * 1000),
            deadline_unix_ms=self._call.deadline_unix_ms,
            head=self._call.head,
            body=self._call.body[:MAX_PART_BYTES],
            body_bytes=len(self._call.body),
            credit_limit=self._inflow.limit,
        )
        return [Send(peer=None, frame=encode(opening, attempt=self._attempt))]

    def _give_up_silence(self, now: float) -> list[CallerAction]:
        self._is_doubtful = True
        return self._fail(Failure.NO_ACCEPT, now, SETTLE_SECONDS)

    def _reopen(self, now: float) -> list[CallerAction]:
        if self._opens >= MAX_OPENS or not self._may_reopen():
            return self._fail(Failure.BUSY, now, SETTLE_SECONDS)
        self._attempt += 1
        return self._open(now)

    def _accepted(self, accept: Accept, tag: int, now: float) -> list[CallerAction]:
        self._callee = accept.callee
        self._tag = tag
        if self._state is _State.LEAVING:
            self._closes_at = now + CANCEL_SECONDS
            return self._send_cancel(now)
        self._state = _State.FLOWING
        opened = Opened(peer=accept.callee, attempt=self._attempt)
        if len(self._call.body) <= MAX_PART_BYTES:
            return [opened]
        self._outflow = Outflow(
            FrameType.BODY,
            attempt=self._attempt,
            callee=tag,
            limit=accept.body_limit,
            offset=MAX_PART_BYTES,
        )
        return [opened, *self._send_all(self._outflow.push_from(self._call.body))]

    def _handle_other(self, frame: Frame, now: float) -> list[CallerAction]:
        """Take a frame that is not of our callee: an answer to the current OPEN, or a stranger's."""
        content = frame.content
        is_open = frame.attempt == self._attempt and self._callee is None
        if isinstance(content, Busy) and is_open and self._state is _State.OPENING:
            return self._reopen(now)
        if isinstance(content, Accept):
            if is_open:
                return self._accepted(content, frame.callee, now)
            self._strangers.meet(frame, content.callee)
        return self._strangers.turn_away(frame, now)

    # Flowing

    def _handle_answer(self, frame: Frame, content: Data | Head | End, now: float) -> list[CallerAction]:
        if self._state is _State.SETTLING and frame.seq > self._inflow.seq:
            return []
        if isinstance(content, End) and (self._state is _State.LEAVING or content.is_aborted):
            return self._end_early(frame, content, now)
        if self._state is _State.LEAVING:
            return []
        size = len(content.payload) if isinstance(content, Data) else 0
        if not self._inflow.receive(frame, size, now):
            return self._tell(now)
        if isinstance(content, Data):
            return [Received(data=content.payload)] if size else [self._send(self._inflow.grant(now))]
        if isinstance(content, Head):
            return [Started(head=content.head)]
        return self._end(content, now)

    def _end(self, end: End, now: float) -> list[CallerAction]:
        if end.total_bytes != self._inflow.offset:
            return self._fail(Failure.GAP, now, CANCEL_SECONDS)
        self._state = _State.SETTLING
        self._end_tail = end.tail
        self._closes_at = now + SETTLE_SECONDS
        self._release_body()
        ended: list[CallerAction] = [Ended(tail=end.tail), self._send(self._inflow.grant(now))]
        return ended if self._fin_tail is None else ended + self._close()

    def _end_early(self, frame: Frame, end: End, now: float) -> list[CallerAction]:
        """Take END though frames may be missing: the answer is not complete in any case."""
        self._end_tail = end.tail
        if self._cancel is None:
            acknowledgement = self._send(Credit(limit=self._inflow.limit, received_seq=frame.seq))
            is_leaving = self._state is _State.LEAVING
            return [
                acknowledgement,
                *([] if is_leaving else self._fail(Failure.ABORTED, now, SETTLE_SECONDS)),
            ]
        self._cancel = Cancel(reason=self._cancel.reason, received_seq=frame.seq)
        self._closes_at = min(self._closes_at, now + SETTLE_SECONDS)
        return self._send_cancel(now)

    def _handle_control(self, frame: Frame, content: Content, now: float) -> list[CallerAction]:
        match content:
            case Accept() if content.callee == self._callee:
                return [self._send(self._inflow.grant(now))]
            case Accept():
                self._strangers.meet(frame, content.callee)
                return self._strangers.turn_away(frame, now)
            case BodyCredit() if self._outflow is not None:
                self._outflow.acknowledge(content.received_seq, content.limit)
                return self._send_all(self._outflow.push_from(self._call.body))
            case Nack() if self._outflow is not None:
                return self._repair(self._outflow.resend(content.first_missing_seq))
            case _:
                return []

    def _handle_fin(self, frame: Frame, fin: Fin, now: float) -> list[CallerAction]:
        self._fin_tail = fin.tail
        if self._state is not _State.FLOWING:
            return self._close()
        # It overtook END, whose number it carries.
        self._inflow.miss(frame.seq, now)
        return self._tell(now)

    def _tick_flow(self, now: float) -> list[CallerAction]:
        if self._inflow.is_broken(now):
            return self._fail(Failure.GAP, now, CANCEL_SECONDS)
        actions = self._tell(now)
        if self._outflow is not None:
            has_more = self._outflow.offset < len(self._call.body)
            actions += self._repair(self._outflow.tick(now, has_more=has_more))
        return actions

    # Leaving

    def _fail(
        self, reason: Failure, now: float, wait_seconds: float, told: str | None = None
    ) -> list[CallerAction]:
        """Give the outcome Failed, tell the callee (`told`, else the reason) and wait for its word on the settlement."""
        has_accept = self._callee is not None or self._is_doubtful
        actions: list[CallerAction] = [Failed(reason=reason, attempt=self._attempt, has_accept=has_accept)]
        self._state = _State.LEAVING
        self._closes_at = now + wait_seconds
        self._release_body()
        if self._end_tail is None:
            self._cancel = Cancel(reason=told or reason.value)
            actions += self._send_cancel(now)
        if not has_accept or wait_seconds == 0 or self._fin_tail is not None:
            actions += self._close()
        return actions

    def _tick_leaving(self, now: float) -> list[CallerAction]:
        if now >= self._closes_at:
            return self._close()
        if self._state is _State.SETTLING:
            return self._tell(now)
        is_unheard = self._cancel is not None and self._end_tail is None
        return (
            self._send_cancel(now) if is_unheard and now - self._cancelled_at >= CANCEL_REPEAT_SECONDS else []
        )

    def _send_cancel(self, now: float) -> list[CallerAction]:
        if self._callee is None or self._cancel is None:
            return []
        self._cancelled_at = now
        return [self._send(self._cancel)]

    def _close(self) -> list[CallerAction]:
        self._state = _State.CLOSED
        if self._fin_tail is None:
            return [Unconfirmed(tail=self._end_tail), Closed()]
        return [self._send(Fin()), Confirmed(tail=self._fin_tail), Closed()]

    def _release_body(self) -> None:
        """Free what a stream that only waits for its settlement does not need."""
        self._call = msgspec.structs.replace(self._call, body=b"")
        self._outflow = None

    # Frames

    def _tell(self, now: float) -> list[CallerAction]:
        due = self._inflow.due(now)
        return [] if due is None else [self._send(due)]

    def _send(self, content: Content) -> Send:
        return Send(peer=self._callee, frame=encode(content, attempt=self._attempt, callee=self._tag))

    def _send_all(self, frames: list[bytes]) -> list[CallerAction]:
        return [Send(peer=self._callee, frame=frame) for frame in frames]

    def _repair(self, frames: list[bytes]) -> list[CallerAction]:
        return [Send(peer=self._callee, frame=frame, is_repair=True) for frame in frames]
