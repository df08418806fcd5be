"""What stands in the ledger and around it at the moment, looked at every LOOK_SECONDS for the metrics.

Each replica looks for itself and shows the same figures, which belong to all of them: ask for their maximum, not their sum. A look
that fails leaves the former figures, whose age grows.
"""

import asyncio
import logging
import time

import asyncpg
import msgspec

from services.billing.spill import Spill
from shared.db import Connection, Pool, transaction
from shared.errors import Unavailable
from shared.metrics import Metrics

LOOK_SECONDS = 15.0
STATEMENT_MILLISECONDS = 2000

# Live holds have an index of their own, leases are one row for each start of an edge, and the outbox is empty but for a moment.
_STANDING = """
    SELECT h.*, l.*, o.* FROM
        (SELECT count(*) AS holds, coalesce(sum(amount_nano_usd), 0)::bigint AS held_nano_usd,
            coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest_hold_seconds
            FROM billing.hold WHERE state = 'HELD') AS h,
        (SELECT count(*) FILTER (WHERE expires_at > clock_timestamp()) AS leases_live,
            count(*) FILTER (WHERE expires_at <= clock_timestamp()) AS leases_lapsed
            FROM billing.lease WHERE NOT is_ended) AS l,
        (SELECT count(*) AS outbox_rows,
            coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS outbox_age_seconds
            FROM billing.outbox) AS o"""

log = logging.getLogger(__name__)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What one look saw; each field is a gauge."""

    holds: int
    held_nano_usd: int
    oldest_hold_seconds: float
    leases_live: int
    leases_lapsed: int
    outbox_rows: int
    outbox_age_seconds: float


_MEANINGS = {
    "holds": "Live holds of all replicas",
    "held_nano_usd": "Money in live holds",
    "oldest_hold_seconds": "Age of the oldest live hold; 0 when there is none",
    "leases_live": "Leases of edges that are renewed",
    "leases_lapsed": "Leases that are not renewed in time and have not ended yet",
    "outbox_rows": "Committed events that are not yet published",
    "outbox_age_seconds": "Age of the oldest of them; 0 when there is none",
}


class Watch:
    """Looks for as long as `run` runs."""

    def __init__(self, pool: Pool, spill: Spill, metrics: Metrics) -> None:
        self._pool = pool
        self._spill = spill
        self._seen: Standing | None = None
        self._seen_at = time.monotonic()
        self._spilled: int | None = None
        for name, meaning in _MEANINGS.items():
            metrics.gauges(f"billing_{name}", meaning, (), lambda name=name: self._figure(name))  # type: ignore[misc]
        metrics.gauges(
            "billing_spill_waiting",
            "Claims in the spill, of all replicas; not there while JetStream does not answer",
            (),
            lambda: {} if self._spilled is None else {(): self._spilled},
        )
        metrics.gauge(
            "billing_standing_age_seconds", "Since holds, leases and outbox were last looked at"
        ).set_function(lambda: time.monotonic() - self._seen_at)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with transaction(self._pool) as connection:
                    self._seen = await _look(connection)
                self._seen_at = time.monotonic()
            except (Unavailable, asyncpg.PostgresError) as error:
                log.info("the ledger could not be looked at: %s", type(error).__name__)
            try:
                self._spilled = await self._spill.waiting()
            except Unavailable:
                self._spilled = None
            await asyncio.sleep(LOOK_SECONDS)

    def _figure(self, name: str) -> dict[tuple[str, ...], float]:
        return {} if self._seen is None else {(): getattr(self._seen, name)}


async def _look(connection: Connection) -> Standing:
    await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
    return msgspec.convert(dict(await connection.fetchrow(_STANDING)), Standing)
