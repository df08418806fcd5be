"""What both ends of the stream protocol share as drivers: frames in and out, ticks, heartbeats.

The machines of `shared.stream` decide everything; a driver feeds them what happens and performs their actions in order. A
frame that cannot be sent because the bus is away is not an error here: the machines repair it after the reconnect.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import msgspec
from nats.aio.subscription import Subscription

from shared.bus.bus import Bus
from shared.bus.link import Message
from shared.contracts.call import Channel
from shared.errors import Unavailable
from shared.ids import process_id
from shared.metrics import Metrics
from shared.stream.frames import Frame, FrameError, FrameType, decode
from shared.stream.peers import Heartbeat, HeartbeatReply, Lost, PeerTable

TICK_SECONDS = 0.25
HEARTBEAT_REPLY_SECONDS = 3.0
TYPES_MAX = 256  # what the byte of a frame's type can say
RECONNECT_SECONDS = 2.0  # how long a process that lost its connection may be away before it counts as gone

# Nobody waits for these: they ride along with the next frame that matters.
_LAZY = frozenset({FrameType.ACCEPT, FrameType.CREDIT, FrameType.BODY_CREDIT, FrameType.FIN})

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Endpoint(ABC):
    """One process's end of all its streams. Entered, it listens under its own `id`; left, it falls silent."""

    def __init__(
        self, bus: Bus, *, inbound: Channel, outbound: Channel, own_life: Channel, peer_life: Channel
    ) -> None:
        self.id = process_id()
        self.undecodable_total = 0
        self.lost_peers_total = 0
        self.sent = [0] * TYPES_MAX  # frames by their type
        self.received = [0] * TYPES_MAX
        self.repairs_total = 0
        self.unsent_total = 0
        self.silent_heartbeats_total = 0
        self._link = bus.streams
        self._inbound = inbound
        self._outbound = outbound
        self._own_life = own_life
        self._peer_life = peer_life
        self._peers = PeerTable(self.id)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []
        self._ticker: asyncio.Task[None] | None = None
        self._now = asyncio.get_running_loop().time

    async def __aenter__(self) -> Self:
        self._subscriptions = [
            await self._link.subscribe(self._inbound.of(self.id), self._on_message),
            await self._link.subscribe(self._own_life.of(self.id), self._on_heartbeat),
        ]
        await self._link.flush()
        self._link.on_reconnected(self._on_reconnected)
        self._ticker = asyncio.create_task(self._tick_forever())
        self._ticker.add_done_callback(self._on_ticker_done)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._ticker is not None
        tasks = [self._ticker, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A bus that stays open must not answer for us: peers learn at once that nobody is here.
        await asyncio.gather(*(self._link.end(subscription) for subscription in self._subscriptions))
        self._subscriptions.clear()

    @abstractmethod
    async def on_frame(self, request_id: str, frame: Frame) -> None:
        """Take a frame for one request."""

    @abstractmethod
    async def on_tick(self, now: float) -> None:
        """Let time pass for every machine."""

    @abstractmethod
    async def on_lost(self, request_ids: list[str], now: float) -> None:
        """Take the news that the peer of these requests is gone."""

    @abstractmethod
    async def on_reconnected(self, now: float) -> None:
        """Take the news that the bus is back."""

    @abstractmethod
    async def on_unanswered(self, request_id: str) -> None:
        """Take the server's word that nobody listens to what was published for this request."""

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` what happens on these streams."""
        metrics.totals(
            "stream_frames_total", "Frames of the stream protocol", ("direction", "type"), self._frames
        )
        for name, help_text, read in (
            (
                "repairs",
                "Frames sent again, or as a probe, because something may be lost",
                lambda: self.repairs_total,
            ),
            ("unsent", "Frames not sent, the bus being away", lambda: self.unsent_total),
            (
                "undecodable",
                "Frames dropped, being malformed or of a newer kind",
                lambda: self.undecodable_total,
            ),
            (
                "peers_lost",
                "Processes given up while they shared streams with us",
                lambda: self.lost_peers_total,
            ),
            (
                "heartbeats_silent",
                "Heartbeats that nobody answered in time",
                lambda: self.silent_heartbeats_total,
            ),
        ):
            metrics.total(f"stream_{name}_total", help_text, read)
        metrics.gauge("stream_peers", "Processes that share streams with us").set_function(
            lambda: len(self._peers)
        )

    def _frames(self) -> dict[tuple[str, ...], float]:
        ways = (("out", self.sent), ("in", self.received))
        return {(way, kind.name.lower()): counts[kind] for way, counts in ways for kind in FrameType}

    async def send(self, peer: str, request_id: str, frame: bytes) -> None:
        """Publish a frame to the process `peer`; a bus that is away loses it."""
        self.sent[frame[1]] += 1
        try:
            subject = self._outbound.subject(peer, request_id)
            await self._link.publish(subject, frame, is_lazy=frame[1] in _LAZY)
        except Unavailable:
            self.unsent_total += 1
            log.debug("a frame was not sent: the bus is away")

    async def _on_message(self, message: Message) -> None:
        request_id = message.subject[message.subject.rindex(".") + 1 :]
        if message.is_unanswered:
            await self.on_unanswered(request_id)
            return
        try:
            frame = decode(message.payload)
        except FrameError:
            frame = None
        if frame is None:
            self.undecodable_total += 1
            return
        self.received[message.payload[1]] += 1
        await self.on_frame(request_id, frame)

    async def _on_heartbeat(self, message: Message) -> None:
        heartbeat = msgspec.msgpack.decode(message.payload, type=Heartbeat)
        reply = self._peers.answer(heartbeat, self._now())
        await self._link.publish(message.reply, _encode(reply))

    async def _on_reconnected(self) -> None:
        await self.on_reconnected(self._now())

    async def _tick_forever(self) -> None:
        last = self._now()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._now()
            await self._lose(self._peers.paused(now, last))
            last = now
            await self.on_tick(now)
            pulse = self._peers.tick(now)
            await self._lose(pulse.lost)
            for peer, heartbeat in pulse.heartbeats.items():
                task = asyncio.create_task(self._beat(peer, heartbeat))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _on_ticker_done(self, ticker: "asyncio.Task[None]") -> None:
        if not ticker.cancelled() and (error := ticker.exception()) is not None:
            # Nothing would time out any more: an endpoint without its clock is worth no more than a lost connection.
            log.critical("the clock of the streams has stopped", exc_info=error)
            self._link.closed.set()

    async def _beat(self, peer: str, heartbeat: Heartbeat) -> None:
        try:
            answer = await self._ask(peer, heartbeat)
            if answer.is_unanswered:
                await asyncio.sleep(RECONNECT_SECONDS)
                answer = await self._ask(peer, heartbeat)
        except Unavailable:
            self.silent_heartbeats_total += 1
            return  # silence counts: the table gives the peer up when it has lasted too long
        if answer.is_unanswered:
            self.silent_heartbeats_total += 1
            await self._lose([self._peers.no_responders(peer)])
            return
        reply = msgspec.msgpack.decode(answer.payload, type=HeartbeatReply)
        await self._lose([self._peers.handle_reply(peer, reply, self._now())])

    async def _ask(self, peer: str, heartbeat: Heartbeat) -> Message:
        return await self._link.request(
            self._peer_life.subject(peer),
            _encode(heartbeat),
            timeout_seconds=HEARTBEAT_REPLY_SECONDS,
            part="stream peer",
        )

    async def _lose(self, losses: list[Lost]) -> None:
        for lost in losses:
            if lost.request_ids:
                self.lost_peers_total += 1
                log.warning(
                    "lost a stream peer", extra={"peer": lost.peer, "requests": len(lost.request_ids)}
                )
                await self.on_lost(lost.request_ids, self._now())


def unix_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
