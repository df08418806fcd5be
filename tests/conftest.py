"""Real servers for every test that needs them: one PostgreSQL and one nats-server for each test process."""

import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from services.devstack.nats import EmbeddedNats
from services.devstack.postgres import EmbeddedPostgres

# How fast the machine is says nothing about what is tested.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


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
    name = f"test_{secrets.token_hex(8)}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE template0")
    yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a nats-server without users that lives as long as the session."""
    with EmbeddedNats(tmp_path_factory.mktemp("nats"), "") as server:
        yield server.url


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
