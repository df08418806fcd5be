"""What is read for everybody alike is read once a second, however many ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from shared.bus import Bus

SECONDS = 1.0  # a change is live on every replica within that
T = TypeVar("T")


class Memory(Generic[T]):
    """Remembers what `read` has answered for SECONDS, for each edge of the process by itself. Who asks meanwhile waits for it.

    A failure is not remembered.
    """

    def __init__(self, read: Callable[[Bus], Awaitable[T]]) -> None:
        self._read = read
        self._entries: WeakKeyDictionary[Bus, _Entry[T]] = WeakKeyDictionary()

    async def get(self, bus: Bus) -> T:
        """Return the answer, at most SECONDS old. Raises: whatever `read` raises."""
        entry = self._entries.setdefault(bus, _Entry())
        async with entry.lock:
            if entry.value is None or time.monotonic() >= entry.until:
                began = time.monotonic()
                entry.value = await self._read(bus)
                entry.until = began + SECONDS
            return entry.value

    def forget(self, bus: Bus) -> None:
        """Read anew at the next question: something was changed here."""
        self._entries.pop(bus, None)


class _Entry(Generic[T]):
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.value: T | None = None
        self.until = 0.0
