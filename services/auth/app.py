"""The auth service put together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from services.auth.database import Database
from services.auth.handlers import Handlers
from services.auth.passwords import Passwords
from services.auth.secrets import Pepper
from services.auth.settings import AuthSettings
from shared.bus import Bus
from shared.contracts import auth
from shared.metrics import Metrics
from shared.service import Life, build


def create_app(settings: AuthSettings, bus: Bus) -> Starlette:
    """Return the service as an application; it answers calls on `bus` while its lifespan runs."""
    database = Database(settings.database_url.reveal(), pool_size=settings.database_pool_size)
    passwords = Passwords(settings.password_threads)
    handlers = Handlers(database, bus, Pepper(settings.pepper), passwords)

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        metrics.gauge(
            "auth_postgresql_away", "Whether the last look at a key did not reach PostgreSQL: 1 or 0"
        ).set_function(lambda: database.is_away)
        async with database.open():
            await _serve(bus, handlers)
            try:
                yield {}
            finally:
                await bus.stop_serving(timeout_seconds=settings.drain_seconds)

    return build(bus, opened, checks=(lambda: "PostgreSQL" if database.is_away else None,))


async def _serve(bus: Bus, handlers: Handlers) -> None:
    await bus.serve(auth.VERIFY, handlers.verify)
    await bus.serve(auth.CREATE_ACCOUNT, handlers.create_account)
    await bus.serve(auth.SET_ACCOUNT_STATUS, handlers.set_account_status)
    await bus.serve(auth.LIST_ACCOUNTS, handlers.list_accounts)
    await bus.serve(auth.CREATE_USER, handlers.create_user)
    await bus.serve(auth.LIST_USERS, handlers.list_users)
    await bus.serve(auth.CREATE_KEY, handlers.create_key)
    await bus.serve(auth.REVOKE_KEY, handlers.revoke_key)
    await bus.serve(auth.LIST_KEYS, handlers.list_keys)
    await bus.control.flush()  # ready means heard
