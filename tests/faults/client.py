"""Scripted clients: raw sockets that keep every byte, leave when told to, and read as slowly as told to.

A `Caller` belongs to one tenant. `send` begins a call on an edge of the scenario's choice; the `Call` can be watched while it runs
and ends as a `Transcript`, whatever becomes of it: no fault of the network is raised here.
"""

import asyncio
import itertools
import re
import secrets
import socket
import struct
from contextlib import suppress
from hashlib import blake2b
from typing import Literal

import msgspec

from services.devstack.process import HOST
from tests.e2e.tenants import Tenant
from tests.e2e.wire import SEGMENT_BYTES, chat_body, http_request
from tests.faults.cluster import Cluster
from tests.faults.process import Replica

PATIENCE_SECONDS = 60.0
READS_PER_SECOND = 20  # of a slow reader
READ_BYTES = 65_536
_LINGER_NOTHING = struct.pack("ii", 1, 0)
_CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")

Leaving = Literal["fin", "rst", "half"]
End = Literal["fin", "rst", "refused", "left", "timeout"]
Verdict = Literal["complete", "refused", "broken", "nothing", "left"]


class ErrorObject(msgspec.Struct, frozen=True):
    """What an error says to programs."""

    message: str
    type: str
    code: str


class _Envelope(msgspec.Struct, frozen=True):
    error: ErrorObject


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All that a client sent and got. `data` is the raw answer; `event_seconds` tells when each event began to arrive.

    `end` is how the connection ended: closed or reset by the edge, never made, left by the script, or given up after its deadline.
    Times are seconds of the event loop's clock.
    """

    tenant: Tenant
    edge: str
    marker: str
    body: bytes
    is_stream: bool
    data: bytes
    end: End
    started_at: float
    ended_at: float
    event_seconds: tuple[float, ...]

    @property
    def fingerprint(self) -> str:
        """What the ledger knows the request by, also when the client never heard its id."""
        return blake2b(self.body, digest_size=16).hexdigest()

    @property
    def status(self) -> int | None:
        """The status code, None when no whole head came."""
        return int(self.data.split(b" ", 2)[1]) if b"\r\n\r\n" in self.data else None

    @property
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name."""
        lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    @property
    def request_id(self) -> str | None:
        """The id that the edge gave, if it was heard."""
        return self.headers.get("x-request-id") if self.status else None

    @property
    def payload(self) -> bytes:
        """The body without its chunk framing, a torn last chunk included."""
        body = self.data.partition(b"\r\n\r\n")[2]
        if "transfer-encoding" not in self.headers:
            return body
        parts, at = [], 0
        while match := _CHUNK.match(body, at):
            size = int(match[1], 16)
            parts.append(body[match.end() : match.end() + size])
            at = match.end() + size + 2
        return b"".join(parts)

    @property
    def is_whole(self) -> bool:
        """Whether the body came to its end by the rules of HTTP: its last chunk, or as many bytes as were announced."""
        if self.status is None:
            return False
        if "transfer-encoding" in self.headers:
            return self.data.endswith(b"\r\n0\r\n\r\n")
        return len(self.payload) == int(self.headers.get("content-length", "-1"))

    @property
    def events(self) -> list[bytes]:
        """The data of each whole server-sent event, `[DONE]` and errors included; comments are left out."""
        blocks = self.payload.split(b"\n\n")[:-1]
        return [block.removeprefix(b"data: ") for block in blocks if block.startswith(b"data: ")]

    @property
    def saw_done(self) -> bool:
        """Whether the stream ended with `[DONE]`."""
        return self.is_stream and self.events[-1:] == [b"[DONE]"]

    @property
    def error(self) -> ErrorObject | None:
        """The error of a refusal, or the one that ended the stream."""
        if self.status is None:
            return None
        text = self.payload if self.status != 200 else b"".join(self.events[-1:])
        try:
            return msgspec.json.decode(text, type=_Envelope).error
        except msgspec.DecodeError:
            return None

    @property
    def verdict(self) -> Verdict:
        """What a program that knows HTTP and the API makes of it; `left` when the client itself went first."""
        if self.end == "left":
            return "left"
        if self.status is None:
            return "nothing"
        if self.status != 200:
            return "refused"
        is_complete = self.saw_done if self.is_stream else self.is_whole
        return "complete" if is_complete and self.error is None else "broken"

    @property
    def is_cut_silently(self) -> bool:
        """Whether it is broken and looks as if it were not: a whole body with neither `[DONE]` nor an error."""
        return self.verdict == "broken" and self.is_whole and self.error is None

    @property
    def longest_gap_seconds(self) -> float:
        """The longest time between two events, or from the request to the first."""
        times = (self.started_at, *self.event_seconds)
        return max((later - sooner for sooner, later in itertools.pairwise(times)), default=0.0)


