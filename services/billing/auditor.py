"""The audit as a job: every so often the invariants of the ledger are checked, and the result is a metric.

One replica does it: the one that leads the outbox, and only that one shows a result as a metric. A replica that has lost the lead
shows none, so that no old finding outlives its repair. What the last audit found is kept in the database as well, with its time,
for people, who ask any replica. The audit runs in a process of its own, at a low priority and for a bounded time: it
reads whole tables, and computes every cost again in Python, neither of which may delay the money of requests.
"""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable

import asyncpg
import msgspec

from services.billing import traffic_store
from services.billing.audit import SENTENCES
from services.billing.audit_job import Order, Result
from services.billing.settings import BillingSettings
from shared.db import Pool, transaction
from shared.errors import Unavailable
from shared.metrics import Metrics

FIRST_SECONDS = 300.0  # after the start at most: a process that is restarted often would audit each time
CHECK_SECONDS = 1.0
END_SECONDS = 5.0  # for a job that has used up its time to say so
RESULTS = ("sound", "broken", "failed", "skipped")

log = logging.getLogger(__name__)


class Auditor:
    """Audits while `run` runs and `leads()`."""

    def __init__(
        self, settings: BillingSettings, pool: Pool, *, leads: Callable[[], bool], metrics: Metrics
    ) -> None:
        self._pool = pool
        url = settings.audit_database_url.reveal() or settings.database_url.reveal()
        self._order = Order(database_url=url, seconds_max=settings.audit_seconds_max)
        self._pause_seconds = settings.audit_seconds
        self._leads = leads
        self._runs: Counter[str] = Counter()
        self._violations: dict[str, int] = {}
        self._succeeded_at: float | None = None
        self._took_seconds: float | None = None
        metrics.gauges(
            "billing_audit_violations",
            "Rows that break an invariant of the ledger, by its number; 20 stands for 20 or more",
            ("invariant",),
            lambda: {(number,): rows for number, rows in self._violations.items()},
        )
        metrics.gauges(
            "billing_audit_last_success_timestamp_seconds",
            "When the last audit came to its end, whatever it found, in Unix time",
            (),
            lambda: _one(self._succeeded_at),
        )
        metrics.gauges(
            "billing_audit_seconds",
            "How long the last audit took that came to its end",
            (),
            lambda: _one(self._took_seconds),
        )
        metrics.totals(
            "billing_audit_runs_total",
            "Audits by result; skipped when another one ran on the same database",
            ("result",),
            lambda: {(result,): self._runs[result] for result in RESULTS},
        )

    async def run(self) -> None:
        """Audit after a while, and then every `audit_seconds`; never if that is 0."""
        if self._pause_seconds == 0:
            return
        due = time.monotonic() + min(FIRST_SECONDS, self._pause_seconds)
        while True:
            await asyncio.sleep(min(CHECK_SECONDS, self._pause_seconds))
            if not self._leads():
                self._forget()
            elif time.monotonic() >= due:
                due = time.monotonic() + self._pause_seconds
                await self._audit()

    def _forget(self) -> None:
        self._violations = {}
        self._succeeded_at = self._took_seconds = None

    async def _audit(self) -> None:
        began = time.monotonic()
        try:
            result = await _result_of(self._order)
        except (OSError, TimeoutError, msgspec.MsgspecError, ChildProcessError) as error:
            self._runs["failed"] += 1
            log.error(
                "the audit failed: %s",
                error if isinstance(error, ChildProcessError) else type(error).__name__,
            )
            return
        if result.violations is None:
            self._runs["skipped"] += 1
            return
        self._took_seconds = time.monotonic() - began
        self._succeeded_at = time.time()
        self._violations = result.violations
        broken = {number: rows for number, rows in result.violations.items() if rows}
        await self._keep(len(result.violations), len(broken))
        self._runs["broken" if broken else "sound"] += 1
        for number, rows in broken.items():
            log.error(
                "an invariant of the ledger is broken: %s `relay audit` shows the rows",
                SENTENCES.get(number, ""),
                extra={"invariant": number, "rows": rows},
            )

    async def _keep(self, invariants: int, findings: int) -> None:
        assert self._took_seconds is not None
        try:
            async with transaction(self._pool) as connection:
                await traffic_store.note_audit(
                    connection,
                    took_ms=round(self._took_seconds * 1000),
                    invariants=invariants,
                    findings=findings,
                )
        except (Unavailable, asyncpg.PostgresError) as error:
            log.warning("the result of the audit could not be kept: %s", type(error).__name__)


async def _result_of(order: Order) -> Result:
    """Return the result of one audit. Raises: ChildProcessError when it failed, TimeoutError when it did not end in time."""
    job = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.billing.audit_job",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(order.seconds_max + END_SECONDS):
            output, errors = await job.communicate(msgspec.json.encode(order))
    finally:
        if job.returncode is None:
            job.kill()
            await job.wait()
    if job.returncode != 0:
        # The last line of a traceback, up to its message: that could quote a row.
        kind = errors.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0][:100]
        raise ChildProcessError(f"{kind or 'no reason was given'} (status {job.returncode})")
    return msgspec.json.decode(output, type=Result)


def _one(value: float | None) -> dict[tuple[str, ...], float]:
    return {} if value is None else {(): value}
