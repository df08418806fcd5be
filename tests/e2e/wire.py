"""A client that hides nothing: raw bytes over a socket, as they came, and how they ended."""

import asyncio
import socket
from types import TracebackType
from typing import Literal, Self

import msgspec

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Tenant
from tests.simulator.wire import Received as Framed

DEADLINE_SECONDS = 30.0
SEGMENT_BYTES = 1_400


class Received(Framed, frozen=True, kw_only=True):
    """All that a connection brought, and its end: `fin`, `rst`, or `open` when the client stopped waiting."""

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.data.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    @property
    def error(self) -> dict[str, str | None]:
        """The error object of a refusal."""
        return msgspec.json.decode(self.body, type=dict[str, dict[str, str | None]])["error"]

    def events(self) -> list[bytes]:
        """Return the data of each whole server-sent event of a stream; comments are left out."""
        blocks = self.payload().split(b"\n\n")[:-1]
        return [block.removeprefix(b"data: ") for block in blocks if block.startswith(b"data: ")]


class RawConnection:
    """One connection to the edge.

    With `receive_bytes` its socket takes no more than about that from the network, in segments as they are in the internet:
    with those of a loopback device the edge's kernel would buffer 2.5 MB for it.
    """

    def __init__(self, stack: RunningStack, *, receive_bytes: int | None = None) -> None:
        self._port = stack.port
        self._receive_bytes = receive_bytes
        self._socket: socket.socket | None = None
        self._data = b""

    async def __aenter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if self._receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        """Send all of `data`."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._loop.sock_sendall(self._open, data)

    async def read_events(self, count: int) -> int:
        """Return how many server-sent events have begun to come, once they are at least `count`."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (begun := self._data.count(b"data: ")) < count:
                part = await self._loop.sock_recv(self._open, 65_536)
                assert part, f"the connection ended after {begun} events: {self._data!r}"
                self._data += part
        return begun

    async def read_all(self) -> Received:
        """Return all up to the end of the connection."""
        end: Literal["fin", "rst"] = "fin"
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while part := await self._loop.sock_recv(self._open, 65_536):
                    self._data += part
        except ConnectionResetError:
            end = "rst"
        return Received(data=self._data, end=end)

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def _open(self) -> socket.socket:
        assert self._socket is not None, "the connection is closed"
        return self._socket

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()


def chat_body(tenant: Tenant, text: str, *, is_stream: bool = True, **members: object) -> bytes:
    """Return the body of a chat completion request with one message."""
    messages = [{"role": "user", "content": text}]
    return msgspec.json.encode({"model": tenant.model, "messages": messages, "stream": is_stream, **members})


def http_request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    key: str = "",
    content_type: str = "application/json",
    sender: str = "",
) -> bytes:
    """Return a whole request, after which the server is to close the connection; `sender` is whom a proxy has it from."""
    headers = ["host: test", "connection: close", f"content-length: {len(body)}"]
    if sender:
        headers.append(f"x-forwarded-for: {sender}")
    if key:
        headers.append(f"authorization: Bearer {key}")
    if content_type:
        headers.append(f"content-type: {content_type}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode() + body


def chat_request(tenant: Tenant, text: str, *, is_stream: bool = True, **members: object) -> bytes:
    """Return a whole request for a chat completion."""
    body = chat_body(tenant, text, is_stream=is_stream, **members)
    return http_request("POST", "/v1/chat/completions", body, key=tenant.key)


async def exchange(stack: RunningStack, request: bytes) -> Received:
    """Return all that a new connection brings for `request`."""
    async with RawConnection(stack) as connection:
        await connection.send(request)
        return await connection.read_all()


async def ask(stack: RunningStack, tenant: Tenant, text: str, *, is_stream: bool = True) -> Received:
    """Return the raw answer to a prompt."""
    return await exchange(stack, chat_request(tenant, text, is_stream=is_stream))
