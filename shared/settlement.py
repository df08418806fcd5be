"""Ending a hold from outside billing: the claim is repeated until billing confirms it, since a repeat changes nothing.

A claim that has waited for SPILL_AFTER_SECONDS goes to the spill, a queue on disk that billing works off when it is back. So does
one whose process must end: `settle` is then cancelled. Where there is no spill, the claim waits in memory.
"""

import asyncio
import logging
import random

from shared.bus import Bus
from shared.contracts import billing
from shared.errors import (
    Forbidden,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    RateLimited,
    RelayError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)

SPILL_AFTER_SECONDS = 10.0
PATIENCE_SECONDS = 900.0
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 5.0
# What a client can do something about; everything else is a fault of ours or of an upstream.
CLIENT_FAULTS = (
    Forbidden, InsufficientFunds, InvalidRequest, NotFound, RateLimited, TooLarge, UnsupportedMedia,
)  # fmt: skip

log = logging.getLogger(__name__)


def void_reason(error: RelayError | None, *, is_client_gone: bool) -> str:
    """Return why a request ended that no upstream has accepted: `client_gone`, `refused`, or `not_accepted_upstream`."""
    if is_client_gone:
        return "client_gone"
    return "refused" if isinstance(error, CLIENT_FAULTS) else "not_accepted_upstream"


async def settle(
    bus: Bus, claim: billing.Settle | billing.Void, *, patience_seconds: float = PATIENCE_SECONDS
) -> billing.Ended | None:
    """Return how the hold ended, now or before; None when that is not known here.

    The claim is then in the spill; or billing has refused it; or it was neither confirmed nor spilled in time, and is left to the
    other witness, and in the end to the lease: the hold then expires without a charge. Cancelled, it is spilled before this ends.
    """
    try:
        return await _settle(bus, claim, patience_seconds)
    except asyncio.CancelledError:
        if not await _spill(bus, claim):
            log.error("a claim on a hold was cut off unspilled", extra={"request_id": claim.request_id})
        raise


async def _settle(
    bus: Bus, claim: billing.Settle | billing.Void, patience_seconds: float
) -> billing.Ended | None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_seconds
    spill_at = min(loop.time() + SPILL_AFTER_SECONDS, give_up)
    pause = RETRY_SECONDS
    while True:
        try:
            return await _claim(bus, claim)
        except Unavailable:
            if loop.time() >= spill_at and await _spill(bus, claim):
                return None
            if loop.time() >= give_up:
                log.error("billing did not confirm the end of a hold", extra={"request_id": claim.request_id})
                return None
        except RelayError as error:
            details = {"request_id": claim.request_id, "reason": error.code}
            log.error("billing refused the end of a hold", extra=details)
            return None
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, RETRY_SECONDS_MAX)


async def _claim(bus: Bus, claim: billing.Settle | billing.Void) -> billing.Ended:
    if isinstance(claim, billing.Void):
        return await bus.call(billing.VOID, claim)
    return await bus.call(billing.SETTLE, claim)


async def _spill(bus: Bus, claim: billing.Settle | billing.Void) -> bool:
    """Return whether the claim is in the spill."""
    try:
        await bus.store(billing.SPILL, billing.Spilled.of(claim))
    except Unavailable:
        return False
    log.warning("a claim on a hold waits for billing in the spill", extra={"request_id": claim.request_id})
    return True
