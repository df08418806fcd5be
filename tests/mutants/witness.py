"""A plugin of pytest that writes down what every test did, and which code it did it to: `-p tests.mutants.witness`."""

import sys
from pathlib import Path

import msgspec
import pytest

PACKAGES = ("services", "shared", "tests")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How one phase of a test (setup, call or teardown) ended; `crash` is the error in one line, if there was one."""

    test: str
    phase: str
    has_failed: bool
    crash: str = ""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `strangers` are modules of ours that were imported from elsewhere than the tree that was tested."""

    reports: list[Report]
    strangers: list[str]


class Witness:
    """Notes each report, and writes the account when the session ends."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = root
        self._reports: list[Report] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a phase of a test ended."""
        crash = getattr(report.longrepr, "reprcrash", None)
        line = str(crash.message if crash is not None else report.longrepr or "").partition("\n")[0]
        self._reports.append(
            Report(test=report.nodeid, phase=report.when or "", has_failed=report.failed, crash=line)
        )

    def pytest_sessionfinish(self) -> None:
        """Write the account."""
        strangers = [name for name in sorted(sys.modules) if self._is_stranger(name)]
        self._path.write_bytes(msgspec.json.encode(Account(reports=self._reports, strangers=strangers)))

    def _is_stranger(self, name: str) -> bool:
        place = getattr(sys.modules[name], "__file__", None)
        return (
            name.partition(".")[0] in PACKAGES
            and place is not None
            and not Path(place).is_relative_to(self._root)
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the path of the account."""
    parser.addoption("--witness", type=Path, help="file for what the tests did")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to note."""
    path = config.getoption("--witness")
    if path is not None:
        config.pluginmanager.register(Witness(path, config.rootpath))
