"""This edge's lease on its holds: as long as it is renewed, running requests keep their money; when it ends, they are cut.

When billing or its database does not answer, running requests go on: nobody can expire their holds either.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from shared.bus import Bus
from shared.contracts import billing
from shared.errors import RelayError, Unavailable
from shared.ids import process_id
from shared.metrics import Metrics

START_SECONDS = 30.0
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Lease:
    """The lease. `ended` is called with the old id when it has really ended, and a new one begun."""

    def __init__(self, bus: Bus, *, renew_seconds: float, ended: Callable[[str], None]) -> None:
        self._bus = bus
        self._renew_seconds = renew_seconds
        self._ended = ended
        self._lock = asyncio.Lock()
        self._renewed_at = time.monotonic()
        self._ended_total = 0
        self.id = process_id()

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` how the lease is."""
        metrics.gauge(
            "edge_lease_age_seconds", "Since this edge's lease on its holds was last renewed"
        ).set_function(lambda: time.monotonic() - self._renewed_at)
        metrics.total(
            "edge_leases_ended_total",
            "Leases of this edge that ended while it ran; its requests were cut",
            lambda: self._ended_total,
        )

    async def begin(self) -> None:
        """Take the first lease. Raises: Unavailable when billing does not answer within the time of a start."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + START_SECONDS
        while True:
            try:
                await self.renew()
                return
            except Unavailable:
                if loop.time() > give_up:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def replace(self, ended: str) -> None:
        """Begin a new lease in place of `ended`, unless somebody has done so before. Raises: RelayError."""
        async with self._lock:
            if self.id == ended:
                await self._renew()

    async def renew(self) -> None:
        """Renew the lease, or begin a new one when it has ended. Raises: RelayError."""
        async with self._lock:
            await self._renew()

    async def run(self) -> None:
        """Renew until cancelled; after a failure again at once, for another replica of billing may be well."""
        pause = self._renew_seconds
        while True:
            await asyncio.sleep(pause)
            try:
                await self.renew()
            except RelayError as error:
                log.warning("the lease could not be renewed: %s", error)
                pause = min(RETRY_SECONDS, self._renew_seconds)
            else:
                pause = self._renew_seconds

    async def end(self) -> None:
        """Give the lease back; called when nothing is held under it any more."""
        try:
            await self._bus.call(billing.END_LEASE, billing.Lease(lease_id=self.id))
        except RelayError as error:
            log.warning("the lease was not given back and will run out: %s", error.code)

    async def _renew(self) -> None:
        state = await self._bus.call(billing.RENEW_LEASE, billing.Lease(lease_id=self.id))
        self._renewed_at = time.monotonic()
        if state.is_live:
            return
        self._ended_total += 1
        old, self.id = self.id, process_id()
        log.error("the lease of this edge has ended; its running requests are cut")
        self._ended(old)
        await self._bus.call(billing.RENEW_LEASE, billing.Lease(lease_id=self.id))
