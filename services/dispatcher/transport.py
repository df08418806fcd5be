"""HTTP to the providers: httpx's types on aiohttp's engine, called at the transport level, one request at a time.

What happened on the wire decides whether a request may be repeated and whether it may be charged. So every failure
keeps its own class:

    ConnectError            refused, unreachable, TLS failed, name unknown        nothing of the request was sent
    AddressRefused          … or the address is not allowed                       nothing was sent
    ConnectTimeout          not connected in time                                 nothing was sent
    PoolTimeout             no free connection to this host in time               nothing was sent
    UnsupportedProtocol     not a URL that we call                                nothing was sent
    LocalProtocolError      the request cannot be put on the wire                 nothing was sent
    ReusedConnectionLost    a pooled connection ended before any answer           probably not processed, see there
    ReadTimeout             silent past the limit, before the answer or in it     sent, may be billed
    ReadError               reset, before the answer or in it                     sent, may be billed
    RemoteProtocolError     closed early or malformed, before the answer or in it sent, may be billed

No redirect is followed, no cookie kept, no proxy or netrc of the environment used, and no POST is ever sent twice
(aiohttp repeats only idempotent methods, once, on a lost pooled connection; RFC 9110 §9.2.2).
"""

import asyncio
import io
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import aiohttp
import httpx
import msgspec
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from services.dispatcher.addresses import AddressPolicy, GuardedResolver

MAX_HEADER_BYTES = 16 * 1024  # for one header; aiohttp bounds their number
MAX_INFLATED_PIECE_BYTES = 64 * 1024
MOST_CODINGS = 2  # a proxy that compresses what came compressed
READ_BUFFER_BYTES = 32 * 1024  # aiohttp reads on up to twice this from an upstream that nobody reads
UNACKNOWLEDGED_SECONDS = 30  # a host that takes no bytes for so long is lost

_DNS_SECONDS = 30
_LARGEST_BODY_IN_ONE_WRITE = 1024 * 1024
_NO_DEFAULTS = ("accept", "accept-encoding", "content-type", "user-agent")

# The first row that fits counts, so a subclass stands before its base.
_FAILURES: tuple[tuple[type[Exception], type[httpx.TransportError], str], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection in time"),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "the upstream was silent for too long"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "no connection could be made"),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol, "the URL is not one that can be called"),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol, "the URL is not one that can be called"),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, "the upstream closed without an answer"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the head of the answer is malformed"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "the body of the answer ended early"),
    (HttpProcessingError, httpx.RemoteProtocolError, "the body of the answer is malformed"),
    (aiohttp.ClientConnectionError, httpx.ReadError, "the connection was lost"),
)

_CHECKED_URLS_MAX = 512  # a channel has one


class ReusedConnectionLost(httpx.RemoteProtocolError):
    """A connection taken from the pool ended before the first byte of an answer.

    Most likely the provider had closed it as idle while the request was on its way, and has not seen the request. That
    cannot be known, so the request is not repeated here: the caller may repeat it once, on the same channel, when its
    policy allows that. A pooled connection whose end had arrived before it was taken is replaced silently.
    """


class _Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The time limits of one request, in seconds; None is none. They are httpx's `timeout` extension."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None

    @property
    def head_seconds(self) -> float | None:
        """How long everything up to the head of the answer may take, so that a trickle cannot go on for ever."""
        phases = (self.pool, self.connect, self.write, self.read)
        return None if None in phases else sum(phase for phase in phases if phase is not None)

    def to_aiohttp(self) -> aiohttp.ClientTimeout:
        # aiohttp's `connect` contains the wait for a free connection, its `sock_connect` does not.
        is_bounded = self.pool is not None and self.connect is not None
        total = (self.pool or 0) + (self.connect or 0) if is_bounded else None
        return aiohttp.ClientTimeout(
            total=None, connect=total, sock_connect=self.connect, sock_read=self.read
        )


