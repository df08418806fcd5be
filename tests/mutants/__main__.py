"""Try every mutant, or those that are named: `python -m tests.mutants [--jobs N] [NAME …]`.

First all tests that are named run once without a fault: what fails then proves nothing. Then each mutant is tried in a copy
of its own. Exit status 1 unless all are caught.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.trial import CannotRun, Verdict, copied, judge, run


def main(arguments: Sequence[str]) -> int:
    """Try mutants, report each, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to try; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at the same time")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.names) - MUTANTS.keys()):
        parser.error(f"there is no mutant {', '.join(map(repr, unknown))}; there are: {', '.join(MUTANTS)}")
    mutants = [MUTANTS[name] for name in chosen.names] or list(MUTANTS.values())
    return _try_all(mutants, jobs=chosen.jobs) if _is_sound(mutants) else 1


def _is_sound(mutants: Sequence[Mutant]) -> bool:
    """Whether every test that is named passes without a fault; what does not is printed."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    _say(f"{len(tests)} tests without a fault …")
    try:
        with copied() as root:
            failures = [report for report in run(root, tests) if report.has_failed]
    except CannotRun as error:
        _say(str(error))
        return False
    for failure in failures:
        _say(f"fails without a fault: {failure.test} ({failure.phase}): {failure.crash}")
    return not failures


def _try_all(mutants: Sequence[Mutant], *, jobs: int) -> int:
    counts: Counter[Verdict] = Counter()
    with ThreadPoolExecutor(jobs) as pool:
        trials = {pool.submit(judge, mutant): mutant for mutant in mutants}
        try:
            for trial in as_completed(trials):
                mutant, judgement = trials[trial], trial.result()
                counts[judgement.verdict] += 1
                _say(f"{judgement.verdict:15} {mutant.name} ({mutant.breaks})")
                _say(f"{'':15} {judgement.reason}")
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            return 130
    _say(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 0 if set(counts) == {Verdict.CAUGHT} else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
