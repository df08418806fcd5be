"""How much one edge carries at the same time: requests, and the bytes of their bodies.

A request is counted before anything is done for it, and each part of its body as it arrives, so that memory stays bounded
whatever clients send and however slowly. One body alone is always taken: the limit of one body is another setting.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

from shared.errors import Unavailable

RETRY_SECONDS = 1.0


class Admission:
    """Admits requests up to `requests_max`, whose bodies together have up to `body_bytes_max`."""

    def __init__(self, *, requests_max: int, body_bytes_max: int) -> None:
        self.requests = 0
        self.body_bytes = 0
        self._requests_max = requests_max
        self._body_bytes_max = body_bytes_max

    @contextmanager
    def entered(self, receive: Receive) -> Iterator[Receive]:
        """Carry one request for a block, and yield a `receive` that counts its body.

        Raises: Unavailable (`overloaded`) when there is no room; the `receive` too, for each part of the body.
        """
        if self.requests >= self._requests_max:
            raise _overloaded()
        self.requests += 1
        own_bytes = 0

        async def counting() -> Message:
            nonlocal own_bytes
            message = await receive()
            size = len(message.get("body", b""))
            if self.body_bytes > own_bytes and self.body_bytes + size > self._body_bytes_max:
                raise _overloaded()
            own_bytes += size
            self.body_bytes += size
            return message

        try:
            yield counting
        finally:
            self.requests -= 1
            self.body_bytes -= own_bytes


def _overloaded() -> Unavailable:
    return Unavailable("overloaded", retry_after_seconds=RETRY_SECONDS)
