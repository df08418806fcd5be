"""How the HTTP transport treats connections and addresses, against real sockets."""

import asyncio

import httpx
import pytest

import services.dispatcher.transport as transport_module
from services.dispatcher.addresses import AddressPolicy, AddressRefused
from services.dispatcher.transport import ReusedConnectionLost
from tests.dispatcher.calls import OK, WHOLE, NamesAt, body_of, post, transporting
from tests.dispatcher.raw_server import (
    WAIT_SECONDS,
    RawServer,
    Reader,
    Writer,
    answering,
    once,
    reset,
    serving,
    stalling,
)

# --- connections: reuse, end, cancellation


async def test_a_finished_connection_is_used_again() -> None:
    """An answer that was read to its end gives its connection back."""
    async with serving(answering(WHOLE)) as server, transporting() as transport:
        for _ in range(5):
            await body_of(await transport.handle_async_request(post(server.url)))
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_closing_an_unfinished_answer_ends_its_connection() -> None:
    """`aclose()` on a body that has not arrived whole drops the connection instead of draining it."""
    async with serving(stalling(OK + b"Content-Length: 9\r\n\r\nx")) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url))
        await response.aclose()
        await asyncio.wait_for(server.client_left.wait(), WAIT_SECONDS)


@pytest.mark.parametrize(
    "sent", [b"", OK + b"Content-Length: 9\r\n\r\nx"], ids=["for the head", "for the body"]
)
async def test_cancelling_the_wait_ends_the_connection(sent: bytes) -> None:
    """A cancelled wait for the head or for the body closes the socket to the provider, with nothing else done."""
    async with serving(stalling(sent)) as server, transporting() as transport:

        async def read() -> None:
            response = await transport.handle_async_request(post(server.url))
            assert isinstance(response.stream, httpx.AsyncByteStream)
            async for _ in response.stream:
                pass

        task = asyncio.create_task(read())
        await asyncio.wait_for(server.request_came.wait(), WAIT_SECONDS)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.client_left.wait(), WAIT_SECONDS)


async def test_cancelled_requests_leak_no_connection_slot() -> None:
    """After 200 requests cancelled at any moment, a host with two slots still serves."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        while request := await server.read_request(reader):
            if b"slow" not in request:
                writer.write(WHOLE)
            else:
                await server.await_leaving(reader)

    async with serving(behaviour) as server, transporting(limit_per_host=2) as transport:

        async def call() -> None:
            await body_of(await transport.handle_async_request(post(server.url, b"slow")))

        for start in range(0, 200, 20):
            tasks = [asyncio.create_task(call()) for _ in range(20)]
            await asyncio.sleep(0.001 * (start % 7))
            for task in tasks:
                task.cancel()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(6):
            assert await body_of(await transport.handle_async_request(post(server.url))) == b"hello"


async def test_a_connection_that_ended_in_the_pool_is_replaced_silently() -> None:
    """A pooled connection whose end has arrived costs nothing: the POST goes out once, on a new one."""
    async with serving(once(WHOLE)) as server, transporting() as transport:
        await body_of(await transport.handle_async_request(post(server.url)))
        await asyncio.wait_for(server.has_ended.wait(), WAIT_SECONDS)
        for _ in range(10):  # rounds of the loop, in which the end arrives
            await asyncio.sleep(0.01)
        assert await body_of(await transport.handle_async_request(post(server.url))) == b"hello"
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("end", [Writer.close, reset], ids=["closed", "reset"])
async def test_a_pooled_connection_that_ends_under_a_post_is_told_apart(end: type) -> None:
    """A POST on a reused connection that ends without an answer is not repeated, and is its own failure."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(WHOLE)
        await server.read_request(reader)
        end(writer)

    async with serving(behaviour) as server, transporting() as transport:
        await body_of(await transport.handle_async_request(post(server.url)))
        with pytest.raises(ReusedConnectionLost):
            await transport.handle_async_request(post(server.url))
        assert (server.connections, len(server.requests)) == (1, 2)


