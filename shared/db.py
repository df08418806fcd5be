"""PostgreSQL for the services: a pool and dedicated connections under the service's own role, and its driver's errors.

A service connects with its URL and acts as the group role of its schema (`relay_<schema>`), which holds only the rights that the
service's migrations grant. In production the login itself is a member of nothing else.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from shared.errors import Unavailable

ACQUIRE_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0

log = logging.getLogger(__name__)

Connection: TypeAlias = asyncpg.Connection  # type: ignore[no-any-unimported, unused-ignore]  # asyncpg has no types
Pool: TypeAlias = asyncpg.Pool  # type: ignore[no-any-unimported, unused-ignore]  # asyncpg has no types

# What says nothing about the statement itself: the same one can succeed a moment later.
AWAY = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,  # a failover has made this server a standby
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,
)


async def connect(
    url: str, *, schema: str, application: str, statement_seconds: float | None = None
) -> Connection:
    """Return one connection that acts as `relay_<schema>`; a statement takes at most `statement_seconds`, if given.

    Raises: Unavailable when the database is away.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
            server_settings=_session(schema, application),
        )
    except AWAY as error:
        raise away() from error


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    schema: str,
    application: str,
    size: int,
    statement_seconds: float | None = STATEMENT_SECONDS,
) -> AsyncIterator[Pool]:
    """Yield a pool of at most `size` connections that act as `relay_<schema>`, for everything but the hot path of money.

    A statement is cancelled after `statement_seconds`. None is for a pool that commits money, which nobody may cancel: its
    users work inside `transaction`. Raises: Unavailable when the database is away.
    """
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
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
    """Yield a connection inside one transaction of at most SILENCE_SECONDS.

    Raises: Unavailable when the database is away; whether the transaction was committed is then unknown.
    """
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            with watched(connection):
                async with connection.transaction():
                    yield connection
    except AWAY as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # The rollback of a cancelled transaction has failed, and would hide that its task is to end.
            raise asyncio.CancelledError from error
        raise away() from error


@contextmanager
def watched(connection: Connection) -> Iterator[None]:
    """Abandon `connection` when the block takes longer than SILENCE_SECONDS: what waits for it then ends with an error.

    Unlike a time limit it cancels nothing at the server: a commit that is cancelled while it waits for its standby is reported
    as a success (PostgreSQL, SyncRepWaitForLSN).
    """
    timer = asyncio.get_running_loop().call_later(SILENCE_SECONDS, _abandon, connection)
    try:
        yield
    finally:
        timer.cancel()


def away() -> Unavailable:
    """Return the error that says that the database does not answer."""
    return Unavailable("service_unavailable", retry_after_seconds=2, part="PostgreSQL")


def _abandon(connection: Connection) -> None:
    log.error("PostgreSQL has been silent for %s s: the connection is abandoned", SILENCE_SECONDS)
    connection.terminate()


def _session(schema: str, application: str) -> dict[str, str]:
    return {
        "role": f"relay_{schema}",
        "search_path": schema,
        "application_name": application,
        "jit": "off",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
    }