class _Attempt:
    """What aiohttp tells about the connection of one request."""

    __slots__ = ("is_queued", "is_reused")

    def __init__(self) -> None:
        self.is_queued = False
        self.is_reused = False


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests to addresses that `addresses` permits; to be made and closed inside a running loop.

    Plain http goes only to `addresses.allowed_networks` unless `allow_http`. `limit_per_host` is the number of
    connections to one host and port, 0 for any number; an idle one is kept for `keepalive_seconds`.
    `ssl_context` replaces the verification against the system's authorities, `resolver` the system's resolver.
    """

    def __init__(
        self,
        *,
        addresses: AddressPolicy,
        allow_http: bool = False,
        limit_per_host: int = 1000,
        keepalive_seconds: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        plain = addresses if allow_http else msgspec.structs.replace(addresses, is_public_allowed=False)
        self._policies = {"https": addresses, "http": plain}
        self._checked: dict[str, URL] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        for scheme, policy in self._policies.items():
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=limit_per_host,
                keepalive_timeout=keepalive_seconds,
                ttl_dns_cache=_DNS_SECONDS,
                resolver=GuardedResolver(policy, resolver=resolver),
                socket_factory=_socket,
                ssl=ssl_context or True,
            )
            self._sessions[scheme] = _session(connector)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as its head has arrived; its `stream` gives the body as it arrives.

        A body that came compressed against our wish is given decompressed, in pieces of at most 64 KiB, so that the
        reader's own limit stops a bomb. `aclose()` on the answer ends a connection whose body has not arrived whole;
        any other is kept for the next request. Cancelling the wait for the head or for the body ends it too. Only a host
        that has stopped taking the request holds its connection for up to `UNACKNOWLEDGED_SECONDS` longer.

        Raises: httpx.TransportError, in the classes named above; the stream raises ReadTimeout, ReadError and
            RemoteProtocolError.
        """
        url = self._checked_url(request)
        limits = msgspec.convert(request.extensions.get("timeout", {}), _Limits)
        content = await request.aread()
        attempt = _Attempt()
        try:
            async with asyncio.timeout(limits.head_seconds):
                answer = await self._sessions[url.scheme].request(
                    request.method,
                    url,
                    data=_payload(content),
                    headers=_headers(request),
                    skip_auto_headers=_NO_DEFAULTS,
                    allow_redirects=False,
                    timeout=limits.to_aiohttp(),
                    trace_request_ctx=attempt,
                )
        except aiohttp.ClientError as error:
            raise _failure(error, attempt) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("the head of the answer did not arrive in time") from error
        except ValueError as error:
            raise httpx.LocalProtocolError("the request cannot be put on the wire") from error
        return _response(answer, request)

    async def aclose(self) -> None:
        """End all connections."""
        for session in self._sessions.values():
            await session.close()

    def _checked_url(self, request: httpx.Request) -> URL:
        text = str(request.url)
        url = self._checked.get(text)
        if url is None:
            url = self._check_url(text)
            if len(self._checked) >= _CHECKED_URLS_MAX:
                self._checked.clear()
            self._checked[text] = url
        return url

    def _check_url(self, text: str) -> URL:
        # What is checked is what aiohttp connects to: one reading of the URL, not two that may differ. A name's addresses are
        # checked by the resolver, at each connection; what is decided here stays true.
        try:
            url = URL(text, encoded=True)
        except ValueError as error:
            raise httpx.UnsupportedProtocol("the URL is malformed") from error
        policy = self._policies.get(url.scheme)
        if policy is None or not url.raw_host or url.raw_user is not None or url.raw_password is not None:
            raise httpx.UnsupportedProtocol(
                "only http and https URLs with a host and no credentials are called"
            )
        policy.check_host(url.raw_host)
        return url


class _Body(httpx.AsyncByteStream):
    """The body of one answer."""

    def __init__(self, answer: aiohttp.ClientResponse, inflater: "_Inflater | None") -> None:
        self._answer = answer
        self._inflater = inflater
        # aiohttp lets go of the connection at the end of the body, before we can ask how it ended.
        self._protocol: ResponseHandler | None = answer.connection and answer.connection.protocol
        self._ends_with_connection = not (
            "content-length" in answer.headers or "chunked" in answer.headers.get("transfer-encoding", "")
        )
        # After a malformed chunk aiohttp 3.14 closes the connection and forgets who reads the body: we tell the reader.
        self._closed = None if self._protocol is None else self._protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)
            # A connection that is used again has one future for all its answers, and this is needed once.
            self._closed.remove_done_callback(_look_at)
            self._closed.add_done_callback(_look_at)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._read():
            if self._inflater is None:
                yield data
            else:
                for piece in self._inflater.feed(data):
                    yield piece
        if self._inflater is not None and not self._inflater.is_complete:
            raise httpx.RemoteProtocolError("the compressed body of the answer ended early")

    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_closed)
        self._answer.close()

    def _on_closed(self, closed: "asyncio.Future[None]") -> None:
        content = self._answer.content
        if content.exception() is None and not content.is_eof():
            content.set_exception(aiohttp.ClientPayloadError("the body of the answer is malformed"))

    async def _read(self) -> bytes:
        """Return what has arrived, waiting for it if need be; nothing at the end."""
        content = self._answer.content
        try:
            data = await content.readany()
        except asyncio.CancelledError:
            self._answer.close()
            raise
        except (aiohttp.ClientError, HttpProcessingError) as error:
            # What arrived before the failure may hold the end of the stream. aiohttp keeps it, but its public readers
            # raise first.
            if rest := content._read_nowait(-1):
                return rest
            if self._is_reset():
                raise httpx.ReadError("the connection was reset in the body") from error
            raise _failure(error) from error
        if not data and self._ends_with_connection and self._is_reset():
            raise httpx.ReadError("the connection was reset in the body")
        return data

    def _is_reset(self) -> bool:
        return self._protocol is not None and isinstance(self._protocol.exception(), aiohttp.ClientOSError)


