"""Many seeds of the simulation on all cores, and what came of them by weather."""

import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from shared.stream.actions import Failed
from tests.shared.stream.audit import is_complete, is_given_away
from tests.shared.stream.edges import Request
from tests.shared.stream.processes import Violation
from tests.shared.stream.simulation import World, simulate
from tests.shared.stream.weather import KINDS

CHUNK_SEEDS = 50
COLUMNS = (
    "runs", "requests", "complete", "given away", "visible error", "edge died", "asked again", "kills", "restarts",
    "frames", "resends",
)  # fmt: skip


@dataclass
class Tally:
    """What came of some seeds: counts by weather, why requests failed, and the violations by seed."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[str] = field(default_factory=Counter)
    violations: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in another tally."""
        for kind, counts in other.counts.items():
            self.counts[kind].update(counts)
        self.reasons.update(other.reasons)
        self.violations.update(other.violations)

    def note(self, world: World) -> None:
        """Take in a run that kept every promise."""
        counts = self.counts[world.weather.kind]
        counts.update(runs=1, frames=world.frames, resends=world.resends)
        counts.update(kills=world.kills, restarts=world.restarts)
        for request in world.requests.values():
            if request.edge is not None:
                counts.update(self._of(world, request))

    def table(self) -> str:
        """Return the counts as a table, a line for each weather."""
        lines = ["weather " + " ".join(f"{column:>13}" for column in COLUMNS)]
        kinds = [kind for kind in KINDS if kind in self.counts]
        total: Counter[str] = sum((self.counts[kind] for kind in kinds), Counter())
        for kind, counts in [*((kind, self.counts[kind]) for kind in kinds), ("total", total)]:
            lines.append(f"{kind:8}" + " ".join(f"{counts[column]:>13,}" for column in COLUMNS))
        lines.append(
            "errors: " + ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common())
        )
        return "\n".join(lines)

    def _of(self, world: World, request: Request) -> Iterable[str]:
        yield "requests"
        if len(request.legs) > 1:
            yield "asked again"
        if request.edge is None or not request.edge.is_alive:
            yield "edge died"
        elif is_complete(request):
            yield "given away" if is_given_away(world, request) else "complete"
        else:
            outcome = request.outcomes[0]
            self.reasons[outcome.reason if isinstance(outcome, Failed) else "said by the dispatcher"] += 1
            yield "visible error"


def run(seeds: Sequence[int], *, jobs: int) -> Tally:
    """Run the seeds in `jobs` processes, and say how far it is on stderr. Ctrl-C ends it at once and raises KeyboardInterrupt."""
    tally, started_at, done = Tally(), time.monotonic(), 0
    with ProcessPoolExecutor(jobs, initializer=_ignore_interrupts) as pool:
        chunks = [seeds[start : start + CHUNK_SEEDS] for start in range(0, len(seeds), CHUNK_SEEDS)]
        waiting: dict[Future[Tally], int] = {pool.submit(tally_of, chunk): len(chunk) for chunk in chunks}
        try:
            for finished in as_completed(waiting):
                tally.add(finished.result())
                done += waiting[finished]
                rate = done / max(time.monotonic() - started_at, 0.001)
                sys.stderr.write(
                    f"\r{done:,} of {len(seeds):,} seeds, {rate:.0f} a second, {len(tally.violations)} failed "
                )
                sys.stderr.flush()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            sys.stderr.write("\n")
    return tally


def tally_of(seeds: Sequence[int]) -> Tally:
    """Run the seeds one after another."""
    tally = Tally()
    for seed in seeds:
        try:
            tally.note(simulate(seed))
        except Violation as violation:
            tally.violations[seed] = str(violation)
    return tally


def cores() -> int:
    """Return how many processes can run at the same time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its children
