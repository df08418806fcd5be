"""A running simulator for each test."""

from collections.abc import AsyncIterator

import pytest

from services.simulator.server import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A clean simulator on a free port."""
    async with Simulator() as running:
        yield running
