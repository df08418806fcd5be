"""The people of the matrix, for the whole session."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.world import World, populated
from tests.e2e.stack import RunningStack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(site: RunningStack) -> AsyncIterator[World]:
    """Two users, an operator and nobody."""
    async with populated(site) as world:
        yield world
