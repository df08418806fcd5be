"""Flow control of one direction of a stream: numbering, credit, acknowledgement and resending.

    Outflow ── counted frames: seq 1, 2, 3 …, byte offsets ──▶ Inflow ──▶ application
            ◀── credit (limit, received seq) ─ NACK (first missing) ──

Credit is a cumulative limit of bytes, as in QUIC (RFC 9000 §4.1): a lost message does no harm, since the next one repeats
more. The sender keeps every frame until it is acknowledged, which is never more than one window of bytes. The receiver
takes only the next frame; a later one shows a gap and is dropped, since the sender goes back to the first missing one
(go-back-N): the bus keeps order, so what is lost is lost in a row.

What no later frame reveals is found by time. The receiver acknowledges within a second of receiving. A sender that waits
for an acknowledgement or for credit probes after two seconds without progress, and then ever more rarely, since the bus may
be slow and not lossy. A probe is an empty frame, counted like any other: its arrival shows the gap, its answer is credit.
Where nothing may follow the newest frame, that one is the probe.
"""

from collections import deque

from shared.stream.frames import (
    MAX_PART_BYTES,
    PREFIX,
    PREFIX_BYTES,
    VERSION,
    BodyCredit,
    Credit,
    End,
    Frame,
    FrameType,
    Head,
    Nack,
    encode,
)

PROCESS_WINDOW_BYTES = 24 * 1024 * 1024
"""All windows of a process together stay far below the 64 MB at which nats-server cuts a slow connection."""
MIN_WINDOW_BYTES = 8 * 1024
MAX_WINDOW_BYTES = 256 * 1024

ACKNOWLEDGE_SECONDS = 1.0
PROBE_SECONDS = 2.0
MAX_PROBE_SECONDS = 16.0
NACK_SECONDS = 0.5
GAP_SECONDS = 5.0


def window_bytes(active_streams: int) -> int:
    """Return the window of each stream when a process has so many."""
    share = PROCESS_WINDOW_BYTES // max(1, active_streams)
    return max(MIN_WINDOW_BYTES, min(share, MAX_WINDOW_BYTES))


class Outflow:
    """The sending side: DATA with HEAD and END, or BODY. `seq` and `offset` are those of what was sent so far."""

    def __init__(
        self, frame_type: FrameType, *, attempt: int, callee: int, limit: int, offset: int = 0
    ) -> None:
        self.seq = 0
        self.offset = offset
        self._type = frame_type.value
        self._attempt = attempt
        self._callee = callee
        self._limit = limit
        self._acknowledged_seq = 0
        self._retained: deque[bytes] = deque()
        self._waits_since = 0.0
        self._probe_after = PROBE_SECONDS
        self._waits_for: tuple[int, int] | None = None

    @property
    def credit(self) -> int:
        """How many bytes may be sent now."""
        return max(0, self._limit - self.offset)

    @property
    def is_acknowledged(self) -> bool:
        """Whether all that was sent is known to have arrived."""
        return not self._retained

    @property
    def retained_bytes(self) -> int:
        """How many bytes of payload are kept for resending."""
        return sum(len(frame) - PREFIX_BYTES for frame in self._retained if frame[1] == self._type)

    def push(self, payload: bytes) -> bytes:
        """Return the frame that carries `payload`, which is at most `credit` bytes."""
        end = self.offset + len(payload)
        assert end <= self._limit or not payload, "sent beyond the credit"
        self.seq += 1
        frame = (
            PREFIX.pack(VERSION, self._type, 0, self._attempt, self._callee, self.seq, self.offset) + payload
        )
        self.offset = end
        self._retained.append(frame)
        return frame

    def push_from(self, source: bytes) -> list[bytes]:
        """Return frames for as much of the rest of `source` as there is credit for."""
        frames = []
        while size := min(MAX_PART_BYTES, self.credit, len(source) - self.offset):
            frames.append(self.push(source[self.offset : self.offset + size]))
        return frames

    def push_control(self, content: Head | End) -> bytes:
        """Return the frame of `content`, which is counted but needs no credit."""
        self.seq += 1
        frame = encode(content, attempt=self._attempt, callee=self._callee, seq=self.seq, offset=self.offset)
        self._retained.append(frame)
        return frame

    def acknowledge(self, received_seq: int, limit: int) -> bool:
        """Forget what has arrived and take the new limit; return whether it rose. Old or untrue words change nothing."""
        if received_seq > self.seq:
            return False
        while self._acknowledged_seq < received_seq:
            self._retained.popleft()
            self._acknowledged_seq += 1
        if limit <= self._limit:
            return False
        self._limit = limit
        return True

    def resend(self, first_missing_seq: int) -> list[bytes]:
        """Return all frames from `first_missing_seq` on; none when they are known to have arrived."""
        if not self._acknowledged_seq < first_missing_seq <= self.seq:
            return []
        self.acknowledge(first_missing_seq - 1, 0)
        return list(self._retained)

    def resend_all(self) -> list[bytes]:
        """Return all frames that are not acknowledged."""
        return list(self._retained)

    def resend_newest(self) -> list[bytes]:
        """Return the newest frame if it is not acknowledged: its arrival shows the receiver what is missing."""
        return [self._retained[-1]] if self._retained else []

    def abandon(self) -> None:
        """Forget what was sent: nobody wants it any more. Numbers go on."""
        self._retained.clear()
        self._acknowledged_seq = self.seq

    def tick(self, now: float, *, has_more: bool) -> list[bytes]:
        """Return a probe when nothing has moved for too long.

        `has_more` says whether more bytes may follow, so that credit is wanted and a frame can be added.
        """
        if not self._retained and not (has_more and self.credit == 0):
            self._waits_for = None
            return []
        waits_for = (self._acknowledged_seq, self._limit)
        if waits_for != self._waits_for:
            self._waits_for = waits_for
            self._waits_since = now
            self._probe_after = PROBE_SECONDS
            return []
        if now - self._waits_since < self._probe_after:
            return []
        self._waits_since = now
        self._probe_after = min(2 * self._probe_after, MAX_PROBE_SECONDS)
        return [self.push(b"")] if has_more else self.resend_newest()


