"""The HTTP transport's answers and failures, against real sockets that misbehave."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.dispatcher.calls import OK, WHOLE, NamesAt, body_of, failure_of, post, transporting
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


async def test_an_answer_comes_with_status_headers_and_body() -> None:
    """Status, headers and bytes arrive as the provider sent them."""
    data = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(answering(data)) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url, b'{"a":1}'))
        assert (response.status_code, response.headers.get_list("x-a")) == (418, ["1", "2"])
        assert await body_of(response) == b"hello"
        assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')


async def test_pieces_come_as_they_arrive() -> None:
    """A piece is given out while the rest of the body is still to come."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await server.await_leaving(reader)

    async with serving(behaviour) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        assert await asyncio.wait_for(anext(aiter(response.stream)), WAIT_SECONDS) == b"one"
        await response.aclose()


async def test_only_the_given_headers_are_sent_and_identity_is_asked_for() -> None:
    """No default header is added, and no compression is asked for, whatever the request says."""
    async with serving(answering(WHOLE)) as server, transporting() as transport:
        request = httpx.Request(
            "POST", server.url, content=b"{}", headers={"Accept-Encoding": "gzip", "X-One": "1"}
        )
        await body_of(await transport.handle_async_request(request))
    names = [
        line.partition(b":")[0].lower()
        for line in server.requests[0].split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    ]
    assert sorted(names) == [b"accept-encoding", b"content-length", b"host", b"x-one"]
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_a_large_body_is_sent_whole() -> None:
    """A body above what is written at once arrives unchanged."""
    content = bytes(range(256)) * 16384
    async with serving(answering(WHOLE)) as server, transporting() as transport:
        await body_of(await transport.handle_async_request(post(server.url, content)))
    assert server.requests[0].endswith(b"\r\n\r\n" + content)


# --- the error map, a server for each row


async def test_refused_connection_is_a_connect_error() -> None:
    """A closed port is a ConnectError."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await failure_of(f"http://127.0.0.1:{unused.getsockname()[1]}/") is httpx.ConnectError


async def test_unknown_name_is_a_connect_error() -> None:
    """A name that does not resolve is a ConnectError."""
    async with transporting(resolver=NamesAt()) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(post("https://nowhere.test/"))
    assert caught.type is httpx.ConnectError


async def test_a_full_backlog_is_a_connect_timeout() -> None:
    """A host that does not complete the TCP handshake is a ConnectTimeout."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert await failure_of(url, connect=0.2) is httpx.ConnectTimeout


async def test_a_host_at_its_limit_is_a_pool_timeout() -> None:
    """A wait for a free connection that takes too long is a PoolTimeout, and the connection is usable again after."""
    async with (
        serving(stalling(OK + b"Content-Length: 9\r\n\r\nx")) as server,
        transporting(limit_per_host=1) as transport,
    ):
        first = await transport.handle_async_request(post(server.url))
        with pytest.raises(httpx.PoolTimeout):
            await transport.handle_async_request(post(server.url, connect=0.1, pool=0.1))
        await first.aclose()
        second = await transport.handle_async_request(post(server.url))
        await second.aclose()
        assert len(server.requests) == 2


