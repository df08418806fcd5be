"""Which loads are measured, and how: in rounds, each of which loads the upstream directly and then through Relay.

Both get the same requests, and their answers must be the same bytes. All rounds are kept; the best one is shown, because on a
machine that others use too a disturbance can only make a figure worse.
"""

import asyncio
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from bench.client import Body, ClientError, Result, Task, fetch, render_request
from bench.stack import Ledger, Stack, StackError, busy_seconds

CHUNKS = 100
CHUNK_SECONDS = 0.01
UPSTREAM_KEY = "sk-sim-openai"
MEMORY_SECONDS = 0.5
WARM_SECONDS = 1.0

Kind = Literal["plain", "stream"]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One load: `connections` clients that ask for a short plain answer, or for a stream of CHUNKS chunks."""

    kind: Kind
    connections: int

    @property
    def name(self) -> str:
        """The phase as it stands in the table and the JSON."""
        return f"{self.kind} {self.connections}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure: rounds of each phase, seconds of plain load, streams of each connection one after another."""

    rounds: int
    direct_seconds: float
    relay_seconds: float
    stream_repeats: int


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round: what the client saw directly and through Relay, and what Relay's part cost, by process.

    `other_cores` is how many cores everything else on the machine was using meanwhile.
    """

    direct: Result
    relay: Result
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    other_cores: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A phase with all its rounds."""

    phase: Phase
    rounds: tuple[Round, ...]

    @property
    def best(self) -> Round:
        """The round in which Relay answered the most requests in a second."""
        return max(self.rounds, key=lambda taken: taken.relay.requests / taken.relay.seconds)


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one bench measured. `requests` counts all that went through Relay, each checked."""

    phases: tuple[Measured, ...]
    memory_at_rest_bytes: dict[str, int]
    requests: int
    ledger: Ledger


PHASES = (
    *(Phase(kind="plain", connections=count) for count in (1, 16, 64, 256)),
    *(Phase(kind="stream", connections=count) for count in (50, 300)),
)
FULL = Plan(rounds=3, direct_seconds=0.7, relay_seconds=2.5, stream_repeats=2)
QUICK = Plan(rounds=1, direct_seconds=0.5, relay_seconds=1.5, stream_repeats=1)


class Bench:
    """Measures phases on a stack."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self._stack = stack
        self._plan = plan
        self._requests = 0
        self._expected: dict[Kind, Body] = {}

    async def run(self, phases: Sequence[Phase], tell: Callable[[str], None]) -> Measurements:
        """Measure `phases`; `tell` hears what is being done. Raises: StackError, ClientError."""
        stack = self._stack
        await stack.credit()
        at_rest = stack.memory_bytes()
        for kind in sorted({phase.kind for phase in phases}):
            self._expected[kind] = await self._reference(kind)
        tell("Warming up …")
        await self._load(Phase(kind="plain", connections=16), is_direct=True, seconds=WARM_SECONDS / 2)
        await self._load(Phase(kind="plain", connections=16), is_direct=False, seconds=WARM_SECONDS)
        measured = []
        for phase in phases:
            rounds = []
            for number in range(1, self._plan.rounds + 1):
                tell(f"{phase.name}: round {number} of {self._plan.rounds} …")
                rounds.append(await self._round(phase))
            measured.append(Measured(phase=phase, rounds=tuple(rounds)))
        ledger = await stack.settled_ledger()
        _check(ledger, self._requests)
        return Measurements(
            phases=tuple(measured), memory_at_rest_bytes=at_rest, requests=self._requests, ledger=ledger
        )

    async def _round(self, phase: Phase) -> Round:
        direct = await self._load(phase, is_direct=True, seconds=self._plan.direct_seconds)
        cpu, busy, started_at = self._stack.cpu_seconds(), busy_seconds(), time.perf_counter()
        watch = asyncio.create_task(self._watch_memory())
        try:
            relay = await self._load(phase, is_direct=False, seconds=self._plan.relay_seconds)
        finally:
            watch.cancel()
        used = {name: now - cpu[name] for name, now in self._stack.cpu_seconds().items()}
        others = busy_seconds() - busy - sum(used.values()) - relay.cpu_seconds
        (memory,) = await asyncio.gather(watch)
        return Round(
            direct=direct,
            relay=relay,
            cpu_seconds=used,
            memory_bytes=memory,
            other_cores=max(0.0, others / (time.perf_counter() - started_at)),
        )

    async def _watch_memory(self) -> dict[str, int]:
        """Return the most memory that each part had, once cancelled."""
        most = self._stack.memory_bytes()
        try:
            while True:
                await asyncio.sleep(MEMORY_SECONDS)
                most = {name: max(now, most[name]) for name, now in self._stack.memory_bytes().items()}
        except asyncio.CancelledError:
            return most

    async def _reference(self, kind: Kind) -> Body:
        """Return what every answer must be: what the upstream says when it is asked directly."""
        port = self._stack.upstream_port
        body = await fetch(port, render_request(port, UPSTREAM_KEY, self._body(kind)))
        chunks = body.count(b"\ndata: ")
        if kind == "stream" and (chunks < CHUNKS or not body.endswith(b"data: [DONE]\n\n")):
            raise ClientError(f"the upstream sent {chunks} chunks instead of {CHUNKS}")
        return Body(len(body), zlib.crc32(body))

    async def _load(self, phase: Phase, *, is_direct: bool, seconds: float) -> Result:
        stack = self._stack
        port = stack.upstream_port if is_direct else stack.port
        key = UPSTREAM_KEY if is_direct else stack.demo.api_key
        is_plain = phase.kind == "plain"
        task = Task(
            port=port,
            request=render_request(port, key, self._body(phase.kind)),
            expected=self._expected[phase.kind],
            connections=phase.connections,
            seconds=seconds if is_plain else None,
            repeats=None if is_plain else self._plan.stream_repeats,
        )
        result = await _run(task)
        if not is_direct:
            self._requests += result.requests
        return result

    def _body(self, kind: Kind) -> bytes:
        directive = "out=1" if kind == "plain" else f"out={CHUNKS} tps={1 / CHUNK_SECONDS:g}"
        document: dict[str, object] = {
            "model": self._stack.demo.model,
            "messages": [{"role": "user", "content": f"Measure. [[sim {directive}]]"}],
            "max_tokens": CHUNKS,
        }
        if kind == "stream":
            # With the usage asked for by the client too, Relay has nothing to take out: both streams are the same bytes.
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode(document)


async def _run(task: Task) -> Result:
    """Return the result of the load generator in a process of its own. Raises: ClientError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.client",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, problem = await process.communicate(msgspec.json.encode(task))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ClientError(problem.decode(errors="replace").strip().splitlines()[-1])
    return msgspec.json.decode(output, type=Result)


def _check(ledger: Ledger, requests: int) -> None:
    """Raise StackError unless the ledger has each request once and nothing is held."""
    if ledger.live_holds or ledger.held_nano_usd:
        raise StackError(
            f"The ledger still holds {ledger.held_nano_usd} nano-USD in {ledger.live_holds} holds."
        )
    if ledger.usage_records != requests:
        ends = ", ".join(f"{count} {state} {outcome}".rstrip() for state, outcome, count in ledger.ends)
        raise StackError(
            f"The ledger has {ledger.usage_records} usage records for {requests} requests; holds ended {ends}."
        )
