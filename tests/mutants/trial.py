"""One mutant on trial: a copy of the tree, the fault in it, and the tests that have to fail on it."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.witness import Account, Report

ROOT = Path(__file__).parent.parent.parent
PARTS = ("services", "shared", "tests", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
RUN_SECONDS = 300.0

# A mutant often shows by what never comes. The copy waits for it less patiently; the trial without a fault shows that
# this is patience enough.
PATIENCE = re.compile(r"^(PATIENCE_SECONDS) = 30\.0", re.MULTILINE)
SHORT_PATIENCE = r"\1 = 8.0"

# Faults of a mutant that cannot run at all, which prove nothing about the tests.
BLUNDERS = re.compile(
    r"\b(NameError|SyntaxError|ImportError|ModuleNotFoundError|Undefined\w+Error|PostgresSyntaxError)\b"
)


class Verdict(StrEnum):
    """What came of a trial."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    DOES_NOT_APPLY = "DOES NOT APPLY"
    NOT_TRIED = "NOT TRIED"
    """The tests could not be run, or failed for another reason than the fault."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict with its reason: how the first test failed, or what is wrong."""

    verdict: Verdict
    reason: str


class CannotRun(Exception):
    """Pytest could not run the tests, or ran them on another tree."""


def judge(mutant: Mutant) -> Judgement:
    """Return what the mutant's tests say of it, each in a tree that has this one fault."""
    with copied() as root:
        try:
            mutant.apply(root)
            reports = run(root, mutant.tests)
        except DoesNotApply as error:
            return Judgement(verdict=Verdict.DOES_NOT_APPLY, reason=str(error))
        except CannotRun as error:
            return Judgement(verdict=Verdict.NOT_TRIED, reason=str(error))
    return verdict_of(mutant.tests, reports)


def verdict_of(tests: Sequence[str], reports: Sequence[Report]) -> Judgement:
    """Return the verdict: caught if each of `tests` failed by itself, in its body or in what it checks afterwards."""
    failures = [report for report in reports if report.has_failed]
    for report in failures:
        if report.phase == "setup" or BLUNDERS.search(report.crash):
            return Judgement(verdict=Verdict.NOT_TRIED, reason=f"{report.test}: {report.crash}")
    passed = [test for test in tests if not any(is_of(report, test) for report in failures)]
    if passed:
        return Judgement(verdict=Verdict.SURVIVED, reason=f"passed: {', '.join(passed)}")
    return Judgement(verdict=Verdict.CAUGHT, reason=failures[0].crash)


def is_of(report: Report, test: str) -> bool:
    """Whether a report is of the test or class with this node id, or of one of its cases."""
    return report.test == test or report.test.startswith((test + "[", test + "::"))


@contextmanager
def copied() -> Iterator[Path]:
    """Yield the root of a copy of the tree, with less patience, which is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="relay-mutant-") as directory:
        root = Path(directory).resolve()
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=LEFT_OUT)
            else:
                shutil.copy(source, root / part)
        for path in (root / "tests").rglob("*.py"):
            text = path.read_text()
            if PATIENCE.search(text):
                path.write_text(PATIENCE.sub(SHORT_PATIENCE, text))
        yield root


def run(root: Path, tests: Sequence[str]) -> list[Report]:
    """Run tests in the tree at `root`, and return how each of their phases ended. Raises: CannotRun."""
    path = root / "account.json"
    arguments = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutants.witness",
        "--witness",
        str(path),
        *tests,
    ]
    done = _pytest(root, arguments)
    if done.returncode not in (0, 1) or not path.exists():
        raise CannotRun(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    account = msgspec.json.decode(path.read_bytes(), type=Account)
    if account.strangers:
        raise CannotRun(f"imported from elsewhere: {', '.join(account.strangers)}")
    return account.reports


def missing(root: Path, tests: Sequence[str]) -> str:
    """Return what pytest says when it does not find every one of `tests` in the tree at `root`, else nothing."""
    done = _pytest(root, ["-q", "-p", "no:cacheprovider", "--collect-only", *tests])
    return "" if done.returncode == 0 else done.stdout[-4000:] + done.stderr[-4000:]


def _pytest(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # `env` adds to the environment; what the tests start themselves imports the copy too, and leaves no bytecode in it.
    command = [
        "env",
        f"PYTHONPATH={root}",
        "PYTHONDONTWRITEBYTECODE=1",
        sys.executable,
        "-m",
        "pytest",
        *arguments,
    ]
    try:
        return subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"the tests did not end within {RUN_SECONDS:.0f} s") from error
