"""The event parser: one meaning for every chunking, and canonical events untouched."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.sse import Event, EventTooLarge, SseParser


def _parse(*chunks: bytes, max_event_bytes: int = 1000) -> list[Event]:
    parser = SseParser(max_event_bytes=max_event_bytes)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.flush()


def _outcome(*chunks: bytes, max_event_bytes: int) -> tuple[list[Event], bool]:
    """Return the events, and whether one was too large."""
    parser = SseParser(max_event_bytes=max_event_bytes)
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += parser.feed(chunk)
        events += parser.flush()
    except EventTooLarge:
        return events, True
    return events, False


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\ndata: d\r\n\n", [b"a", b"b", b"c", b"d"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: \xef\xbb\xbfa\n\n", [b"\xef\xbb\xbfa"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\ndata\ndata\n\ndata:\n\n", [b"", b"\n", b""]),
        (b": comment\n\n:\n\ndata: a\n: inside\n\n", [b"a"]),
        (b"id: 1\nretry: 3000\nunknown: x\n\n", []),
        (b"id: 1\ndata: a\nretry: 5\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: last", [b"a", b"last"]),
        (b"data: last\n", [b"last"]),
        (b"DATA: a\n\n data: b\n\n", []),
        (b"data: a:b: c\n\n", [b"a:b: c"]),
        ("data: é\u2028ü\n\n".encode(), ["é\u2028ü".encode()]),
        (b"", []),
        (b"\xef\xbb", []),
    ],
)
def test_the_fields_mean_what_the_standard_says(stream: bytes, data: list[bytes]) -> None:
    """Each line end, prefix and field is read as the WHATWG describes, in one chunk and byte by byte."""
    assert [event.data for event in _parse(stream)] == data
    assert _parse(*(bytes((byte,)) for byte in stream)) == _parse(stream)


def test_the_event_type_belongs_to_its_event_only() -> None:
    """An event type is given with its event, and none with the next."""
    events = _parse(b"event: error\ndata: a\n\ndata: b\n\nevent:\ndata: c\n\n")
    assert [event.event for event in events] == [b"error", None, None]


def test_only_data_is_forwarded() -> None:
    """The bytes to forward hold the data in canonical form and no other field."""
    stream = b"id: 7\r\nevent: x\r\n: note\r\nretry: 1\r\ndata:a\r\ndata: b\r\n\r\n"
    assert [event.raw for event in _parse(stream)] == [b"data: a\ndata: b\n\n"]


def test_a_chunk_that_is_one_canonical_event_is_not_copied() -> None:
    """The usual case costs no copy: the bytes to forward are the chunk itself."""
    parser = SseParser()
    parser.feed(b"data: first\n\n")
    chunk = b"data: {}\n\n"
    assert parser.feed(chunk)[0].raw is chunk


def test_an_event_at_the_limit_passes_and_one_above_fails() -> None:
    """The limit counts the lines of one event, whatever stands before it."""
    fits = b"data: " + b"x" * 94 + b"\n\n"
    assert len(_parse(fits * 3, max_event_bytes=100)) == 3
    assert _outcome(fits + b"data: " + b"x" * 95 + b"\n\n", max_event_bytes=100) == (_parse(fits), True)
    assert _outcome(b"data: " + b"x" * 200, max_event_bytes=100) == ([], True)
    assert _outcome(b"data: aaaa\n" * 20, max_event_bytes=100) == ([], True)


def test_nothing_is_read_after_an_event_that_is_too_large() -> None:
    """The failure is reported again and again rather than read past."""
    parser = SseParser(max_event_bytes=10)
    with pytest.raises(EventTooLarge):
        parser.feed(b"data: " + b"x" * 20)
    with pytest.raises(EventTooLarge):
        parser.feed(b"\n\ndata: a\n\n")
    with pytest.raises(EventTooLarge):
        parser.flush()


_TOKENS = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\r\n\r\n",
        b": x",
        b"id: 1",
        b"event: e",
        b"retry: 1",
        b"\xef\xbb\xbf",
        b"\xef",
        b"{}",
        b"a",
        b" ",
        b":",
        b"\xc3",
        b"\x00",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
    ]
)
_STREAMS = st.lists(st.one_of(_TOKENS, st.binary(max_size=6)), max_size=30).map(b"".join)


@given(
    stream=_STREAMS,
    cuts=st.lists(st.integers(min_value=0, max_value=200)),
    limit=st.integers(min_value=1, max_value=60),
)
def test_every_chunking_gives_the_same_events(stream: bytes, cuts: list[int], limit: int) -> None:
    """However a stream is cut, its events, their forwarded bytes and a failure are the same."""
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    whole = _outcome(stream, max_event_bytes=limit)
    assert _outcome(*chunks, max_event_bytes=limit) == whole
    assert _outcome(*(bytes((byte,)) for byte in stream), max_event_bytes=limit) == whole


@given(
    texts=st.lists(
        st.binary(max_size=20).filter(lambda text: not set(b"\r\n") & set(text)), min_size=1, max_size=8
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=200)),
)
def test_canonical_events_keep_identical_bytes(texts: list[bytes], cuts: list[int]) -> None:
    """A stream of canonical events is forwarded as the very bytes that came."""
    stream = b"".join(b"data: %b\n\n" % text for text in texts)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    events = _parse(*chunks)
    assert b"".join(event.raw for event in events) == stream
    assert [event.data for event in events] == texts


@given(stream=_STREAMS)
def test_what_is_forwarded_reads_back_as_the_same_data(stream: bytes) -> None:
    """Forwarded bytes are themselves a stream of the same data."""
    events = _parse(stream)
    again = _parse(*(event.raw for event in events))
    assert [event.data for event in again] == [event.data for event in events]
