"""The bytes of events, flag by flag."""

import pytest

from services.simulator import sse
from services.simulator.behaviour import parse, resolve
from services.simulator.chat import Event

EVENTS = [
    Event(label="delta", data=b'{"a":1}', tokens=1),
    Event(label="done", data=b"[DONE]", tokens=1),
]


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("", b'data: {"a":1}\n\ndata: [DONE]\n\n'),
        ("space=0", b'data:{"a":1}\n\ndata:[DONE]\n\n'),
        ("eol=crlf", b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\n'),
        ("eol=cr", b'data: {"a":1}\r\rdata: [DONE]\r\r'),
        ("bom", b'\xef\xbb\xbfdata: {"a":1}\n\ndata: [DONE]\n\n'),
        ("event_names", b'event: message\ndata: {"a":1}\n\nevent: message\ndata: [DONE]\n\n'),
        ("id_lines", b'id: 0\ndata: {"a":1}\n\nid: 1\ndata: [DONE]\n\n'),
        ("retry_line", b'retry: 3000\n\ndata: {"a":1}\n\ndata: [DONE]\n\n'),
        ('comments="keep alive"', b': keep alive\n\ndata: {"a":1}\n\n: keep alive\n\ndata: [DONE]\n\n'),
        ("multiline_data", b'data: {\ndata: "a":1}\n\ndata: [DONE]\n\n'),
        ("final_blank=0", b'data: {"a":1}\n\ndata: [DONE]\n'),
        ("final_blank=0 eol=crlf bom", b'\xef\xbb\xbfdata: {"a":1}\r\n\r\ndata: [DONE]\r\n'),
    ],
)
def test_each_flag_changes_exactly_its_bytes(directive: str, expected: bytes) -> None:
    """The rest of the stream stays as it was."""
    assert b"".join(sse.frame(EVENTS, resolve(parse(directive)))) == expected


def test_padding_is_comments_of_at_least_the_size() -> None:
    """Readers skip it."""
    padding = sse.padding(5_000, resolve({}))
    assert 5_000 <= len(padding) < 7_000
    assert all(line.startswith(b": ") for line in padding.split(b"\n\n") if line)
