"""One whole Relay for each test that asks for it."""

from collections.abc import AsyncIterator

import pytest

from tests.observability.whole import Whole, whole


@pytest.fixture
async def relay(database_url: str, nats_url: str) -> AsyncIterator[Whole]:
    """All four services in this process, on a database of their own."""
    async with whole(database_url, nats_url) as running:
        yield running
