"""`docs/failover.md` tells the truth about the tests: each row of each table names at least one, and all of them exist."""

import re
from pathlib import Path

from tests.test_promises import NODE, exists

PAGE = (Path(__file__).parents[1] / "docs/failover.md").read_text()
FAULTS = (
    "refused", "slow", "stalled", "cut", "malformed", "empty", "error as first event", "200 with an error inside",
    "lying `[DONE]`",
)  # fmt: skip


def _rows() -> list[str]:
    """Return the rows of every table but their heads and the rules below these."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    return [line for line in lines if not re.fullmatch(r"[|\- ]+", line) and not line.endswith("| tests |")]


def test_every_row_names_tests_that_exist() -> None:
    """By file and function."""
    assert len(_rows()) > 25
    for row in _rows():
        named = NODE.findall(row)
        assert named, row
        assert [node for node in named if not exists(node)] == [], row


def test_every_fault_of_the_contract_has_a_row() -> None:
    """Those that it was written for."""
    for fault in FAULTS:
        assert any(row.startswith((f"| {fault}:", f"| {fault},", f"| {fault} ")) for row in _rows()), fault
