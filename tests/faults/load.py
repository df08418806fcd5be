"""The load of a soak: a set number of clients, each of which makes one visit after another, on both edges and in generations.

A generation is the requests of some seconds with an upstream and with tenants of their own. While one runs, the former one comes to
its end, is judged and forgotten (`judging.py`), and then takes its turn again: neither the driver nor an upstream's journal grows.
"""

import asyncio
import itertools
import math
import time
from collections import Counter
from random import Random

import msgspec

from tests.e2e.tenants import Tenant
from tests.faults.client import Call, Caller, Transcript
from tests.faults.cluster import Cluster
from tests.faults.proxy import Proxy
from tests.faults.visits import Visit, draw


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two simulators, the way to it, and the tenants whose channels lead there."""

    url: str
    way: Proxy
    tenants: tuple[Tenant, ...]


class Ended(msgspec.Struct, frozen=True):
    """A visit that is over."""

    visit: Visit
    transcript: Transcript


class Generation:
    """The requests that began in one turn of an upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.began_unix = time.time()
        self.ended: list[Ended] = []
        self.running = 0
        self._news = asyncio.Event()

    def begin(self) -> None:
        """Count a request that begins."""
        self.running += 1

    def end(self, visit: Visit, transcript: Transcript) -> None:
        """Keep a request that is over."""
        self.running -= 1
        self.ended.append(Ended(visit, transcript))
        self._news.set()

    async def until_over(self) -> None:
        """Return once none of its requests runs; each has a deadline of its own."""
        while self.running:
            self._news.clear()
            await self._news.wait()


class Tally:
    """How the requests of one interval ended, and the seconds of the typical ones that met no trouble."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.plain: list[float] = []
        self.first_byte: list[float] = []

    def note(self, visit: Visit, transcript: Transcript) -> None:
        """Count one request."""
        self.verdicts[transcript.verdict] += 1
        if not visit.is_typical or transcript.verdict != "complete":
            return
        if visit.is_stream:
            self.first_byte.append(transcript.event_seconds[0] - transcript.started_at)
        else:
            self.plain.append(transcript.ended_at - transcript.started_at)


class Load:
    """`clients` clients, drawn by `seed`, that rest for up to `pause_seconds` after each visit, while `run` runs."""

    def __init__(
        self, cluster: Cluster, upstream: Upstream, *, clients: int, pause_seconds: float, seed: int
    ) -> None:
        self.generation = Generation(upstream)
        self.tally = Tally()
        self._cluster = cluster
        self._pause_seconds = pause_seconds
        self._clients = clients
        self._seed = seed
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Go on until `stop`, and then until every client has finished its visit."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._live(Random(f"{self._seed} {number}"), number))

    def stop(self) -> None:
        """Let every client finish its visit and go."""
        self.stopping.set()

    def turn(self, upstream: Upstream) -> Generation:
        """Let new requests go to `upstream`; return the generation that ends with this."""
        former, self.generation = self.generation, Generation(upstream)
        return former

    def take_tally(self) -> Tally:
        """Return what has ended since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    async def _live(self, chance: Random, number: int) -> None:
        edges = itertools.islice(itertools.cycle(self._cluster.edges), number, None)
        await is_set_within(self.stopping, chance.uniform(0, self._pause_seconds))
        while not self.stopping.is_set():
            visit = draw(chance, self._pause_seconds)
            generation = self.generation
            caller = Caller(self._cluster, chance.choice(generation.upstream.tenants))
            generation.begin()
            call = caller.send(visit.text, edge=next(edges), is_stream=visit.is_stream, script=visit.script)
            await leave_early(call, visit)
            transcript = await call.transcript()
            generation.end(visit, transcript)
            self.tally.note(visit, transcript)
            await is_set_within(self.stopping, visit.pause_seconds)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return whether `event` is set, as soon as it is, or after `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), None if seconds == math.inf else seconds)
    except TimeoutError:
        return False
    return True


async def leave_early(call: Call, visit: Visit) -> None:
    """Let the client go in the middle, if it is one that does, and has not had its answer before."""
    if visit.leave_seconds is None:
        return
    await asyncio.sleep(visit.leave_seconds)
    if call.is_running:
        call.leave(visit.leave_by)
