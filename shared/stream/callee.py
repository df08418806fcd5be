"""The callee's side of a stream: one accepted attempt at the dispatcher, from its OPEN to the last word.

    OPEN, not expired ── accept(): ACCEPT
                 │
                 ▼
              RUNNING     BODY in, credit out;                            BodyReady
                 │        HEAD, DATA out under the caller's credit;       Writable
                 │
                 │        CANCEL, caller lost, newer attempt, ACCEPT
                 │        not confirmed, body broken, or abort():         Cancelled
                 │
                 │ end(): END, aborted if it was cancelled
                 ▼
              ENDED       every frame acknowledged:                       Delivered
                 │        it was cancelled, now or before; caller lost,
                 │        newer attempt, or not acknowledged for 20 s:    Undelivered
                 │        the application settles accordingly
                 │ finish(): FIN
                 ▼
              FINISHED    frames resent as asked, FIN each second until the caller's FIN or for 10 s
                 │
                 ▼
              CLOSED                                                      Closed

The application calls `end` and then `finish` exactly once, also after Cancelled. After Cancelled there is no credit, what
was sent is forgotten, and END says that the answer is not complete, so that the caller can never take it for whole. `end` is
followed by exactly one of Delivered and Undelivered: what nobody received is not charged as complete.

ACCEPT is the callee's commitment: as soon as the body is there it calls upstream. Against an ACCEPT that was lost, it is
repeated until the caller shows by any frame that it listens to this attempt, and the attempt is given up after 8 s.

The driver keeps one machine for each (request id, attempt). It hands an OPEN to all machines of that request id first:
the same attempt is answered again without a second call, an older one is given up. Only an OPEN whose attempt is higher
than all of them, and which is not expired, makes a new machine; to refuse it, send `refusal` instead. A machine stays at
least until its own OPEN has expired (10 s at most, should the clocks differ), so that no copy of it can begin again.
"""

import enum

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
from shared.stream.flow import Inflow, Outflow
from shared.stream.frames import (
    MAX_OPAQUE_BYTES,
    Accept,
    Body,
    BodyCredit,
    Busy,
    Cancel,
    Content,
    Credit,
    End,
    Fin,
    Frame,
    FrameType,
    Head,
    Nack,
    Open,
    callee_tag,
    encode,
)

ACCEPT_REPEAT_SECONDS = 1.5
UNCONFIRMED_SECONDS = 8.0  # longer than the bus takes to say that a caller is dead: its hold is ours to end
DELIVERY_SECONDS = 20.0  # longer than a dead caller goes unnoticed
FIN_REPEAT_SECONDS = 1.0
LINGER_SECONDS = 10.0


class _State(enum.Enum):
    RUNNING = enum.auto()
    ENDED = enum.auto()
    FINISHED = enum.auto()
    CLOSED = enum.auto()


def is_expired(opening: Open, unix_ms: int) -> bool:
    """Whether the OPEN came too late: the caller has gone on, so it is dropped without an answer."""
    return unix_ms > opening.valid_until_unix_ms


def refusal(opening: Open, attempt: int, reason: str) -> Send:
    """Return BUSY for an OPEN that this process does not take; `reason` is a word such as `full`."""
    return Send(peer=opening.caller, frame=encode(Busy(reason=reason), attempt=attempt))


