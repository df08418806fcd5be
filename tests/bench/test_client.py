"""The load generator believes nothing that it did not read, and says what it measured."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.client import Body, ClientError, Load, ResponseReader, Task, fetch, render_request, times

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\n, dear readers\r\n\r\n0\r\n\r\n"
CHUNKED_BODY = b"hello, dear readers\r\n"
HELLO = Body(5, zlib.crc32(b"hello"))


@pytest.mark.parametrize(("response", "body"), [(PLAIN, b"hello"), (CHUNKED, CHUNKED_BODY)])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reader_gives_the_same_body_however_the_bytes_arrive(response: bytes, body: bytes, size: int) -> None:
    """A response in pieces of any size is complete exactly with its last byte."""
    reader = ResponseReader(is_kept=True)
    pieces = [response[at : at + size] for at in range(0, len(response), size)]
    ends = [reader.feed(piece) for piece in pieces]
    assert ends == [False] * (len(pieces) - 1) + [True]
    assert bytes(reader.body) == body
    assert (reader.length, reader.crc) == (len(body), zlib.crc32(body))


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nlong",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore",
        b"x" * 20_000,
    ],
    ids=["status", "unframed", "too long", "more after the end", "endless head"],
)
def test_reader_refuses_what_is_no_good_answer(response: bytes) -> None:
    """Whatever is not one well-framed 200 ends the measurement."""
    with pytest.raises(ClientError):
        ResponseReader().feed(response)


def test_times_are_nearest_ranks() -> None:
    """Median and 99th percentile are durations that were measured, never interpolated."""
    measured = times([float(number) for number in range(100, 0, -1)])
    assert (measured.median_seconds, measured.p99_seconds) == (50.0, 99.0)
    assert times([3.0]).p99_seconds == 3.0


async def test_load_counts_every_answer_of_every_connection() -> None:
    """Each connection sends its request again until it has as many answers as it should."""
    async with _server(PLAIN) as port:
        result = await Load(_task(port, connections=3, repeats=4)).run()
    assert result.requests == 12
    assert 0 < result.first_byte.median_seconds <= result.total.p99_seconds <= result.seconds


async def test_load_ends_after_its_time() -> None:
    """A task that has seconds instead of repeats stops by itself."""
    async with _server(PLAIN) as port:
        result = await Load(_task(port, connections=2, seconds=0.05)).run()
    assert result.requests >= 2


async def test_load_fails_on_another_body() -> None:
    """An answer of the right length with other bytes fails the run."""
    async with _server(PLAIN.replace(b"hello", b"jello")) as port:
        with pytest.raises(ClientError, match="not the expected"):
            await Load(_task(port, connections=2, repeats=2)).run()


async def test_load_fails_when_a_connection_is_closed() -> None:
    """An answer that breaks off fails the run."""
    async with _server(PLAIN[:-1], closes=True) as port:
        with pytest.raises(ClientError, match="closed in the middle"):
            await Load(_task(port, connections=1, repeats=1)).run()


async def test_fetch_returns_the_body() -> None:
    """One answer is read whole, to know what all others must be."""
    async with _server(CHUNKED) as port:
        assert await fetch(port, render_request(port, "sk-1", b"{}")) == CHUNKED_BODY


def _task(port: int, *, connections: int, seconds: float | None = None, repeats: int | None = None) -> Task:
    request = render_request(port, "sk-1", b"{}")
    return Task(
        port=port, request=request, expected=HELLO, connections=connections, seconds=seconds, repeats=repeats
    )


@asynccontextmanager
async def _server(response: bytes, *, closes: bool = False) -> AsyncIterator[int]:
    """Yield the port of a server that gives `response` to each request of a body `{}`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                writer.write(response)
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has all it wanted
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
