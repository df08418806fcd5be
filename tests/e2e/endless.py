"""An upstream whose streams never end: what it gets rid of is what Relay has taken in."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.e2e.stack import wait_until_async

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
EVENT = (
    b'data: {"id":"chatcmpl-endless","object":"chat.completion.chunk","created":1767225600,"model":"endless",'
    b'"choices":[{"index":0,"delta":{"content":"0123456789abcdef"},"logprobs":null,"finish_reason":null}]}\n\n'
)
BLOCK = EVENT * 64
PATIENCE_SECONDS = 10.0
SEND_BYTES = (
    65_536  # of the kernel's memory for each connection, so that its buffers do not hide what Relay takes
)


class EndlessUpstream:
    """A listener on a free port. `sent` are the bytes that each connection has taken, `running` how many still do."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.sent: list[int] = []
        self.running = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request until the peer leaves."""
        number = len(self.sent)
        self.sent.append(0)
        self.running += 1
        writer.transport.set_write_buffer_limits(0)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD)
            while True:
                writer.write(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))
                await writer.drain()
                self.sent[number] += len(BLOCK)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer has left, which is the only end
        finally:
            self.running -= 1
            writer.transport.abort()


@asynccontextmanager
async def endless_upstream() -> AsyncIterator[EndlessUpstream]:
    """Yield a running one; in the end its connections are closed."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        upstream = EndlessUpstream(listener)
        server = await asyncio.start_server(upstream.answer, sock=listener)
        try:
            yield upstream
        finally:
            server.close()
            await wait_until_async(lambda: upstream.running == 0, PATIENCE_SECONDS, "the end of all streams")
