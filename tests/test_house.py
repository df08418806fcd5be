"""The rules of the house as tests: what can be stated is checked, and the message says what to do."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.contracts.call import Call, Channel, Event, WorkQueue
from shared.contracts.permissions import Contract, declarations

ROOT = Path(__file__).parent.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
BANNED_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py", "base.py"}
SUBJECT = re.compile(r"(?:auth|billing|dispatch|channel|stream)(?:\.[a-z_]+){1,3}")
CODE = sorted(
    path for folder in ("services", "shared", "bench", "tests") for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [path for path in CODE if path.relative_to(ROOT).parts[0] in ("services", "shared")]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy", "--no-error-summary"],
        ["lint-imports", "--no-cache"],
    ],
    ids=["format", "lint", "types", "imports"],
)
def test_the_tools_find_nothing(command: list[str]) -> None:
    """Format, lint, types and import contracts hold for the whole tree."""
    program = Path(sys.executable).parent / command[0]

    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_modules_and_functions_are_small() -> None:
    """No module is longer than 400 lines and no function than 50."""
    long = [
        f"{_name(path)}: {lines} lines" for path in CODE if (lines := _line_count(path)) > MODULE_LINES_MAX
    ]
    for path in CODE:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{_name(path)}:{node.lineno} {node.name}: {lines} lines")

    assert not long, "split along a noun:\n" + "\n".join(long)


def test_names_say_something() -> None:
    """No module has a name that says nothing."""
    assert not [_name(path) for path in CODE if path.name in BANNED_NAMES]


def test_subjects_stand_in_the_contracts_alone() -> None:
    """No subject is written outside shared/contracts."""
    known = {
        contract.prefix if isinstance(contract, Channel) else contract.subject for contract in declarations()
    }
    found = [
        f"{_name(path)}:{node.lineno} {node.value}"
        for path in PRODUCT
        if "contracts" not in path.parts
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known
    ]

    assert not found


def test_subjects_in_the_database_are_those_of_the_contracts() -> None:
    """The outbox names exactly the events that billing publishes from it."""
    text = "".join(path.read_text() for path in (ROOT / "services/billing/migrations").glob("*.sql"))
    events = {contract.subject for contract in declarations() if isinstance(contract, Event)}

    written = set(re.findall(r"'(billing\.event\.[a-z_]+)'", text))

    assert written
    assert written <= events


def test_the_table_of_subjects_is_true() -> None:
    """ARCHITECTURE.md lists every subject with who asks and who answers, and no other."""
    document = (ROOT / "ARCHITECTURE.md").read_text()

    rows = {tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))[:3] for line in document.splitlines()
            if line.startswith("| `")}  # fmt: skip

    assert rows == {_row(contract) for contract in declarations()}


def test_every_subject_has_one_shape() -> None:
    """A subject is lower-case words after its owner, and an event's is marked as one."""
    for contract in declarations():
        subject = contract.prefix if isinstance(contract, Channel) else contract.subject
        assert SUBJECT.fullmatch(subject), subject
        if isinstance(contract, Event):
            assert ".event." in subject


def test_documents_have_one_title() -> None:
    """Every document begins with its only title."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    wrong = [_name(path) for path in documents if _titles(path) != 1 or not path.read_text().startswith("# ")]

    assert documents
    assert not wrong


def test_no_module_is_an_orphan() -> None:
    """Every module of the product is imported, is run, or is a package."""
    imported: set[str] = set()
    for path in CODE:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported.update(f"{node.module}.{alias.name}" for alias in node.names)
    orphans = [
        _name(path)
        for path in PRODUCT
        if path.name not in ("__init__.py", "__main__.py")
        and ".".join(path.relative_to(ROOT).with_suffix("").parts) not in imported
    ]

    assert orphans in ([], ["services/cli/main.py"])  # the entry point is named in pyproject.toml


def _row(contract: Contract) -> tuple[str, str, str]:
    match contract:
        case Call():
            return contract.subject, ", ".join(contract.callers), contract.owner
        case Event():
            return contract.subject, contract.owner, ", ".join(contract.listeners)
        case Channel():
            return contract.pattern, ", ".join(contract.senders), contract.receiver
        case WorkQueue():
            return contract.subject, ", ".join(contract.senders), contract.owner


def _titles(path: Path) -> int:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    return sum(line.startswith("# ") for line in text.splitlines())


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _line_count(path: Path) -> int:
    return len(path.read_text().splitlines())


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
