"""A running auth service with everybody it talks to: real PostgreSQL, real NATS, and a stand-in for billing."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from starlette.applications import Starlette

import services.auth
from services.auth.app import create_app
from services.auth.settings import AuthSettings
from shared.bus import Bus
from shared.contracts import accounts, auth, billing
from shared.contracts.call import AUTH, BILLING, EDGE, OPERATOR, Empty
from shared.errors import Conflict, InvalidRequest, RelayError, Unavailable
from shared.settings import Secret, Settings
from tests.auth.issuers import Liar, honest_issuer, liar
from tests.databases import database

MIGRATIONS = Path(services.auth.__file__).parent / "migrations"


class Billing:
    """Billing as auth knows it: notes what it is told, and can refuse or be silent."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.accounts: list[billing.PutAccount] = []
        self.keys: list[billing.PutKey] = []
        self.credits: dict[str, billing.Credit] = {}
        self.limits: dict[str, accounts.Limits] = {}
        self.refuses_key: Callable[[billing.PutKey], bool] = lambda ask: False
        self.refusal: RelayError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self) -> None:
        """Answer from now on."""
        await self.bus.serve(billing.PUT_ACCOUNT, self._put_account)
        await self.bus.serve(billing.PUT_KEY, self._put_key)
        await self.bus.serve(billing.CREDIT, self._credit)
        await self.bus.serve(accounts.SET_LIMITS, self._set_limits)
        await self.bus.serve(accounts.GET_LIMITS, self._get_limits)
        await self.bus.control.flush()

    async def _put_account(self, ask: billing.PutAccount) -> Empty:
        self.accounts.append(ask)
        return await self._answer()

    async def _put_key(self, ask: billing.PutKey) -> Empty:
        self.keys.append(ask)
        if self.refuses_key(ask):
            raise Unavailable("service_unavailable", part="billing")
        return await self._answer()

    async def _credit(self, ask: billing.Credit) -> billing.Balance:
        await self._answer()
        if self.credits.setdefault(ask.idempotency_key, ask) != ask:
            raise Conflict("id_conflict", id=ask.idempotency_key)
        return billing.Balance(
            account_id=ask.account_id, posted_nano_usd=ask.amount_nano_usd, held_nano_usd=0
        )

    async def _set_limits(self, ask: accounts.SetLimits) -> accounts.LimitsInForce:
        assert ask.key_id is not None
        await self._answer()
        if ask.limits.concurrent_requests == 0:
            raise InvalidRequest(
                "invalid_value", param="concurrent_requests", problem="it must be at least 1"
            )
        self.limits[ask.key_id] = ask.limits
        return in_force(ask.limits)

    async def _get_limits(self, ask: accounts.GetLimits) -> accounts.LimitsInForce:
        assert ask.key_id is not None
        await self._answer()
        return in_force(self.limits.get(ask.key_id, accounts.Limits()))

    async def _answer(self) -> Empty:
        await self.may_answer.wait()
        if self.refusal is not None:
            raise self.refusal
        return Empty()


def in_force(limits: accounts.Limits) -> accounts.LimitsInForce:
    """Return limits of which nothing is used."""
    return accounts.LimitsInForce(
        limits=limits, own_limits=limits, requests=0, tokens=0, running=0, held_nano_usd=0, day_nano_usd=0,
        month_nano_usd=0, total_nano_usd=0,
    )  # fmt: skip


class World:
    """A running auth service (`app`), the parties around it, and the superuser's URL of its database."""

    def __init__(self, app: Starlette, billing: Billing, edge: Bus, operator: Bus, database_url: str) -> None:
        self.app = app
        self.billing = billing
        self.edge = edge
        self.operator = operator
        self.database_url = database_url

    async def account(self, name: str = "Acme") -> auth.Account:
        """Return a new account."""
        return await self.operator.call(auth.CREATE_ACCOUNT, auth.CreateAccount(name=name))

    async def key(self, account_id: str | None = None) -> auth.CreatedKey:
        """Return a new key, of a new account unless one is given."""
        owner = account_id or (await self.account()).id
        return await self.operator.call(auth.CREATE_KEY, auth.CreateKey(account_id=owner, name="laptop"))

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what the database holds."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(record) for record in await connection.fetch(query)]
        finally:
            await connection.close()

    async def execute(self, statement: str) -> None:
        """Change what the database holds, as its superuser."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def flush_uses(self) -> None:
        """Let auth write down what it has noted of last uses, as it does once a minute."""
        for uses in self.app.state.uses:
            await uses.flush()


@pytest.fixture
async def auth_url(postgres_url: str) -> AsyncIterator[str]:
    """The superuser's URL of a database that auth's migrations have been applied to."""
    async with database(postgres_url, schema="auth") as url:
        yield url


@pytest.fixture
def settings(auth_url: str, nats_url: str) -> AuthSettings:
    """Settings for a service of its own."""
    return AuthSettings(
        nats_url=nats_url,
        database_url=Secret(auth_url),
        database_pool_size=3,
        key_pepper=Secret(secrets.token_hex(32)),
        factor_key=Secret(secrets.token_hex(32)),
        drain_seconds=10.0,
        outbox_page=True,
        public_url="https://relay.example",
    )


@pytest.fixture
async def world(settings: AuthSettings) -> AsyncIterator[World]:
    """One replica of auth, with billing, an edge and an operator."""
    async with AsyncExitStack() as stack:
        parties = Settings(nats_url=settings.nats_url)
        edge, operator, billing_bus = [
            await stack.enter_async_context(Bus(parties, party=party)) for party in (EDGE, OPERATOR, BILLING)
        ]
        stand_in = Billing(billing_bus)
        await stand_in.serve()
        app = await stack.enter_async_context(replica(settings))
        yield World(app, stand_in, edge, operator, settings.database_url.reveal())


@asynccontextmanager
async def replica(settings: AuthSettings) -> AsyncIterator[Starlette]:
    """Yield the application of one running replica."""
    app = create_app(settings, Bus(settings, party=AUTH))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An issuer that speaks as it should."""
    with honest_issuer() as url:
        yield url


@pytest.fixture
def false_issuer() -> Iterator[Liar]:
    """An issuer that can lie."""
    with liar() as made:
        yield made
