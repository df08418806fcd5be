"""Which upstream keys are out, for every replica: what one of them learns is stored, and told to the others.

    401, or a code that says so   the key is out here at once, and everywhere as soon as it is stored
    402, 403                      may be about this very request, where a provider moderates, or finds it too dear for
                                  what is left: the key is tested at once, and is out if the test is refused as well
    a test succeeds               the key is in again

A key that was replaced meanwhile has another version: an answer to the old one says nothing about it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import asyncpg

from services.dispatcher import store
from services.dispatcher.channels import Channels
from services.dispatcher.course import Step
from services.dispatcher.health import Health
from shared.bus import Bus
from shared.contracts import dispatcher
from shared.db import Pool, transaction
from shared.errors import Unavailable

DOUBTFUL = (402, 403)
DOUBT_SECONDS = 10.0  # so often at most a client's requests can make us test a key
REFUSED_AS: dict[str, dispatcher.RefusedAs] = {
    "credential": "credential",
    "billing": "billing",
}  # kinds of faults

log = logging.getLogger(__name__)


class Keys:
    """Takes keys out and in. Entered, it may work; left, what it had begun is given up: the next refusal begins it again."""

    def __init__(self, bus: Bus, pool: Pool, channels: Channels, health: Health) -> None:
        self._bus = bus
        self._pool = pool
        self._channels = channels
        self._health = health
        self._now = asyncio.get_running_loop().time
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._doubted_at: dict[str, float] = {}
        self.doubt: Callable[[Step], Coroutine[Any, Any, None]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def refused(self, step: Step, refused_as: dispatcher.RefusedAs, status: int | None) -> None:
        """Note that an upstream refused a key, or that it was not paid for, with `status`."""
        if status in DOUBTFUL and self.doubt is not None:
            if self._now() - self._doubted_at.get(step.credential.id, -DOUBT_SECONDS) >= DOUBT_SECONDS:
                self._doubted_at[step.credential.id] = self._now()
                self._begin(step, self.doubt(step))
            return
        self._health.refuse(step.credential, self._now())
        self._begin(step, self.take_out(step, refused_as))

    async def take_out(self, step: Step, refused_as: dispatcher.RefusedAs) -> None:
        """Take a key out, here and everywhere. Raises: Unavailable when that could not be stored: it is out here for a while."""
        credential = step.credential
        self._health.refuse(credential, self._now())
        async with transaction(self._pool) as connection:
            is_new = await store.refuse_key(connection, credential.id, credential.version, refused_as)
        if is_new:
            details = {"channel": step.route.name, "credential": credential.name, "reason": refused_as}
            log.error("an upstream key is refused; it is out until a test of it succeeds", extra=details)
        await self._tell(step, is_new=is_new)

    async def let_in(self, step: Step) -> None:
        """Let a key in again, here and everywhere. Raises: Unavailable."""
        credential = step.credential
        self._health.forgive(credential)
        async with transaction(self._pool) as connection:
            is_new = await store.forgive_key(connection, credential.id, credential.version)
        if is_new:
            details = {"channel": step.route.name, "credential": credential.name}
            log.warning("an upstream key is good again", extra=details)
        await self._tell(step, is_new=is_new)

    async def _tell(self, step: Step, *, is_new: bool) -> None:
        await self._channels.read()
        self._health.forgive(step.credential)  # from here on what is stored counts
        if is_new:
            await self._bus.publish(
                dispatcher.CHANNEL_CHANGED, dispatcher.ChannelChanged(name=step.route.name)
            )

    def _begin(self, step: Step, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside, once at a time for each key."""
        place = step.credential.id, step.credential.version
        if place in self._running:
            work.close()
            return
        task = self._running[place] = asyncio.get_running_loop().create_task(_done(work))
        task.add_done_callback(lambda _: self._running.pop(place, None))


async def _done(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (Unavailable, asyncpg.PostgresError) as error:
        log.warning("what became of a key could not be stored: %s", type(error).__name__)