class Call:
    """One request under way."""

    def __init__(
        self, tenant: Tenant, edge: Replica, marker: str, body: bytes, *, is_stream: bool, script: "Script"
    ) -> None:
        self._tenant = tenant
        self._edge = edge
        self._marker = marker
        self._body = body
        self._is_stream = is_stream
        self._script = script
        self._socket = socket.socket()
        self._data = bytearray()
        self._event_seconds: list[float] = []
        self._news = asyncio.Event()
        self._has_left = False
        self._started_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run())

    @property
    def received_bytes(self) -> int:
        """How much of the answer has come, its head included."""
        return len(self._data)

    @property
    def is_running(self) -> bool:
        """Whether the connection is still there."""
        return not self._task.done()

    @property
    def received_events(self) -> int:
        """How many events have begun to come."""
        return len(self._event_seconds)

    async def has_events(self, count: int) -> None:
        """Return once so many events have begun to come; fail when the call ends before, or in time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.received_events < count:
                assert not self._task.done(), f"ended after {self.received_events} events: {self._data!r}"
                self._news.clear()
                await self._news.wait()

    def leave(self, how: Leaving = "fin") -> None:
        """Go at once: close, reset, or close the sending half only."""
        self._go(how)
        if how != "half":
            self._task.cancel()

    async def transcript(self) -> Transcript:
        """Return everything, once the call is over."""
        return await self._task

    async def _run(self) -> Transcript:
        end: End = "fin"
        try:
            async with asyncio.timeout(self._script.deadline_seconds):
                await self._connect()
                await self._converse()
        except TimeoutError:
            end = "timeout"
        except ConnectionRefusedError:
            end = "refused"
        except OSError:
            end = "rst"
        except asyncio.CancelledError:
            if not self._has_left:
                raise
        finally:
            self._socket.close()
            self._news.set()
        return Transcript(
            tenant=self._tenant,
            edge=self._edge.name,
            marker=self._marker,
            body=self._body,
            is_stream=self._is_stream,
            data=bytes(self._data),
            end="left" if self._has_left else end,
            started_at=self._started_at,
            ended_at=asyncio.get_running_loop().time(),
            event_seconds=tuple(self._event_seconds),
        )

    def _go(self, how: Leaving) -> None:
        self._has_left = True
        if how == "rst":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
            return
        with suppress(OSError):  # the edge was faster, or there is no connection yet
            # A close alone would be a reset whenever something is unread.
            self._socket.shutdown(socket.SHUT_WR)

    async def _connect(self) -> None:
        self._socket.setblocking(False)
        if self._script.bytes_per_second is not None:
            # With the segments of a loopback device the edge's kernel would buffer megabytes for a slow reader.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        port = self._script.port or self._edge.port
        await asyncio.get_running_loop().sock_connect(self._socket, (HOST, port))

    async def _converse(self) -> None:
        loop = asyncio.get_running_loop()
        script = self._script
        request = http_request("POST", "/v1/chat/completions", self._body, key=self._tenant.key)
        await loop.sock_sendall(self._socket, request[: script.leave_in_request_at])
        if script.leave_in_request_at is not None:
            self._go(script.leave_by)
            if script.leave_by != "half":
                return
        rate = script.bytes_per_second
        size = READ_BYTES if rate is None else max(1, int(rate / READS_PER_SECOND))
        while part := await loop.sock_recv(self._socket, size):
            self._note(part)
            if script.leave_after_bytes is not None and len(self._data) >= script.leave_after_bytes:
                self._go(script.leave_by)
                if script.leave_by != "half":
                    return
            if rate is not None:
                await asyncio.sleep(len(part) / rate)

    def _note(self, part: bytes) -> None:
        begun = (bytes(self._data[-5:]) + part).count(b"data: ")
        self._data += part
        self._event_seconds += [asyncio.get_running_loop().time()] * begun
        self._news.set()


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """How a client behaves. `port` is another way to the edge than its own listener, such as a proxy's.

    With `leave_in_request_at` it leaves when it has sent so much of its request; as in a slice, a negative figure counts from the
    end.
    """

    leave_in_request_at: int | None = None
    leave_after_bytes: int | None = None
    leave_by: Leaving = "fin"
    bytes_per_second: float | None = None
    deadline_seconds: float = PATIENCE_SECONDS
    port: int | None = None


class Caller:
    """The clients of one tenant, on both edges in turn unless one is named."""

    def __init__(self, cluster: Cluster, tenant: Tenant) -> None:
        self.tenant = tenant
        self._edges = itertools.cycle(cluster.edges)
        self._calls: list[Call] = []

    def send(
        self,
        text: str = "hi [[sim out=20]]",
        *,
        edge: Replica | None = None,
        is_stream: bool = True,
        script: Script | None = None,
        **members: object,
    ) -> Call:
        """Begin a call whose text is `text`, directives of the simulator included, behind a marker of its own.

        A stream asks for usage, so that the answer passes unchanged. `members` are further members of the request.
        """
        marker = secrets.token_hex(8)
        if is_stream:
            members.setdefault("stream_options", {"include_usage": True})
        body = chat_body(self.tenant, f"{marker} {text}", is_stream=is_stream, **members)
        call = Call(
            self.tenant,
            edge or next(self._edges),
            marker,
            body,
            is_stream=is_stream,
            script=script or Script(),
        )
        self._calls.append(call)
        return call

    def send_many(self, count: int, text: str = "hi [[sim out=20]]", *, is_stream: bool = True) -> list[Call]:
        """Begin `count` calls alike."""
        return [self.send(text, is_stream=is_stream) for _ in range(count)]

    async def transcripts(self) -> list[Transcript]:
        """Return the transcripts of all calls so far, once all are over."""
        return list(await asyncio.gather(*(call.transcript() for call in self._calls)))
