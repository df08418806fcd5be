"""Two stacks for the whole session, an operator and a tenant for each test.

`stack` runs with the defaults that a newcomer gets. `cluster` has two replicas of every service and is quick to send keep-alive
comments. Every test that uses one belongs to the xdist group `e2e`, so that there is only one of each.
"""

from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator, Tenant, operate

DEADLINE_SECONDS = 60.0


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One replica of each service, default settings."""
    with RunningStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Two replicas of each service behind a load balancer; keep-alive comments come after a fifth of a second."""
    with RunningStack(
        tmp_path_factory.mktemp("cluster"),
        replicas=2,
        keep_alive_seconds="0.2",
        status_held_seconds="0.2",
        trusted_proxies="127.0.0.0/8",
    ) as running:
        yield running


@pytest.fixture
async def operator(stack: RunningStack) -> AsyncIterator[Operator]:
    """The operator of `stack`."""
    async with operate(stack) as person:
        yield person


@pytest.fixture
async def cluster_operator(cluster: RunningStack) -> AsyncIterator[Operator]:
    """The operator of `cluster`."""
    async with operate(cluster) as person:
        yield person


@pytest.fixture
async def tenant(operator: Operator) -> Tenant:
    """A tenant of `stack` with money."""
    return await operator.make_tenant()


@pytest.fixture
async def client(stack: RunningStack, tenant: Tenant) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK with the tenant's key, as an application sets it up, without repeats."""
    async with openai.AsyncOpenAI(
        base_url=stack.base_url, api_key=tenant.key, max_retries=0, timeout=DEADLINE_SECONDS
    ) as connected:
        yield connected