async def test_a_host_that_stops_taking_the_request_loses_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large request that nobody reads fails in time, and its socket does not stay open behind it."""
    monkeypatch.setattr(transport_module, "UNACKNOWLEDGED_SECONDS", 1)
    has_failed = asyncio.Event()

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        await has_failed.wait()
        while True:
            writer.write(b"is anybody there?")  # raises once the other socket is gone
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(behaviour) as server, transporting() as transport:
        request = post(server.url, bytes(32 * 1024 * 1024), connect=0.5, read=0.1, write=0, pool=0)
        with pytest.raises(httpx.ReadTimeout):
            await transport.handle_async_request(request)
        has_failed.set()
        await asyncio.wait_for(server.client_left.wait(), WAIT_SECONDS)


# --- what must not be followed or used


async def test_a_redirect_is_not_followed() -> None:
    """F96: a redirect is an answer like any other; the key does not travel to where it points."""
    async with serving(answering(WHOLE)) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(answering(moved)) as server, transporting() as transport:
            response = await transport.handle_async_request(post(server.url))
            assert response.status_code == 307
            await response.aclose()
        assert other.connections == 0


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and its relatives do not redirect a request."""
    async with serving(answering(WHOLE)) as proxy, serving(answering(WHOLE)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with transporting() as transport:
            await body_of(await transport.handle_async_request(post(server.url)))
        assert (proxy.connections, server.connections) == (0, 1)


async def test_cookies_are_not_kept() -> None:
    """A cookie of one answer is not sent with the next request."""
    data = WHOLE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
    async with serving(answering(data)) as server, transporting() as transport:
        for _ in range(2):
            await body_of(await transport.handle_async_request(post(server.url)))
        assert b"cookie" not in server.requests[1].lower()


# --- addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "127.0.0.1."]
)
async def test_a_refused_address_is_not_connected_to(host: str) -> None:
    """F96: an address literal that is not permitted is refused in every spelling, before anything is sent."""
    async with serving(answering(WHOLE)) as server, transporting(AddressPolicy()) as transport:
        with pytest.raises(AddressRefused):
            await transport.handle_async_request(post(f"https://{host}:{server.port}/"))
        assert server.connections == 0


@pytest.mark.parametrize(
    "authority",
    [
        "provider.test\\@127.0.0.1:{port}",
        "provider.test@127.0.0.1:{port}",
        "127.0.0.1:{port}\\@provider.test",
        "127.0.0.1\\.provider.test:{port}",
        "127.0.0.1:{port}#@provider.test",
        "127。0。0。1:{port}",
        "127.1:{port}",
        "[::ffff:7f00:1]:{port}",
        "169.254.169.254",
        "LOCALHOST:{port}",
    ],
)
async def test_a_url_with_two_readings_reaches_neither(authority: str) -> None:
    """F96: what is checked is what is connected to, so no spelling, user part or backslash leads to a refused address."""
    async with serving(answering(WHOLE)) as server, transporting(AddressPolicy()) as transport:
        request = post(f"https://{authority.format(port=server.port)}/")
        with pytest.raises((httpx.UnsupportedProtocol, AddressRefused)):
            await transport.handle_async_request(request)
        assert server.connections == 0


async def test_a_name_that_resolves_to_a_refused_address_is_not_connected_to() -> None:
    """F96: the addresses behind a name are checked as well, and the failure keeps its class."""
    async with (
        serving(answering(WHOLE)) as server,
        transporting(AddressPolicy(), resolver=NamesAt("127.0.0.1")) as transport,
    ):
        with pytest.raises(AddressRefused):
            await transport.handle_async_request(post(f"https://provider.test:{server.port}/"))
        assert server.connections == 0


async def test_the_checked_address_is_the_one_that_is_used() -> None:
    """F96: a name is resolved once for a connection, so a second, different answer cannot slip in."""
    resolver = NamesAt("127.0.0.1", "169.254.169.254")
    async with serving(answering(WHOLE)) as server, transporting(resolver=resolver) as transport:
        url = server.url.replace("127.0.0.1", "provider.test")
        assert await body_of(await transport.handle_async_request(post(url))) == b"hello"
        assert resolver.asked == 1


async def test_plain_http_does_not_leave_the_allowed_networks() -> None:
    """Without TLS only the operator's own networks are called, not the internet."""
    async with transporting(resolver=NamesAt("8.8.8.8")) as transport:
        for host in ("8.8.8.8", "provider.test"):
            with pytest.raises(AddressRefused):
                await transport.handle_async_request(post(f"http://{host}/"))
