"""Quirks of framing, of errors and of the end (Q21–Q31, Q55) in a stream, and what a client gets: bytes in, bytes out."""

import pytest

from services.dispatcher.upstream_error import FaultKind, UpstreamError
from tests.dispatcher.chunks import (
    DONE,
    HEAD,
    ROLE,
    STOP,
    chunk,
    delta,
    event,
    inspected,
    read,
    relayed,
    text,
)

HI = text("Hi")


def test_q21_comments_and_white_space_are_skipped() -> None:
    """They are a sign of life, and no event."""
    stream = (
        b": keep-alive\n\n: OPENROUTER PROCESSING\n\n\n\n"
        + ROLE.replace(b"data: ", b"data:   ")
        + b": ping\n\n"
        + HI
        + STOP
    )
    assert relayed(stream, DONE) == ROLE.replace(b"data: ", b"data:   ") + HI + STOP


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_q22_other_framings_of_events_become_the_usual_one(eol: str) -> None:
    """No space after the colon, any line ends, a byte order mark, other fields, data over lines, no last blank line."""
    lines = [f"data:{each.removeprefix('data: ')}" for each in (ROLE + HI + STOP).decode().split("\n\n")[:-1]]
    stream = eol.join(f"event: message{eol}id: 1{eol}retry: 9{eol}{each}{eol}" for each in lines)
    assert relayed(f"\ufeff{stream}".encode()) == ROLE + HI + STOP
    split = HI.replace(b'"choices"', b'\ndata: "choices"').replace(b"\n", eol.encode())
    assert relayed(ROLE, split, STOP) == ROLE + HI.replace(b'"choices"', b'\ndata: "choices"') + STOP


def test_q23_a_character_that_two_chunks_share_is_put_together() -> None:
    """The first half waits for the second; one that waits in vain, or never had a first, becomes U+FFFD."""
    first, second = delta(r'"content":"a\ud83d"'), delta(r'"content":"\ude00b"')
    other = delta(r'"reasoning_content":"\ud83d"')
    sent = read(relayed(ROLE, first, other, second, HI, STOP, DONE))
    assert [each["choices"][0]["delta"].get("content") for each in sent] == ["", "a", None, "😀b", "Hi", None]
    sent = read(relayed(ROLE, first, HI, second, STOP, DONE))
    assert [each["choices"][0]["delta"].get("content") for each in sent] == [
        "",
        "a",
        "\ufffdHi",
        "\ufffdb",
        None,
    ]


def test_q23_invalid_utf8_is_replaced_wherever_it_stands() -> None:
    """The official SDK decodes strictly, and fails on one wrong byte even in a member that nobody reads."""
    for member in (b'"content":"H\xffi"', b'"content":"Hi","x":"\xff"'):
        came = HI.replace(b'"content":"Hi"', member)
        sent = relayed(ROLE, came, STOP, DONE)
        assert sent == ROLE + came.replace(b"\xff", "\ufffd".encode()) + STOP


@pytest.mark.parametrize("step", [1, 3, 0])
def test_q23_a_character_that_is_split_between_reads_is_whole(step: int) -> None:
    """Bytes are put together before anything is read."""
    stream = (
        ROLE
        + "data: é😀語\n\n".encode().replace("é😀語".encode(), HI[6:-2].replace(b"Hi", "é😀語".encode()))
        + STOP
    )
    assert relayed(stream, step=step) == stream


def test_q24_an_image_is_one_event() -> None:
    """20 MB of base64 pass as they came; where it ends is a limit of 32 MiB."""
    image = delta(f'"content":"{"A" * 20_000_000}"')
    assert relayed(ROLE, image, STOP, step=1_000_000) == ROLE + image + STOP
    inspector, _ = inspected(ROLE, delta(f'"content":"{"A" * 34_000_000}"'), STOP, step=1_000_000)
    assert inspector.error == UpstreamError(kind="invalid")


@pytest.mark.parametrize(
    "page", [b"<html>error code: 524</html>", b"error code: 524", b"", b"{", b"[]", b"\n \n"]
)
def test_q26_a_page_in_place_of_a_stream_is_no_answer(page: bytes) -> None:
    """Nothing of it is forwarded."""
    inspector, sent = inspected(page)
    assert (sent, inspector.finish().is_complete) == (b"", False)
    assert inspector.error in (None, UpstreamError(kind="invalid"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ('{"error":{"message":"sk-x","type":"rate_limit_error"}}', "rate_limited"),
        ('{"code":"Throttling","message":"sk-x","request_id":"r"}', "rate_limited"),
        ('{"base_resp":{"status_code":1008,"status_msg":"sk-x"}}', "billing"),
        ('{"id":"c1","choices":null,"base_resp":{"status_code":1002,"status_msg":"sk-x"}}', "rate_limited"),
        ('[{"error":{"code":503,"message":"sk-x","status":"UNAVAILABLE"}}]', "overloaded"),
        ('"sk-x"', "failed"),
        ('{"detail":"sk-x"}', "failed"),
        ('{"type":"error","error":{"type":"overloaded_error","message":"sk-x"}}', "overloaded"),
        (HEAD + ',"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"sk-x"}}',
         "failed"),
        (HEAD + ',"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"base_resp":{"status_code":1001}}',
         "timeout"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"", ROLE + HI])
def test_q27_q28_q29_an_error_is_one_in_any_shape_and_place(
    data: str, kind: FaultKind, before: bytes
) -> None:
    """As the first event, later, named as one, or as a body that is no stream at all; nothing of it goes on."""
    streams = [before + event(data) + HI + DONE, before + b"event: error\n" + event(data)]
    for stream in streams if before else [*streams, data.encode()]:
        inspector, sent = inspected(stream)
        assert sent == before
        assert inspector.error is not None
        assert inspector.error.kind == kind
        assert not inspector.finish().is_complete


def test_q31_an_answer_is_whole_when_it_had_finished() -> None:
    """However the connection ended."""
    inspector, sent = inspected(ROLE, HI, STOP)
    assert (sent, inspector.finish().is_complete) == (ROLE + HI + STOP, True)


def test_q55_an_error_of_null_is_none() -> None:
    """It goes on as it came."""
    null = chunk('[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]', ',"error":null')
    assert relayed(ROLE, null, STOP, DONE) == ROLE + null + STOP
