"""F88: bodies beyond the limit, and lengths that are not true, over raw sockets."""

import asyncio
import tracemalloc
from contextlib import suppress

import msgspec
import pytest

from services.edge.settings import EdgeSettings
from tests.edge.raw_client import connected, error_code
from tests.edge.rig import Around, Edge, edge_of

LIMIT_BYTES = 1024 * 1024
PART = b"x" * 65_536
LEFT = 'relay_edge_requests_total{code="",outcome="left",route="chat",status="0"}'
PARTS = 1_600  # 100 MB
FLAT_BYTES = 8 * LIMIT_BYTES  # the body up to its limit, twice while it grows, and the buffers of both ends


def limited(settings: EdgeSettings) -> EdgeSettings:
    """Return settings with a limit of 1 MiB for a body."""
    return msgspec.structs.replace(settings, body_bytes_max=LIMIT_BYTES)


def head(edge: Edge, *fields: bytes) -> bytes:
    """Return the head of a chat request with a good key and these fields."""
    lines = [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: x",
        b"content-type: application/json",
        b"authorization: Bearer " + edge.key.encode(),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ((b"transfer-encoding: chunked",), b"%x\r\n%s\r\n" % (len(PART), PART)),
        ((b"content-length: %d" % (PARTS * len(PART)),), PART),
        ((b"transfer-encoding: chunked",), b"1\r\nx\r\n" * 10_000),
    ],
    ids=["chunks", "length", "tiny chunks"],
)
async def test_100_mb_are_refused_early_and_kept_nowhere(
    around: Around, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch, fields: tuple[bytes], part: bytes
) -> None:
    """F88: 413 in OpenAI's shape, the connection closes, and memory stays flat while the client goes on sending."""
    monkeypatch.setattr("services.edge.chat.DISCARD_SECONDS", 1.0)
    async with edge_of(around, limited(settings)) as edge, connected(edge.port) as client:
        reading = asyncio.create_task(client.rest())
        tracemalloc.start()
        try:
            with suppress(ConnectionError):
                await client.send(head(edge, *fields), *[part] * PARTS)
            answer = await reading
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        held = await edge.metric("relay_edge_body_bytes")

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert error_code(answer) == "request_too_large"
    assert peak_bytes < FLAT_BYTES
    assert held == 0
    assert around.billing.reserves == []


@pytest.mark.parametrize("length", [LIMIT_BYTES + 1, 10**11, 2**64 - 1])
async def test_an_announced_length_beyond_the_limit_is_refused_before_the_body(
    around: Around, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """F88: a client that waits for `100 Continue` reads the 413 instead."""
    monkeypatch.setattr("services.edge.chat.DISCARD_SECONDS", 0.05)
    async with edge_of(around, limited(settings)) as edge, connected(edge.port) as client:
        await client.send(head(edge, b"content-length: %d" % length, b"expect: 100-continue"))
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert error_code(answer) == "request_too_large"


async def test_a_length_that_is_too_small_makes_no_second_request(
    around: Around, settings: EdgeSettings
) -> None:
    """F88: the rest of the body is no request; what was read is refused as the half that it is."""
    async with edge_of(around, limited(settings)) as edge, connected(edge.port) as client:
        await client.send(head(edge, b"content-length: 10") + b'{"model":"m","messages":[]}')
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"invalid_json" in answer
    assert around.billing.reserves == []


async def test_a_length_that_is_too_large_makes_no_hold(around: Around, settings: EdgeSettings) -> None:
    """F76, F88: a client that leaves before its body is whole has asked for nothing."""
    async with edge_of(around, limited(settings)) as edge:
        async with connected(edge.port) as client:
            await client.send(head(edge, b"content-length: 1000") + b'{"model":"m"')
        async with asyncio.timeout(30):
            while await edge.metric(LEFT) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    assert around.billing.reserves == []
