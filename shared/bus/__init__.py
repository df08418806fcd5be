"""How messages travel: calls, events, and the drivers of the stream protocol. Nothing outside this package imports `nats`."""

from shared.bus.bus import Bus
from shared.bus.callees import Attempt, Callees
from shared.bus.callers import Answer, Callers, Idle
from shared.bus.link import MESSAGE_BYTES_MAX, Link, Message, Server
from shared.bus.work import QueueState, Worker, look

__all__ = [
    "MESSAGE_BYTES_MAX",
    "Answer",
    "Attempt",
    "Bus",
    "Callees",
    "Callers",
    "Idle",
    "Link",
    "Message",
    "QueueState",
    "Server",
    "Worker",
    "look",
]
