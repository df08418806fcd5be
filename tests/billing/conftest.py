"""A migrated ledger for each test of billing."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import settings

from tests.billing.bookkeeping import Ledger, migrated

settings.register_profile("thorough", deadline=None)  # pytest --hypothesis-profile=thorough


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """The superuser's view of an empty ledger."""
    connection = await asyncpg.connect(database_url)
    try:
        await migrated(connection)
        yield Ledger(connection, database_url)
    finally:
        await connection.close()
