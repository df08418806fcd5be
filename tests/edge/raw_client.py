"""A client that writes what it is told, byte for byte, to an application that notes what it saw."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import msgspec
from starlette.types import Receive, Scope, Send

PATIENCE_SECONDS = 30.0


class Seen(msgspec.Struct, kw_only=True):
    """One request as the application saw it; `body` is None until it is whole."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    is_left: bool = False


class Application:
    """Reads each request to its end and answers with its path, once `may_answer` is set."""

    def __init__(self) -> None:
        self.seen: dict[int, list[Seen]] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        seen = Seen(method=scope["method"], path=scope["path"], headers=scope["headers"])
        self.seen.setdefault(scope["client"][1], []).append(seen)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                seen.is_left = True
                return
            body += message["body"]
            if not message["more_body"]:
                break
        seen.body = body
        leaving = asyncio.ensure_future(receive())
        allowed = asyncio.ensure_future(self.may_answer.wait())
        await asyncio.wait((leaving, allowed), return_when=asyncio.FIRST_COMPLETED)
        seen.is_left = not allowed.done()
        allowed.cancel()
        if not seen.is_left:
            answer = seen.path.encode()
            length = (b"content-length", b"%d" % len(answer))
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            await send({"type": "http.response.body", "body": answer})
        leaving.cancel()

    def of(self, client: "RawClient") -> list[Seen]:
        """Return what was seen of one client, in order."""
        return self.seen.get(client.port, [])


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.port: int = writer.get_extra_info("sockname")[1]

    async def send(self, *parts: bytes) -> None:
        """Write each part by itself, so that the server need not get them together."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of one answer that has a length."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            (length,) = (
                line.split()[1] for line in head.split(b"\r\n") if line.startswith(b"content-length:")
            )
            return int(head.split()[1]), await self.reader.readexactly(int(length))

    async def rest(self) -> bytes:
        """Return all bytes up to the end of the connection, or to its reset when more was sent than the server took."""
        data = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionError):
                while part := await self.reader.read(65_536):
                    data += part
        return data


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    """Yield a new connection; it is closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


def in_bytes(data: bytes) -> Iterable[bytes]:
    """Return each byte by itself."""
    return (data[index : index + 1] for index in range(len(data)))


def error_code(answer: bytes) -> str | None:
    """Return the code of a refusal that is a whole answer in OpenAI's shape, and the last one of its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-request-id: " in head
    assert b"\r\nx-should-retry: false" in head
    error = msgspec.json.decode(body, type=dict[str, dict[str, str | None]])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]
