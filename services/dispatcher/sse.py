"""Server-sent events, read as the WHATWG says and forwarded in one canonical form.

Every chunking of a byte stream gives the same events: LF, CRLF and CR end a line (also a CRLF that is split between
two chunks), a byte order mark is dropped, comments, `id`, `retry` and unknown fields are skipped, several `data` lines
are joined. Everything works on bytes, so a character that is split between chunks needs no care.

Differs from https://html.spec.whatwg.org/multipage/server-sent-events.html in one point: at the end of the stream an
event without its blank line is given out by `flush`, since providers forget it (the caller judges whether it is whole).
"""

import re

import msgspec

MAX_EVENT_BYTES = 32 * 1024 * 1024  # an image in base64 is one event

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PREFIX = b"data: "
_LINE_END = re.compile(rb"[\r\n]")


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event: its `data`, its `event` type if it names one, and `raw`, the bytes to forward.

    `raw` is `data: <data>` and a blank line, one such line for each line of data; no other field stands in it. For an
    event that came in this form, `raw` is what came.
    """

    data: bytes
    raw: bytes
    event: bytes | None = None


class EventTooLarge(ValueError):
    """An event is larger than the parser accepts. Nothing can be read after it."""


class SseParser:
    """Cuts a byte stream into events, holding at most `max_event_bytes` of an event that is not complete."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._is_at_start = True
        self._is_after_cr = False
        self._is_failed = False
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes, in order.

        Raises: EventTooLarge when an event exceeds the limit; events completed before it are returned first, and
            the next call raises.
        """
        self._refuse_after_failure()
        if self._is_at_start:
            chunk = self._without_byte_order_mark(chunk)
        events: list[Event] = []
        has_carriage_returns = self._is_after_cr or b"\r" in chunk
        position = 0
        while position < len(chunk) and not self._is_failed:
            if not (has_carriage_returns or self._line or self._data or self._event):
                position = self._take_canonical(chunk, position, events)
            if position < len(chunk):
                position = self._take_line(chunk, position, events)
        if not events:
            self._refuse_after_failure()
        return events

    def flush(self) -> list[Event]:
        """Return the event, if any, that the end of the stream leaves without its blank line.

        Raises: EventTooLarge when a call to `feed` has still to report it.
        """
        self._refuse_after_failure()
        events: list[Event] = []
        if self._line:
            self._end_line(bytes(self._line), events)
        self._dispatch(events)
        self._line.clear()
        return events

    def _refuse_after_failure(self) -> None:
        if self._is_failed:
            raise EventTooLarge(f"an event exceeds {self._max_event_bytes} bytes")

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        head = bytes(self._line) + chunk
        self._line.clear()
        if len(head) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(head):
            self._line += head
            return b""
        self._is_at_start = False
        return head.removeprefix(_BYTE_ORDER_MARK)

    def _take_canonical(self, chunk: bytes, position: int, events: list[Event]) -> int:
        """Take as many whole canonical events as stand at `position`; return where they end.

        This is the way nearly every event goes: two searches and two slices for each.
        """
        size = len(chunk)
        while chunk.startswith(_PREFIX, position):
            end = chunk.find(b"\n", position)
            if end < 0 or end - position > self._max_event_bytes or not chunk.startswith(b"\n", end + 1):
                break
            following = end + 2
            is_whole_chunk = position == 0 and following == size
            raw = chunk if is_whole_chunk else chunk[position:following]
            events.append(Event(data=chunk[position + 6 : end], raw=raw))
            position = following
        return position

    def _take_line(self, chunk: bytes, position: int, events: list[Event]) -> int:
        """Take one line, or what has come of it; return where it ends."""
        if self._is_after_cr:
            self._is_after_cr = False
            if chunk.startswith(b"\n", position):
                return position + 1
        found = _LINE_END.search(chunk, position)
        end = found.start() if found else len(chunk)
        if self._data_bytes + len(self._line) + end - position > self._max_event_bytes:
            self._is_failed = True
            return len(chunk)
        if found is None:
            self._line += chunk[position:]
            return len(chunk)
        line = chunk[position:end]
        if self._line:
            line = bytes(self._line) + line
            self._line.clear()
        self._is_after_cr = found.group() == b"\r"
        self._end_line(line, events)
        return end + 1

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(line)
        elif name == b"event":
            self._event = value

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            raw = b"".join(b"data: %b\n" % line for line in self._data) + b"\n"
            events.append(Event(data=b"\n".join(self._data), raw=raw, event=self._event or None))
            self._data.clear()
        self._data_bytes = 0
        self._event = b""
