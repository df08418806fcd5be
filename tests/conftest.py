"""Real servers for every test that needs them: PostgreSQL, nats-server and a whole site, one of each for each test process."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from services.devstack.nats import EmbeddedNats
from services.devstack.postgres import EmbeddedPostgres
from tests.databases import database
from tests.e2e.stack import RunningStack

# How fast the machine is says nothing about what is tested.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")

MEMORY = Path("/dev/shm")  # pytest makes a folder of its own in it, for its user alone
MEMORY_BYTES_MIN = 6 * 1024**3  # what a whole run has in it at a time, twice

TESTS = Path(__file__).parent
BROWSER_TESTS = TESTS / "browser"
# What everybody meets: the newcomer's path, and every page once. `make browser` walks every flow.
FIRST_BROWSER_TESTS = {"test_accessibility.py", "test_chromium.py", "test_newcomer.py", "test_pages.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let somebody choose how much is done in a browser; nothing of it goes missing by itself."""
    parser.addoption(
        "--browser", choices=("no", "first", "all"), default="all", help="how much of tests/browser runs"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let the servers of tests have their files in memory, where there is plenty: a disk can take ten times as long."""
    if MEMORY.is_dir() and min(shutil.disk_usage(MEMORY).free, _available_memory_bytes()) >= MEMORY_BYTES_MIN:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # noqa: TID251  # pytest's own setting


def _available_memory_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which tests in a browser do not run."""
    return {
        "no": "tests/browser is left out",
        "first": "tests/browser: the newcomer's path and every page; the other flows are in `make browser`",
    }.get(config.getoption("--browser"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out tests in a browser, if that was asked for."""
    chosen = config.getoption("--browser")
    is_test = collection_path.parent == BROWSER_TESTS and collection_path.name.startswith("test_")
    is_left_out = {
        "no": collection_path == BROWSER_TESTS,
        "first": is_test and collection_path.name not in FIRST_BROWSER_TESTS,
    }.get(chosen, False)
    return True if is_left_out else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of a file run in one process, unless they say where: what its fixtures start is started once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).as_posix()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail where groups are asked for and not seen, as by versions of pytest and pytest-xdist that do not fit together."""
    if getattr(session.config.option, "loadgroup", False):
        assert all("@" in item.nodeid for item in session.items), (
            "pytest-xdist does not see the groups of tests"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a test as it can be run again, without its group; the process that runs it goes by the whole name."""
    name, _, group = report.nodeid.rpartition("@")
    if hasattr(report, "node") and name and "]" not in group:
        report.nodeid = name


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The superuser's URL of a PostgreSQL server that lives as long as the session."""
    data_dir = tmp_path_factory.mktemp("postgres")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        yield server.url
    shutil.rmtree(data_dir)  # 40 MB, and pytest would keep the last three


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """The superuser's URL of an empty database of this test alone; dropped afterwards, even while in use."""
    async with database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a nats-server without users that lives as long as the session."""
    with EmbeddedNats(tmp_path_factory.mktemp("nats"), "") as server:
        yield server.url


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running stack for what is done in the console, by a browser or over its API; anybody may sign up.

    Every test that uses it belongs to the xdist group `site`, so that there is only one. It believes a proxy, so that each
    party can have an address of its own.
    """
    with RunningStack(tmp_path_factory.mktemp("site"), trusted_proxies="127.0.0.0/8") as running:
        yield running
