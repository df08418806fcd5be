"""Ending a hold from outside billing: the claim is repeated until billing confirms it, since a repeat changes nothing."""

import asyncio
import logging
import random

from shared.bus import Bus
from shared.contracts import billing
from shared.errors import RelayError, Unavailable

PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 5.0

log = logging.getLogger(__name__)


async def settle(
    bus: Bus, claim: billing.Settle | billing.Void, *, patience_seconds: float = PATIENCE_SECONDS
) -> billing.Ended | None:
    """Return how the hold ended, now or before; None when billing refused the claim or did not confirm it in time.

    What is not confirmed is left to the other witness, and in the end to the lease: the hold then expires without a charge.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_seconds
    pause = RETRY_SECONDS
    while True:
        try:
            if isinstance(claim, billing.Void):
                return await bus.call(billing.VOID, claim)
            return await bus.call(billing.SETTLE, claim)
        except Unavailable:
            if loop.time() > give_up:
                log.error("billing did not confirm the end of a hold", extra={"request_id": claim.request_id})
                return None
        except RelayError as error:
            details = {"request_id": claim.request_id, "reason": error.code}
            log.error("billing refused the end of a hold", extra=details)
            return None
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, RETRY_SECONDS_MAX)
