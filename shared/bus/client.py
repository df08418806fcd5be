"""nats-py's client with another way of writing and of handing over messages, because both decide what a request costs.

Writing. nats-py wakes a task for each publish, which writes at once; every write is a system call and a packet. Here what is
published in one turn of the loop is written together at its end, and a message that nobody waits for (`is_lazy`) rides along with
the next one, LAZY_SECONDS later at most. While the socket takes no more, what is published waits in nats-py's own buffer, whose
size limit still makes a publisher wait.

A late PONG. A flush that gave up leaves a future behind which is done; when its PONG comes, nats-py completes it once more, and its
reader ends with that error: the connection would be deaf until the pings notice. Here such a PONG counts and completes nothing.

Reading. nats-py puts each message into a queue, from which a task of its own calls back. Here the callback is called directly, in
the reader: it must only hand over, and never wait for something else that comes through the same connection.
"""

import asyncio
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.subscription import Subscription

LAZY_SECONDS = 0.002
FLUSH_SECONDS = 2
SOCKET_BYTES_MAX = 1024 * 1024  # beyond it the connection is slow, and what is published waits here

Receive = Callable[[str, str, bytes, "dict[str, str] | None"], Awaitable[None]]


class CoalescingClient(Client):
    """A client that writes once for each turn of the loop and calls back directly."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, Receive] = {}
        self._write_handle: asyncio.Handle | None = None
        self._lazy_handle: asyncio.TimerHandle | None = None
        self._draining: asyncio.Task[None] | None = None
        self._is_next_lazy = False

    async def publish_lazily(self, subject: str, payload: bytes) -> None:
        """Publish a message that may wait LAZY_SECONDS for company."""
        self._is_next_lazy = True
        try:
            await self.publish(subject, payload)
        finally:
            self._is_next_lazy = False

    async def subscribe_directly(self, subject: str, receive: Receive, *, queue: str = "") -> Subscription:
        """Call `receive(subject, reply, payload, headers)` for each message from within the reader."""

        async def unreachable(message: object) -> None:
            raise AssertionError("messages of this subscription are handed over directly")

        subscription = await self.subscribe(subject, queue=queue, cb=unreachable)
        self._direct[subscription._id] = receive
        return subscription

    async def flush(self, timeout: int = FLUSH_SECONDS) -> None:
        """Return when the server has seen everything sent so far; nats-py's own PING would overtake what is pending."""
        if self.is_connected:
            self._write_pending()
            if self._draining is not None:
                await asyncio.wait({self._draining}, timeout=timeout)
        await super().flush(timeout)

    async def _flush_pending(self, force_flush: bool = False) -> None:
        if not self.is_connected:
            return
        if force_flush:
            self._write_pending()
            if self._draining is not None:
                await asyncio.wait({self._draining}, timeout=FLUSH_SECONDS)
            return
        if self._write_handle is not None:
            return
        loop = asyncio.get_running_loop()
        if not self._is_next_lazy:
            self._write_handle = loop.call_soon(self._write_pending)
        elif self._lazy_handle is None:
            self._lazy_handle = loop.call_later(LAZY_SECONDS, self._write_pending)

    def _write_pending(self) -> None:
        self._write_handle = None
        if self._lazy_handle is not None:
            self._lazy_handle.cancel()
            self._lazy_handle = None
        if not self._pending or not self.is_connected or self._draining is not None:
            return
        writer: asyncio.StreamWriter = self._transport._io_writer  # type: ignore[union-attr]  # TCP is all we use
        if writer.transport.is_closing():
            return  # the reader is about to see it too, and reconnects; what is pending is written then
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        writer.writelines(pending)
        if writer.transport.get_write_buffer_size() > SOCKET_BYTES_MAX:
            self._draining = asyncio.get_running_loop().create_task(self._drain(writer))

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.drain()
        except OSError:
            return  # the reader sees the same end of the connection, and reconnects
        finally:
            self._draining = None
        self._write_pending()

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        receive = self._direct.get(sid)
        if receive is None or sid not in self._subs:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            words = await self._process_headers(headers) if headers else None
            await receive(subject.decode(), reply.decode(), bytes(data), words)
        except Exception as error:  # noqa: BLE001 - the bus's handler boundary: nats-py would stop reading for good
            await self._error_cb(error)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._direct.pop(sid, None)
        super()._remove_sub(sid, max_msgs)
