"""When keys were last used, to about a minute, without a write where a key is verified.

A use is an entry in a dict. Once a minute each replica writes what it has seen, in one statement; a key that another transaction
holds at that moment is left out. Billing knows the calls of a key too, but could tell the last one only by one more index on the
largest table there is, which every settlement would have to keep.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shared.errors import RelayError

WRITE_SECONDS = 60.0
KEYS_MAX = 100_000  # of one minute; what is beyond is not noted

Write = Callable[[dict[str, float]], Awaitable[None]]

log = logging.getLogger(__name__)


class Uses:
    """Notes which keys are used, and gives `write` the seconds since then, by key id."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._noted: dict[str, float] = {}

    def note(self, key_id: str) -> None:
        """Remember that the key is used now."""
        if len(self._noted) < KEYS_MAX:
            self._noted[key_id] = time.monotonic()

    async def flush(self) -> None:
        """Write down what was noted. What cannot be written is forgotten, and told in the log."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        now = time.monotonic()
        try:
            await self._write({key_id: now - moment for key_id, moment in noted.items()})
        except RelayError as error:
            log.warning("the last use of %d keys was not written: %s", len(noted), error)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Write once a minute while the block runs, and once more at its end."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.flush()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.flush()
