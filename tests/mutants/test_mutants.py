"""The mutants fit the code as it stands, and a few are tried for real; `python -m tests.mutants` tries them all."""

import re

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.limits import MUTANTS as LIMITS
from tests.mutants.money import MUTANTS as MONEY
from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.operators import MUTANTS as OPERATORS
from tests.mutants.people import MUTANTS as PEOPLE
from tests.mutants.prices import MUTANTS as PRICES
from tests.mutants.records import MUTANTS as RECORDS
from tests.mutants.services import MUTANTS as SERVICES
from tests.mutants.streams import MUTANTS as STREAMS
from tests.mutants.trial import ROOT, Verdict, copied, judge, missing, verdict_of
from tests.mutants.witness import Report

PURE_TEST = "tests/shared/test_ids.py"


def mutant(old: str, new: str) -> Mutant:
    """Return a mutant of the module of ids."""
    return Mutant(name="x", breaks="x", file="shared/ids.py", old=old, new=new, tests=(PURE_TEST,))


def report(test: str, *, phase: str = "call", crash: str | None = None) -> Report:
    """Return the report of a test that passed, or failed with `crash`."""
    return Report(test=test, phase=phase, has_failed=crash is not None, crash=crash or "")


def test_names_are_unique() -> None:
    """Each can be tried by its name."""
    parts = (MONEY, LIMITS, STREAMS, SERVICES, PRICES, PEOPLE, OPERATORS, RECORDS)
    assert len(MUTANTS) == sum(len(part) for part in parts)


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_applies(name: str) -> None:
    """What it replaces stands in its file exactly once, and the result is no syntax error."""
    each = MUTANTS[name]
    text = (ROOT / each.file).read_text()

    assert text.count(each.old) == 1, "change the mutant with the code"
    if each.file.endswith(".py"):
        compile(text.replace(each.old, each.new), each.file, "exec")


def test_every_test_that_a_mutant_names_exists() -> None:
    """By its node id; a test that was renamed would catch nothing."""
    assert missing(ROOT, sorted({test for each in MUTANTS.values() for test in each.tests})) == ""


def test_every_invariant_of_the_ledger_has_a_mutant() -> None:
    """The numbers are those of ARCHITECTURE.md."""
    invariants = set(re.findall(r"^- \*\*(I\d+)\*\*", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE))

    assert invariants
    assert invariants <= {each.breaks.partition(":")[0] for each in MUTANTS.values()}


@pytest.mark.parametrize(
    "name",
    [
        "settle without a state check",
        "negative usage believed",
        "END accepted with missing bytes",
        "frame of an old attempt accepted",
    ],
)
def test_a_mutant_is_caught(name: str) -> None:
    """By each of its tests, in a copy of the tree."""
    judgement = judge(MUTANTS[name])

    assert judgement.verdict is Verdict.CAUGHT, judgement.reason


def test_a_fault_that_no_test_sees_survives() -> None:
    """Or nothing would be proved by the others."""
    judgement = judge(mutant("New identifiers.", "Identifiers."))

    assert judgement.verdict is Verdict.SURVIVED


def test_a_mutant_that_cannot_run_is_not_caught() -> None:
    """A module that cannot be imported fails every test, and shows nothing."""
    judgement = judge(mutant("def base62(", "import nowhere\n\n\ndef base62("))

    assert judgement.verdict is Verdict.NOT_TRIED


def test_a_text_that_stands_nowhere_or_twice_is_not_replaced() -> None:
    """The tree stays as it was."""
    with copied() as root:
        before = (root / "shared/ids.py").read_text()
        for old in ("no such text", "def "):
            with pytest.raises(DoesNotApply):
                mutant(old, "x").apply(root)
        assert (root / "shared/ids.py").read_text() == before


def test_each_named_test_has_to_fail_by_itself() -> None:
    """One of two is not enough, nor is a setup that fails, nor a fault that is none of the product's."""
    broken = report("a.py::test_one[case]", crash="assert 1 == 2")
    tests = ("a.py::test_one", "a.py::test_two")

    assert verdict_of(tests, [broken, report("a.py::test_two")]).verdict is Verdict.SURVIVED
    assert verdict_of(tests[:1], [broken, report("a.py::test_two")]).verdict is Verdict.CAUGHT
    for useless in (
        report("a.py::test_two", phase="setup", crash="assert 1 == 2"),
        report("a.py::test_two", crash="NameError: name 'x' is not defined"),
    ):
        assert verdict_of(tests, [broken, useless]).verdict is Verdict.NOT_TRIED
