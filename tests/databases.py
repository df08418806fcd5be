"""Databases of one test alone: empty, or with the schema of a service, which is migrated once for each process and then copied."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from services.devstack.schemas import folder_of
from shared.migrate import migrate

_migrated: set[tuple[str, str]] = set()  # servers, and the schemas that they have a template of


@asynccontextmanager
async def database(server_url: str, *, schema: str | None = None) -> AsyncIterator[str]:
    """Yield the superuser's URL of a new database; it is dropped afterwards, even while in use."""
    name = f"test_{secrets.token_hex(8)}"
    template = "template0" if schema is None else await _template(server_url, schema)
    await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _url(server_url, name)
    finally:
        await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _template(server_url: str, schema: str) -> str:
    name = f"migrated_{schema}"
    if (server_url, schema) not in _migrated:
        await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE template0")
        connection = await asyncpg.connect(_url(server_url, name))
        try:
            await migrate(connection, schema=schema, folder=folder_of(schema))
        finally:
            await connection.close()
        _migrated.add((server_url, schema))
    return name


def _url(server_url: str, name: str) -> str:
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


async def _execute(server_url: str, statement: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
