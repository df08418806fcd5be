"""The soak: a steady mixed load on a whole cluster, for as long as one wants, and nothing may grow: `python -m tests.faults.soak`.

Sixty clients in a closed loop leave a machine of two cores some air. Thirty in a hundred leave early, five meet a fault of the
upstream (`visits.py`); now and then a replica is killed, a connection cut, a way delayed, a backend ended (`troubles.py`). Every
request is judged by ledger, upstream and transcript, in batches that are then forgotten (`judging.py`, `load.py`).

Each twentieth of the run, and at least five seconds, is a row of the table. In the end the load stops, everything comes to rest,
and the auditor looks. It is flat when nothing grew by the rule in `series.py`, when no process has more at rest than it had after
the warm-up, and when auditor and judge have found nothing; otherwise the exit status is 1. Ctrl-C ends the load early, and all else
in order; a second one ends everything. The rows, and what was found, are kept as JSON in bench/results.
"""

import asyncio
import itertools
import math
import secrets
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
import httpx
import msgspec
import uvloop
from rich.console import Console

from bench.report import Machine, describe_machine
from services.devstack.process import HOST, free_port
from shared.db import Connection
from shared.money import NANO_PER_USD
from tests.e2e.tenants import Operator
from tests.faults.audit import audit, measure
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.gauges import Gauges
from tests.faults.judging import judge
from tests.faults.load import Generation, Load, Upstream, is_set_within
from tests.faults.process import Process
from tests.faults.proxy import Proxy
from tests.faults.series import LEGEND, SERVICES, Row, Vitals, growth, header, kept, line
from tests.faults.troubles import Trouble, Troubles
from tests.faults.verdict import Allowance

