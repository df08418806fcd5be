"""The codec: what is encoded comes back, and nothing else than a frame or a FrameError comes of bytes."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stream.frames import (
    MAX_OPAQUE_BYTES,
    MAX_PART_BYTES,
    PREFIX,
    PREFIX_BYTES,
    Accept,
    Body,
    BodyCredit,
    Busy,
    Cancel,
    Content,
    Credit,
    Data,
    End,
    Fin,
    FrameError,
    FrameType,
    Head,
    Nack,
    Open,
    callee_tag,
    decode,
    encode,
)
from tests.shared.stream.wire import CALLEE, opening

U16 = st.integers(0, 2**16 - 1)
counts = st.integers(0, 2**63 - 1)
short = st.binary(max_size=200)
reasons = st.text(max_size=64)
process_ids = st.text("0123456789abcdef", min_size=24, max_size=24)
openings = st.builds(
    Open,
    caller=process_ids,
    request_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    valid_until_unix_ms=counts,
    deadline_unix_ms=counts,
    head=short,
    body=short,
    body_bytes=st.integers(200, 2**63 - 1),
    credit_limit=counts,
)
any_content: st.SearchStrategy[Content] = st.one_of(
    openings,
    st.builds(Accept, callee=process_ids, body_limit=counts),
    st.builds(Busy, reason=reasons),
    st.builds(Head, head=short),
    st.builds(Data, payload=short),
    st.builds(End, tail=short, total_bytes=counts, is_aborted=st.booleans()),
    st.builds(Credit, limit=counts, received_seq=counts),
    st.builds(Nack, first_missing_seq=st.integers(1, 2**32)),
    st.builds(Body, payload=short),
    st.builds(BodyCredit, limit=counts, received_seq=counts),
    st.builds(Cancel, reason=reasons),
    st.builds(Fin, tail=short),
)


@given(any_content, U16, U16, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_every_frame_survives_the_trip(
    content: Content, attempt: int, callee: int, seq: int, offset: int
) -> None:
    """What is encoded is what is decoded, prefix and content."""
    frame = decode(encode(content, attempt=attempt, callee=callee, seq=seq, offset=offset))

    assert frame is not None
    assert frame.content == content
    assert (frame.attempt, frame.callee, frame.seq, frame.offset) == (attempt, callee, seq, offset)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    """Bytes from nowhere raise nothing but FrameError."""
    with contextlib.suppress(FrameError):
        decode(data)


@given(any_content, st.data())
def test_a_damaged_frame_is_a_frame_or_an_error(content: Content, draw: st.DataObject) -> None:
    """Frames with bytes changed, cut off or added raise nothing but FrameError."""
    good = bytearray(encode(content, attempt=1))
    for _ in range(draw.draw(st.integers(1, 4))):
        good[draw.draw(st.integers(0, len(good) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(good[: draw.draw(st.integers(0, len(good)))]) + draw.draw(st.binary(max_size=4))

    with contextlib.suppress(FrameError):
        decode(damaged)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x81\xa6reason\xa1\xff",
        b"\x81\xa6reason\xa5hi",
        b"\x81\xa5other" + b"\x91" * 100_000 + b"\xc0",
        msgspec.msgpack.encode({"reason": "x" * 65}),
        msgspec.msgpack.encode({"reason": 1}),
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode([1]),
    ],
)
def test_malformed_content_is_an_error(content: bytes) -> None:
    """Broken msgpack, wrong types, wrong text, endless nesting and missing fields are all the same typed error."""
    prefix = PREFIX.pack(1, FrameType.CANCEL, 0, 1, 0, 0, 0)

    with pytest.raises(FrameError):
        decode(prefix + content)


@pytest.mark.parametrize(
    "wrong",
    [
        {"caller": "E" * 24},
        {"caller": "e" * 24 + "\n"},
        {"caller": "a.*.>" + "e" * 19},
        {"request_id": "0" * 31},
        {"body_bytes": 1},
        {"body_bytes": -1},
        {"credit_limit": 2**63},
        {"body": b"x" * (MAX_PART_BYTES + 1), "body_bytes": MAX_PART_BYTES + 1},
        {"head": b"x" * (MAX_OPAQUE_BYTES + 1)},
    ],
)
def test_an_open_with_an_impossible_field_is_an_error(wrong: dict[str, object]) -> None:
    """Nothing that could break a subject or a bound gets past the codec."""
    prefix = PREFIX.pack(1, FrameType.OPEN, 0, 1, 0, 0, 0)
    fields = msgspec.structs.asdict(opening()) | wrong

    with pytest.raises(FrameError):
        decode(prefix + msgspec.msgpack.encode(fields))


def test_another_version_and_a_short_prefix_are_errors() -> None:
    """A frame that is not of this version is refused, however it looks."""
    good = encode(Data(payload=b""), attempt=1)

    with pytest.raises(FrameError, match="version 2"):
        decode(b"\x02" + good[1:])
    with pytest.raises(FrameError, match="prefix"):
        decode(good[: PREFIX_BYTES - 1])


def test_an_unknown_type_is_none() -> None:
    """A type of a newer release is dropped, not an error."""
    assert decode(PREFIX.pack(1, 200, 0, 1, 0, 0, 0) + b"anything") is None


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    """Old and new releases understand each other."""
    prefix = PREFIX.pack(1, FrameType.END, 7, 1, 0, 0, 0)

    frame = decode(prefix + msgspec.msgpack.encode({"tail": b"t", "total_bytes": 3, "new": [1, {"x": 2}]}))

    assert frame is not None
    assert frame.content == End(tail=b"t", total_bytes=3, is_aborted=False)


def test_the_prefix_is_as_documented() -> None:
    """The first bytes of a DATA frame are a contract between releases."""
    assert encode(Data(payload=b"hi"), attempt=3, callee=callee_tag(CALLEE), seq=4, offset=5).hex() == (
        "01" "05" "0000" "0003" "0001" "00000004" "0000000000000005" "6869"
    )  # fmt: skip
