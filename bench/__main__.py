"""The command line: `python -m bench`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from bench import report
from bench.client import ClientError
from bench.phases import FULL, PHASES, QUICK, Bench, Measurements, Phase, Plan
from bench.stack import Stack, StackError, running_stack
from shared.errors import RelayError

RESULTS = Path(__file__).parent / "results"
WIDTH_MIN = 180  # of the table; a narrower terminal wraps its lines
_NAMES = tuple(phase.name for phase in PHASES)


@click.command()
@click.option("--quick", is_flag=True, help="One short round of each phase, in less than 25 s.")
@click.option(
    "--only", multiple=True, type=click.Choice(_NAMES), help="Measure this phase only; may be repeated."
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON here as well.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Print ratios to the JSON of an earlier run.",
)
def main(quick: bool, only: tuple[str, ...], save: Path | None, compare: Path | None) -> None:
    """Measure Relay on this machine: speed, latency, cost and memory."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended either way, it ends the stack first
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH_MIN)
    phases = [phase for phase in PHASES if not only or phase.name in only]
    try:
        old = None if compare is None else report.read(compare)
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{compare} is not the JSON of a bench: {error}") from error
    try:
        with console.status("Starting the stack …") as status, running_stack() as stack:
            machine, measurements = asyncio.run(
                _measure(stack, QUICK if quick else FULL, phases, status.update)
            )
    except (ClientError, StackError, RelayError, OSError) as error:
        raise click.ClickException(str(error)) from error
    made = report.make(machine, measurements)
    _show(console, made, old)
    for path in (RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", save):
        if path is not None:
            report.write(made, path)
            console.print(f"Kept as {path}")


async def _measure(
    stack: Stack, plan: Plan, phases: list[Phase], tell: Callable[[str], None]
) -> tuple[report.Machine, Measurements]:
    machine = report.describe_machine(await stack.postgres_version())
    return machine, await Bench(stack, plan).run(phases, tell)


def _show(console: Console, made: report.Report, old: report.Report | None) -> None:
    measurements = made.measurements
    console.print(report.headline(made.machine), soft_wrap=True)
    console.print(report.table(measurements))
    console.print(
        f"{measurements.requests:,} requests through Relay, each answered with the upstream's own bytes; "
        f"{measurements.ledger.usage_records:,} usage records, nothing held."
    )
    if old is not None:
        console.print(report.comparison(old, made))


if __name__ == "__main__":
    sys.exit(main())
