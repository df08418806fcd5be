"""Everybody around an edge; what is real is real, and each test has parties of its own."""

from collections.abc import AsyncIterator

import pytest

from services.edge.settings import EdgeSettings
from tests.dispatcher.rig import World, migrated, replica, settings_of, world_of
from tests.edge.rig import Around, around_of


@pytest.fixture(scope="session")
def dispatcher_url(postgres_url: str) -> str:
    """The superuser's URL of a database with the dispatcher's schema, shared by all tests."""
    return migrated(postgres_url)


@pytest.fixture
def settings(nats_url: str) -> EdgeSettings:
    """Settings of an edge of its own."""
    return EdgeSettings(nats_url=nats_url, drain_seconds=5.0)


@pytest.fixture
async def around(nats_url: str) -> AsyncIterator[Around]:
    """Everybody but the edge and the dispatcher."""
    async with around_of(nats_url) as around:
        yield around


@pytest.fixture
async def providers(around: Around, nats_url: str, dispatcher_url: str) -> AsyncIterator[World]:
    """The means to make channels and providers, for a dispatcher that does not run yet."""
    async with world_of(nats_url, dispatcher_url, billing=around.billing) as world:
        yield world


@pytest.fixture
async def upstreams(providers: World, nats_url: str, dispatcher_url: str) -> AsyncIterator[World]:
    """A running dispatcher, and the means to make channels and providers for it."""
    async with replica(settings_of(nats_url, dispatcher_url)):
        yield providers
