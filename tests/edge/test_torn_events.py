"""An event that comes in pieces: it is written whole, and what cannot wait for its rest is never mixed with anything else."""

import asyncio

import msgspec
import pytest

from services.edge.chat import TORN_BYTES_MAX
from services.edge.settings import EdgeSettings
from shared.bus import Attempt
from shared.contracts.dispatcher import AnswerHead, AnswerTail
from shared.stream.flow import MIN_WINDOW_BYTES
from tests.edge.rig import Around, answering, edge_of, stream

HEAD = msgspec.msgpack.encode(AnswerHead(content_type="text/event-stream; charset=utf-8"))
TAIL = msgspec.msgpack.encode(AnswerTail())
SMALL = b'data: {"choices":[]}\n\n'
LARGE = b'data: {"choices":[],"x":"%s"}\n\n' % (b"x" * 3 * TORN_BYTES_MAX)


async def halves(attempt: Attempt, event: bytes) -> None:
    """Send a whole event, and another one in two pieces with silence between them and after them."""
    await attempt.send_head(HEAD)
    await attempt.send(SMALL)
    for part in (event[: len(event) // 2], event[len(event) // 2 :]):
        await attempt.send(part)
        await asyncio.sleep(0.3)
    await attempt.end(TAIL)
    await attempt.finish(b"settled")


@pytest.mark.parametrize("event", [SMALL, LARGE], ids=["small", "large"])
async def test_a_comment_never_stands_inside_an_event(
    around: Around, settings: EdgeSettings, event: bytes
) -> None:
    """It stands before one that is held back, or after one that is not."""
    lively = msgspec.structs.replace(settings, keep_alive_seconds=0.05)
    async with (
        answering(around.dispatcher, lambda attempt: halves(attempt, event)),
        edge_of(around, lively) as edge,
    ):
        answer = await stream(edge)

    assert answer.is_whole
    assert answer.data.count(event) == (2 if event == SMALL else 1)
    assert b": keep-alive\n\n" in answer.data
    assert answer.data.replace(b": keep-alive\n\n", b"") == SMALL + event + b"data: [DONE]\n\n"


@pytest.mark.parametrize("event", [SMALL, LARGE], ids=["small", "large"])
async def test_an_error_never_stands_inside_an_event(
    around: Around, settings: EdgeSettings, event: bytes
) -> None:
    """Half of a small event is not written at all; half of a large one, which could not wait, is ended first."""

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        await attempt.send(SMALL + event[: len(event) // 2])
        await asyncio.sleep(0.1)
        await attempt.abort("draining")
        await attempt.end(TAIL)
        await attempt.finish(b"settled")

    async with answering(around.dispatcher, serve), edge_of(around, settings) as edge:
        answer = await stream(edge)

    halves = [] if event == SMALL else [event[: len(event) // 2].removeprefix(b"data: ")]
    assert answer.events[:-1] == [SMALL.removeprefix(b"data: ").rstrip(), *halves]
    assert answer.error["code"] == "stream_interrupted"
    assert not answer.is_finished


async def test_an_event_that_is_held_back_never_uses_up_the_credit(
    around: Around, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of events and of their pieces, with the smallest window there is."""
    monkeypatch.setattr("shared.stream.flow.MAX_WINDOW_BYTES", MIN_WINDOW_BYTES)
    sizes = [
        1,
        100,
        2_000,
        TORN_BYTES_MAX - 20,
        TORN_BYTES_MAX,
        5_000,
        MIN_WINDOW_BYTES,
        3 * MIN_WINDOW_BYTES,
    ]
    events = [b'data: {"x":"%s"}\n\n' % (b"x" * size) for size in sizes]
    whole = b"".join(events)

    async def serve(attempt: Attempt) -> None:
        await attempt.send_head(HEAD)
        for at in range(0, len(whole), 777):
            await attempt.send(whole[at : at + 777])
        await attempt.end(TAIL)
        await attempt.finish(b"settled")

    async with answering(around.dispatcher, serve), edge_of(around, settings) as edge:
        answer = await stream(edge)

    assert answer.is_whole
    assert answer.data == whole + b"data: [DONE]\n\n"
