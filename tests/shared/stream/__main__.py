"""The simulation of the stream protocol: `python -m tests.shared.stream [--seeds N] [--first N] [--jobs N]`.

With the number of a SEED instead it replays that one.

Exit status 1 if a seed failed; each is printed with the promise that it broke and the command that replays it.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.shared.stream import campaign
from tests.shared.stream.processes import Violation
from tests.shared.stream.simulation import simulate

COMMAND = "python -m tests.shared.stream"


def main(arguments: Sequence[str]) -> int:
    """Run many seeds or replay one, and return the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Simulate the stream protocol.")
    parser.add_argument("seed", nargs="?", type=int, help="replay this seed alone")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many to run (10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=campaign.cores(), help="processes (one for each core)")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _replay(chosen.seed)
    try:
        tally = campaign.run(range(chosen.first, chosen.first + chosen.seeds), jobs=chosen.jobs)
    except KeyboardInterrupt:
        return 130
    _say(tally.table())
    for seed, violation in sorted(tally.violations.items()):
        _say(f"{violation}\n    replay: {COMMAND} {seed}")
    return 1 if tally.violations else 0


def _replay(seed: int) -> int:
    try:
        world = simulate(seed)
    except Violation as violation:
        _say(str(violation))
        return 1
    _say(f"{world.weather}\n{world.frames} frames, {world.resends} of them again, in {world.now:.0f} s")
    for request in world.requests.values():
        hold = world.holds.by_request.get(request.request_id)
        _say(f"{len(request.output)} bytes, {request.outcomes}, {hold}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