def _look_at(closed: "asyncio.Future[None]") -> None:
    """Take the exception of a reset connection, so that asyncio does not report it as forgotten."""
    if not closed.cancelled():
        closed.exception()


class _Inflater:
    """Undoes gzip, with any number of members, and both forms of deflate, a bounded piece at a time; then what is `inside`."""

    def __init__(self, inside: "_Inflater | None" = None) -> None:
        self._inside = inside
        self._stream: zlib._Decompress | None = None

    @property
    def is_complete(self) -> bool:
        is_own_complete = self._stream is None or self._stream.eof
        return is_own_complete and (self._inside is None or self._inside.is_complete)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the pieces that `data` holds. Raises: httpx.RemoteProtocolError when it is not valid."""
        is_full = False
        while data or is_full:
            if self._stream is None or self._stream.eof:
                self._stream = zlib.decompressobj(wbits=_window(data))
            try:
                piece = self._stream.decompress(data, MAX_INFLATED_PIECE_BYTES)
            except zlib.error as error:
                raise httpx.RemoteProtocolError("the compressed body of the answer is malformed") from error
            data = self._stream.unconsumed_tail or self._stream.unused_data
            is_full = len(piece) == MAX_INFLATED_PIECE_BYTES and not self._stream.eof
            if piece:
                yield from (piece,) if self._inside is None else self._inside.feed(piece)


def _window(data: bytes) -> int:
    """Return zlib's `wbits` for what `data` starts with: gzip or zlib, told by their heads, else raw deflate."""
    has_head = data[0] == 0x1F or data[0] & 0x0F == 8
    return zlib.MAX_WBITS | 32 if has_head else -zlib.MAX_WBITS


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    # asyncio closes a socket only after it has flushed what is still to send, which a host that does not read never
    # lets it do. The kernel has the last word (RFC 5482; Linux only).
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000)
    return made


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(_note_queued)
    trace.on_connection_queued_end.append(_note_dequeued)
    trace.on_connection_reuseconn.append(_note_reused)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        trace_configs=[trace],
    )


async def _note_queued(
    session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionQueuedStartParams
) -> None:
    context.trace_request_ctx.is_queued = True


async def _note_dequeued(
    session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionQueuedEndParams
) -> None:
    context.trace_request_ctx.is_queued = False


async def _note_reused(
    session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.is_reused = True


def _payload(content: bytes) -> bytes | io.BytesIO | None:
    # aiohttp writes bytes at once and a file in pieces, with room for other tasks between them.
    return io.BytesIO(content) if len(content) > _LARGEST_BODY_IN_ONE_WRITE else content or None


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    # The raw list: httpx would look for the headers' encoding at each turn (RFC 9110 §5.5: it is Latin-1 or opaque).
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() != b"accept-encoding"
    ]
    return [*headers, ("accept-encoding", "identity")]


def _response(answer: aiohttp.ClientResponse, request: httpx.Request) -> httpx.Response:
    headers = list(answer.raw_headers)
    named = answer.headers.getall("content-encoding", [])
    codings = [
        word for each in ",".join(named).split(",") if (word := each.strip().lower()) not in ("identity", "")
    ]
    inflater = None
    if codings and len(codings) <= MOST_CODINGS and not set(codings) - {"gzip", "x-gzip", "deflate"}:
        for _ in codings:
            inflater = _Inflater(inflater)
        inflated = (b"content-encoding", b"content-length")
        headers = [(name, value) for name, value in headers if name.lower() not in inflated]
    elif codings:
        answer.close()
        raise httpx.RemoteProtocolError("the body of the answer has an encoding that was not asked for")
    return httpx.Response(answer.status, headers=headers, stream=_Body(answer, inflater), request=request)


def _failure(error: Exception, attempt: _Attempt | None = None) -> httpx.TransportError:
    """Return the httpx error for `error` of aiohttp. Its text names no host, since it may be logged."""
    kind, text = next((kind, text) for source, kind, text in _FAILURES if isinstance(error, source))
    if attempt is not None and attempt.is_queued and kind is httpx.ConnectTimeout:
        return httpx.PoolTimeout("no free connection to this host in time")
    is_lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    if attempt is not None and attempt.is_reused and is_lost and kind is not httpx.ConnectError:
        return ReusedConnectionLost("a pooled connection ended before an answer")
    return kind(text)
