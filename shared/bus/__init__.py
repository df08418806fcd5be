"""How messages travel: calls, events and raw frames over NATS. Nothing outside this package imports `nats`."""

from shared.bus.bus import Bus
from shared.bus.link import MESSAGE_BYTES_MAX, Link, Message

__all__ = ["MESSAGE_BYTES_MAX", "Bus", "Link", "Message"]
