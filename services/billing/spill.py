"""The spill: claims on holds that billing did not confirm while it or PostgreSQL was away, done when both are back.

Each takes the path of a claim that comes as a call, and leaves the queue after its commit. A hold ends once, so it does not matter
how often a claim is spilled, by whom, or whether the call had succeeded after all; a hold that has expired takes the claim as a
late one. What billing refuses to a caller it refuses here for good.
"""

import logging

from services.billing.handlers import Handlers
from shared.bus import Bus, Worker
from shared.contracts import billing
from shared.errors import RelayError, Unavailable
from shared.metrics import Metrics

log = logging.getLogger(__name__)


class Spill:
    """Works off the spill while `run` runs; without JetStream it says so once and goes on looking."""

    def __init__(self, bus: Bus, handlers: Handlers, metrics: Metrics, *, replicas: int = 1) -> None:
        self._handlers = handlers
        self._worker = worker = Worker(bus.control, billing.SPILL, self._apply, replicas=replicas)
        metrics.gauge(
            "billing_spill_ready", "Whether this process can work off the spill: 1 or 0"
        ).set_function(lambda: worker.is_ready)
        for name, help_text, value in (
            ("done", "Spilled claims done", lambda: worker.done_total),
            (
                "postponed",
                "Times a spilled claim was put off, PostgreSQL being away",
                lambda: worker.postponed_total,
            ),
            (
                "refused",
                "Spilled claims refused or unreadable: each may be a charge that is lost",
                lambda: worker.dropped_total,
            ),
        ):
            metrics.total(f"billing_spill_{name}_total", help_text, value)

    async def waiting(self) -> int:
        """Return how many claims wait in the spill. Raises: Unavailable when JetStream does not say so."""
        return await self._worker.waiting()

    async def run(self) -> None:
        """Apply what was spilled, until cancelled."""
        await self._worker.run()

    async def _apply(self, spilled: billing.Spilled) -> None:
        claim = spilled.claim
        try:
            if isinstance(claim, billing.Void):
                await self._handlers.void(claim)
            else:
                await self._handlers.settle(claim)
        except Unavailable:
            raise  # it comes again
        except RelayError as error:
            details = {"request_id": claim.request_id, "reason": error.code}
            log.error("a spilled claim was refused", extra=details)
            raise
