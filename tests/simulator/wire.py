"""A client that hides nothing: raw bytes over a socket, up to the end and how it came."""

import asyncio
import re
from collections.abc import Callable

import msgspec

from services.simulator.server import Simulator

DEADLINE_SECONDS = 15


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """All that a connection brought, and its end: `fin`, `rst`, or `open` when the client stopped waiting."""

    data: bytes
    end: str

    @property
    def head(self) -> bytes:
        """The status line and the headers."""
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """What follows the headers, as framed on the wire."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def is_whole(self) -> bool:
        """Whether a chunked body has its end."""
        return self.data.endswith(b"0\r\n\r\n")

    def payload(self) -> bytes:
        """Return the body without its chunk framing; a torn last chunk is left out."""
        rest, chunks = self.body, []
        while match := re.match(rb"([0-9a-f]+)\r\n", rest):
            size = int(match.group(1), 16)
            chunks.append(rest[match.end() : match.end() + size])
            rest = rest[match.end() + size + 2 :]
        return b"".join(chunks)


def chat_body(text: str, *, stream: bool = True, model: str = "m", include_usage: bool = False) -> bytes:
    """Return the body of a chat completion request with one message."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
    }
    if include_usage:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def chat_request(body: bytes, *, key: str = "sk-test", keep_alive: bool = False) -> bytes:
    """Return a whole request for a chat completion."""
    return http_request("POST", "/v1/chat/completions", body, key=key, keep_alive=keep_alive)


def http_request(
    method: str, path: str, body: bytes = b"", *, key: str = "sk-test", keep_alive: bool = False
) -> bytes:
    """Return a whole request."""
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    connection = "keep-alive" if keep_alive else "close"
    head = f"{method} {path} HTTP/1.1\r\nhost: test\r\n{authorization}connection: {connection}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def connect(simulator: Simulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a new connection to the simulator."""
    host, _, port = simulator.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def exchange(simulator: Simulator, request: bytes, *, until: bytes | None = None) -> Received:
    """Return what the simulator sends for `request`, to the end of the connection or to the bytes `until`."""
    reader, writer = await connect(simulator)
    data = b""
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while until is None or until not in data:
                part = await reader.read(65_536)
                if not part:
                    return Received(data=data, end="fin")
                data += part
            return Received(data=data, end="open")
    except ConnectionResetError:
        return Received(data=data, end="rst")
    finally:
        writer.close()


async def ask(
    simulator: Simulator, directive: str, *, stream: bool = True, include_usage: bool = False
) -> Received:
    """Return the answer to a prompt with a directive."""
    body = chat_body(f"hello [[sim {directive}]]", stream=stream, include_usage=include_usage)
    return await exchange(simulator, chat_request(body))


async def wait_until(is_true: Callable[[], bool]) -> None:
    """Return when the condition holds; fail when it does not for long."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not is_true():  # noqa: ASYNC110  # the condition belongs to the simulator, which has no event for it
            await asyncio.sleep(0.005)
