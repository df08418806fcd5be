"""One cluster for each test process; every scenario finds it whole, and leaves it whole whatever it did."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.audit import Baseline
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.stage import Stage, set_stage, warm_up

SEEDS = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take how many seeds are to be played, or which."""
    parser.addoption("--seeds", type=int, default=SEEDS, help="how many seeds of tests/faults/test_seeds.py")
    parser.addoption("--seed", type=int, action="append", help="play this one again, and no others")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test of seeds those that were asked for."""
    if "fault_seed" not in metafunc.fixturenames:
        return
    given: list[int] = metafunc.config.getoption("--seed") or []
    metafunc.parametrize("fault_seed", given or range(metafunc.config.getoption("--seeds")))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Cluster, Baseline]]:
    """The cluster of this test process, and what its processes have when idle."""
    async with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster, await warm_up(cluster)


@pytest.fixture
async def stage(lasting: tuple[Cluster, Baseline]) -> AsyncIterator[Stage]:
    """The stage of one scenario."""
    async with set_stage(*lasting) as stage:
        yield stage
