"""A limit on silence: raises TimeoutError when nothing was heard for too long. Touching it costs one assignment."""

import asyncio
import math
from types import TracebackType
from typing import Self

CHECK_SECONDS = 1.0


class Silence:
    """Entered, it limits what is awaited inside to `seconds` since the last `allow`; `pause` lifts the limit."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self.limit_seconds = seconds
        self._until = self._loop.time() + seconds

    def allow(self, seconds: float) -> None:
        """Start counting anew, up to `seconds`."""
        self.limit_seconds = seconds
        self._until = self._loop.time() + seconds

    def pause(self) -> None:
        """Stop counting: we ourselves are the one who is waited for."""
        self._until = math.inf

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _check(self) -> None:
        now = self._loop.time()
        if now >= self._until:
            self._timer = None
            self._timeout.reschedule(now)
            return
        # With a pause the moment may come nearer again, so look at least once a second.
        self._timer = self._loop.call_at(min(self._until, now + CHECK_SECONDS), self._check)
