"""What a soak notes over time, and the rule by which something grew. Pure.

A figure grew in the run when its trend over the second half of the rows, times the length of that half, is more than its
tolerance. The trend is the median of the slopes between all pairs of rows (Theil and Sen), so that a few rows in which a fault
was at work decide nothing. The first half is for caches, pools and the allocator to fill.

What belongs to a process is judged for those that live through the whole run, since one that was killed begins anew; what belongs
to the whole is judged as it is. A tolerance is an amount, or a share of the figure's median, whichever is more:

    memory of a process                      6 MB or 5 %
    its descriptors, its tasks               8 or 15 %
    live holds, upstream connections         8 or 30 %
    PostgreSQL connections                   4 or 20 %
    outbox rows                              20
    plain answer, first byte (medians)       30 ms or 100 %: other work on the machine is in them

At rest, before and after the run, there are no pairs to compare, and nothing runs: `kept` compares amounts.
"""

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence

import msgspec

ROWS_MIN = 6  # in the second half, for a trend that means something
MEGABYTE = 1_000_000
SERVICES = ("auth", "billing", "dispatcher", "edge")
VERDICTS = ("complete", "left", "refused", "broken", "nothing")


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has, or the processes of one service together."""

    memory_bytes: int
    descriptors: int
    tasks: int


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """The median and the 99th percentile of some waits, in seconds; None for none."""

    median_seconds: float | None
    p99_seconds: float | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One interval: how its requests ended, and the medians of what was there. `at_seconds` is its end, since the start of the run.

    `processes` has every replica that was seen in the interval, by name. `spilled` counts claims that took the way of the spill,
    since the start of the processes that there are. `busy_cores` is what the whole machine used, `own_memory_bytes` is that of the
    driver itself.
    """

    at_seconds: float
    verdicts: dict[str, int]
    plain: Waits
    first_byte: Waits
    processes: dict[str, Vitals]
    holds: int
    postgres_connections: int
    upstream_connections: int
    outbox: int
    spilled: int
    lag_seconds: float
    busy_cores: float
    own_memory_bytes: int
    troubles: list[str]

    @property
    def requests(self) -> int:
        """How many requests ended in the interval."""
        return sum(self.verdicts.values())

    def service(self, name: str) -> Vitals:
        """Return what the processes of a service have together."""
        parts = [vitals for process, vitals in self.processes.items() if process.startswith(f"{name}-")]
        return Vitals(
            memory_bytes=sum(part.memory_bytes for part in parts),
            descriptors=sum(part.descriptors for part in parts),
            tasks=sum(part.tasks for part in parts),
        )


class Tolerance(msgspec.Struct, frozen=True):
    """How much more a figure may be at the end than at the beginning: an amount, or a share of it, whichever is more."""

    amount: float
    share: float = 0.0

    def of(self, figure: float) -> float:
        """Return the amount for a figure of that size."""
        return max(self.amount, self.share * figure)