class CalleeStream:
    """One attempt at the callee. All times are monotonic seconds; `tick` is called at least twice a second.

    `body_window` bounds the bytes of the body that are on their way. `unix_ms` is the wall clock at `now`.
    """

    def __init__(
        self, opening: Open, *, attempt: int, callee: str, body_window: int, now: float, unix_ms: int
    ) -> None:
        self.request_id = opening.request_id
        self.caller = opening.caller
        self.attempt = attempt
        self._callee = callee
        self._tag = callee_tag(callee)
        self._state = _State.RUNNING
        self._cancel_reason: str | None = None
        self._body_bytes = opening.body_bytes
        self._body_parts: list[bytes] | None = [opening.body]
        self._inflow = Inflow(BodyCredit, window=body_window, now=now, offset=len(opening.body))
        self._outflow = Outflow(FrameType.DATA, attempt=attempt, callee=self._tag, limit=opening.credit_limit)
        self._is_confirmed = False
        self._accepted_at = now
        self._repeated_at = now
        self._fin: Fin | None = None
        self._fin_at = now
        self._is_released = False
        self._delivery_until: float | None = None  # set while END is on its way
        validity_seconds = (opening.valid_until_unix_ms - unix_ms) / 1000
        self._opens_until = now + min(validity_seconds, LINGER_SECONDS)
        self._closes_at = self._opens_until

    def accept(self, now: float) -> list[CalleeAction]:
        """Send ACCEPT, and give the body if it came whole. Called once, before anything else."""
        return [self._send_accept(now), *self._body_if_ready()]

    @property
    def retained_bytes(self) -> int:
        """How many bytes of the answer are kept for resending, never more than one window of the caller."""
        return self._outflow.retained_bytes

    def can_send(self) -> int:
        """Return how many bytes may be sent now; wait for Writable at 0, and only then."""
        return self._outflow.credit if self._is_answering else 0

    def send_head(self, head: bytes) -> list[CalleeAction]:
        """Send the opaque head of the answer, at most 64 KiB and before any data; nothing happens after Cancelled."""
        assert len(head) <= MAX_OPAQUE_BYTES, "the head is too long"
        if not self._is_answering:
            return []
        return [self._publish(self._outflow.push_control(Head(head=head)))]

    def send_data(self, data: bytes) -> list[CalleeAction]:
        """Send bytes of the answer, at least one and at most `can_send()`; nothing happens after Cancelled."""
        if not self._is_answering:
            return []
        return [Send(peer=self.caller, frame=self._outflow.push(data))]

    def end(self, tail: bytes, now: float) -> list[CalleeAction]:
        """Send END with the opaque outcome, at most 64 KiB. The answer is complete unless the attempt was cancelled."""
        assert self._state is _State.RUNNING, "ended twice"
        assert len(tail) <= MAX_OPAQUE_BYTES, "the tail is too long"
        self._state = _State.ENDED
        self._body_parts = None
        self._delivery_until = now + DELIVERY_SECONDS
        reason = self._cancel_reason
        end = End(tail=tail, total_bytes=self._outflow.offset, is_aborted=reason is not None)
        sent = self._publish(self._outflow.push_control(end))
        return [sent] if reason is None else [sent, *self._undelivered(reason)]

    def finish(self, tail: bytes, now: float) -> list[CalleeAction]:
        """Send FIN with the opaque word on the settlement, at most 64 KiB; what is kept is dropped within 10 s."""
        assert self._state is _State.ENDED, "finished before the end, or twice"
        assert len(tail) <= MAX_OPAQUE_BYTES, "the tail is too long"
        self._state = _State.FINISHED
        self._fin = Fin(tail=tail)
        self._closes_at = now + LINGER_SECONDS
        return self._send_fin(now)

    def handle(self, frame: Frame, now: float) -> list[CalleeAction]:
        """Take a frame that arrived for this request."""
        if self._state is _State.CLOSED:
            return []
        if isinstance(frame.content, Open):
            return self._handle_open(frame, now)
        if frame.attempt != self.attempt or frame.callee != self._tag:
            return []
        self._is_confirmed = True
        return self._handle_current(frame, now)

    def tick(self, now: float) -> list[CalleeAction]:
        """Do what time demands."""
        if self._state is _State.CLOSED:
            return []
        if self._state is _State.FINISHED:
            if now >= self._closes_at:
                return self._close()
            if self._is_released:
                return []
            actions = self._repeat_fin(now)
        else:
            actions = [*self._tick_accept(now), *self._tick_body(now), *self._tick_delivery(now)]
        probes = self._outflow.tick(now, has_more=self._is_answering)
        return [*actions, *self._publish_all(probes)]

    def peer_lost(self, now: float) -> list[CalleeAction]:
        """Give the attempt up: the caller's process is gone, or does not know this request."""
        return [*self.abort("peer_lost"), *self._undelivered("peer_lost")]

    def abort(self, reason: str) -> list[CalleeAction]:
        """Give the attempt up for a reason of this process, such as a drain; END will say that it is not complete.

        Cancelled follows, unless the attempt was cancelled or ended before.
        """
        if not self._is_answering:
            return []
        self._cancel_reason = reason
        self._body_parts = None
        self._outflow.abandon()
        return [Cancelled(reason=reason)]

    def reconnected(self, now: float) -> list[CalleeAction]:
        """Repair what the bus may have lost while this process was not connected to it."""
        if self._state is _State.CLOSED:
            return []
        actions: list[CalleeAction] = []
        if not self._is_confirmed and self._cancel_reason is None:
            actions.append(self._send_accept(now))
        if self._is_receiving:
            actions.append(self._send(self._inflow.demand(now)))
        actions += self._publish_all(self._outflow.resend_all())
        return actions + (self._send_fin(now) if self._state is _State.FINISHED else [])

    # Rules

    @property
    def _is_answering(self) -> bool:
        return self._state is _State.RUNNING and self._cancel_reason is None

    @property
    def _is_receiving(self) -> bool:
        return self._body_parts is not None and self._is_answering

    def _handle_open(self, frame: Frame, now: float) -> list[CalleeAction]:
        if frame.attempt > self.attempt:
            return [*self.abort("superseded"), *self._undelivered("superseded")]
        if frame.attempt < self.attempt:
            return []
        if self._state is _State.FINISHED:
            return self._repeat_fin(now)
        return [self._send_accept(now)] if self._is_answering else []

    def _handle_current(self, frame: Frame, now: float) -> list[CalleeAction]:
        content = frame.content
        match content:
            case Credit():
                has_more = self._outflow.acknowledge(content.received_seq, content.limit)
                if self._delivery_until is not None and self._outflow.is_acknowledged:
                    self._delivery_until = None
                    return [Delivered()]
                return [Writable()] if has_more and self._is_answering else []
            case Nack():
                return self._publish_all(self._outflow.resend(content.first_missing_seq))
            case Body():
                return self._handle_body(frame, content, now)
            case Cancel():
                return self._handle_cancel(content, now)
            case Fin():
                return self._handle_fin(now)
            case _:
                return []

    def _handle_body(self, frame: Frame, body: Body, now: float) -> list[CalleeAction]:
        if not self._is_receiving:
            return []
        if not self._inflow.receive(frame, len(body.payload), now):
            return self._tell(now)
        if not body.payload:
            return [self._send(self._inflow.grant(now))]
        assert self._body_parts is not None
        self._body_parts.append(body.payload)
        credit = self._inflow.consume(len(body.payload), now)
        ready = self._body_if_ready()
        if credit is None and ready:
            credit = self._inflow.grant(now)
        return [*([] if credit is None else [self._send(credit)]), *ready]

    def _body_if_ready(self) -> list[CalleeAction]:
        if self._body_parts is None or self._inflow.offset < self._body_bytes:
            return []
        body = b"".join(self._body_parts)
        self._body_parts = None
        return [BodyReady(body=body)]

    def _handle_cancel(self, cancel: Cancel, now: float) -> list[CalleeAction]:
        if self._state is _State.RUNNING:
            return self.abort(cancel.reason)
        self._outflow.acknowledge(cancel.received_seq, 0)
        resent = self._publish_all(self._outflow.resend_newest())
        if self._state is _State.ENDED:
            return [*resent, *self._undelivered(cancel.reason)]
        return [*resent, *self._repeat_fin(now)]

    def _handle_fin(self, now: float) -> list[CalleeAction]:
        if self._state is not _State.FINISHED:
            return []
        self._is_released = True
        self._outflow.abandon()
        self._closes_at = self._opens_until
        return self._close() if now >= self._closes_at else []

    def _tick_accept(self, now: float) -> list[CalleeAction]:
        if self._is_confirmed or not self._is_answering:
            return []
        if now - self._accepted_at >= UNCONFIRMED_SECONDS:
            return self.abort("unconfirmed")
        if now - self._repeated_at >= ACCEPT_REPEAT_SECONDS:
            return [self._send_accept(now)]
        return []

    def _tick_delivery(self, now: float) -> list[CalleeAction]:
        is_late = self._delivery_until is not None and now >= self._delivery_until
        return self._undelivered("unacknowledged") if is_late else []

    def _undelivered(self, reason: str) -> list[CalleeAction]:
        if self._delivery_until is None:
            return []
        self._delivery_until = None
        return [Undelivered(reason=reason)]

    def _tick_body(self, now: float) -> list[CalleeAction]:
        if not self._is_receiving:
            return []
        return self.abort("gap") if self._inflow.is_broken(now) else self._tell(now)

    def _close(self) -> list[CalleeAction]:
        self._state = _State.CLOSED
        self._outflow.abandon()
        return [Closed()]

    # Frames

    def _send_accept(self, now: float) -> Send:
        self._repeated_at = now
        return self._send(Accept(callee=self._callee, body_limit=self._inflow.limit))

    def _repeat_fin(self, now: float) -> list[CalleeAction]:
        return self._send_fin(now) if now - self._fin_at >= FIN_REPEAT_SECONDS else []

    def _send_fin(self, now: float) -> list[CalleeAction]:
        assert self._fin is not None
        self._fin_at = now
        return [self._send(self._fin)]

    def _tell(self, now: float) -> list[CalleeAction]:
        due = self._inflow.due(now)
        return [] if due is None else [self._send(due)]

    def _send(self, content: Content) -> Send:
        seq, offset = (self._outflow.seq, self._outflow.offset) if isinstance(content, Fin) else (0, 0)
        frame = encode(content, attempt=self.attempt, callee=self._tag, seq=seq, offset=offset)
        return self._publish(frame)

    def _publish(self, frame: bytes) -> Send:
        return Send(peer=self.caller, frame=frame)

    def _publish_all(self, frames: list[bytes]) -> list[CalleeAction]:
        """Return what repairs a loss: frames that go out again, and probes."""
        return [Send(peer=self.caller, frame=frame, is_repair=True) for frame in frames]
