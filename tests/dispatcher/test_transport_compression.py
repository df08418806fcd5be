"""Answers that come compressed against our wish."""

import asyncio
import gzip
import zlib

import httpx
import pytest

from services.dispatcher.transport import MAX_INFLATED_PIECE_BYTES
from tests.dispatcher.calls import OK, body_of, failure_of, post, transporting
from tests.dispatcher.raw_server import (
    RawServer,
    Reader,
    Writer,
    answering,
    once,
    serving,
)

# --- compression against our wish


def _raw_deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("x-gzip", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", _raw_deflated(b"hello")),
    ],
)
@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_compressed_body_is_given_decompressed(encoding: str, data: bytes, is_slow: bool) -> None:
    """gzip and both forms of deflate are undone, byte by byte too, and the headers no longer claim them."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(
            OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(data))
        )
        for byte in data:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.001 if is_slow else 0)
        await server.await_leaving(reader)

    async with serving(behaviour) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url))
        assert not response.headers.keys() & {"content-encoding", "content-length"}
        assert await body_of(response) == b"hello"


async def test_a_bomb_comes_in_bounded_pieces() -> None:
    """However much a body inflates, a piece is at most 64 KiB, so that the reader can stop."""
    bomb = gzip.compress(bytes(50_000_000))
    data = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with serving(answering(data)) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        sizes = [len(piece) async for piece in response.stream]
        await response.aclose()
    assert max(sizes) == MAX_INFLATED_PIECE_BYTES
    assert sum(sizes) == 50_000_000


@pytest.mark.parametrize(
    "data", [gzip.compress(b"hello" * 100, mtime=0)[:-9], b"this is no gzip"], ids=["cut", "malformed"]
)
async def test_a_broken_compressed_body_is_a_remote_protocol_error(data: bytes) -> None:
    """A compressed body that is malformed, or whole as HTTP but cut as gzip, is a RemoteProtocolError."""
    sent = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    async with serving(once(sent)) as server:
        assert await failure_of(server.url) is httpx.RemoteProtocolError
