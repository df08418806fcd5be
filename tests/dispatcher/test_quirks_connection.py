"""Quirks that only a running dispatcher can show (Q24–Q28, Q34, Q52, Q53), before simulated providers and raw sockets."""

import gzip
import zlib

import pytest

from tests.dispatcher.chunks import DONE, ROLE, STOP, text
from tests.dispatcher.raw_server import answering, serving
from tests.dispatcher.rig import World, is_whole, two

EVENTS = ROLE + text("hi") + STOP + DONE


def _response(body: bytes, *headers: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 200 OK",
        b"content-type: text/event-stream",
        b"content-length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_q24_an_event_of_twenty_megabytes_passes(world: World) -> None:
    """Images in base64 are one."""
    await world.channel(await world.simulator("reply=hi big_line=20000000"))

    heard = await world.ask()

    assert is_whole(heard)
    assert len(heard.data) > 20_000_000


@pytest.mark.parametrize(
    "answer",
    [
        _response(gzip.compress(EVENTS), b"content-encoding: gzip"),
        _response(gzip.compress(gzip.compress(EVENTS)), b"content-encoding: gzip, gzip"),
        _response(
            gzip.compress(zlib.compress(EVENTS)), b"content-encoding: deflate", b"content-encoding: gzip"
        ),
        _response(EVENTS, b"content-encoding: identity"),
        _response(EVENTS, b"content-encoding: "),
    ],
    ids=["once", "twice", "twice in two headers", "identity", "empty"],
)
async def test_q25_a_compressed_stream_is_read(world: World, answer: bytes) -> None:
    """Although it was not asked for."""
    async with serving(answering(answer)) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"))

        heard = await world.ask()

    assert is_whole(heard)
    assert heard.data == ROLE + text("hi") + STOP


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("coding", [b"br", b"gzip, br", b"gzip, gzip, gzip"])
async def test_q25_a_coding_that_nobody_knows_is_asked_for_elsewhere(
    world: World, coding: bytes, is_stream: bool
) -> None:
    """What cannot be read is no answer."""
    async with serving(answering(_response(b"\x1b\x0f\x00\xf8", b"content-encoding: " + coding))) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"), priority=1)
        await world.channel(await world.simulator("reply=hi"), "second")

        heard = await world.ask(is_stream=is_stream)

    assert heard.claim.channel == "second"


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "err_shape", ["html", "text", "empty", "google_array", "minimax200", "dashscope200", "string", "flat"]
)
@pytest.mark.parametrize("err_in", ["body200", "first_event"])
async def test_q26_q27_q28_an_error_under_a_200_is_asked_for_elsewhere(
    world: World, err_in: str, err_shape: str, is_stream: bool
) -> None:
    """In a body, or as the first event of a stream; nothing of it reaches the client."""
    await two(world, f"err_in={err_in} err_shape={err_shape} status=503 echo_secret")

    heard = await world.ask(is_stream=is_stream)

    assert is_whole(heard)
    assert heard.claim.channel == "second"
    assert b"Simulated" not in heard.data


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        "status=429 retry_text=7",
        "status=429 retry_text=7 err_shape=google",
        "err_in=body200 status=429 retry_text=7",
    ],
)
async def test_q34_a_wait_that_stands_in_the_text_is_the_one_that_the_client_is_told(
    world: World, fault: str, is_stream: bool
) -> None:
    """Where no channel can answer."""
    await world.channel(await world.simulator(fault))

    assert (await world.ask(is_stream=is_stream)).error.retry_after_seconds == 7.0


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
    ids=["continue", "early hints", "processing"],
)
async def test_q52_an_interim_answer_is_no_answer(world: World, before: bytes) -> None:
    """The one that counts follows."""
    async with serving(answering(before + _response(EVENTS))) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"))

        assert is_whole(await world.ask())


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_q53_what_a_provider_repeats_of_our_key_goes_nowhere(
    world: World, status: int, is_stream: bool
) -> None:
    """Nor does anything else that it says."""
    await world.channel(await world.simulator(f"status={status} echo_secret"))

    error = (await world.ask(is_stream=is_stream)).error

    assert "sk-upstream-secret" not in repr(error)
    assert "Simulated" not in repr(error)
