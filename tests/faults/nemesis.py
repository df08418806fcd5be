"""What a seed does to a cluster: faults of every kind, drawn one after another by two hands that do not wait for each other.

One hand is laid on processes (SIGKILL, SIGSTOP, SIGTERM), the other on what is between them and below them: ways, NATS, PostgreSQL.
Each fault lasts for a drawn time, a few of them for longer than silence is borne, and is mended before the same hand draws again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from tests.faults.process import Replica
from tests.faults.proxy import Direction, Proxy
from tests.faults.stage import Stage

LASTING_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 6.0)
LONG_SECONDS = 17.0  # than silence is borne
LONG_SHARE = 0.15
PAUSE_SECONDS_MAX = 2.0
DIRECTIONS: tuple[Direction, ...] = ("up", "down", "both")

Fault = Callable[[], Awaitable[None]]


class Nemesis:
    """Breaks the cluster of `stage` as `seed` says; `done` lists what it has broken, in words."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.done: list[str] = []
        self._stage = stage
        self._cluster = stage.cluster
        self._seed = seed
        self._chance = Random(f"{seed} nemesis")

    async def run(self, count: int) -> None:
        """Make `count` faults with each hand."""
        await asyncio.gather(
            self._hand("processes", count, (self._kill, self._stop, self._terminate)),
            self._hand(
                "ways",
                count,
                (
                    self._silence, self._delay, self._throttle, self._cut, self._refuse, self._upstream,
                    self._kill_nats, self._kill_postgres, self._end_backends, self._lock,
                ),
            ),
        )  # fmt: skip

    async def _hand(self, name: str, count: int, faults: Sequence[Fault]) -> None:
        chance = Random(f"{self._seed} {name}")
        for _ in range(count):
            await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS_MAX))
            await chance.choice(faults)()

    # Processes

    async def _kill(self) -> None:
        replica = self._replica()
        replica.kill()
        await self._lasting(f"{replica.name} killed")
        replica.start()

    async def _stop(self) -> None:
        replica = self._replica()
        replica.stop()
        await self._lasting(f"{replica.name} stopped", may_be_long=True)
        replica.resume()

    async def _terminate(self) -> None:
        replica = self._replica()
        self.done.append(f"{replica.name} asked to end")
        replica.terminate()
        await replica.wait_ended()
        replica.start()

    # Ways and servers

    async def _silence(self) -> None:
        way, name = self._way()
        direction = self._chance.choice(DIRECTIONS)
        way.drop(direction)
        await self._lasting(f"{name} silent {direction}", may_be_long=True)
        way.open()

    async def _delay(self) -> None:
        way, name = self._way()
        seconds = self._chance.choice((0.05, 0.3, 1.0))
        way.delay(seconds)
        await self._lasting(f"{name} {seconds:g} s late")
        way.open()

    async def _throttle(self) -> None:
        way, name = self._way()
        rate = self._chance.choice((20_000, 200_000))
        way.throttle(rate)
        await self._lasting(f"{name} at {rate} bytes a second")
        way.open()

    async def _cut(self) -> None:
        way, name = self._way()
        how = self._chance.choice(("cut", "reset"))
        (way.cut if how == "cut" else way.reset)()
        self.done.append(f"{name} {how}")

    async def _refuse(self) -> None:
        way, name = self._way()
        way.refuse()
        await self._lasting(f"{name} closed")
        way.open()

    async def _upstream(self) -> None:
        way = self._cluster.upstream
        how = self._chance.choice(("reset", "refuse", "drop"))
        {"reset": way.reset, "refuse": way.refuse, "drop": way.drop}[how]()
        await self._lasting(f"upstream: {how}")
        way.open()

    async def _kill_nats(self) -> None:
        self._cluster.kill_nats()
        await self._lasting("NATS killed")
        self._cluster.start_nats()

    async def _kill_postgres(self) -> None:
        self._cluster.kill_postgres()
        await self._lasting("PostgreSQL stopped at once")
        self._cluster.start_postgres()

    async def _end_backends(self) -> None:
        async with self._cluster.database() as database:
            service = self._chance.choice(("auth", "billing", "dispatcher"))
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
                f"{service}_service",
            )
        self.done.append(f"backends of {service} ended")

    async def _lock(self) -> None:
        async with self._cluster.database() as database, database.transaction():
            await database.execute(
                "SELECT FROM billing.account WHERE id = $1::uuid FOR UPDATE", self._stage.tenant.account_id
            )
            await self._lasting("the account locked")

    # Draws

    def _replica(self) -> Replica:
        return self._chance.choice(self._cluster.replicas())

    def _way(self) -> tuple[Proxy, str]:
        replica = self._replica()
        if replica.postgres is not None and self._chance.random() < 0.4:
            return replica.postgres, f"PostgreSQL of {replica.name}"
        return replica.nats, f"bus of {replica.name}"

    async def _lasting(self, what: str, *, may_be_long: bool = False) -> None:
        is_long = may_be_long and self._chance.random() < LONG_SHARE
        seconds = LONG_SECONDS if is_long else self._chance.choice(LASTING_SECONDS)
        self.done.append(f"{what} for {seconds:g} s")
        await asyncio.sleep(seconds)
