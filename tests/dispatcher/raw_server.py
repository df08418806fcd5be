"""A provider at the level of sockets: each test says byte by byte what happens on a connection."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
WAIT_SECONDS = 10.0


class RawServer:
    """Answers each request by `behaviour`; counts connections and requests, and notes how a connection ended."""

    def __init__(self, behaviour: Callable[["RawServer", Reader, Writer], Awaitable[None]]) -> None:
        self._behaviour = behaviour
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self.client_left = asyncio.Event()
        self.request_came = asyncio.Event()
        self.has_ended = asyncio.Event()

    @property
    def url(self) -> str:
        """Where a chat completion is posted to."""
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    async def read_request(self, reader: Reader) -> bytes:
        """Return head and body of the next request, empty when the client has left instead."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [
                line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
            ]
            body = await reader.readexactly(int(length[0])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            self.client_left.set()
            return b""
        self.requests.append(head + body)
        self.request_came.set()
        return head + body

    async def await_leaving(self, reader: Reader) -> None:
        """Return when the client has closed, noting it."""
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        self.client_left.set()

    async def handle(self, reader: Reader, writer: Writer) -> None:
        """Serve one connection, whatever way it ends."""
        self.connections += 1
        try:
            await self._behaviour(self, reader, writer)
        except ConnectionError:
            self.client_left.set()
        finally:
            writer.close()
            self.has_ended.set()


@contextlib.asynccontextmanager
async def serving(
    behaviour: Callable[[RawServer, Reader, Writer], Awaitable[None]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Serve `behaviour` on a free port of the loopback while the block runs."""
    server = RawServer(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: Reader, writer: Writer) -> None:
        task = asyncio.ensure_future(server.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reset(writer: Writer) -> None:
    """End the connection with a TCP reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(data: bytes) -> Callable[[RawServer, Reader, Writer], Awaitable[None]]:
    """Return a behaviour that answers every request of a connection with `data`."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        while await server.read_request(reader):
            writer.write(data)
            await writer.drain()

    return behaviour


def once(
    data: bytes, *, then: Callable[[Writer], None] = Writer.close
) -> Callable[[RawServer, Reader, Writer], Awaitable[None]]:
    """Return a behaviour that writes `data` after the first request and then ends the connection."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(data)
        await writer.drain()
        # A reset discards what its receiver has not read yet.
        await asyncio.sleep(0.05 if data else 0)
        then(writer)

    return behaviour


def stalling(data: bytes) -> Callable[[RawServer, Reader, Writer], Awaitable[None]]:
    """Return a behaviour that writes `data` after the first request and then nothing, until the client leaves."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(data)
        await server.await_leaving(reader)

    return behaviour
