"""The reaper: expires the holds of edges that are silent, and only after a time in which it would have heard them.

A lease that has lapsed says that its edge is dead, or that nobody could take its renewal. A replica cannot tell the two apart
unless edges could reach it and it could reach PostgreSQL all the while. That time is its vigil. It breaks when

    a look finds that PostgreSQL does not answer, or that the bus is not connected;
    two looks are too far apart: the process, its machine or the whole world stood still, or a clock was set.

Nothing is expired before the vigil has lasted for one full lease, in which every edge that lives has renewed. All of it is
measured by PostgreSQL's clock, since leases are. Each replica keeps its own vigil: while one of them has heard everything, holds
expire; when all were away, nobody's do.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg
import msgspec

from services.billing import store
from services.billing.settings import BillingSettings
from shared.bus import Bus
from shared.db import Pool, transaction
from shared.errors import Unavailable

BATCH = 256
TOMBSTONE_SECONDS = 86_400  # no reserve is under way for so long
IDEMPOTENCY_SECONDS = 86_400
LOOKS_PER_LEASE = 4  # at least

log = logging.getLogger(__name__)


class Vigil(msgspec.Struct, frozen=True, kw_only=True):
    """A time without a gap in which renewals would have been heard, by PostgreSQL's clock."""

    since: datetime
    seen: datetime

    @property
    def seconds(self) -> float:
        """How long it has lasted at the last look."""
        return (self.seen - self.since).total_seconds()


def kept(vigil: Vigil | None, moment: datetime, *, gap_seconds: float) -> Vigil:
    """Return the vigil after a good look at `moment`: it goes on, or begins when there was none or a gap before it."""
    if vigil is None or not timedelta(0) <= moment - vigil.seen <= timedelta(seconds=gap_seconds):
        return Vigil(since=moment, seen=moment)
    return Vigil(since=vigil.since, seen=moment)


class Reaper:
    """Looks for holds to expire for as long as `run` runs. `expired` is called after each batch that expired some."""

    def __init__(
        self, bus: Bus, pool: Pool, settings: BillingSettings, *, expired: Callable[[], None]
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._settings = settings
        self._expired = expired
        self._vigil: Vigil | None = None

    async def run(self) -> None:
        """Look until cancelled. Begin it when renewals are served, and end it before they are not."""
        pause = min(self._settings.reap_seconds, self._settings.lease_seconds / LOOKS_PER_LEASE)
        while True:
            await asyncio.sleep(pause)
            try:
                while await self._look() == BATCH:
                    continue
                async with transaction(self._pool) as connection:
                    await store.prune_tombstones(connection, age_seconds=TOMBSTONE_SECONDS)
                    await store.prune_idempotency(connection, age_seconds=IDEMPOTENCY_SECONDS)
            except Unavailable:
                self._break_off("PostgreSQL")
            except asyncpg.PostgresError:
                log.exception("the reaper failed; it goes on")

    async def _look(self) -> int:
        """Keep the vigil, and expire a batch when it has lasted long enough; return how many holds expired."""
        if not self._bus.control.is_connected:
            self._break_off("NATS")
            return 0
        lease_seconds = self._settings.lease_seconds
        async with transaction(self._pool) as connection:
            moment = await store.moment(connection)
            # An edge renews several times in half a lease, so a shorter gap that nobody noticed costs none its lease.
            self._vigil = kept(self._vigil, moment, gap_seconds=lease_seconds / 2)
            if self._vigil.seconds < lease_seconds:
                return 0
            expired = await store.expire(
                connection,
                batch=BATCH,
                grace_seconds=self._settings.expiry_grace_seconds,
                uptime_seconds=lease_seconds,
            )
        if expired:
            log.warning("holds expired whose edge or deadline had passed", extra={"holds": expired})
            self._expired()
        return expired

    def _break_off(self, part: str) -> None:
        if self._vigil is not None:
            log.warning("%s is away: nothing expires until one lease after it is back", part)
        self._vigil = None
