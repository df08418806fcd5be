"""The bytes of whole responses: head, transfer coding, cuts and writes."""

import gzip
import zlib

import pytest

from services.simulator.behaviour import parse, resolve
from services.simulator.plan import WRITE_BYTES, Content, Piece, Plan, document, make_plan

EVENTS = [
    Piece(label="ping", data=b": ping\n\n", at=0.0),
    Piece(label="role", data=b"role\n\n", at=0.1, tokens=0),
    Piece(label="delta", data=b"first\n\n", at=0.2, tokens=1),
    Piece(label="delta", data="sé\n\n".encode(), at=0.3, tokens=2),
    Piece(label="finish", data=b"stop\n\n", at=0.3, tokens=2),
    Piece(label="usage", data=b"two\n\n", at=0.3, tokens=2),
    Piece(label="done", data=b"done\n\n", at=0.3, tokens=2),
]
PAYLOAD = b"".join(piece.data for piece in EVENTS)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-simulated: true\r\nx-a: b\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def _stream(directive: str) -> Plan:
    content = Content(
        status=200,
        content_type="text/event-stream",
        pieces=EVENTS,
        headers=[("x-a", "b")],
        coding="chunked",
    )
    return make_plan(content, resolve(parse(directive)))


def _plain(directive: str) -> Plan:
    return make_plan(document(200, '{"a":"é"}'.encode()), resolve(parse(directive)))


def _bytes(plan: Plan) -> bytes:
    return b"".join(step.data for step in plan.steps)


def test_a_stream_is_chunked_by_event() -> None:
    """Each event is one chunk; what is due together is one write."""
    plan = _stream("")
    assert _bytes(plan) == CHUNKED + (
        b"8\r\n: ping\n\n\r\n6\r\nrole\n\n\r\n7\r\nfirst\n\n\r\n5\r\ns\xc3\xa9\n\n\r\n"
        b"6\r\nstop\n\n\r\n5\r\ntwo\n\n\r\n6\r\ndone\n\n\r\n0\r\n\r\n"
    )
    assert [(step.at, step.tokens) for step in plan.steps] == [(0.0, 0), (0.1, 0), (0.2, 1), (0.3, 2)]
    assert (plan.ending, plan.is_cut) == ("keep", False)


@pytest.mark.parametrize(
    ("directive", "expected", "ending"),
    [
        ("te=length", HEAD + b"content-length: 43\r\n\r\n" + PAYLOAD, "keep"),
        ("te=close", HEAD + b"connection: close\r\n\r\n" + PAYLOAD, "close"),
        ("http10", HEAD.replace(b"1.1", b"1.0") + b"connection: close\r\n\r\n" + PAYLOAD, "close"),
    ],
)
def test_the_transfer_coding_is_as_asked(directive: str, expected: bytes, ending: str) -> None:
    """The events are the same in each."""
    plan = _stream(directive)
    assert (_bytes(plan), plan.ending) == (expected, ending)


def test_the_head_is_as_asked() -> None:
    """Another content type, a connection that ends."""
    head = _bytes(_stream('ct="text/plain; x=y" close_conn')).partition(b"\r\n\r\n")[0]
    assert b"content-type: text/plain; x=y\r\n" in head
    assert head.endswith(b"transfer-encoding: chunked\r\nconnection: close")
    assert _stream("close_conn").ending == "close"


def test_gzip_can_be_read_event_by_event() -> None:
    """Each chunk decodes as it comes, and all together are one gzip file."""
    body = _bytes(_stream("gzip te=length")).partition(b"\r\n\r\n")[2]
    assert gzip.decompress(body) == PAYLOAD
    first = _stream("gzip te=close").steps[1].data
    head, _, ping = _stream("gzip te=close").steps[0].data.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head
    assert zlib.decompressobj(wbits=31).decompress(ping + first) == b": ping\n\nrole\n\n"


def test_events_can_share_a_chunk() -> None:
    """A joined chunk is due with its last event."""
    plan = _stream("coalesce=3")
    assert b"15\r\n: ping\n\nrole\n\nfirst\n\n\r\n" in _bytes(plan)
    assert [step.at for step in plan.steps] == [0.0, 0.2, 0.3]


