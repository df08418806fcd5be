"""The connections of auth to PostgreSQL, and whether it answered last."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.db import ACQUIRE_SECONDS, AWAY, Connection, Pool, away, open_pool, transaction

AWAY_SECONDS = 10.0  # how long a failed look-up is news: without calls nothing newer would ever replace it


class Database:
    """At most `pool_size` connections for look-ups and as many for changes, while `open` is entered.

    They are apart because a change holds its connection while it waits for billing: were billing silent, changes would
    take the connections that `verify` needs.
    """

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._url = url
        self._pool_size = pool_size
        self._look_ups: Pool
        self._changes: Pool
        self._away_until = 0.0  # on the monotonic clock

    @property
    def is_away(self) -> bool:
        """True while the last look-up failed, for at most ten seconds. Asks nobody."""
        return time.monotonic() < self._away_until

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold both pools open. Raises: Unavailable when PostgreSQL is away."""
        async with (
            open_pool(self._url, schema="auth", application="auth", size=self._pool_size) as self._look_ups,
            open_pool(self._url, schema="auth", application="auth-changes", size=self._pool_size) as self._changes,
        ):  # fmt: skip
            yield

    @asynccontextmanager
    async def look_up(self) -> AsyncIterator[Connection]:
        """Yield a connection for statements that change nothing. Raises: Unavailable when PostgreSQL is away."""
        try:
            async with self._look_ups.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except AWAY as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise away() from error
        self._away_until = 0.0

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Connection]:
        """Yield a connection inside one transaction. Raises: Unavailable when PostgreSQL is away."""
        async with transaction(self._changes) as connection:
            yield connection
