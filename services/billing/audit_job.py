"""One audit in a process of its own: `python -m services.billing.audit_job`, started by `services.billing.auditor`.

It reads an Order as JSON from standard input, so that the database's password stands in no command line, and writes a Result to
standard output. Whoever starts it may end it at any time: it only reads.
"""

import asyncio
import os
import sys

import msgspec

from services.billing.audit import SENTENCES, audit
from shared.db import connect

NICENESS = 10


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to audit, and for how long at most."""

    database_url: str
    seconds_max: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows break each invariant, at most ROWS_SHOWN of each; None when another audit runs on this database."""

    violations: dict[str, int] | None


async def run(order: Order) -> Result:
    """Return what the audit found. Raises: Unavailable, TimeoutError and the errors of PostgreSQL."""
    async with asyncio.timeout(order.seconds_max):
        connection = await connect(order.database_url, schema="billing", application="relay-audit")
        try:
            milliseconds = str(int(order.seconds_max * 1000))
            await connection.execute("SELECT set_config('statement_timeout', $1, false)", milliseconds)
            if not await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended('relay billing audit', 0))"
            ):
                return Result(violations=None)
            found = {finding.number: len(finding.rows) for finding in await audit(connection)}
        finally:
            connection.terminate()
    return Result(violations={number: found.get(number, 0) for number in SENTENCES})


def main() -> None:
    """Audit as ordered."""
    os.nice(NICENESS)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(run(order))))


if __name__ == "__main__":
    main()