@pytest.mark.parametrize("size", [1, 7])
def test_writes_can_be_as_small_as_asked(size: int) -> None:
    """The bytes stay the same."""
    plan = _stream(f"split={size}")
    assert _bytes(plan) == _bytes(_stream(""))
    assert max(len(step.data) for step in plan.steps) == size


def test_no_write_is_large() -> None:
    """So a slow reader holds little memory."""
    plan = make_plan(document(200, b"x" * 200_000), resolve({}))
    assert max(len(step.data) for step in plan.steps) <= WRITE_BYTES


@pytest.mark.parametrize(
    ("directive", "kept", "tokens"),
    [
        ("cut=headers", b"", 0),
        ("cut=first", b": ping\n\n", 0),
        ("cut=tok:0", b": ping\n\nrole\n\n", 0),
        ("cut=tok:1", b": ping\n\nrole\n\nfirst\n\n", 1),
        ("cut=before_usage", PAYLOAD.removesuffix(b"two\n\ndone\n\n"), 2),
        ("cut=before_done", PAYLOAD.removesuffix(b"done\n\n"), 2),
        ("cut=mid_utf8", b": ping\n\nrole\n\nfirst\n\ns\xc3", 2),
        ("cut=mid_json", b": ping\n\nrole\n\nfir", 1),
    ],
)
def test_a_stream_breaks_where_asked(directive: str, kept: bytes, tokens: int) -> None:
    """Everything before the place is sent, nothing after it; generated tokens count."""
    plan = _stream(f"{directive} te=length")
    head = b"" if directive == "cut=headers" else HEAD + b"content-length: 43\r\n\r\n"
    assert _bytes(plan) == head + kept
    assert plan.steps[-1].tokens == tokens
    assert (plan.is_cut, plan.ending) == (True, "close")


@pytest.mark.parametrize(
    ("directive", "kept"),
    [
        ("cut=first", b""),
        ("cut=tok:1", b'{"a":'),
        ("cut=mid_json", b'{"a":'),
        ("cut=before_done", b'{"a":'),
        ("cut=mid_utf8", b'{"a":"\xc3'),
    ],
)
def test_a_plain_body_breaks_where_asked(directive: str, kept: bytes) -> None:
    """Its length was promised in the head."""
    head, _, body = _bytes(_plain(directive)).partition(b"\r\n\r\n")
    assert b"content-length: 10" in head
    assert body == kept


@pytest.mark.parametrize(
    ("mode", "ending", "end"),
    [("fin", "close", b""), ("rst", "reset", b""), ("hang", "hang", b""), ("bad_chunk", "close", b"ZZZ\r\n")],
)
def test_a_break_ends_as_asked(mode: str, ending: str, end: bytes) -> None:
    """A chunked body never gets its end."""
    plan = _stream(f"cut=first cut_mode={mode}")
    assert _bytes(plan) == CHUNKED + b"8\r\n: ping\n\n\r\n" + end
    assert plan.ending == ending


def test_a_place_that_is_never_reached_breaks_nothing() -> None:
    """The answer was shorter."""
    plan = _stream("cut=tok:3")
    assert (_bytes(plan), plan.is_cut) == (_bytes(_stream("")), False)


def test_without_usage_and_end_the_break_is_at_the_end() -> None:
    """The body is complete, its framing is not."""
    content = Content(status=200, content_type="x", pieces=EVENTS[:5], coding="chunked")
    plan = make_plan(content, resolve(parse("cut=before_usage")))
    assert _bytes(plan).endswith(b"stop\n\n\r\n")


def test_what_is_generated_before_the_head_counts_in_time() -> None:
    """A plain answer's tokens are emitted while nothing is sent yet."""
    pieces = [
        Piece(label="generated", data=b"", at=0.1, tokens=1),
        Piece(label="body", data=b"{}", at=0.2, tokens=2),
    ]
    for directive in ("", "te=chunked", "gzip"):
        plan = make_plan(
            Content(status=200, content_type="x", pieces=pieces, head_at=0.2), resolve(parse(directive))
        )
        assert [(step.at, step.tokens, bool(step.data)) for step in plan.steps] == [
            (0.1, 1, False),
            (0.2, 2, True),
        ]