MEMORY = Tolerance(6 * MEGABYTE, 0.05)
COUNT = Tolerance(8, 0.15)
LATENCY = Tolerance(0.030, 1.0)
WHOLE: tuple[tuple[str, Tolerance, Callable[[Row], float | None]], ...] = (
    ("live holds", Tolerance(8, 0.30), lambda row: row.holds),
    ("upstream connections", Tolerance(8, 0.30), lambda row: row.upstream_connections),
    ("PostgreSQL connections", Tolerance(4, 0.20), lambda row: row.postgres_connections),
    ("outbox rows", Tolerance(20), lambda row: row.outbox),
    ("seconds of a plain answer", LATENCY, lambda row: row.plain.median_seconds),
    ("seconds to the first byte", LATENCY, lambda row: row.first_byte.median_seconds),
)
PARTS: tuple[tuple[str, Tolerance, Callable[[Vitals], float]], ...] = (
    ("bytes of memory", MEMORY, lambda vitals: vitals.memory_bytes),
    ("descriptors", COUNT, lambda vitals: vitals.descriptors),
    ("tasks", COUNT, lambda vitals: vitals.tasks),
)
REST = {
    "bytes of memory": Tolerance(32 * MEGABYTE),
    "descriptors": Tolerance(12),  # a pool that has grown keeps its connections for five minutes
    "tasks": Tolerance(6),
}


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median slope between all pairs of points, 0 when there is no pair."""
    slopes = [(y - x) / (t - s) for (s, x), (t, y) in itertools.combinations(points, 2) if t != s]
    return statistics.median(slopes) if slopes else 0.0


def growth(rows: Sequence[Row], lasting: Sequence[str]) -> list[str] | None:
    """Return what grew over the second half, as sentences, by the rule above; None when the run was too short to tell.

    `lasting` names the processes that have lived through the whole run.
    """
    half = rows[len(rows) // 2 :]
    if len(half) < ROWS_MIN:
        return None
    found = []
    for name, tolerance, figure in WHOLE:
        points = [(row.at_seconds, value) for row in half if (value := figure(row)) is not None]
        found += _grown(name, points, tolerance)
    for process in lasting:
        for name, tolerance, part in PARTS:
            points = [
                (row.at_seconds, part(row.processes[process])) for row in half if process in row.processes
            ]
            found += _grown(f"{process}: {name}", points, tolerance)
    return found


def kept(before: Mapping[str, Vitals], after: Mapping[str, Vitals]) -> list[str]:
    """Return what processes have at rest that they had not before, as sentences; REST says how much is nothing."""
    return [
        f"{process} has {part(after[process]):,.0f} {name} at rest, had {part(before[process]):,.0f}"
        for process in sorted(after)
        for name, _, part in PARTS
        if part(after[process]) > part(before[process]) + REST[name].amount
    ]


def waits(seconds: Sequence[float]) -> Waits:
    """Return their median and 99th percentile."""
    if not seconds:
        return Waits(median_seconds=None, p99_seconds=None)
    ordered = sorted(seconds)
    return Waits(
        median_seconds=statistics.median(ordered),
        p99_seconds=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
    )


def median_vitals(samples: Sequence[Vitals]) -> Vitals:
    """Return the medians of samples of one process; there must be one."""
    return Vitals(
        memory_bytes=statistics.median_low([sample.memory_bytes for sample in samples]),
        descriptors=statistics.median_low([sample.descriptors for sample in samples]),
        tasks=statistics.median_low([sample.tasks for sample in samples]),
    )


HEADINGS = (
    ("time", 6), *((verdict, 8) for verdict in VERDICTS),
    ("plain ms", 10), ("1st ms", 10), ("MB", 15), ("descriptors", 15), ("tasks", 15),
    ("held", 4), ("pg", 3), ("up", 3), ("out", 3), ("spill", 5), ("lag", 4), ("cores", 5), ("own", 4),
)  # fmt: skip
LEGEND = (
    "Times are median/p99 in ms of requests that met no fault; MB, descriptors and tasks are of auth/billing/dispatcher/edge, each "
    "with both its processes; pg and up are connections to PostgreSQL and to the upstream; lag is that of the slowest loop in ms; "
    "cores are those that the whole machine used; own is the memory of the driver."
)


def header() -> str:
    """Return the line above the rows."""
    return " ".join(f"{name:>{width}}" for name, width in HEADINGS)


def line(row: Row) -> str:
    """Return a row as a line of the table, and after it the troubles that the driver made."""
    services = [row.service(name) for name in SERVICES]
    minutes, seconds = divmod(round(row.at_seconds), 60)
    cells = [
        f"{minutes}:{seconds:02d}",
        *(str(row.verdicts.get(verdict, 0)) for verdict in VERDICTS),
        _milliseconds(row.plain),
        _milliseconds(row.first_byte),
        "/".join(f"{vitals.memory_bytes / MEGABYTE:.0f}" for vitals in services),
        "/".join(str(vitals.descriptors) for vitals in services),
        "/".join(str(vitals.tasks) for vitals in services),
        *(str(each) for each in (row.holds, row.postgres_connections, row.upstream_connections, row.outbox)),
        str(row.spilled),
        f"{row.lag_seconds * 1000:.0f}",
        f"{row.busy_cores:.1f}",
        f"{row.own_memory_bytes / MEGABYTE:.0f}",
    ]
    shown = " ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, HEADINGS, strict=True))
    return f"{shown}  {', '.join(row.troubles)}".rstrip()


def _grown(name: str, points: list[tuple[float, float]], tolerance: Tolerance) -> list[str]:
    if len(points) < ROWS_MIN:
        return []
    span = points[-1][0] - points[0][0]
    more = slope(points) * span
    middle = statistics.median(value for _, value in points)
    if more <= tolerance.of(middle):
        return []
    shown = f"{more:,.3g}" if middle < 1 else f"{more:,.0f}"
    return [f"{name}: {shown} more in the {span:.0f} s of the second half, {middle:,.3g} in the middle"]


def _milliseconds(measured: Waits) -> str:
    if measured.median_seconds is None or measured.p99_seconds is None:
        return "-"
    return f"{measured.median_seconds * 1000:.0f}/{measured.p99_seconds * 1000:.0f}"
