"""The fixtures that every other test stands on."""

import asyncpg
import nats
import pytest


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_has_an_empty_database(database_url: str, attempt: int) -> None:
    """What one test creates the next one does not see."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE note (attempt integer)")
    await connection.close()


async def test_a_database_still_in_use_is_no_hindrance(database_url: str) -> None:
    """A connection that a test leaves open does not keep the database from being dropped."""
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT 1") == 1
    connection.terminate()


async def test_nats_is_there_without_a_user(nats_url: str) -> None:
    """A client connects without a password."""
    connection = await nats.connect(nats_url)
    assert connection.is_connected
    await connection.close()
