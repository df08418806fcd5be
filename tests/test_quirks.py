"""docs/quirks.md is whole and true: every quirk has its row, and the tests that a row names are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "quirks.md").read_text().splitlines()
    if line.startswith("| Q")
]
TESTS = ROOT / "tests" / "dispatcher"


def test_every_quirk_has_one_row() -> None:
    """In order, without a gap."""
    assert [row[0] for row in ROWS] == [f"Q{number:02}" for number in range(1, 56)]


def test_a_row_names_its_tests_or_says_why_there_are_none() -> None:
    """The files exist."""
    for number, _, _, does, tests in ROWS:
        names = re.findall(r"`(test_\w+\.py)`", tests)
        assert names or does.startswith("not covered"), number
        assert all((TESTS / name).is_file() for name in names), number


def test_a_quirk_of_the_shape_of_an_answer_has_a_test_of_its_name() -> None:
    """In a file that its row names; what is older than the table is named otherwise."""
    for number, _, _, does, tests in ROWS:
        if does.startswith("not covered") or number in ("Q32", "Q49"):
            continue
        texts = [(TESTS / name).read_text() for name in re.findall(r"`(test_\w+\.py)`", tests)]
        assert any(re.search(rf"def test_(q\d\d_)*{number.lower()}_", text) for text in texts), number
