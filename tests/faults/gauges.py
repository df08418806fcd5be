"""What a soak looks at: the processes through the kernel and their own metrics, the ledger, and the ways to the upstream."""

import asyncio
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

import httpx
import msgspec

from bench.stack import busy_seconds
from services.devstack.process import HOST
from shared.db import Connection
from tests.e2e.stack import resident_bytes
from tests.faults.cluster import Cluster
from tests.faults.load import Tally
from tests.faults.process import Replica
from tests.faults.proxy import Proxy
from tests.faults.series import Row, Vitals, median_vitals, waits

LOOK_SECONDS = 5.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was there at one moment. `processes` has those that answered."""

    processes: dict[str, Vitals]
    holds: int
    postgres_connections: int
    upstream_connections: int
    outbox: int
    spilled: int
    lag_seconds: float


class Gauges:
    """Looks at a cluster, and makes a row of several looks."""

    def __init__(
        self, cluster: Cluster, database: Connection, http: httpx.AsyncClient, upstreams: Sequence[Proxy]
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._http = http
        self._upstreams = upstreams
        self._looks: list[Look] = []
        self._busy = busy_seconds()
        self._since = time.monotonic()

    async def look(self) -> Look:
        """Return what is there, and keep it for the row that comes next."""
        counts = await self._database.fetchrow(
            """SELECT (SELECT count(*) FROM billing.hold WHERE state = 'HELD') AS holds,
                (SELECT count(*) FROM billing.outbox) AS outbox,
                (SELECT count(*) FROM pg_stat_activity WHERE usename LIKE '%\\_service') AS connections"""
        )
        pages = await asyncio.gather(*(self._page(replica) for replica in self._cluster.replicas()))
        processes = {}
        for replica, page in zip(self._cluster.replicas(), pages, strict=True):
            with suppress(OSError, KeyError):  # it is being killed, or started
                processes[replica.name] = Vitals(
                    memory_bytes=replica.memory_bytes,
                    descriptors=replica.descriptors,
                    tasks=int(page["relay_tasks"]),
                )
        look = Look(
            processes=processes,
            holds=counts["holds"],
            postgres_connections=counts["connections"],
            upstream_connections=sum(way.connections for way in self._upstreams),
            outbox=counts["outbox"],
            spilled=int(sum(page.get("relay_billing_spill_done_total", 0) for page in pages)),
            lag_seconds=max((page.get("relay_loop_lag_seconds", 0.0) for page in pages), default=0.0),
        )
        self._looks.append(look)
        return look

    def row(self, at_seconds: float, tally: Tally, troubles: list[str]) -> Row:
        """Return the row of all looks since the last one; there must be one."""
        looks, self._looks = self._looks, []
        busy, since = self._busy, self._since
        self._busy, self._since = busy_seconds(), time.monotonic()
        seen: defaultdict[str, list[Vitals]] = defaultdict(list)
        for look in looks:
            for name, vitals in look.processes.items():
                seen[name].append(vitals)
        return Row(
            at_seconds=at_seconds,
            verdicts=dict(tally.verdicts),
            plain=waits(tally.plain),
            first_byte=waits(tally.first_byte),
            processes={name: median_vitals(samples) for name, samples in seen.items()},
            holds=statistics.median_low([look.holds for look in looks]),
            postgres_connections=statistics.median_low([look.postgres_connections for look in looks]),
            upstream_connections=statistics.median_low([look.upstream_connections for look in looks]),
            outbox=statistics.median_low([look.outbox for look in looks]),
            spilled=looks[-1].spilled,
            lag_seconds=max(look.lag_seconds for look in looks),
            busy_cores=(self._busy - busy) / (self._since - since),
            own_memory_bytes=resident_bytes(os.getpid()),
            troubles=troubles,
        )

    def begin(self) -> None:
        """Forget what was seen before."""
        self._looks.clear()
        self._busy, self._since = busy_seconds(), time.monotonic()

    async def _page(self, replica: Replica) -> Mapping[str, float]:
        """Return the metrics that have no labels; none of a process that does not answer."""
        try:
            answer = await self._http.get(f"http://{HOST}:{replica.port}/metrics", timeout=LOOK_SECONDS)
        except httpx.HTTPError:
            return {}
        pairs = (line.split(" ") for line in answer.text.splitlines() if line.startswith("relay_"))
        return {pair[0]: float(pair[1]) for pair in pairs if "{" not in pair[0]}
