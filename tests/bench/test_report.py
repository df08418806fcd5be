"""A report survives its file, shows every phase, and compares like with like."""

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import report
from bench.client import Result, Times
from bench.phases import Measured, Measurements, Phase, Round
from bench.report import Machine, Report
from bench.stack import Ledger

PLAIN = Phase(kind="plain", connections=1)
STREAM = Phase(kind="stream", connections=50)
MACHINE = Machine(processor="cpu", cores=2, system="Linux", python="3.11", postgres="18", packages={"a": "1"})


def test_written_report_reads_back_the_same(tmp_path: Path) -> None:
    """What is kept as JSON is all of the report; folders are made as needed."""
    path = tmp_path / "results" / "one.json"
    made = _report(_round(rate=100, seconds=0.01))
    report.write(made, path)
    assert report.read(path) == made


def test_best_round_is_the_one_with_the_highest_rate() -> None:
    """A round that was disturbed is kept but not shown."""
    slow, fast = _round(rate=100, seconds=0.01), _round(rate=300, seconds=0.02)
    assert Measured(phase=PLAIN, rounds=(slow, fast, slow)).best is fast


def test_ratios_divide_new_by_old() -> None:
    """Twice the rate in half the time at the same cost is 2, 0.5 and 1."""
    old, new = _round(rate=100, seconds=0.02), _round(rate=200, seconds=0.01)
    rate, direct, median, p99, _ = report.ratios(old, new)
    assert (rate, direct, median, p99) == (2.0, 1.0, 0.5, 0.5)


def test_table_shows_each_phase_and_the_memory() -> None:
    """Streams count chunks, plain requests; memory stands below, at rest and at most."""
    measurements = Measurements(
        phases=(_measured(PLAIN), _measured(STREAM)),
        memory_at_rest_bytes={"edge-1": 30_000_000},
        requests=100,
        ledger=Ledger(usage_records=100, charged_nano_usd=1, live_holds=0, held_nano_usd=0),
    )
    lines = _text(report.table(measurements))
    plain = next(line for line in lines if "plain 1" in line)
    stream = next(line for line in lines if "stream 50" in line)
    assert " 100 " in plain
    assert " 10,000 " in stream
    assert next(line for line in lines if "MB at rest" in line).split()[-2:] == ["30", "30"]
    assert next(line for line in lines if "MB at most" in line).split()[-2:] == ["40", "40"]


def test_comparison_leaves_out_what_only_one_report_has() -> None:
    """A phase without a counterpart has no ratio."""
    old = _report(_round(rate=100, seconds=0.02))
    new = _report(_round(rate=150, seconds=0.02), phases=(PLAIN, STREAM))
    lines = _text(report.comparison(old, new))
    assert any("plain 1" in line and "1.50" in line for line in lines)
    assert not any("stream 50" in line for line in lines)


def _text(table: Table) -> list[str]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def _measured(phase: Phase) -> Measured:
    return Measured(phase=phase, rounds=(_round(rate=100, seconds=0.01),))


def _report(taken: Round, phases: tuple[Phase, ...] = (PLAIN,)) -> Report:
    measurements = Measurements(
        phases=tuple(Measured(phase=phase, rounds=(taken,)) for phase in phases),
        memory_at_rest_bytes={"edge-1": 30_000_000},
        requests=100,
        ledger=Ledger(usage_records=100, charged_nano_usd=1, live_holds=0, held_nano_usd=0),
    )
    return Report(taken_at=datetime(2026, 1, 1, tzinfo=UTC), machine=MACHINE, measurements=measurements)


def _round(*, rate: int, seconds: float) -> Round:
    return Round(
        direct=_result(1000, 0.001),
        relay=_result(rate, seconds),
        cpu_seconds={"edge-1": 0.1},
        memory_bytes={"edge-1": 40_000_000},
        other_cores=0.5,
    )


def _result(rate: int, seconds: float) -> Result:
    measured = Times(median_seconds=seconds, p99_seconds=2 * seconds)
    return Result(requests=rate, seconds=1.0, cpu_seconds=0.1, total=measured, first_byte=measured)
