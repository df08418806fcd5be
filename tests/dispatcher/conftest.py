"""The dispatcher's database, and a dispatcher of its own for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from services.dispatcher.settings import DispatcherSettings
from tests.dispatcher.rig import World, migrated, replica, settings_of, world_of


@pytest.fixture(scope="session")
def dispatcher_url(postgres_url: str) -> str:
    """The superuser's URL of a database with the dispatcher's schema, shared by all tests."""
    return migrated(postgres_url)


@pytest.fixture
def settings(nats_url: str, dispatcher_url: str) -> DispatcherSettings:
    """Settings of a dispatcher that may call the loopback."""
    return settings_of(nats_url, dispatcher_url)


@pytest.fixture
async def around(nats_url: str, dispatcher_url: str) -> AsyncIterator[World]:
    """Everybody but the dispatcher itself."""
    async with world_of(nats_url, dispatcher_url) as world:
        yield world


@pytest.fixture
async def world(around: World, settings: DispatcherSettings) -> AsyncIterator[World]:
    """One running dispatcher, and everybody around it."""
    async with replica(settings):
        yield around
