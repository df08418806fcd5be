"""Reading bodies: from ASGI messages, and from a real listener."""

import asyncio
from collections.abc import Iterable

import openai
import pytest
from starlette.types import Message, Receive, Scope, Send

from services.edge.body import ClientGone, discard_body, read_body
from services.edge.errors import render
from shared.errors import InvalidRequest, RelayError, TooLarge, UnsupportedMedia
from tests.edge.serving import served

JSON = [(b"content-type", b"application/json")]
WAIT_SECONDS = 10.0
DISCARDED_BYTES = 10_000_000


def chunk(body: bytes, *, more: bool) -> Message:
    """Return one part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def receiving(messages: Iterable[Message]) -> Receive:
    """Return a `receive` that tells `messages` and then is silent for ever."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never done

    return receive


async def read(messages: Iterable[Message], headers: list[tuple[bytes, bytes]] = JSON) -> bytes:
    """Read a body with a limit of ten bytes."""
    return await read_body(receiving(messages), headers, limit_bytes=10, total_seconds=WAIT_SECONDS)


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"56789"], [b"0", b"", b"1", b""]])
async def test_a_body_within_the_limit_comes_whole(parts: list[bytes]) -> None:
    """Parts are joined in order, and the limit itself is allowed."""
    messages = [chunk(part, more=index < len(parts) - 1) for index, part in enumerate(parts)]
    assert await read(messages) == b"".join(parts)


async def test_a_message_without_members_is_an_empty_body() -> None:
    """ASGI lets a server leave out `body` and `more_body`."""
    assert await read([{"type": "http.request"}]) == b""


@pytest.mark.parametrize("parts", [[b"01234567890"], [b"0123456789", b"0"], [b"01234", b"567890"]])
async def test_too_many_bytes_are_refused_at_the_first_one_beyond(parts: list[bytes]) -> None:
    """No part after that is awaited."""
    with pytest.raises(TooLarge) as refused:
        await read([chunk(part, more=True) for part in parts])
    assert refused.value.details == {"limit_bytes": 10}


@pytest.mark.parametrize("length", [b"11", b"9" * 18, b"9" * 19, b"9" * 5_000])
async def test_a_length_beyond_the_limit_is_refused_before_reading(length: bytes) -> None:
    """The announced length is enough to refuse, however many digits it has."""
    with pytest.raises(TooLarge):
        await read([], [*JSON, (b"content-length", length)])


@pytest.mark.parametrize("length", [b"", b"-1", b"+5", b"0x5", b"5, 5", "٥".encode()])
async def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    """A length is digits and nothing else (RFC 9110 §8.6)."""
    with pytest.raises(InvalidRequest, match="malformed"):
        await read([], [*JSON, (b"content-length", length)])


