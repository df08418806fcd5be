"""PostgreSQL for the services: a pool and dedicated connections under the service's own role, and its driver's errors.

A service connects with its URL and acts as the group role of its schema (`relay_<schema>`), which holds only the rights that the
service's migrations grant. In production the login itself is a member of nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from shared.errors import Unavailable

ACQUIRE_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
CONNECT_SECONDS = 5.0

Connection: TypeAlias = asyncpg.Connection  # type: ignore[no-any-unimported, unused-ignore]  # asyncpg has no types
Pool: TypeAlias = asyncpg.Pool  # type: ignore[no-any-unimported, unused-ignore]  # asyncpg has no types

AWAY = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)


async def connect(url: str, *, schema: str, application: str) -> Connection:
    """Return one connection that acts as `relay_<schema>`. Raises: Unavailable when the database is away."""
    try:
        return await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, server_settings=_session(schema, application)
        )
    except AWAY as error:
        raise away() from error


@asynccontextmanager
async def open_pool(url: str, *, schema: str, application: str, size: int) -> AsyncIterator[Pool]:
    """Yield a pool of at most `size` connections that act as `relay_<schema>`, for everything but the hot path of money."""
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings=_session(schema, application),
        )
    except AWAY as error:
        raise away() from error
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), ACQUIRE_SECONDS)
        except AWAY:
            pool.terminate()


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Yield a connection inside one transaction. Raises: Unavailable when the database is away."""
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection, connection.transaction():
            yield connection
    except AWAY as error:
        raise away() from error


def away() -> Unavailable:
    """Return the error that says that the database does not answer."""
    return Unavailable("service_unavailable", retry_after_seconds=2, part="PostgreSQL")


def _session(schema: str, application: str) -> dict[str, str]:
    return {
        "role": f"relay_{schema}",
        "search_path": schema,
        "application_name": application,
        "jit": "off",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
    }
