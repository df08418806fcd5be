"""One NATS connection: raw publish, raw subscribe, raw request. The only module that imports `nats`.

What it adds to nats-py 2.16 and why:

- nothing is published while the connection is away: nats-py would buffer it and send it later, when it is no longer true;
- headers and payload together are checked against our own limit: the server answers a larger message by closing the
  connection for good;
- a connection that closed for good sets `closed`, and the process ends: a service without its bus is not alive;
- connecting gives up after a time: nats-py tries for ever once it may reconnect for ever;
- what is published together is written together, and callbacks run in the reader (`shared.bus.client`);
- requests use one wildcard inbox with a dictionary of futures, and always have a deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import tracing
from shared.bus.client import FLUSH_SECONDS, CoalescingClient
from shared.contracts.call import INBOX_PREFIX
from shared.errors import Internal, RelayError, Unavailable
from shared.ids import process_id
from shared.metrics import Metrics

MESSAGE_BYTES_MAX = 768 * 1024  # below the server's default of 1 MiB, with room for a frame's head
PING_SECONDS = 5
CONNECT_SECONDS = 2  # for one attempt at one server
OPEN_SECONDS = 5.0
_PENDING_BYTES = 8 * 1024 * 1024
_NO_RESPONDERS = "503"

log = logging.getLogger(__name__)


class Message(msgspec.Struct, frozen=True):
    """One message as it came: `reply` is empty when no answer is wanted; `is_unanswered` marks the server's "no responders".

    `trace` is the trace that it belongs to, as a `traceparent`.
    """

    subject: str
    payload: bytes
    reply: str = ""
    error: bytes | None = None
    is_unanswered: bool = False
    trace: str = ""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server at the other end, as it has introduced itself; `connect_urls` are the addresses of its whole cluster."""

    version: str = ""
    jetstream: bool = False
    cluster: str = ""
    connect_urls: tuple[str, ...] = ()


