"""A migrated ledger for each test of billing."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import settings

from tests.billing.bookkeeping import Ledger
from tests.databases import database

settings.register_profile("thorough", deadline=None)  # pytest --hypothesis-profile=thorough


@pytest.fixture
async def ledger(postgres_url: str) -> AsyncIterator[Ledger]:
    """The superuser's view of an empty ledger."""
    async with database(postgres_url, schema="billing") as url:
        connection = await asyncpg.connect(url)
        try:
            yield Ledger(connection, url)
        finally:
            await connection.close()
