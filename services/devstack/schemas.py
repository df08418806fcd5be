"""The schemas of the database, and their migrations in order."""

from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from services.devstack.secrets import SCHEMAS
from shared.db import AWAY, away
from shared.migrate import migrate

__all__ = ["SCHEMAS", "folder_of", "migrate_all"]


def folder_of(schema: str) -> Traversable:
    """Return where the migrations of `schema` stand."""
    return files(f"services.{schema}") / "migrations"


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
            await migrate(connection, schema=schema, folder=folder_of(schema))
    finally:
        await connection.close()
