"""A TCP proxy that can be as bad as a network: slow, silent in one direction or both, cut, reset, closed.

What goes up comes from the client, what goes down from the server. A fault holds for the connections that are open and for those
that come, until `open` ends it. Nothing is lost out of the middle of a connection, for TCP does not lose that either: what is
dropped waits at its sender, and arrives when the way is open again and both ends still want it.

All proxies run on one thread with a loop of its own, so that a test that blocks for a moment is not an outage of the network.
The methods of `Network` and `Proxy` belong to any other thread; they return once the change holds.
"""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

import uvloop

from tests.faults.pipe import Ending, Lane, Pipe

HOST = "127.0.0.1"
CONTROL_SECONDS = 20.0
LISTEN_TRIES = 100
FAR_BYTES = 256 * 1024  # in the kernel, of what a server has sent
_LINGER_NOTHING = struct.pack("ii", 1, 0)  # socket(7): close with RST

Direction = Literal["up", "down", "both"]
T = TypeVar("T")


class Network:
    """The thread that carries all proxies, for as long as the context is entered."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self._proxies:
            proxy.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_SECONDS)
        self._loop.close()

    def proxy(self, target_url: str) -> "Proxy":
        """Return a proxy to the server of `target_url`, open; the server may be away."""
        proxy = Proxy(self, target_url)
        self._proxies.append(proxy)
        proxy.open()
        return proxy

    def open_all(self) -> None:
        """End every fault of every proxy."""
        for proxy in self._proxies:
            proxy.open()

    def _perform(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


class Proxy:
    """One way to one server. It keeps its port for life, also while it refuses."""

    def __init__(self, network: Network, target_url: str) -> None:
        self._network = network
        self._target = urlsplit(target_url)
        self._up = Lane()
        self._down = Lane()
        self._server: asyncio.Server | None = None
        self._passages: set[_Passage] = set()
        self._port = 0

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._port

    @property
    def url(self) -> str:
        """The target's URL, by way of the proxy."""
        user, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{user}{at}{HOST}:{self._port}").geturl()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._passages)

    @property
    def passed_bytes(self) -> int:
        """How much has gone through, both directions together."""
        return self._up.passed_bytes + self._down.passed_bytes

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Let everything arrive `seconds` later, in order."""
        self._change(direction, lambda lane: setattr(lane, "delay_seconds", seconds))

    def throttle(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """Let no connection carry more than that."""
        self._change(direction, lambda lane: setattr(lane, "bytes_per_second", bytes_per_second))

    def drop(self, direction: Direction = "both") -> None:
        """Let nothing arrive, while all connections stay: a black hole, or with one direction a half-open connection.

        New connections are taken, and then hear nothing.
        """
        self._change(direction, lambda lane: setattr(lane, "is_dropping", True))

    def cut(self) -> None:
        """Close the connections that are open now, in order (FIN) and at both ends; new ones are taken."""
        self._network._perform(self._end(reset=False))

    def reset(self) -> None:
        """Reset the connections that are open now (RST) at both ends; new ones are taken."""
        self._network._perform(self._end(reset=True))

    def refuse(self) -> None:
        """Reset the connections that are open now, and let nobody connect."""
        self._network._perform(self._refuse())

    def open(self) -> None:
        """End every fault: what has waited arrives now."""
        self._network._perform(self._open())

    def _change(self, direction: Direction, change: Callable[["Lane"], None]) -> None:
        lanes = {"up": (self._up,), "down": (self._down,), "both": (self._up, self._down)}[direction]

        async def apply() -> None:
            for lane in lanes:
                change(lane)
            for passage in self._passages:
                passage.update()

        self._network._perform(apply())

    async def _open(self) -> None:
        for lane in (self._up, self._down):
            lane.clear()
        for passage in list(self._passages):
            passage.update()
        if self._server is None:
            self._server = await self._listen()
            self._port = self._server.sockets[0].getsockname()[1]

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        for left in reversed(range(LISTEN_TRIES)):
            try:
                return await loop.create_server(self._accept, HOST, self._port, backlog=1024)
            except OSError:  # somebody's outgoing connection has the port at this moment
                if not left:
                    raise
                await asyncio.sleep(0.05)
        raise AssertionError("unreachable")

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._end(reset=True)

    async def _end(self, *, reset: bool) -> None:
        for passage in list(self._passages):
            passage.end(reset=reset)

    def _accept(self) -> asyncio.Protocol:
        host, port = self._target.hostname, self._target.port
        assert host is not None
        assert port is not None
        passage = _Passage(self._up, self._down, (host, port), self._passages.discard)
        self._passages.add(passage)
        return passage.near


class _Passage:
    """One connection through the proxy: the client's end near, the server's end far."""

    def __init__(
        self, up: Lane, down: Lane, target: tuple[str, int], forget: Callable[["_Passage"], None]
    ) -> None:
        self._up = Pipe(up, self._on_end)
        self._down = Pipe(down, self._on_end)
        self.near = _End(self, inward=self._up, outward=self._down)
        self.far = _End(self, inward=self._down, outward=self._up)
        self._target = target
        self._forget = forget
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Connect to the server."""
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def update(self) -> None:
        """Go by the lanes as they are at this moment."""
        self._up.pump()
        self._down.pump()

    def end(self, *, reset: bool) -> None:
        """Close both ends."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._up.close()
        self._down.close()
        for end in (self.near, self.far):
            end.end(reset=reset)
        self._forget(self)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        far = socket.socket()
        far.setblocking(False)
        # A server whose reader takes nothing is to feel it soon, not when megabytes have gone into the kernel.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FAR_BYTES)
        try:
            await loop.sock_connect(far, self._target)
            await loop.create_connection(lambda: self.far, sock=far)
        except OSError:
            far.close()
            self.end(reset=True)

    def _on_end(self, ending: Ending) -> None:
        if ending == "rst" or (self._up.has_ended and self._down.has_ended):
            self.end(reset=ending == "rst")
            return
        sink = self._up.sink if self._up.has_ended else self._down.sink
        if sink is not None and not sink.is_closing():
            sink.write_eof()


class _End(asyncio.Protocol):
    """One end of a connection through the proxy. `inward` is what it sends, `outward` what it gets."""

    def __init__(self, passage: _Passage, *, inward: Pipe, outward: Pipe) -> None:
        self._passage = passage
        self._inward = inward
        self._outward = outward
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to pass on."""
        self._transport = cast("asyncio.Transport", transport)
        self._inward.source = self._outward.sink = self._transport
        if self is self._passage.near:
            self._passage.begin()
        self._passage.update()

    def data_received(self, data: bytes) -> None:
        """Pass on what this end sends."""
        self._inward.push(data)

    def eof_received(self) -> bool:
        """Pass on that this end sends no more; it can still hear."""
        self._inward.push_end("fin")
        return True

    def pause_writing(self) -> None:
        """Let the other end wait."""
        self._outward.is_sink_full = True
        self._outward.pump()

    def resume_writing(self) -> None:
        """Let the other end go on."""
        self._outward.is_sink_full = False
        self._outward.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the other end know, when it can hear of it."""
        if self._transport is not None:  # it was not we who closed it
            self._transport = None
            self._inward.push_end("rst")

    def end(self, *, reset: bool) -> None:
        """Close this end."""
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return
        if not reset:
            transport.close()
            return
        # uvloop's transports refuse socket options, a duplicate of the descriptor does not.
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
        transport.abort()
