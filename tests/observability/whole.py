"""All four services in this process, on real PostgreSQL and NATS, with an operator and a simulated provider."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import msgspec
from starlette.applications import Starlette

import services.auth.app
import services.billing.app
import services.dispatcher.app
import services.edge.app
from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.devstack.schemas import migrate_all
from services.edge.settings import EdgeSettings
from services.simulator.server import Simulator
from shared.bus import Bus
from shared.contracts import auth, billing, dispatcher, records
from shared.contracts.call import AUTH, BILLING, DISPATCHER, EDGE, OPERATOR
from shared.metrics import Family, Metrics
from shared.settings import Secret, Settings
from tests.dispatcher.rig import PATIENCE_SECONDS, settings_of
from tests.edge.serving import served

MODEL = "m"
BALANCE_NANO_USD = 10**15
CHANNEL = "one"


class Whole:
    """The running services by name, and what an operator and a client have of them."""

    def __init__(
        self, apps: dict[str, Starlette], buses: dict[str, Bus], operator: Bus, upstream: Simulator, port: int
    ) -> None:
        self.apps = apps
        self.buses = buses
        self.operator = operator
        self.upstream = upstream
        self.url = f"http://127.0.0.1:{port}"
        self.account_id = ""
        self.key = ""

    def metrics(self, service: str) -> Metrics:
        """Return the metrics of one service."""
        metrics: Metrics = self.apps[service].state.life.metrics
        return metrics

    def families(self, service: str) -> dict[str, Family]:
        """Return what one service says that it measures."""
        return self.metrics(service).families

    def page(self, service: str) -> str:
        """Return the page of metrics of one service."""
        return self.metrics(service).render().decode()

    def figures(self, service: str) -> dict[str, float]:
        """Return the series of one service, each as it is written."""
        lines = [
            line.rpartition(" ") for line in self.page(service).splitlines() if line.startswith("relay_")
        ]
        return {series: float(value) for series, _, value in lines}

    async def until(self, service: str, series: str, least: float) -> None:
        """Return when a figure has come so far."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.figures(service).get(series, -1.0) < least:  # noqa: ASYNC110 - a figure has no event
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def client(self, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client of the edge with a good key, or another."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS) as client:
            yield client

    async def ask(self, text: str = "hello", *, key: str | None = None, **fields: object) -> httpx.Response:
        """Return the whole answer to one chat request."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
        async with self.client(key) as client:
            return await client.post("/v1/chat/completions", json=body)

    async def broken(self) -> bytes:
        """Return what comes of a stream whose provider closes the connection in its midst."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "[[sim out=50 cut=tok:10]]"}],
            "stream": True,
        }
        parts = []
        async with (
            self.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            with suppress(httpx.RemoteProtocolError):
                async for part in response.aiter_raw():
                    parts.append(part)
        return b"".join(parts)

    async def usage(self) -> tuple[records.UsageRecord, ...]:
        """Return the usage records of the account."""
        answer = await self.operator.call(records.LIST_USAGE, records.GetUsage(account_id=self.account_id))
        return answer.items

    async def prepare(self) -> None:
        """Make an account with a balance and a key, a priced model, and a channel to the provider."""
        call = self.operator.call
        account = await call(auth.CREATE_ACCOUNT, auth.CreateAccount(name="tenant"))
        key = await call(auth.CREATE_KEY, auth.CreateKey(account_id=account.id, name="laptop"))
        self.account_id, self.key = account.id, key.secret
        await call(
            billing.CREDIT,
            billing.Credit(
                account_id=account.id, amount_nano_usd=BALANCE_NANO_USD, idempotency_key="1", reason="test"
            ),
        )
        await self.price(MODEL)
        made = dispatcher.CreateChannel(
            name=CHANNEL,
            base_url=self.upstream.url + "/v1",
            credential="sk-upstream",
            models={MODEL: "theirs"},
        )
        await call(dispatcher.CREATE_CHANNEL, made)

    async def price(self, model: str) -> None:
        """Give a model a price."""
        rates = {name: 1_000_000 for name in billing.SetPrice.__struct_fields__ if name.endswith("_pico_usd")}
        await self.operator.call(
            billing.SET_PRICE,
            msgspec.convert({"model": model, "max_output_tokens": 200_000, **rates}, billing.SetPrice),
        )


@asynccontextmanager
async def whole(database_url: str, nats_url: str, **billing_settings: float) -> AsyncIterator[Whole]:
    """Yield the running services, prepared for a request."""
    await migrate_all(database_url)
    url = Secret(database_url)
    all_settings: dict[str, Settings] = {
        BILLING: BillingSettings(nats_url=nats_url, database_url=url, **billing_settings),  # type: ignore[arg-type]
        AUTH: AuthSettings(nats_url=nats_url, database_url=url, key_pepper=Secret(secrets.token_hex(32))),
        DISPATCHER: settings_of(nats_url, database_url),
        EDGE: EdgeSettings(nats_url=nats_url, drain_seconds=5.0),
    }
    makers = {
        BILLING: services.billing,
        AUTH: services.auth,
        DISPATCHER: services.dispatcher,
        EDGE: services.edge,
    }
    async with AsyncExitStack() as stack:
        apps, buses = {}, {}
        for party, settings in all_settings.items():
            bus = buses[party] = Bus(settings, party=party)
            app = apps[party] = makers[party].app.create_app(settings, bus)
            await stack.enter_async_context(app.router.lifespan_context(app))
            await bus.control.flush()
        operator = await stack.enter_async_context(Bus(Settings(nats_url=nats_url), party=OPERATOR))
        upstream = await stack.enter_async_context(Simulator())
        port = await stack.enter_async_context(served(apps[EDGE], EdgeSettings()))
        running = Whole(apps, buses, operator, upstream, port)
        await running.prepare()
        yield running