@pytest.mark.parametrize(
    "value",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b" application/json ; x=y",
    ],
)
async def test_json_is_read_with_any_parameter(value: bytes) -> None:
    """A charset has no effect on JSON (RFC 8259 §11)."""
    assert await read([chunk(b"{}", more=False)], [(b"content-type", value)]) == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"")],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"multipart/form-data; boundary=application/json")],
        [(b"content-type", b"application/jsonx")],
        [*JSON, (b"content-type", b"text/plain")],
        [*JSON, (b"content-encoding", b"gzip")],
        [*JSON, (b"content-encoding", b"")],
    ],
)
async def test_other_types_and_encodings_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Only one stated `application/json` without encoding is read."""
    with pytest.raises(UnsupportedMedia):
        await read([chunk(b"{}", more=False)], headers)


async def test_a_body_that_does_not_end_in_time_is_a_400() -> None:
    """SDKs repeat a 408, so the code says it instead."""
    with pytest.raises(InvalidRequest) as refused:
        await read_body(receiving([chunk(b"{", more=True)]), JSON, limit_bytes=10, total_seconds=0.01)
    assert refused.value.code == "request_timeout"
    assert str(refused.value) == "The request was not received within 0.01 seconds."


@pytest.mark.parametrize("before", [[], [chunk(b"{", more=True)]])
async def test_a_client_that_leaves_is_no_error_of_relay(before: list[Message]) -> None:
    """There is nobody to answer, so it is not in the family of errors."""
    with pytest.raises(ClientGone):
        await read([*before, {"type": "http.disconnect"}])
    assert not issubclass(ClientGone, RelayError)


async def test_cancelling_ends_the_reading() -> None:
    """A cancelled reader is cancelled, not timed out."""
    task = asyncio.create_task(read([chunk(b"{", more=True)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def discard(messages: Iterable[Message], *, limit_bytes: int, total_seconds: float) -> list[Message]:
    """Discard a body and return the messages that were left alone."""
    left = iter(messages)
    await discard_body(receiving(left), limit_bytes=limit_bytes, total_seconds=total_seconds)
    return list(left)


@pytest.mark.parametrize(
    ("messages", "untouched"),
    [
        ([chunk(b"x" * 4, more=True), chunk(b"x", more=False), chunk(b"next", more=False)], 1),
        ([chunk(b"x" * 4, more=True)] * 5, 2),
        ([{"type": "http.disconnect"}, {"type": "http.disconnect"}], 1),
    ],
    ids=["ended", "bound", "gone"],
)
async def test_discarding_ends_with_the_body_the_bound_or_the_client(
    messages: list[Message], untouched: int
) -> None:
    """No client is listened to for ever."""
    left = await discard(messages, limit_bytes=10, total_seconds=WAIT_SECONDS)
    assert len(left) == untouched


async def test_discarding_ends_when_the_client_is_silent() -> None:
    """The bound in time is no error."""
    assert await discard([chunk(b"x", more=True)], limit_bytes=10, total_seconds=0.01) == []


class Reader:
    """An application that reads a body of at most 1,000 bytes and says how long it was."""

    def __init__(self, discard_seconds: float = 0.05) -> None:
        self.discard_seconds = discard_seconds
        self.calls = 0
        self.gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.calls += 1
        try:
            body = await read_body(receive, scope["headers"], limit_bytes=1_000, total_seconds=WAIT_SECONDS)
            status, headers, answer = 200, [(b"content-length", b"4")], b"%4d" % len(body)
        except RelayError as error:
            status, headers, answer = render(error, language="en", request_id="r")
        except ClientGone:
            self.gone.set()
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": True})
        if status != 200:
            await discard_body(receive, limit_bytes=DISCARDED_BYTES, total_seconds=self.discard_seconds)
        await send({"type": "http.response.body"})


async def exchange(port: int, request: bytes) -> bytes:
    """Send `request` as it is, and return all bytes up to the end of the connection."""
    async with asyncio.timeout(WAIT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


async def test_a_body_in_chunks_is_read_over_a_real_connection() -> None:
    """The framing is the server's business; here the bytes arrive."""
    async with served(Reader()) as port:
        answer = await exchange(
            port,
            HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"   5")


@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 100000000\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1_001,
        # A second request hides in a body that is refused unread.
        b"content-length: 1001\r\n\r\n" + b"x" * 10 + b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["announced", "chunked", "hiding a request"],
)
async def test_a_body_beyond_the_limit_is_answered_early_and_closed(rest: bytes) -> None:
    """413 comes although the body never ends, and the connection serves no second request."""
    app = Reader()
    async with served(app) as port:
        answer = await exchange(port, HEAD + rest)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert app.calls == 1


async def test_the_sdk_that_sends_far_too_much_learns_why() -> None:
    """It gets 413 after all, instead of a reset connection which it would try again."""
    app = Reader(discard_seconds=WAIT_SECONDS)
    async with (
        served(app) as port,
        openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-relay-x", max_retries=1
        ) as client,
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x" * 5_000_000}]
            )
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")
    assert app.calls == 1


async def test_a_real_client_that_leaves_in_the_body_is_noticed() -> None:
    """The application learns it at once."""
    app = Reader()
    async with served(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"content-length: 10\r\n\r\nabc")
        await writer.drain()
        writer.close()
        async with asyncio.timeout(WAIT_SECONDS):
            await app.gone.wait()
