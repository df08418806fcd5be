"""A client's connection: requests that can be read in one way only, from a client that does not keep us waiting.

uvicorn's protocol speaks HTTP/1.1 with llhttp as its parser, which refuses most of what two readers could take for two things.
`Connection` refuses the rest (RFC 9112 §3.2, §6.1, §6.3), bounds the size of a head, and knows at each moment by when the client
must have done what it owes:

    what is owed                                    in
    a whole head, from the connection's beginning   head_seconds
    a whole head, from its first byte               head_seconds
    the next request, after an answer               keep-alive time, or LEAVING_SECONDS once the process is to end
    the rest of a body that nobody wants            head_seconds
    to take some of what is left of its answer,
      once there is nothing to add to it            stall_seconds, again and again
    nothing, while an answer is being made          (how slowly a body may come is for its reader to say: `body.py`)

Requests that come before the last one is answered wait in uvicorn's queue, which is short here. Whatever is wrong behind them
is not allowed to spoil their answers: they are given, and then the connection closes, so that the client knows what to repeat (RFC
9112 §9.3.2).
"""

import asyncio
import os
import re
import socket
import struct
from http import HTTPStatus
from math import inf
from typing import cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.edge.errors import Language, render
from services.edge.settings import EdgeSettings
from services.edge.visits import Visit, Visits
from shared.errors import InvalidRequest, RelayError

HEAD_BYTES_MAX = 64 * 1024
WAITING_MAX = 16  # requests of one connection that wait for the answer before theirs
LEAVING_SECONDS = 1.0  # for a request that is on its way when the listener has closed
LINGER_SECONDS = 2.0  # after a refusal, so that a client which is still writing can read it (RFC 9112 §9.6)

# RFC 3986 §3.2.2, without the characters that no host name has; empty when the target has no authority (RFC 9112 §3.2).
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]*)(?::[0-9]*)?[ \t]*")
_STATUS_LINE = b"HTTP/1.1 "
_FRAMING = (b"content-length", b"transfer-encoding")
_LINGER_NOTHING = struct.pack("ii", 1, 0)  # socket(7): close with RST