RESULTS = Path("bench/results")
ROWS = 20
ROW_SECONDS_MIN = 5.0
LOOKS = 5  # in a row
GENERATION_SECONDS = 15.0
WARM_UP_SECONDS = 20.0
TENANTS = 3  # of each upstream
BALANCE_NANO_USD = 1_000_000 * NANO_PER_USD
FINDINGS_MAX = 50
HTTP_SECONDS = 20.0
REST_SECONDS = 5.0  # until what has ended is forgotten everywhere
REST_SECONDS_MAX = 60.0
LASTING = tuple(f"{service}-0" for service in SERVICES)
# Short, so that a stalled upstream is given up within a generation.
SETTINGS = {"first_output_seconds": "4", "idle_seconds": "4"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    minutes: float
    seed: int
    clients: int
    pause_seconds: float

    @property
    def seconds(self) -> float:
        """How long the load lasts."""
        return self.minutes * 60

    @property
    def rows(self) -> int:
        """How many intervals there are."""
        return max(1, round(self.seconds / self.row_seconds))

    @property
    def row_seconds(self) -> float:
        """How long an interval is."""
        return max(ROW_SECONDS_MIN, self.seconds / ROWS)

    @property
    def gap_seconds(self) -> float:
        """How long it is from one trouble to the next."""
        return min(60.0, max(15.0, self.seconds / ROWS * 2))


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One soak, as its JSON says it; `grew` is None when it was too short to tell."""

    taken_at: datetime
    machine: Machine
    plan: Plan
    rows: list[Row]
    troubles: list[Trouble]
    at_rest_before: dict[str, Vitals]
    at_rest_after: dict[str, Vitals]
    grew: list[str] | None
    kept: list[str]
    findings: list[str]
    findings_total: int

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew, and nothing was found."""
        return not (self.grew or self.kept or self.findings_total)

    @property
    def conclusion(self) -> list[str]:
        """What it comes to, for people."""
        total = sum(row.requests for row in self.rows)
        said = [f"{total:,} requests, {len(self.troubles)} troubles, {self.findings_total} findings"]
        if self.grew is None:
            said.append("too short to say whether anything grows")
        said += [f"grew: {sentence}" for sentence in self.grew or []]
        said += [f"kept: {sentence}" for sentence in self.kept]
        return [
            *said,
            "flat" if self.is_flat and self.grew is not None else "sound" if self.is_flat else "NOT flat",
        ]


class Findings:
    """What is wrong, the first FINDINGS_MAX of it in words."""

    def __init__(self, console: Console) -> None:
        self.sentences: list[str] = []
        self.total = 0
        self._console = console

    def add(self, sentences: list[str]) -> None:
        """Tell and keep them."""
        for sentence in sentences:
            self.total += 1
            if len(self.sentences) < FINDINGS_MAX:
                self.sentences.append(sentence)
                self._console.print(f"  wrong: {sentence}", markup=False, soft_wrap=True)


class Soak:
    """One run on one cluster; `interrupted` ends its load early."""

    def __init__(
        self,
        plan: Plan,
        cluster: Cluster,
        upstreams: tuple[Upstream, Upstream],
        databases: tuple[Connection, Connection, Connection],
        http: httpx.AsyncClient,
        console: Console,
    ) -> None:
        self.interrupted = asyncio.Event()
        self.findings = Findings(console)
        self._plan = plan
        self._cluster = cluster
        self._upstreams = upstreams
        self._ways = [upstream.way for upstream in upstreams]
        # A connection does one thing at a time: one is for looking, one for judging, one for making trouble.
        looking, self._judging, self._troubling = databases
        self._gauges = Gauges(cluster, looking, http, self._ways)
        self._http = http
        self._console = console

    async def run(self, machine: Machine, operator: Operator) -> Report:
        """Do it all, and return what came of it."""
        self._cluster.forget()
        await self._load(self._troubles(is_quiet=True), self._warm_up)
        before = await self._at_rest()
        baseline = await measure(self._cluster)
        self._console.print(LEGEND, soft_wrap=True)
        self._console.print(header(), soft_wrap=True)
        rows: list[Row] = []
        troubles = self._troubles()
        await self._load(troubles, lambda load: self._watch(load, troubles, rows))
        await self._cluster.heal()
        self.findings.add(self._cluster.incidents)
        after = await self._at_rest()
        try:
            await audit(self._cluster, operator, [], baseline, allow=Allowance(may_end=True))
        except AssertionError as error:
            self.findings.add(str(error).splitlines())
        return Report(
            taken_at=datetime.now(UTC),
            machine=machine,
            plan=self._plan,
            rows=rows,
            troubles=troubles.made,
            at_rest_before=before,
            at_rest_after=after,
            grew=growth(rows, LASTING),
            kept=kept(before, after),
            findings=self.findings.sentences,
            findings_total=self.findings.total,
        )

    def _troubles(self, *, is_quiet: bool = False) -> Troubles:
        return Troubles(
            self._cluster,
            self._troubling,
            self._ways,
            gap_seconds=math.inf if is_quiet else self._plan.gap_seconds,
            seed=self._plan.seed,
        )

    async def _load(self, troubles: Troubles, last: Callable[[Load], Awaitable[None]]) -> None:
        """Put load on for as long as `last` lasts; afterwards all of it has been judged."""
        load = Load(
            self._cluster,
            self._upstreams[0],
            clients=self._plan.clients,
            pause_seconds=self._plan.pause_seconds,
            seed=self._plan.seed,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            group.create_task(troubles.run())
            group.create_task(self._take_turns(load, troubles))
            await last(load)
            troubles.stop()
            load.stop()
        await self._judge(load.generation, troubles)

    async def _take_turns(self, load: Load, troubles: Troubles) -> None:
        for upstream in itertools.cycle(reversed(self._upstreams)):
            if await is_set_within(load.stopping, GENERATION_SECONDS):
                return
            await self._judge(load.turn(upstream), troubles)

    async def _judge(self, generation: Generation, troubles: Troubles) -> None:
        self.findings.add(await judge(generation, self._judging, self._http, troubles))

    async def _warm_up(self, load: Load) -> None:
        await is_set_within(self.interrupted, WARM_UP_SECONDS)

    async def _watch(self, load: Load, troubles: Troubles, rows: list[Row]) -> None:
        """Note the rows of the run, and end with it."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        step = self._plan.row_seconds / LOOKS
        load.take_tally()
        self._gauges.begin()
        for number in range(1, self._plan.rows * LOOKS + 1):
            if await is_set_within(self.interrupted, began_at + number * step - loop.time()):
                return
            await self._gauges.look()
            if number % LOOKS == 0:
                rows.append(self._gauges.row(loop.time() - began_at, load.take_tally(), troubles.news()))
                self._console.print(line(rows[-1]), markup=False, soft_wrap=True)
                self._start_what_has_ended()

    def _start_what_has_ended(self) -> None:
        for process in self._cluster.processes:
            if process.has_ended_by_itself:
                self.findings.add([f"{process.name} ended by itself with status {process.exit_status}"])
                process.start()

    async def _at_rest(self) -> dict[str, Vitals]:
        """Return what each process has when nothing is asked of it, and its idle connections to the upstream are closed."""
        for way in self._ways:
            way.cut()
        give_up = asyncio.get_running_loop().time() + REST_SECONDS_MAX
        look = await self._gauges.look()
        while look.holds or look.outbox:
            if asyncio.get_running_loop().time() > give_up:
                self.findings.add([f"at rest {look.holds} are held and {look.outbox} wait in the outbox"])
                break
            await asyncio.sleep(1)
            look = await self._gauges.look()
        await asyncio.sleep(REST_SECONDS)
        return (await self._gauges.look()).processes


@click.command()
@click.option(
    "--minutes",
    default=20.0,
    show_default=True,
    type=click.FloatRange(min=0.5),
    help="How long the load lasts.",
)
@click.option(
    "--seed",
    default=None,
    type=int,
    help="Draws what clients, upstreams and the driver do; random unless given.",
)
@click.option(
    "--clients", default=60, show_default=True, type=click.IntRange(min=1), help="Clients in a closed loop."
)
@click.option(
    "--pause",
    default=0.6,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that a client rests at most.",
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON here as well.")
def main(minutes: float, seed: int | None, clients: int, pause: float, save: Path | None) -> None:
    """Put a steady mixed load on a whole cluster, and see that nothing grows."""
    console = Console(highlight=False)
    plan = Plan(
        minutes=minutes,
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        clients=clients,
        pause_seconds=pause,
    )
    console.print(f"{minutes:g} minutes, {clients} clients, --seed {plan.seed}. Starting the cluster …")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_soak(plan, console))
    for path in (RESULTS / f"soak-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", save):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
            console.print(f"Kept as {path}", soft_wrap=True)
    for sentence in report.conclusion:
        console.print(sentence, markup=False, soft_wrap=True)
    sys.exit(0 if report.is_flat else 1)


async def _soak(plan: Plan, console: Console) -> Report:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-soak-")))
        cluster = await stack.enter_async_context(running_cluster(folder, **SETTINGS))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=HTTP_SECONDS, trust_env=False))
        operator = await stack.enter_async_context(cluster.operator())
        first, second, third = [await stack.enter_async_context(cluster.database()) for _ in range(3)]
        url = await _second_simulator(cluster, stack)
        upstreams = (
            await _upstream(operator, cluster.simulator_url, cluster.upstream),
            await _upstream(operator, url, cluster.network.proxy(url)),
        )
        soak = Soak(plan, cluster, upstreams, (first, second, third), http, console)
        _end_in_order(soak.interrupted)
        return await soak.run(describe_machine(await first.fetchval("SHOW server_version")), operator)


async def _second_simulator(cluster: Cluster, stack: AsyncExitStack) -> str:
    """Start one more simulator, which `stack` ends; return where it listens."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    simulator = Process(
        "simulator-b",
        ["-m", "services.simulator", "--host", HOST, "--port", str(port)],
        variables={},
        log=cluster.folder / "simulator-b.log",
        ready_url=f"{url}/_sim/health",
    )
    simulator.start()
    stack.callback(simulator.kill)
    await simulator.wait_ready()
    return url


async def _upstream(operator: Operator, url: str, way: Proxy) -> Upstream:
    tenants = [
        await operator.make_tenant(balance_nano_usd=BALANCE_NANO_USD, upstream_url=way.url)
        for _ in range(TENANTS)
    ]
    return Upstream(url=url, way=way, tenants=tuple(tenants))


def _end_in_order(interrupted: asyncio.Event) -> None:
    """Let the first signal set `interrupted`; the second does what it always does."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        interrupted.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)


if __name__ == "__main__":
    main()
