"""What the driver of a soak does to the cluster now and then, by seed: one trouble at a time, each of them mended after seconds.

Only the second process of a service is killed, so that the first lives through the run and its figures are one series.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import msgspec

from shared.db import Connection
from tests.faults.cluster import Cluster
from tests.faults.load import is_set_within
from tests.faults.process import Replica
from tests.faults.proxy import Proxy

AFTER_SECONDS = 5.0  # that a trouble is still felt after it was mended: clients reconnect, timers run out
DELAY_SECONDS = (0.05, 0.4)
LASTING_SECONDS = (1.0, 4.0)


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, in seconds of the event loop's clock."""

    what: str
    began_at: float
    over_at: float


class Troubles:
    """Makes trouble while `run` runs, with about `gap_seconds` between the beginnings of two."""

    def __init__(
        self,
        cluster: Cluster,
        database: Connection,
        upstreams: Sequence[Proxy],
        *,
        gap_seconds: float,
        seed: int,
    ) -> None:
        self.made: list[Trouble] = []
        self._upstreams = upstreams
        self._cluster = cluster
        self._database = database
        self._gap_seconds = gap_seconds
        self._chance = Random(f"{seed} troubles")
        self._stopping = asyncio.Event()
        self._now: tuple[str, float] | None = None
        self._told = 0

    async def run(self) -> None:
        """Go on until `stop`; the trouble that is being made is mended first."""
        kinds: list[Callable[[], Awaitable[None]]] = []
        while not await is_set_within(self._stopping, self._gap_seconds * self._chance.uniform(0.7, 1.3)):
            if not kinds:  # each kind once before any comes again
                kinds = [self._kill, self._cut_bus, self._delay, self._end_backend, self._reset_upstream]
                self._chance.shuffle(kinds)
            await kinds.pop()()

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping.set()

    def have_touched(self, began_at: float, ended_at: float) -> bool:
        """Whether something was broken, or had just been mended, at any time between the two."""
        now_from = self._now[1] if self._now is not None else None
        return any(
            began_at <= trouble.over_at + AFTER_SECONDS and ended_at >= trouble.began_at
            for trouble in self.made
        ) or (now_from is not None and ended_at >= now_from)

    def news(self) -> list[str]:
        """Return what has been made since the last time."""
        told, self._told = self._told, len(self.made)
        return [trouble.what for trouble in self.made[told:]]

    async def _kill(self) -> None:
        replica = self._cluster.replicas(self._chance.choice(("auth", "billing", "dispatcher", "edge")))[1]
        self._begin(f"{replica.name} killed")
        replica.kill()
        await self._lasting()
        replica.start()
        await replica.wait_ready()
        self._end()

    async def _cut_bus(self) -> None:
        replica = self._any()
        how = self._chance.choice(("cut", "reset"))
        self._begin(f"bus of {replica.name} {how}")
        (replica.nats.cut if how == "cut" else replica.nats.reset)()
        self._end()

    async def _delay(self) -> None:
        replica = self._any()
        ways = [replica.nats, *([replica.postgres] if replica.postgres is not None else [])]
        way = self._chance.choice(ways)
        seconds = self._chance.uniform(*DELAY_SECONDS)
        self._begin(
            f"{'bus' if way is replica.nats else 'PostgreSQL'} of {replica.name} {seconds * 1000:.0f} ms late"
        )
        way.delay(seconds)
        await self._lasting()
        way.open()
        self._end()

    async def _end_backend(self) -> None:
        service = self._chance.choice(("auth", "billing", "dispatcher"))
        backends = await self._database.fetch(
            "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY pid", f"{service}_service"
        )
        self._begin(f"backend of {service} ended")
        if backends:
            chosen = self._chance.choice(backends)["pid"]
            await self._database.execute("SELECT pg_terminate_backend($1)", chosen)
        self._end()

    async def _reset_upstream(self) -> None:
        self._begin("upstream reset")
        for way in self._upstreams:
            way.reset()
        self._end()

    def _any(self) -> Replica:
        return self._chance.choice(self._cluster.replicas())

    def _begin(self, what: str) -> None:
        self._now = (what, asyncio.get_running_loop().time())

    def _end(self) -> None:
        assert self._now is not None
        what, began_at = self._now
        self.made.append(Trouble(what=what, began_at=began_at, over_at=asyncio.get_running_loop().time()))
        self._now = None

    async def _lasting(self) -> None:
        await is_set_within(self._stopping, self._chance.uniform(*LASTING_SECONDS))