async def test_tls_with_a_plain_server_is_a_connect_error() -> None:
    """A server that does not speak TLS is a ConnectError."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        writer.write(b"220 no TLS here\r\n")
        await server.await_leaving(reader)

    async with serving(behaviour) as server:
        assert await failure_of(server.url.replace("http:", "https:")) is httpx.ConnectError


async def test_a_certificate_of_an_unknown_authority_is_a_connect_error(tmp_path: Path) -> None:
    """A certificate that does not verify is a ConnectError; with its authority trusted, the same call succeeds."""
    tls, trusting = _self_signed(tmp_path)
    async with serving(answering(WHOLE), tls=tls) as server:
        url = server.url.replace("http:", "https:")
        assert await failure_of(url) is httpx.ConnectError
        async with transporting(ssl_context=trusting) as transport:
            assert await body_of(await transport.handle_async_request(post(url))) == b"hello"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"", httpx.RemoteProtocolError, id="closed before the head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", httpx.RemoteProtocolError, id="closed in the head"),
        pytest.param(
            OK + b"Content-Length: 9\r\n\r\nshort", httpx.RemoteProtocolError, id="length not reached"
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            httpx.RemoteProtocolError,
            id="no last chunk",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", httpx.RemoteProtocolError, id="cut in a chunk"
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
            httpx.RemoteProtocolError,
            id="chunk size",
        ),
        pytest.param(b"SMTP ready\r\n\r\n", httpx.RemoteProtocolError, id="not HTTP"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", httpx.RemoteProtocolError, id="no status"),
        pytest.param(OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n", httpx.RemoteProtocolError, id="huge header"),
        pytest.param(OK + b"X: y\r\n" * 5_000 + b"\r\n", httpx.RemoteProtocolError, id="many headers"),
        pytest.param(
            OK + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx", httpx.RemoteProtocolError, id="brotli"
        ),
    ],
)
async def test_what_is_closed_early_or_malformed_is_a_remote_protocol_error(
    sent: bytes, expected: type
) -> None:
    """An answer that ends early or is not HTTP is a RemoteProtocolError."""
    async with serving(once(sent)) as server:
        assert await failure_of(server.url) is expected


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="before the head"),
        pytest.param(OK + b"Content-Length: 9\r\n\r\nshort", id="in a counted body"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="in a chunked body"),
        pytest.param(OK + b"Connection: close\r\n\r\nhello", id="in a body that ends with the connection"),
    ],
)
async def test_a_reset_is_a_read_error(sent: bytes) -> None:
    """A reset connection is a ReadError, also where a clean close would have been a complete answer."""
    async with serving(once(sent, then=reset)) as server:
        assert await failure_of(server.url) is httpx.ReadError


@pytest.mark.parametrize(
    "sent", [b"", OK + b"Content-Length: 9\r\n\r\nshort"], ids=["before the head", "in the body"]
)
async def test_silence_is_a_read_timeout(sent: bytes) -> None:
    """A provider that is silent past the limit is a ReadTimeout, and its connection is ended."""
    async with serving(stalling(sent)) as server:
        assert await failure_of(server.url, read=0.2) is httpx.ReadTimeout
        await asyncio.wait_for(server.client_left.wait(), WAIT_SECONDS)


async def test_a_head_that_trickles_is_a_read_timeout() -> None:
    """Interim answers for ever do not hold a request past the sum of its limits."""

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(behaviour) as server:
        assert await failure_of(server.url, connect=0.5, read=0.2, write=0, pool=0) is httpx.ReadTimeout


async def test_a_body_that_ends_with_the_connection_is_complete() -> None:
    """A clean close ends a body that has no other end."""
    async with serving(once(OK + b"Connection: close\r\n\r\nhello")) as server, transporting() as transport:
        assert await body_of(await transport.handle_async_request(post(server.url))) == b"hello"


async def test_what_arrived_before_a_failure_is_given_out_first() -> None:
    """The bytes before a cut are read even when the cut has been noticed before them."""
    sent = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with serving(once(sent)) as server, transporting() as transport:
        response = await transport.handle_async_request(post(server.url))
        await asyncio.wait_for(server.has_ended.wait(), WAIT_SECONDS)
        for _ in range(10):  # rounds of the loop, in which the end arrives
            await asyncio.sleep(0.01)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        pieces = aiter(response.stream)
        assert await anext(pieces) == b"hello"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)
        await response.aclose()


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "http:///v1", "file:///etc/passwd"]
)
async def test_other_urls_are_not_called(url: str) -> None:
    """Only http and https URLs with a host and without credentials are called."""
    async with transporting() as transport:
        with pytest.raises(httpx.UnsupportedProtocol):
            await transport.handle_async_request(post(url))


def _self_signed(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a trusting client's context for a new certificate of 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))
