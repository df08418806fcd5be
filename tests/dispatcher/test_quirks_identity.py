"""Quirks of what an answer is called (Q44, Q54) in a stream, and what a client gets: bytes in, bytes out."""

import pytest

from tests.dispatcher.chunks import DONE, HEAD, MADE_UP, ROLE, STOP, delta, event, read, relayed, text

HI = text("Hi")


def test_q44_an_answer_has_one_id_one_moment_and_one_model() -> None:
    """Those of its first chunk."""
    other = (
        HI.replace(b'"c1"', b'"c2"')
        .replace(b'"created":1', b'"created":2')
        .replace(b'"model":"m"', b'"model":"n"')
    )
    frame = event('{"id":"c0","object":"chat.completion.chunk","created":9,"model":"x","choices":[]}')
    assert relayed(frame, ROLE, other, STOP, DONE) == ROLE + HI + STOP


@pytest.mark.parametrize(
    "came",
    ['"created":2,', '"created" : 2,', '"created":2,"x":{"created":2},', '"created":2.0,', '"created":22,'],
)
def test_q44_a_moment_that_moves_on_is_that_of_the_first_chunk(came: str) -> None:
    """Nothing else of the chunk is touched; many providers tell the moment of each."""
    later = text("Hé").replace(b'"created":1,', came.encode())
    sent = relayed(ROLE, later, STOP, STOP.replace(b'"created":1,', came.encode()), DONE)
    goes = text("Hé").replace(
        b'"created":1,', b'"created":1,"x":{"created":2},' if "x" in came else b'"created":1,'
    )
    assert read(sent) == read(ROLE + goes + STOP)
    if came == '"created":22,':
        assert sent == ROLE + goes + STOP


@pytest.mark.parametrize("kind", ['"text_completion.chunk"', '"chat.completion.done"', '""', "null"])
def test_q44_chunks_are_called_chunks(kind: str) -> None:
    """SDKs drop others without a word."""
    came = ROLE + HI + STOP
    assert relayed(came.replace(b'"chat.completion.chunk"', kind.encode()), DONE) == came


def test_q44_what_is_missing_is_made_up_once() -> None:
    """A new id, the moment, and the model that was asked for."""
    bare = b'{"id":"","choices"'
    came = [each.replace(HEAD.encode() + b',"choices"', bare) for each in (ROLE, HI, STOP)]
    identity = {
        "id": f"chatcmpl-{MADE_UP}",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "asked",
    }
    for sent in read(relayed(*came, DONE)):
        assert {name: sent[name] for name in identity} == identity


def test_q44_choices_are_numbered_by_arrival() -> None:
    """SDKs fail when the first is not number 0; which of equals it is does not matter."""
    came = [delta('"role":"assistant","content":""', index=at) for at in (2, 0)]
    goes = [delta('"role":"assistant","content":""', index=at) for at in (0, 1)]
    ends = [delta("", '"stop"', at) for at in (0, 2)]
    assert relayed(*came, *ends, DONE) == b"".join([*goes, delta("", '"stop"', 1), delta("", '"stop"', 0)])


@pytest.mark.parametrize(
    ("created", "sent"),
    [
        ("0", "7"),
        ("null", "7"),
        ("1.5e9", "1500000000"),
        ('"1500000000"', "1500000000"),
        ("-1", "7"),
        ('"soon"', "7"),
        ("true", "7"),
        ("1e999", "7"),
    ],
)
def test_q54_a_moment_is_a_number_of_seconds(created: str, sent: str) -> None:
    """Zero is none."""
    came = ROLE + HI + STOP
    goes = came.replace(b'"created":1,', f'"created":{sent},'.encode())
    assert read(relayed(came.replace(b'"created":1,', f'"created":{created},'.encode()), DONE)) == read(goes)
