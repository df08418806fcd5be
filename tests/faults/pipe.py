"""One direction of a proxied connection: what has come waits here until it is due, as its lane says."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

WAITING_BYTES_MAX = 4 * 1024 * 1024  # of one direction of one connection, before its sender has to wait
PIECES_PER_SECOND = 50  # of a throttled direction

Ending = Literal["fin", "rst"]


class Lane:
    """What happens to one direction of all connections of a proxy."""

    def __init__(self) -> None:
        self.passed_bytes = 0
        self.clear()

    def clear(self) -> None:
        """End every fault."""
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.is_dropping = False

    @property
    def is_clear(self) -> bool:
        """Whether there is no fault."""
        return not (self.is_dropping or self.delay_seconds or self.bytes_per_second)


class Pipe:
    """One direction of one connection: what has come from its source and not gone into its sink, the end of it included."""

    def __init__(self, lane: Lane, ended: Callable[[Ending], None]) -> None:
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.is_sink_full = False
        self.has_ended = False  # the end of the source has been passed on
        self._lane = lane
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes | Ending]] = deque()
        self._waiting_bytes = 0
        self._is_source_done = False
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def push(self, data: bytes) -> None:
        """Take what has come, and pass it on when it is due."""
        if self.sink is not None and not self._waiting and self._lane.is_clear:
            self._write(data)
            return
        self._waiting.append((self._loop.time() + self._lane.delay_seconds, data))
        self._waiting_bytes += len(data)
        self.pump()

    def push_end(self, ending: Ending) -> None:
        """Take that nothing more comes, and pass it on behind all else."""
        self._is_source_done = True
        self._waiting.append((self._loop.time() + self._lane.delay_seconds, ending))
        self.pump()

    def pump(self) -> None:
        """Pass on what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self.sink is not None and not self._lane.is_dropping:
            due, data = self._waiting[0]
            # A fault that has been ended delays nothing any more.
            due = 0.0 if self._lane.is_clear else max(due, self._free_at)
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.pump)
                break
            self._waiting.popleft()
            if isinstance(data, bytes):
                self._write(self._piece(due, data))
            else:
                self.has_ended = True
                self._ended(data)
        self._update_reading()

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        self.source = self.sink = None

    def _piece(self, due: float, data: bytes) -> bytes:
        """Return what may go now; the rest waits."""
        rate = self._lane.bytes_per_second
        piece = data if rate is None else data[: max(1, int(rate / PIECES_PER_SECOND))]
        if rate is not None:
            self._free_at = self._loop.time() + len(piece) / rate
        if len(piece) < len(data):
            self._waiting.appendleft((due, data[len(piece) :]))
        self._waiting_bytes -= len(piece)
        return piece

    def _write(self, data: bytes) -> None:
        assert self.sink is not None
        self._lane.passed_bytes += len(data)
        if not self.sink.is_closing():
            self.sink.write(data)

    def _update_reading(self) -> None:
        if self.source is None or self._is_source_done or self.source.is_closing():
            return
        must_wait = self.is_sink_full or self._lane.is_dropping or self._waiting_bytes > WAITING_BYTES_MAX
        if must_wait and self.source.is_reading():
            self.source.pause_reading()
        elif not must_wait and not self.source.is_reading():
            self.source.resume_reading()
