"""F79: what is left of an answer is kept for a client only as long as it takes some of it."""

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send

from services.edge.settings import EdgeSettings
from tests.dispatcher.rig import soon, until
from tests.e2e.wire import SEGMENT_BYTES
from tests.edge.serving import served

IMPATIENT = EdgeSettings(head_seconds_max=0.2, client_stall_seconds=0.5)
ANSWER = b"x" * 2_000_000
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class Giver:
    """An application that has an answer ready; it gives up, or waits until all of it is written."""

    def __init__(self, *, gives_up: bool) -> None:
        self.gives_up = gives_up
        self.has_begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        length = (b"content-length", b"%d" % len(ANSWER))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        sending = asyncio.ensure_future(send({"type": "http.response.body", "body": ANSWER}))
        await asyncio.sleep(0)  # until the server has it
        self.has_begun.set()
        if self.gives_up:
            sending.cancel()
        else:
            await sending


async def _asked(port: int) -> socket.socket:
    """Return a connection that has sent its request, and takes little at a time."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, REQUEST)
    return client


async def test_a_connection_that_takes_nothing_of_its_last_bytes_is_reset() -> None:
    """Its memory and its descriptor are free again, though the client is still there."""
    giver = Giver(gives_up=True)
    async with served(giver, IMPATIENT) as port:
        with await _asked(port) as client:
            await soon(giver.has_begun.wait())
            await until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


@pytest.mark.parametrize("gives_up", [True, False])
async def test_a_connection_that_takes_its_last_bytes_slowly_gets_them_all(gives_up: bool) -> None:
    """For longer than it may take nothing."""
    loop = asyncio.get_running_loop()
    taken = 0
    async with served(Giver(gives_up=gives_up), IMPATIENT) as port:
        with await _asked(port) as client:
            while part := await soon(loop.sock_recv(client, 65_536)):
                taken += len(part)
                await asyncio.sleep(0.002)

    assert taken > len(ANSWER)
