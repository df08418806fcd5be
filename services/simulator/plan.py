"""The whole response to one request, as writes with their moments, before anything is sent.

A plan knows nothing of sockets: it is bytes, seconds and an ending, and equal input gives an equal plan. A piece is a part
of the body that has a meaning (an event, a ping); a step is one write, with head and transfer coding.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from services.simulator.answer import Usage
from services.simulator.behaviour import Behaviour
from services.simulator.faults import phrase

WRITE_BYTES = 65_536  # no larger step, so that a slow reader costs little memory
GZIP_FORMAT = 31
BAD_CHUNK = b"ZZZ\r\n"

Coding = Literal["chunked", "length", "close"]
Ending = Literal["keep", "close", "reset", "hang"]
Headers = Sequence[tuple[str, str]]

_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CUT_ENDINGS: dict[str, Ending] = {"fin": "close", "rst": "reset", "bad_chunk": "close", "hang": "hang"}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a body, when it is due, and the tokens emitted with it in all."""

    label: str
    data: bytes
    at: float = 0.0
    tokens: int = 0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One write: `at` seconds after the request was read; afterwards `tokens` have been emitted."""

    at: float
    data: bytes
    tokens: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response. `usage` is what completing it costs, None when a provider would bill nothing."""

    status: int
    steps: tuple[Step, ...]
    ending: Ending = "keep"
    is_cut: bool = False
    usage: Usage | None = None
    bills_after_abort: bool = False

    @property
    def size(self) -> int:
        """The bytes of the whole response."""
        return sum(len(step.data) for step in self.steps)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a response says, before it is framed for the wire."""

    status: int
    content_type: str
    pieces: Sequence[Piece]
    headers: Headers = ()
    coding: Coding = "length"
    head_at: float = 0.0
    usage: Usage | None = None


def document(
    status: int,
    body: bytes,
    *,
    at: float = 0.0,
    content_type: str = "application/json",
    headers: Headers = (),
) -> Content:
    """Return the content of a plain response, due `at` seconds after the request, that nobody is billed for."""
    return Content(
        status=status,
        content_type=content_type,
        pieces=[Piece(label="body", data=body, at=at)],
        headers=headers,
        head_at=at,
    )


def make_plan(content: Content, behaviour: Behaviour) -> Plan:
    """Return the plan that sends the content as the behaviour wants it framed and cut."""
    coding = _coding(content, behaviour)
    pieces = _gzip(content.pieces) if behaviour.gzip else content.pieces
    head = _head(content, behaviour, coding, sum(len(piece.data) for piece in pieces))
    place = _cut_place(pieces, behaviour)
    kept = pieces if place is None else _cut(pieces, *place)
    kept = _coalesce(kept, behaviour.coalesce) if behaviour.coalesce > 1 else kept
    start = Piece(label="head", data=b"" if behaviour.cut == "headers" else head, at=content.head_at)
    # What a plain answer generates is due before its head is.
    wire = sorted([start, *(_chunk(kept) if coding == "chunked" else kept)], key=lambda piece: piece.at)
    end = b"0\r\n\r\n" if coding == "chunked" else b""
    if place is not None:
        end = BAD_CHUNK if behaviour.cut_mode == "bad_chunk" else b""
    wire.append(Piece(label="end", data=end, at=wire[-1].at, tokens=wire[-1].tokens))
    return Plan(
        status=content.status,
        steps=tuple(_steps(wire, behaviour.split)),
        ending=_ending(behaviour, coding) if place is None else _CUT_ENDINGS[behaviour.cut_mode],
        is_cut=place is not None,
        usage=content.usage,
        bills_after_abort=behaviour.ignore_abort,
    )


def _coding(content: Content, behaviour: Behaviour) -> Coding:
    coding = behaviour.te or content.coding
    return "close" if behaviour.http10 and coding == "chunked" else coding


def _head(content: Content, behaviour: Behaviour, coding: Coding, length: int) -> bytes:
    version = "1.0" if behaviour.http10 else "1.1"
    lines = [
        f"HTTP/{version} {content.status} {phrase(content.status)}",
        f"content-type: {behaviour.ct if behaviour.ct is not None else content.content_type}",
        "x-simulated: true",
        *(f"{name}: {value}" for name, value in content.headers),
    ]
    if behaviour.gzip:
        lines.append("content-encoding: gzip")
    if coding == "chunked":
        lines.append("transfer-encoding: chunked")
    if coding == "length":
        lines.append(f"content-length: {length}")
    if _ending(behaviour, coding) == "close":
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _ending(behaviour: Behaviour, coding: Coding) -> Ending:
    return "close" if coding == "close" or behaviour.http10 or behaviour.close_conn else "keep"


def _gzip(pieces: Sequence[Piece]) -> list[Piece]:
    """Compress the pieces, each flushed so that a reader can decode it before the next one comes."""
    compressor = zlib.compressobj(wbits=GZIP_FORMAT)
    packed = [
        msgspec.structs.replace(
            piece, data=compressor.compress(piece.data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        )
        if piece.data
        else piece
        for piece in pieces
    ]
    last = packed[-1]
    return [*packed[:-1], msgspec.structs.replace(last, data=last.data + compressor.flush())]


def _cut_place(pieces: Sequence[Piece], behaviour: Behaviour) -> tuple[int, int] | None:
    """Return where the response breaks, as a piece and the bytes of it that still go out; None when it does not."""
    place, _, count = (behaviour.cut or "").partition(":")
    if not place:
        return None
    if place == "headers":
        return 0, 0
    labels = [piece.label for piece in pieces]
    if "body" in labels:
        return _cut_place_in_body(place, labels.index("body"), pieces)
    if place == "tok":
        return next(
            ((at + 1, 0) for at, piece in enumerate(pieces) if _is_after(piece, int(count))),
            None,
        )
    if place in ("mid_utf8", "mid_json"):
        return _cut_place_in_event(place, pieces)
    wanted = {"before_usage": ("usage", "done"), "before_done": ("done",)}.get(place)
    for at, label in enumerate(labels):
        if label in wanted if wanted else label != "ping":
            return at, 0
    return len(pieces), 0


def _is_after(piece: Piece, count: int) -> bool:
    return piece.label in ("role", "delta") and piece.tokens >= count


def _cut_place_in_body(place: str, at: int, pieces: Sequence[Piece]) -> tuple[int, int]:
    """A plain body has three places: before it, within a character that is not ASCII, and its middle."""
    data = pieces[at].data
    if place == "first":
        return at, 0
    character = _NOT_ASCII.search(data) if place == "mid_utf8" else None
    return at, character.end() if character else len(data) // 2


def _cut_place_in_event(place: str, pieces: Sequence[Piece]) -> tuple[int, int] | None:
    deltas = [(at, piece.data) for at, piece in enumerate(pieces) if piece.label == "delta"]
    if place == "mid_utf8":
        for at, data in deltas:
            character = _NOT_ASCII.search(data)
            if character:
                return at, character.end()
    return next(((at, len(data) // 2) for at, data in deltas), None)


def _cut(pieces: Sequence[Piece], at: int, size: int) -> list[Piece]:
    kept = list(pieces[:at])
    if size:
        # The tokens of a torn piece count: nobody can read them, but they were generated.
        kept.append(msgspec.structs.replace(pieces[at], data=pieces[at].data[:size]))
    return kept


def _coalesce(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """Join every `count` pieces into one that is due with its last."""
    return [_join(pieces[at : at + count]) for at in range(0, len(pieces), count)]


def _join(pieces: Sequence[Piece]) -> Piece:
    return msgspec.structs.replace(pieces[-1], data=b"".join(piece.data for piece in pieces))


def _chunk(pieces: Sequence[Piece]) -> list[Piece]:
    """Frame each piece as one chunk (RFC 9112 §7.1); one of no bytes stays as it is, for it would end the body."""
    return [
        msgspec.structs.replace(piece, data=b"%x\r\n%b\r\n" % (len(piece.data), piece.data))
        if piece.data
        else piece
        for piece in pieces
    ]


def _steps(pieces: Sequence[Piece], split: int | None) -> Iterator[Step]:
    """Yield the writes: what is due together goes out together, unless `split` wants single writes of its size."""
    size = split or WRITE_BYTES
    waiting: list[Piece] = []
    waiting_bytes = 0
    for piece in pieces:
        if waiting and (split or piece.at != waiting[0].at or waiting_bytes >= size):
            yield from _write(_join(waiting), size)
            waiting, waiting_bytes = [], 0
        waiting.append(piece)
        waiting_bytes += len(piece.data)
    yield from _write(_join(waiting), size)


def _write(piece: Piece, size: int) -> Iterator[Step]:
    for at in range(0, max(len(piece.data), 1), size):
        yield Step(at=piece.at, data=piece.data[at : at + size], tokens=piece.tokens)
