"""The schemas of the database, and their migrations in order."""

from importlib.resources import files

import asyncpg

from shared.db import AWAY, away
from shared.migrate import migrate

SCHEMAS = ("auth", "billing", "dispatcher")


async def migrate_all(url: str) -> None:
    """Bring every schema to the newest version; safe from many places at once.

    Raises: Unavailable when PostgreSQL is away, shared.migrate.MigrationRefused when the files do not fit what was applied.
    """
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except AWAY as error:
        raise away() from error
    try:
        for schema in SCHEMAS:
            await migrate(connection, schema=schema, folder=files(f"services.{schema}") / "migrations")
    finally:
        await connection.close()
