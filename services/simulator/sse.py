"""Server-sent events as bytes (WHATWG HTML §9.2), correct by default and odd on request."""

from collections.abc import Sequence

from services.simulator.behaviour import Behaviour
from services.simulator.chat import Event

BOM = "\ufeff".encode()
PADDING_LINE_BYTES = 1_024


def frame(events: Sequence[Event], behaviour: Behaviour) -> list[bytes]:
    """Return the bytes of each event; what precedes the first one in the stream is part of it."""
    eol = behaviour.eol_bytes
    frames = [_frame(number, event.data, behaviour) for number, event in enumerate(events)]
    if frames:
        frames[0] = _preamble(behaviour) + frames[0]
    if frames and not behaviour.final_blank:
        frames[-1] = frames[-1].removesuffix(eol)
    return frames


def comment(text: str, behaviour: Behaviour) -> bytes:
    """Return a comment, which readers skip but count as a sign of life."""
    return b": " + text.encode() + behaviour.eol_bytes * 2


def padding(size: int, behaviour: Behaviour) -> bytes:
    """Return comments of at least `size` bytes in all."""
    line = comment("x" * PADDING_LINE_BYTES, behaviour)
    return line * -(-size // len(line))


def _preamble(behaviour: Behaviour) -> bytes:
    start = BOM if behaviour.bom else b""
    return start + b"retry: 3000" + behaviour.eol_bytes * 2 if behaviour.retry_line else start


def _frame(number: int, data: bytes, behaviour: Behaviour) -> bytes:
    eol = behaviour.eol_bytes
    field = b"data: " if behaviour.space else b"data:"
    before = comment(behaviour.comments, behaviour) if behaviour.comments is not None else b""
    if behaviour.event_names:
        before += b"event: message" + eol
    if behaviour.id_lines:
        before += b"id: %d" % number + eol
    if behaviour.multiline_data and data.startswith(b"{"):
        # A line break is white space in JSON here, so the joined lines still decode.
        return before + field + b"{" + eol + field + data[1:] + eol + eol
    return before + field + data + eol + eol
