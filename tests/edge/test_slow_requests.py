"""F87: clients that take their time, without a proxy in front."""

import asyncio
from contextlib import suppress

import msgspec
import pytest
from starlette.types import Receive, Scope, Send

from services.edge.body import read_body
from services.edge.connection import HEAD_BYTES_MAX
from services.edge.settings import EdgeSettings
from tests.dispatcher.rig import until
from tests.edge.raw_client import PATIENCE_SECONDS, Application, RawClient, connected, error_code
from tests.edge.rig import Around, edge_of
from tests.edge.serving import served

IMPATIENT = EdgeSettings(head_seconds_max=0.3)
GET = b"GET /seen HTTP/1.1\r\nhost: x\r\n"


class PacedReader:
    """An application that reads bodies which keep a pace, and notes how long they were."""

    def __init__(self, *, bytes_per_second_min: float) -> None:
        self.bytes_per_second_min = bytes_per_second_min
        self.bodies: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read one body."""
        body = await read_body(
            receive,
            scope["headers"],
            limit_bytes=1_000_000,
            total_seconds=PATIENCE_SECONDS,
            bytes_per_second_min=self.bytes_per_second_min,
        )
        self.bodies.append(len(body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def dripped(client: RawClient, data: bytes) -> bytes:
    """Send `data` again and again, far faster than any limit, and return all that came until the server had enough."""
    reading = asyncio.create_task(client.rest())
    async with asyncio.timeout(PATIENCE_SECONDS):
        with suppress(ConnectionError):
            while not reading.done():
                await client.send(data)
                await asyncio.sleep(0.01)
        return await reading


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"GET /se", b""),
        (GET, b""),
        (GET, b"a: b\r\n"),
        (b"GET /", b"x"),
        (GET + b"\r\n" + GET, b"a: b\r\n"),
    ],
    ids=["in the target", "in the fields", "one more field", "one more byte", "in the second request"],
)
async def test_a_head_must_be_whole_in_time(begin: bytes, drip: bytes) -> None:
    """F87: from its first byte, whatever drips in meanwhile; the others are served."""
    app = Application()
    async with served(app, IMPATIENT) as port, connected(port) as client:
        await client.send(begin)
        async with connected(port) as other:
            await other.send(GET + b"\r\n")
            assert await other.answer() == (200, b"/seen")
        answer = await (dripped(client, drip) if drip else client.rest())
    answer = answer[answer.index(b"HTTP/1.1 400 ") :]
    assert error_code(answer) == "request_timeout"
    assert len(app.of(client)) == begin.count(b"\r\n\r\n")


@pytest.mark.parametrize("drip", [b"", b"\r\n"])
async def test_a_connection_that_says_nothing_is_closed(drip: bytes) -> None:
    """F87: without a word, for nothing was asked; empty lines are nothing too."""
    app = Application()
    async with served(app, IMPATIENT) as port, connected(port) as client:
        assert await (dripped(client, drip) if drip else client.rest()) == b""
    assert app.of(client) == []


async def test_a_rest_between_requests_and_a_long_answer_are_no_delay() -> None:
    """F87: only the head has so little time."""
    app = Application()
    async with served(app, IMPATIENT) as port, connected(port) as client:
        await client.send(GET + b"\r\n")
        assert await client.answer() == (200, b"/seen")
        await asyncio.sleep(2.5 * IMPATIENT.head_seconds_max)
        app.may_answer.clear()
        await client.send(GET + b"\r\n")
        await asyncio.sleep(2.5 * IMPATIENT.head_seconds_max)
        app.may_answer.set()
        assert await client.answer() == (200, b"/seen")


async def test_a_late_head_behind_a_running_request_does_not_spoil_its_answer() -> None:
    """F87: the answer is given, then the connection closes."""
    app = Application()
    app.may_answer.clear()
    async with served(app, IMPATIENT) as port, connected(port) as client:
        await client.send(GET + b"\r\n" + GET)
        await asyncio.sleep(2.5 * IMPATIENT.head_seconds_max)
        app.may_answer.set()
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("drip", [b"", b"x"])
async def test_the_rest_of_a_body_that_nobody_wants_must_come_in_time(
    around: Around, settings: EdgeSettings, drip: bytes
) -> None:
    """F87: a route without a body answers at once, and does not wait for ever to be able to close."""
    settings = msgspec.structs.replace(settings, head_seconds_max=0.3)
    async with edge_of(around, settings) as edge, connected(edge.port) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx")
        answer = await (dripped(client, drip) if drip else client.rest())

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_connection_goes_on_after_a_body_that_nobody_wanted(
    around: Around, settings: EdgeSettings
) -> None:
    """F87: when it came in time."""
    settings = msgspec.structs.replace(settings, head_seconds_max=0.3)
    async with edge_of(around, settings) as edge, connected(edge.port) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        assert (await client.answer())[0] == 200
        await client.send(b"x" * 100_000)
        await asyncio.sleep(2.5 * settings.head_seconds_max)
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        b"a: " + b"b" * HEAD_BYTES_MAX + b"\r\n",
        b"a: b\r\n" * (HEAD_BYTES_MAX // 6 + 1),
        b"a" * HEAD_BYTES_MAX + b": b\r\n",
        b"a: " + b"b" * 10_000_000,
        b"a" * 10_000_000,
    ],
    ids=["one field", "many fields", "a name", "an endless value", "an endless name"],
)
async def test_a_head_beyond_its_limit_is_refused(fields: bytes) -> None:
    """F87: its size is bounded as well, wherever the bytes are; the client that is still sending reads why."""
    app = Application()
    async with served(app) as port, connected(port) as client:
        reading = asyncio.create_task(client.rest())
        with suppress(ConnectionError):
            await client.send(GET + fields + b"\r\n\r\n")
        answer = await reading

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert error_code(answer) == "head_too_large"
    assert app.of(client) == []


async def test_a_long_target_is_part_of_the_head() -> None:
    """F89: a target of 60 kB is a path like any other, a larger one is refused."""
    app = Application()
    async with served(app) as port:
        for length, status in ((60_000, b"200"), (HEAD_BYTES_MAX, b"400")):
            async with connected(port) as client:
                head = b"GET /" + b"x" * length + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
                await client.send(head)
                assert (await client.rest()).split()[1] == status


@pytest.mark.parametrize(
    "framing",
    [b"content-length: 1000000\r\n\r\nx", b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("is_dripping", [False, True])
async def test_a_body_must_keep_a_pace(
    around: Around,
    settings: EdgeSettings,
    monkeypatch: pytest.MonkeyPatch,
    framing: bytes,
    is_dripping: bool,
) -> None:
    """F87: one that rests, or drips, is a 400 that SDKs do not repeat, long before its total time is over; no hold is made."""
    monkeypatch.setattr("services.edge.body.GRACE_SECONDS", 0.3)
    settings = msgspec.structs.replace(settings, body_bytes_per_second_min=1e6, body_seconds_max=3600.0)
    drip = (b"1\r\nx\r\n" if b"chunked" in framing else b"x") if is_dripping else b""
    async with edge_of(around, settings) as edge, connected(edge.port) as client:
        monkeypatch.setattr("services.edge.chat.DISCARD_SECONDS", 0.1)
        await client.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            + f"authorization: Bearer {edge.key}\r\n".encode()
            + framing
        )
        answer = await (dripped(client, drip) if drip else client.rest())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert error_code(answer) == "request_timeout"
    assert around.billing.reserves == []


async def test_a_slow_but_steady_body_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """F87: what it sent gives it time, beyond the first seconds."""
    monkeypatch.setattr("services.edge.body.GRACE_SECONDS", 1.0)
    app = PacedReader(bytes_per_second_min=2_000.0)
    async with served(app) as port, connected(port) as client:
        await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
        await client.send(b"content-length: 200000\r\n\r\n" + b"x" * 198_000)
        for _ in range(20):
            await client.send(b"x" * 100)
            await asyncio.sleep(0.1)
        await until(lambda: app.bodies)

    assert app.bodies == [200_000]