class Joined:
    """A transport that writes the head of an answer and what follows at once together: one packet, and one system call."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write `data`, at once or at the end of this turn of the loop."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(_STATUS_LINE):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close when everything is written."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class Connection(HttpToolsProtocol):
    """One connection of one client; `connections_for` makes the class that a listener takes."""

    head_seconds: float
    stall_seconds: float
    language: Language
    visits: Visits | None = None

    # What uvicorn calls when something happened to the socket

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin: the first head is owed from now on."""
        super().connection_made(transport)
        self._joined = cast("asyncio.Transport", Joined(transport))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._running: RequestResponseCycle | None = None  # while `cycle` is the latest that came
        self._is_deaf = False
        self._is_in_head = False
        self._is_resuming = False
        self._is_leaving = False
        self._head_bytes = 0  # bytes since the last that belonged to a body or ended a head
        self._unread_bytes = 0  # of the answer, when some of it was last seen to be taken
        self._due = self.loop.time() + self.head_seconds
        self._timer = self.loop.call_at(self._due, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: whoever is being answered learns of it, also when another request waits behind."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._timer.cancel()
        self._abandon(self._running)

    def data_received(self, data: bytes) -> None:
        """Read what came. After a refusal it is thrown away; reading goes on, or a client that leaves would not be noticed."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._resume_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__  # what a method below raised, or what could not be parsed
            self._refuse(cause if isinstance(cause, RelayError) else InvalidRequest("invalid_http"))
        else:
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(InvalidRequest("head_too_large", limit_bytes=HEAD_BYTES_MAX))

    # What the parser calls when it has understood something

    def on_message_begin(self) -> None:
        """A head begins: it is owed within its time."""
        super().on_message_begin()
        self._is_in_head = True
        self._due = self.loop.time() + self.head_seconds

    def on_headers_complete(self) -> None:
        """Let the request be answered. Raises: InvalidRequest when it is not clear what it is, or where it ends."""
        if self._is_resuming:
            self._is_resuming = False
        else:
            self._check_head()
            super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False
        if self.pipeline:
            self.flow.resume_reading()  # one that leaves is noticed only while we read
        self.headers = []  # trailers are no headers of the request, which keeps its own list
        self._is_in_head = False
        self._head_bytes = 0
        self._due = inf

    def on_body(self, body: bytes) -> None:
        """Hand on a part of a body. Raises: InvalidRequest when one that has to wait is too large to be kept."""
        super().on_body(body)
        self._head_bytes = 0
        if self.pipeline and self.flow.read_paused:
            self.flow.resume_reading()
            raise InvalidRequest("invalid_http")

    def on_message_complete(self) -> None:
        """End the request, unless its body is still to come because the parser expects another protocol here."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._head_bytes = 0
        if self.cycle.response_complete:
            self.cycle.more_body = False
            self._due = self.loop.time() + self.timeout_keep_alive

    # What uvicorn calls when a request begins and ends

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        cycle.transport = self._joined
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the request that waits, or wait for the next one."""
        super().on_response_complete()
        if self.cycle.response_complete and not self._is_in_head:
            seconds = self.head_seconds if self.cycle.more_body else self.timeout_keep_alive
            self._due = self.loop.time() + seconds

    def shutdown(self) -> None:
        """Let what is under way come to its end: also a request that a client has sent before it could know that we go."""
        self._is_leaving = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif not self._is_in_head:
            self._due = min(self._due, self.loop.time() + LEAVING_SECONDS)
            self._timer.cancel()
            self._timer = self.loop.call_at(self._due, self._look)

    def _check_head(self) -> None:
        version = self.parser.get_http_version()
        hosts = 0
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
                _require(_HOST.fullmatch(value) is not None)
            elif name == b"transfer-encoding":
                # HTTP/1.0 has no chunks, and any other coding is one that we could not undo.
                _require(version == "1.1" and value.rstrip().lower() == b"chunked")
        _require(hosts == 1 or (hosts == 0 and version == "1.0"))
        _require(version in ("1.0", "1.1"))
        if size > HEAD_BYTES_MAX:
            raise InvalidRequest("head_too_large", limit_bytes=HEAD_BYTES_MAX)
        _require(len(self.pipeline) < WAITING_MAX)

    def _resume_without_upgrade(self, rest: bytes) -> None:
        """Go on as if no `Upgrade` had been offered, which a server may ignore (RFC 9110 §7.8); some clients offer h2c with a body.

        llhttp stops after such a head, whatever follows it, and would take a body for the next request. A new parser
        is told how the body is framed, and nothing else, and goes on in its place.
        """
        framing = [name + b":" + value + b"\r\n" for name, value in self.scope["headers"] if name in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        self.data_received(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n" + rest)

    def _look(self) -> None:
        """Look whether the client is late. One timer that looks in vain is cheaper than one for each thing that is owed."""
        now = self.loop.time()
        if self.transport.is_closing():
            self._look_at_the_rest()
        elif now < self._due:
            self._timer = self.loop.call_at(min(self._due, now + self.head_seconds), self._look)
        elif self._is_in_head:
            self._refuse(InvalidRequest("request_timeout", limit_seconds=f"{self.head_seconds:g}"))
        else:
            self._close()

    def _close(self) -> None:
        """Close once the client has taken what there is, unless it stops taking it."""
        self.transport.close()
        self._timer.cancel()
        self._look_at_the_rest()

    def _look_at_the_rest(self) -> None:
        """Wait as long as the client takes some of the rest; otherwise it would be kept for whoever reads nothing."""
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes and unread_bytes == self._unread_bytes:
            self._reset()
            return
        self._unread_bytes = unread_bytes
        self._timer = self.loop.call_later(self.stall_seconds, self._look_at_the_rest)

    def _reset(self) -> None:
        """Forget the rest, also what the kernel has of it."""
        # uvloop's transports refuse socket options, a duplicate of the descriptor does not.
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
        self.transport.abort()

    def _refuse(self, error: RelayError) -> None:
        """Read no more: answer with `error` and close, or close after the answers to earlier requests."""
        self._is_deaf = True
        self._due = inf
        if self.pipeline and self.cycle.more_body:  # it had to wait, and has not begun: forget it
            self.pipeline.popleft()
            before = self.pipeline[0][0] if self.pipeline else self._running
            assert before is not None, "a request waits for another"
            self.cycle = before
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            if self._is_in_head:
                self._answer_and_close(error)
            else:
                self.transport.close()
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif cycle.response_started:
            self.transport.close()
        else:
            self._abandon(cycle)
            self._answer_and_close(error)

    def _answer_and_close(self, error: RelayError) -> None:
        visit = Visit("unread")
        visit.failed("refused", error)
        visit.status, headers, body = render(error, language=self.language, request_id=str(visit.request_id))
        if self.visits is not None:
            self.visits.end(visit)
        lines = [b"HTTP/1.1 %d %s" % (visit.status, HTTPStatus(visit.status).phrase.encode())]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join((*lines, b"", body)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer.cancel()
        self._timer = self.loop.call_later(LINGER_SECONDS, self._close)

    @staticmethod
    def _abandon(cycle: RequestResponseCycle | None) -> None:
        """Tell a request that its client is gone."""
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()


def connections_for(settings: EdgeSettings, counted: Visits | None = None) -> type[Connection]:
    """Return the class of an edge's connections, for uvicorn's `http`; what they refuse themselves is `counted`."""

    class Configured(Connection):
        visits = counted
        head_seconds = settings.head_seconds_max
        stall_seconds = settings.client_stall_seconds
        language = settings.default_language

    return Configured


def _require(condition: bool) -> None:
    if not condition:
        raise InvalidRequest("invalid_http")
