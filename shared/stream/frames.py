"""Frames: what caller and callee say to each other, byte by byte.

A frame is a prefix of 20 bytes in network order and its content:

    ver u8 │ type u8 │ flags u16 │ attempt u16 │ callee u16 │ seq u32 │ offset u64 │ content …

`attempt` and `callee` fence: they name the attempt that the frame belongs to. `callee` is the tag of the callee's process
(the first 16 bits of its id), so that answers of two callees that got the same OPEN can never mix; it is 0 in OPEN and
BUSY. `seq` counts the frames of one direction from 1; 0 means not counted. `offset` is the position of the content's first
byte in its direction's stream. `flags` is 0 and reserved.

    frame        from     counted  content
    OPEN         caller            the call, with up to 256 KiB of its body in the same message
    ACCEPT       callee            who answers, and the limit for the body
    BUSY         callee            a refusal: the callee drains or is full
    HEAD         callee   yes      opaque: how the answer begins
    DATA         callee   yes      raw bytes of the answer
    END          callee   yes      opaque outcome, and how many bytes there were
    CREDIT       caller            limit and acknowledgement for HEAD, DATA and END
    NACK         both              the first counted frame of the other side that is missing
    BODY         caller   yes      raw bytes: the rest of the body
    BODY_CREDIT  callee            limit and acknowledgement for BODY
    CANCEL       caller            the attempt is given up
    FIN          both              callee: opaque word on the settlement, `seq` is that of END; caller: received

DATA and BODY are raw. All others are msgpack of the struct named alike; fields are only ever added, with defaults.
"""

import enum
import struct
from typing import Annotated

import msgspec

VERSION = 1
PREFIX = struct.Struct("!BBHHHIQ")
PREFIX_BYTES = 20
MAX_PART_BYTES = 256 * 1024
"""The most bytes of a body in one frame, so that OPEN with its head stays below the bus's limit of 512 KiB."""
MAX_OPAQUE_BYTES = 64 * 1024
"""The most bytes of one opaque head or tail."""

ProcessId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{24}\Z")]
RequestId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Opaque = Annotated[bytes, msgspec.Meta(max_length=MAX_OPAQUE_BYTES)]
Reason = Annotated[str, msgspec.Meta(max_length=64)]


class FrameType(enum.IntEnum):
    """The second byte of a frame. A number is never given a second meaning."""

    OPEN = 1
    ACCEPT = 2
    BUSY = 3
    HEAD = 4
    DATA = 5
    END = 6
    CREDIT = 7
    NACK = 8
    BODY = 9
    BODY_CREDIT = 10
    CANCEL = 11
    FIN = 12


class FrameError(ValueError):
    """Bytes that are not a frame of this version."""


class Open(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call to any callee of the queue, void when it arrives after `valid_until_unix_ms`.

    `head` describes the call and is opaque here. `body` holds the first bytes of the body, `body_bytes` counts all of
    it. `credit_limit` is how far the answer may go at first.
    """

    caller: ProcessId
    request_id: RequestId
    valid_until_unix_ms: Count
    deadline_unix_ms: Count
    head: Opaque
    body: Annotated[bytes, msgspec.Meta(max_length=MAX_PART_BYTES)]
    body_bytes: Count
    credit_limit: Count

    def __post_init__(self) -> None:
        if len(self.body) > self.body_bytes:
            raise ValueError("the first part is longer than the body")


class Accept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The process `callee` takes the attempt; the body may go as far as `body_limit` bytes."""

    callee: ProcessId
    body_limit: Count


class Busy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The callee does not take the attempt and has done nothing for it."""

    reason: Reason


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer begins."""

    head: Opaque


class Data(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The next bytes of the answer. None at all is a question for credit."""

    payload: bytes


class End(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer is over after `total_bytes`. An aborted one is not complete, whatever has arrived."""

    tail: Opaque
    total_bytes: Count
    is_aborted: bool = False


class Credit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer may go as far as `limit` bytes; every counted frame up to `received_seq` has arrived."""

    limit: Count
    received_seq: Count


class Nack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Counted frames from `first_missing_seq` on are asked for; all before it have arrived."""

    first_missing_seq: Annotated[int, msgspec.Meta(ge=1, le=2**32)]


class Body(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The next bytes of the body. None at all is a question for credit."""

    payload: bytes


class BodyCredit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body may go as far as `limit` bytes; every BODY frame up to `received_seq` has arrived."""

    limit: Count
    received_seq: Count


class Cancel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The caller has given the attempt up; END and FIN are still of interest, and no more once `received_seq` is that of END.

    Only CANCEL acknowledges an END that nobody wants: after a CREDIT it would count as delivered.
    """

    reason: Reason
    received_seq: Count = 0


class Fin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last word: of the callee with what became of the settlement, of the caller with nothing."""

    tail: Opaque = b""


Content = (
    Open | Accept | Busy | Head | Data | End | Credit | Nack | Body | BodyCredit | Cancel | Fin
)  # fmt: skip


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decoded frame; the fields are those of the prefix."""

    attempt: int
    callee: int
    seq: int
    offset: int
    content: Content


_TYPES: dict[type[Content], FrameType] = {
    Open: FrameType.OPEN,
    Accept: FrameType.ACCEPT,
    Busy: FrameType.BUSY,
    Head: FrameType.HEAD,
    Data: FrameType.DATA,
    End: FrameType.END,
    Credit: FrameType.CREDIT,
    Nack: FrameType.NACK,
    Body: FrameType.BODY,
    BodyCredit: FrameType.BODY_CREDIT,
    Cancel: FrameType.CANCEL,
    Fin: FrameType.FIN,
}
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[int, msgspec.msgpack.Decoder[Content]] = {
    frame_type.value: msgspec.msgpack.Decoder(content)
    for content, frame_type in _TYPES.items()
    if content not in (Data, Body)
}
_DATA = FrameType.DATA.value
_BODY = FrameType.BODY.value


def callee_tag(process_id: str) -> int:
    """Return the 16 bits that stand for a callee's process in a prefix."""
    return int(process_id[:4], 16)


def encode(content: Content, *, attempt: int, callee: int = 0, seq: int = 0, offset: int = 0) -> bytes:
    """Return the bytes of a frame."""
    prefix = PREFIX.pack(VERSION, _TYPES[type(content)], 0, attempt, callee, seq, offset)
    return prefix + (content.payload if isinstance(content, Data | Body) else _ENCODER.encode(content))


def decode(data: bytes) -> Frame | None:
    """Return the frame, or None for a type that only newer processes know: count it and drop it.

    Raises: FrameError, and nothing else, when `data` is not a frame of this version.
    """
    if len(data) < PREFIX_BYTES:
        raise FrameError("shorter than the prefix")
    version, frame_type, _flags, attempt, callee, seq, offset = PREFIX.unpack_from(data)
    if version != VERSION:
        raise FrameError(f"version {version} is not ours")
    content: Content
    if frame_type == _DATA:
        content = Data(payload=data[PREFIX_BYTES:])
    elif frame_type == _BODY:
        content = Body(payload=data[PREFIX_BYTES:])
    elif (decoder := _DECODERS.get(frame_type)) is None:
        return None
    else:
        content = _decode_content(decoder, data)
    return Frame(attempt=attempt, callee=callee, seq=seq, offset=offset, content=content)


def _decode_content(decoder: msgspec.msgpack.Decoder[Content], data: bytes) -> Content:
    try:
        return decoder.decode(memoryview(data)[PREFIX_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"malformed content: {type(error).__name__}") from error
