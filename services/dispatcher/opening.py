"""The opening of a streamed answer: events without output are kept until there is some, so that another channel can still be tried.

A role, an empty delta, a placeholder of usage or the report of a filter promise nothing: many an upstream sends them and then
fails. They go out together with the first output or finish, in order and byte for byte. An opening that is too long to keep goes
out as well, and ends the failover: some upstreams send empty deltas while their model thinks.
"""

HELD_BYTES_MAX = 64 * 1024
HELD_EVENTS_MAX = 1024


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
