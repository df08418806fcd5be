"""Calls through the transport, for the tests that watch what it does."""

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.dispatcher.addresses import AddressPolicy
from services.dispatcher.transport import AiohttpTransport

LOOPBACK = AddressPolicy(allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"


@contextlib.asynccontextmanager
async def transporting(
    policy: AddressPolicy = LOOPBACK,
    *,
    limit_per_host: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[AiohttpTransport]:
    """Give a transport of `policy`, by default one for the loopback, while the block runs."""
    transport = AiohttpTransport(
        addresses=policy, limit_per_host=limit_per_host, ssl_context=ssl_context, resolver=resolver
    )
    try:
        yield transport
    finally:
        await transport.aclose()


def post(url: str, content: bytes = b"{}", /, **timeouts: float) -> httpx.Request:
    """Return a POST with limits of 5 s each, or those given."""
    limits = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0, **timeouts}
    return httpx.Request("POST", url, content=content, extensions={"timeout": limits})


async def body_of(response: httpx.Response) -> bytes:
    """Return the whole body of an answer, which is closed after."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([piece async for piece in response.stream])
    finally:
        await response.aclose()


async def failure_of(url: str, **timeouts: float) -> type[Exception]:
    """Return the exact class that a POST, or the reading of its answer, fails with."""
    async with transporting() as transport:
        with pytest.raises(httpx.TransportError) as caught:
            await body_of(await transport.handle_async_request(post(url, **timeouts)))
    return caught.type


class NamesAt(AbstractResolver):
    """A name server that answers every name with the given addresses in turn, or that knows no name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Answer with the next address, the last one again and again."""
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = self.addresses[min(self.asked, len(self.addresses)) - 1]
        return [{"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Hold nothing that needs to be released."""