class Link:
    """One connection of a party. Enter it to connect; leaving it closes it."""

    def __init__(self, servers: tuple[str, ...], *, party: str, user: str, password: str, name: str) -> None:
        self._servers = list(servers)
        self._party = party
        self._user = user
        self._password = password
        self._name = name
        self._client = CoalescingClient()
        self._inbox = f"{INBOX_PREFIX}.{party}.{process_id()}"
        self._asked = 0
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._reconnected: list[Callable[[], Awaitable[None]]] = []
        self._is_open = False
        self.closed = asyncio.Event()  # set when the connection ends for good and we did not end it
        self.errors_total = 0
        self.reconnects_total = 0

    @property
    def is_connected(self) -> bool:
        """True while messages can be sent."""
        return bool(self._client.is_connected)

    @property
    def server(self) -> Server:
        """Which server we are connected to; an empty answer before the first connection."""
        return msgspec.convert(self._client._server_info, Server)

    @property
    def traffic(self) -> dict[str, int]:
        """Messages and bytes since the start, as nats-py counts them: `in_msgs`, `out_msgs`, `in_bytes`, `out_bytes`."""
        return self._client.stats

    @property
    def pending_bytes(self) -> int:
        """Bytes that were published and wait for the socket."""
        return int(self._client.pending_data_size)

    async def open(self, *, is_probe: bool = False) -> None:
        """Connect and listen on the inbox. Raises: Unavailable when no server lets us in; it may then be called again.

        A probe asks once, and does not connect again when the connection is lost.
        """
        self._client = CoalescingClient()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connect(allow_reconnect=not is_probe)
        except TimeoutError as error:
            await self._client.close()
            raise Unavailable("service_unavailable", retry_after_seconds=2, part="NATS") from error
        except (nats_errors.Error, OSError) as error:
            await self._client.close()
            raise Unavailable("service_unavailable", retry_after_seconds=2, part="NATS") from error
        self._is_open = True
        await self.subscribe(self._inbox + ".*", self._on_reply)

    async def close(self) -> None:
        """Flush what was published and close. Never raises for a server that is already away."""
        self._is_open = False
        if self._client.is_connected:
            try:
                await self._client.flush(timeout=1)
            except nats_errors.Error as error:
                log.warning("the last messages may not have been sent: %s", type(error).__name__)
        await self._client.close()

    def inbox(self, name: str) -> str:
        """Return a subject of this connection alone, for answers that come as more than one message or under other subjects."""
        return f"{self._inbox}.{name}.all"

    def on_reconnected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call `callback` each time the connection is back after it was lost."""
        self._reconnected.append(callback)

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        error: bool = False,
        is_lazy: bool = False,
        message_id: str = "",
        trace: str = "",
    ) -> None:
        """Hand a message to the connection; a lazy one may wait 2 ms for company. JetStream knows a repeat by `message_id`.

        `trace` is the trace that it belongs to, if that is sampled.

        Raises: Unavailable when the bus is away, Internal when the message is too large.
        """
        if len(payload) > MESSAGE_BYTES_MAX:
            raise Internal("internal_error") from ValueError(
                f"{len(payload)} bytes for {subject.split('.')[0]}"
            )
        if not self._client.is_connected:
            raise Unavailable("service_unavailable", retry_after_seconds=2, part="NATS")
        try:
            if is_lazy:
                await self._client.publish_lazily(subject, payload)
            else:
                headers = (
                    {"Relay-Error": "1"} if error else {"Nats-Msg-Id": message_id} if message_id else None
                )
                if trace:
                    headers = {**(headers or {}), tracing.HEADER: trace}
                await self._client.publish(subject, payload, reply=reply, headers=headers)
        except nats_errors.Error as failure:
            raise Unavailable("service_unavailable", retry_after_seconds=2, part="NATS") from failure

    async def subscribe(
        self,
        subject: str,
        callback: Callable[[Message], Awaitable[None]],
        *,
        queue: str = "",
        is_direct: bool = True,
    ) -> Subscription:
        """Call `callback` for each message, one after another.

        Directly, it runs in the reader of the connection: it must only hand over, and never wait for an answer on this
        connection. Otherwise a task of its own calls it, which costs a few microseconds more and may wait.
        """

        async def receive(subject: str, reply: str, payload: bytes, headers: dict[str, str] | None) -> None:
            if headers is None:
                await callback(Message(subject, payload, reply))
                return
            error = payload if "Relay-Error" in headers else None
            is_unanswered = headers.get("Status") == _NO_RESPONDERS
            trace = headers.get(tracing.HEADER, "")
            await callback(Message(subject, payload, reply, error, is_unanswered, trace))

        if is_direct:
            return await self._client.subscribe_directly(subject, receive, queue=queue)

        async def unpack(raw: Msg) -> None:
            await receive(raw.subject, raw.reply, raw.data, raw.headers)

        return await self._client.subscribe(subject, queue=queue, cb=unpack)

    async def end(self, subscription: Subscription) -> None:
        """Hear what the server has already sent to `subscription`, then no more. Never raises for a bus that is away."""
        if not self._client.is_connected:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
        except (TimeoutError, nats_errors.Error) as error:
            log.warning("a subscription did not end in order: %s", type(error).__name__)

    async def flush(self) -> None:
        """Return when the server has seen everything sent so far, also every subscription."""
        try:
            await self._client.flush()
        except nats_errors.Error as error:
            raise Unavailable("service_unavailable", retry_after_seconds=2, part="NATS") from error

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout_seconds: float,
        part: str,
        message_id: str = "",
        trace: str = "",
    ) -> Message:
        """Return the answer, which may be marked unanswered. Raises: Unavailable when none came in time."""
        self._asked += 1
        inbox = f"{self._inbox}.{self._asked}"
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[inbox] = future
        timer = loop.call_later(timeout_seconds, _expire, future)
        try:
            await self.publish(subject, payload, reply=inbox, message_id=message_id, trace=trace)
            return await future
        except TimeoutError as error:
            raise Unavailable("service_unavailable", retry_after_seconds=2, part=part) from error
        finally:
            timer.cancel()
            del self._waiting[inbox]

    async def _connect(self, *, allow_reconnect: bool) -> None:
        await self._client.connect(
            servers=self._servers,
            name=self._name,
            user=self._user or None,
            password=self._password or None,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; a float works, the annotation is too narrow
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
            flush_timeout=FLUSH_SECONDS,
            allow_reconnect=allow_reconnect,
            error_cb=self._on_error,
            closed_cb=self._on_closed,
            reconnected_cb=self._on_reconnected,
        )

    async def _on_reply(self, message: Message) -> None:
        future = self._waiting.get(message.subject)
        if future is not None and not future.done():
            future.set_result(message)

    async def _on_error(self, error: Exception) -> None:
        # Runs inside the read loop: count, say it once, return.
        self.errors_total += 1
        if isinstance(error, RelayError):
            log.error("a bus callback failed: %s", error.code)
        elif isinstance(error, nats_errors.Error | OSError):
            log.warning("bus connection %s: %s", self._name, str(error) or type(error).__name__)
        else:
            log.error("a bus callback failed", exc_info=error)

    async def _on_closed(self) -> None:
        if self._is_open:
            log.critical("the bus connection %s is closed for good", self._name)
            self.closed.set()

    async def _on_reconnected(self) -> None:
        self.reconnects_total += 1
        log.info("the bus connection %s is back", self._name)
        for callback in self._reconnected:
            await callback()


def measure_links(metrics: Metrics, links: Mapping[str, Link]) -> None:
    """Show connections in `metrics`, each under its name."""
    label = ("connection",)
    metrics.gauges(
        "bus_connected",
        "Whether the connection to NATS can send: 1 or 0",
        label,
        lambda: {(name,): float(link.is_connected) for name, link in links.items()},
    )
    metrics.gauges(
        "bus_pending_bytes",
        "Bytes published that wait for the socket",
        label,
        lambda: {(name,): link.pending_bytes for name, link in links.items()},
    )
    metrics.totals(
        "bus_reconnects_total",
        "Times the connection was lost and made again",
        label,
        lambda: {(name,): link.reconnects_total for name, link in links.items()},
    )
    metrics.totals(
        "bus_errors_total",
        "Errors of the connection, and of callbacks that it runs",
        label,
        lambda: {(name,): link.errors_total for name, link in links.items()},
    )
    for what, unit in (("msgs", "messages"), ("bytes", "bytes")):
        read = partial(_traffic, links, what)
        metrics.totals(
            f"bus_{unit}_total", f"{unit.capitalize()} on the connection", (*label, "direction"), read
        )


def _traffic(links: Mapping[str, Link], what: str) -> dict[tuple[str, ...], float]:
    return {
        (name, way): link.traffic[f"{way}_{what}"] for name, link in links.items() for way in ("in", "out")
    }


def _expire(future: asyncio.Future[Message]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
