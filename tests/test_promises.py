"""`docs/promises.md` tells the truth about the tests: what it names exists, and nothing of its list is forgotten."""

import ast
import itertools
import re
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/promises.md").read_text()
NODE = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")
NUMBER = re.compile(r"\b[FTR]\d+\b")
RANGES = ((1, 17), (20, 29), (31, 36), (41, 43), (46, 47), (53, 64), (69, 72), (76, 98), (101, 101))
FAULTS = [f"F{number}" for first, last in RANGES for number in range(first, last + 1)]
STEPS = [*(f"T{number}" for number in range(17)), "R1"]
PARTS = 5  # that may die in each step
DASH = "– "


def test_every_test_that_is_named_exists() -> None:
    """By its file, class and function; a parametrised one by its base name."""
    nodes = NODE.findall(PAGE)
    missing = sorted({node for node in nodes if not exists(node)})

    assert len(nodes) > len(FAULTS)
    assert missing == [], "name the test as it is called"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_list_has_a_promise_and_a_test(fault: str) -> None:
    """In one row; one that has no test stands where the page says what is not covered."""
    rows = [cells for cells in _rows("Faults") if cells[0].split()[0] == fault]

    assert len(rows) == 1, "one row for each fault"
    (_, promise, tests) = rows[0]
    assert promise
    assert NODE.search(tests) or fault in _not_covered(), "a promise without a test is not covered: say so"


@pytest.mark.parametrize("step", STEPS)
def test_every_cell_of_the_crash_table_has_a_test_or_a_reason(step: str) -> None:
    """Or its step stands where the page says what is not covered."""
    rows = [cells for cells in _rows("The crash table") if cells[0].split()[0] == step]

    assert [len(cells) for cells in rows] == [1 + PARTS]
    for cell in rows[0][1:]:
        has_answer = NODE.search(cell) or (cell.startswith(DASH) and len(cell) > len(DASH))
        assert has_answer or step in _not_covered(), cell


def test_every_mutant_is_listed() -> None:
    """With the promise that it breaks, and none that is not tried any more."""
    listed = {
        (promise, name)
        for promise, names in itertools.islice(_rows("Mutants"), 1, None)
        for name in re.findall(r"`([^`]+)`", names)
    }

    assert listed == {(mutant.breaks, mutant.name) for mutant in MUTANTS.values()}


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _rows(title: str) -> list[list[str]]:
    """Return the cells of every row of the section's tables, their heads included, the rules below the heads left out."""
    lines = [line for line in _section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def _not_covered() -> set[str]:
    return set(NUMBER.findall(_section("Not covered")))


def exists(node: str) -> bool:
    """Return whether a test is there: `path::function`, or `path::Class::function`."""
    path, _, name = node.partition("::")
    return (ROOT / path).is_file() and name in _names(path)


@cache
def _names(path: str) -> frozenset[str]:
    """Return the tests of a file, those of a class behind its name."""
    body = ast.parse((ROOT / path).read_text()).body
    scopes = [("", body), *((f"{each.name}::", each.body) for each in body if isinstance(each, ast.ClassDef))]
    return frozenset(
        prefix + each.name
        for prefix, scope in scopes
        for each in scope
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )
