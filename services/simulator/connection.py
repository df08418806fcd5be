"""One HTTP/1.1 connection: parses requests, has them answered in order, and ends as each plan says.

A protocol and not an ASGI application, because wrong framing, exact write boundaries and resets must be possible.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import httptools

from services.simulator.journal import Exchange
from services.simulator.plan import Ending, Plan
from services.simulator.player import Player
from services.simulator.response import refuse
from shared.errors import InvalidRequest, RelayError, TooLarge

LARGEST_REQUEST = 64 * 1024 * 1024
MOST_PIPELINED = 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_NOTHING = struct.pack("ii", 1, 0)

Header = tuple[bytes, bytes]


class Application(Protocol):
    """What a connection needs of the server."""

    def answer(
        self, method: str, path: str, headers: Sequence[Header], body: bytes
    ) -> tuple[Plan, Exchange | None]:
        """Return the plan for a request, and the exchange to note its fate in."""


class Connection(asyncio.Protocol):
    """The server's end of one connection; `lost` is called once, when it is gone."""

    def __init__(
        self,
        application: Application,
        opened: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._application = application
        self._opened = opened
        self._lost = lost
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[str, str, list[Header], bytes, bool]] = deque()
        self._player: Player | None = None
        self._ending: Ending = "keep"
        self._is_last = False
        self._received = 0
        self._start_request()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and answer the next request unless one is being answered."""
        if self._is_last:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(InvalidRequest("invalid_http"))
            return
        if self._received > LARGEST_REQUEST:
            self._refuse(TooLarge("request_too_large", limit_bytes=LARGEST_REQUEST))
        elif len(self._waiting) > MOST_PIPELINED:
            self.abort()
        else:
            self._answer_next()

    def eof_received(self) -> None:
        """Take a peer that stops sending for one that has gone, as most servers do."""
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._leave()
        self._transport = None
        self._lost(self)

    def pause_writing(self) -> None:
        """Hold the plan while the peer does not read."""
        if self._player is not None:
            self._player.pause()

    def resume_writing(self) -> None:
        """Go on with the plan."""
        if self._player is not None:
            self._player.resume()

    def finish(self) -> None:
        """Close once the answer under way is sent; at once without one."""
        self._is_last = True
        self._waiting.clear()
        if self._player is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection with everything unsent."""
        if self._transport is not None:
            self._transport.abort()

    # The parser calls these.

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Ask for the body when the peer waits to be asked (RFC 9110 §10.1.1)."""
        if self._transport is not None and any(
            name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self._headers
        ):
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Queue the request."""
        path = self._url.decode("latin-1").partition("?")[0]
        method = self._parser.get_method().decode("latin-1")
        keeps_alive = self._parser.should_keep_alive()
        self._waiting.append((method, path, self._headers, b"".join(self._body), keeps_alive))
        self._start_request()

    def _start_request(self) -> None:
        self._url = b""
        self._headers: list[Header] = []
        self._body: list[bytes] = []
        self._received = 0

    def _answer_next(self) -> None:
        if self._player is not None or not self._waiting:
            return
        method, path, headers, body, keeps_alive = self._waiting.popleft()
        plan, exchange = self._application.answer(method, path, headers, body)
        self._is_last = self._is_last or not keeps_alive
        self._play(plan, exchange)

    def _refuse(self, error: RelayError) -> None:
        self._is_last = True
        self._waiting.clear()
        if self._player is None:
            self._play(refuse(error), None)

    def _play(self, plan: Plan, exchange: Exchange | None) -> None:
        assert self._transport is not None
        self._ending = plan.ending
        self._player = Player(self._transport, plan, exchange, self._end_answer)
        self._player.play()

    def _end_answer(self) -> None:
        """End as the plan says. The next request waits for the next turn, so that pipelining cannot nest calls."""
        if self._transport is None or self._ending == "hang":
            return
        self._player = None
        if self._ending == "reset":
            self._reset()
        elif self._ending == "close" or self._is_last:
            self._transport.close()
        elif self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_next)

    def _reset(self) -> None:
        assert self._transport is not None
        # uvloop's transports refuse socket options, a duplicate of the descriptor does not.
        descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=descriptor) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOTHING)
        self._transport.abort()

    def _leave(self) -> None:
        self._waiting.clear()
        if self._player is not None:
            self._player.leave()
            self._player = None