class Inflow:
    """The receiving side. `seq` and `offset` are those of what has arrived without a gap, `limit` is what was granted.

    `window` may be set at any time; a limit once granted stays.
    """

    def __init__(
        self, credit_type: type[Credit | BodyCredit], *, window: int, now: float, offset: int = 0
    ) -> None:
        self.seq = 0
        self.offset = offset
        self.window = window
        self.limit = offset + window
        self._credit_type = credit_type
        self._consumed = offset
        self._highest_seq = 0
        self._gap_since: float | None = None
        self._nacked_at = float("-inf")
        self._told_at = now
        self._told_seq = -1

    def receive(self, frame: Frame, size: int, now: float) -> bool:
        """Return whether `frame` with `size` bytes is the next one, to be delivered now.

        One that was here before is dropped. A later one, and one that contradicts the offset or the limit, counts as
        missing: it is asked for again, and the gap that stays ends the stream.
        """
        expected = self.seq + 1
        if frame.seq == expected and frame.offset == self.offset and self.offset + size <= self.limit:
            self.seq = expected
            self.offset += size
            if self._gap_since is not None:
                self._gap_since = now if self._highest_seq > expected else None
            return True
        if frame.seq < expected:
            self._told_seq = -1
        else:
            self.miss(frame.seq, now)
        return False

    def miss(self, seq: int, now: float) -> None:
        """Know that the counted frame `seq` exists and has not arrived."""
        self._highest_seq = max(self._highest_seq, seq)
        if self._gap_since is None and seq > self.seq:
            self._gap_since = now

    def is_broken(self, now: float) -> bool:
        """Whether a frame has been missing for so long that the stream has to fail."""
        return self._gap_since is not None and now - self._gap_since >= GAP_SECONDS

    def consume(self, size: int, now: float) -> Credit | BodyCredit | None:
        """Note that the application is done with `size` bytes; return new credit once it is worth a message."""
        self._consumed += size
        assert self._consumed <= self.offset, "consumed more than was delivered"
        if (self._consumed + self.window - self.limit) * 2 < self.window:
            return None
        return self.grant(now)

    def grant(self, now: float) -> Credit | BodyCredit:
        """Return all credit that the window allows, with the acknowledgement."""
        self.limit = max(self.limit, self._consumed + self.window)
        self._told_at = now
        self._told_seq = self.seq
        return self._credit_type(limit=self.limit, received_seq=self.seq)

    def demand(self, now: float) -> Nack:
        """Return the request for all that has not arrived."""
        self._nacked_at = now
        return Nack(first_missing_seq=self.seq + 1)

    def due(self, now: float) -> Credit | BodyCredit | Nack | None:
        """Return what has to be said now: a NACK for a gap twice a second, an acknowledgement once a second."""
        if self._gap_since is not None:
            return self.demand(now) if now - self._nacked_at >= NACK_SECONDS else None
        if self._told_seq < self.seq and now - self._told_at >= ACKNOWLEDGE_SECONDS:
            return self.grant(now)
        return None
