"""The opening of a streamed answer: events without output are kept until there is some, so that another channel can still be tried.

A role, an empty delta, a placeholder of usage or the report of a filter promise nothing: many an upstream sends them and then
fails. They go out together with the first output or finish, in order and byte for byte. An opening that is too long to keep goes
out as well, and ends the failover: some upstreams send empty deltas while their model thinks.
"""

from services.dispatcher.chat import StreamInspector, inspect_plain
from services.dispatcher.normalise import Origin
from services.dispatcher.upstream_error import UpstreamError

HELD_BYTES_MAX = 64 * 1024
HELD_EVENTS_MAX = 1024
UNREAD_BYTES_MAX = 64 * 1024  # of what was no event, for a look at what it was instead


class Opening:
    """What was held back of one answer; `is_over` once anything has gone out."""

    def __init__(self) -> None:
        self.is_over = False
        self._held: list[bytes] = []
        self._bytes = 0
        self._events = 0

    def release(self, ready: bytes, *, has_begun: bool) -> bytes:
        """Return what may go out now that the whole events `ready` have come; `has_begun`: there was output or a finish."""
        if self.is_over:
            return ready
        self._held.append(ready)
        self._bytes += len(ready)
        self._events += ready.count(b"\n\n")
        if not has_begun and self._bytes <= HELD_BYTES_MAX and self._events <= HELD_EVENTS_MAX:
            return b""
        self.is_over = True
        released = b"".join(self._held)
        self._held.clear()
        return released


class StreamedAnswer:
    """A streamed answer on its way: what it has said, and what of it is held back."""

    def __init__(self, include_usage: bool, origin: Origin | None = None) -> None:
        self.inspector = StreamInspector(include_usage=include_usage, origin=origin)
        self._opening = Opening()
        self._unread = b""
        self._has_events = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that `chunk` completes; `release` says what of them may go out."""
        ready = self.inspector.feed(chunk)
        if ready:
            self._has_events = True
            self._unread = b""
        elif not self._has_events:
            self._unread = (self._unread + chunk)[:UNREAD_BYTES_MAX]
        return ready

    def release(self, ready: bytes) -> bytes:
        """Return what may go out now that the whole events `ready` have come."""
        has_begun = self.inspector.saw_output or bool(self.inspector.finish_reasons)
        return self._opening.release(ready, has_begun=has_begun)

    def misreading(self, content_type: str) -> UpstreamError | None:
        """Return what came in place of events: an error or a page under a good status, or nothing; None if there were events."""
        if self._has_events:
            return None
        if self.inspector.saw_done or not self._unread.strip():
            return UpstreamError(kind="empty")
        return inspect_plain(200, content_type, self._unread).error or UpstreamError(kind="invalid")
