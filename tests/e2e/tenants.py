"""What an operator makes for one test, and sees of it afterwards: an account, a key, a model, a price, a channel.

Each tenant has a model and a channel of its own, and the channel a credential of its own. So the journal and the ledger of the
simulator, which everybody shares, can be read for one tenant alone.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from services.billing.audit import audit
from services.billing.pricing import Price, Units, cost_nano_usd
from services.billing.receipts import differences
from services.simulator.journal import JournalEntry, LedgerEntry
from shared.bus import Bus
from shared.contracts import accounts, auth, billing, dispatcher
from shared.contracts.call import Empty
from shared.contracts.records import LIST_USAGE, GetUsage, UsageRecord
from shared.db import Connection
from shared.money import NANO_PER_USD, pico_from_usd_per_million
from tests.e2e.stack import RunningStack

SETTLED_SECONDS = 5.0  # the promise: charged at most this long after the end of the request
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.02
FLOWING_TOKENS = 10
AGREEING_ANSWERS = 20  # of a queue group with two replicas: both were asked, but for one time in 2^19

BALANCE_NANO_USD = 100 * NANO_PER_USD
INPUT_PICO_USD = pico_from_usd_per_million("10")
OUTPUT_PICO_USD = pico_from_usd_per_million("40")
MAX_OUTPUT_TOKENS = 4_000  # so 600 requests without a bound fit into the balance


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of a test. `key` is the secret text, `channel` and `credential` lead upstream for `model` alone."""

    account_id: str
    key_id: str
    key: str
    model: str
    channel: str
    credential: str
    price: billing.Price

    @property
    def headers(self) -> dict[str, str]:
        """The header that an HTTP client needs."""
        return {"authorization": f"Bearer {self.key}"}


class Operator:
    """The person who runs a stack: makes tenants over the bus, and looks into ledger and simulator."""

    def __init__(self, stack: RunningStack, bus: Bus, database: Connection, http: httpx.AsyncClient) -> None:
        self.stack = stack
        self.bus = bus
        self.database = database
        self.tenants: list[Tenant] = []
        self._http = http

    async def make_tenant(
        self,
        *,
        balance_nano_usd: int = BALANCE_NANO_USD,
        input_pico_usd: int = INPUT_PICO_USD,
        output_pico_usd: int = OUTPUT_PICO_USD,
        max_output_tokens: int = MAX_OUTPUT_TOKENS,
        upstream_url: str | None = None,
        family: str = "model",
    ) -> Tenant:
        """Return a new tenant whose model every dispatcher serves; `upstream_url` is the simulator's unless given.

        The name of the model begins with `family`.
        """
        name = secrets.token_hex(6)
        account = await self.bus.call(auth.CREATE_ACCOUNT, auth.CreateAccount(name=name))
        key = await self.bus.call(auth.CREATE_KEY, auth.CreateKey(account_id=account.id, name=name))
        if balance_nano_usd:
            await self.credit(account.id, balance_nano_usd)
        price = await self.set_price(f"{family}-{name}", input_pico_usd, output_pico_usd, max_output_tokens)
        tenant = Tenant(
            account_id=account.id,
            key_id=key.key.id,
            key=key.secret,
            model=price.model,
            channel=f"channel-{name}",
            credential=f"sk-sim-openai-{name}",
            price=price,
        )
        await self._make_channel(tenant, upstream_url or self.stack.simulator_url)
        self.tenants.append(tenant)
        return tenant

    async def credit(self, account_id: str, amount_nano_usd: int) -> billing.Balance:
        """Add to a balance and return it."""
        return await self.bus.call(
            billing.CREDIT,
            billing.Credit(
                account_id=account_id,
                amount_nano_usd=amount_nano_usd,
                idempotency_key=secrets.token_hex(8),
                reason="test",
            ),
        )

    async def set_price(
        self, model: str, input_pico_usd: int, output_pico_usd: int, max_output_tokens: int
    ) -> billing.Price:
        """Make a new price version; what comes out of a cache costs a tenth, what goes in a quarter more."""
        return await self.bus.call(
            billing.SET_PRICE,
            billing.SetPrice(
                model=model,
                input_pico_usd=input_pico_usd,
                output_pico_usd=output_pico_usd,
                cache_read_pico_usd=input_pico_usd // 10,
                cache_write_pico_usd=input_pico_usd * 5 // 4,
                max_output_tokens=max_output_tokens,
            ),
        )

    async def balance(self, tenant: Tenant) -> billing.Balance:
        """Return what the tenant has."""
        return await self.bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=tenant.account_id))

    async def records(self, tenant: Tenant) -> tuple[UsageRecord, ...]:
        """Return the tenant's usage records, newest first."""
        answer = await self.bus.call(LIST_USAGE, GetUsage(account_id=tenant.account_id, limit=1_000))
        return answer.items

    async def settled(self, tenant: Tenant, count: int) -> tuple[UsageRecord, ...]:
        """Return the usage records once there are `count` and nothing is held; fail when that is not so in time."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + SETTLED_SECONDS
        while True:
            records, balance = await self.records(tenant), await self.balance(tenant)
            if len(records) >= count and balance.held_nano_usd == 0:
                return records
            assert loop.time() < give_up, f"not settled: {len(records)} of {count} records, {balance}"
            await asyncio.sleep(POLL_SECONDS)

    async def journal(self, tenant: Tenant) -> list[JournalEntry]:
        """Return what arrived at the simulator over the tenant's channel, oldest first."""
        return [entry for entry in await self.whole_journal() if entry.api_key == tenant.credential]

    async def whole_journal(self) -> list[JournalEntry]:
        """Return what arrived at the simulator from anybody, oldest first."""
        answer = await self._http.get(f"{self.stack.simulator_url}/_sim/requests")
        return msgspec.json.decode(answer.content, type=list[JournalEntry])

    async def set_abort_policy(self, tenant: Tenant, policy: billing.AbortPolicy) -> None:
        """Declare whether the tenant's channel bills answers that the client left."""
        change = dispatcher.UpdateChannel(name=tenant.channel, abort_policy=policy)
        await self.bus.call(dispatcher.UPDATE_CHANNEL, change)

    async def refused(self, tenant: Tenant) -> None:
        """Return once the key of the tenant's channel is out, and every replica has had a moment to hear of it."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            channels = await self.bus.call(dispatcher.LIST_CHANNELS, Empty())
            keys = next(each.keys for each in channels.items if each.name == tenant.channel)
            if all(key.refused_as for key in keys):
                break
            assert asyncio.get_running_loop().time() < give_up, f"{tenant.channel} is not out"
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.sleep(1.0)

    async def add_channel(self, tenant: Tenant, upstream_url: str, *, priority: int) -> None:
        """Give the tenant's model one more channel; every dispatcher knows it a second later."""
        await self.bus.call(
            dispatcher.CREATE_CHANNEL,
            dispatcher.CreateChannel(
                name=f"{tenant.channel}-{priority}",
                base_url=upstream_url + "/v1",
                credential=tenant.credential,
                models={tenant.model: tenant.model},
                priority=priority,
            ),
        )

    async def arrived(self, tenant: Tenant, count: int = 1) -> list[JournalEntry]:
        """Return the journal once `count` requests have arrived upstream."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while len(entries := await self.journal(tenant)) < count:
            assert asyncio.get_running_loop().time() < give_up, f"{len(entries)} of {count} have arrived"
            await asyncio.sleep(POLL_SECONDS)
        return entries

    async def flowing(self, tenant: Tenant, count: int) -> None:
        """Return once `count` answers have begun to come from upstream, some tokens ago."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while sum(entry.tokens_emitted >= FLOWING_TOKENS for entry in await self.journal(tenant)) < count:
            assert asyncio.get_running_loop().time() < give_up, f"fewer than {count} answers have begun"
            await asyncio.sleep(POLL_SECONDS)

    async def ended(self, tenant: Tenant, count: int = 1) -> list[JournalEntry]:
        """Return the journal once `count` requests have ended upstream."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            entries = await self.journal(tenant)
            if sum(entry.outcome != "running" for entry in entries) >= count:
                return entries
            assert asyncio.get_running_loop().time() < give_up, f"still running upstream: {entries}"
            await asyncio.sleep(POLL_SECONDS)

    async def bills(self, tenant: Tenant) -> list[LedgerEntry]:
        """Return what the simulator would bill for the tenant's requests, oldest first."""
        answer = await self._http.get(f"{self.stack.simulator_url}/_sim/ledger")
        entries = msgspec.json.decode(answer.content, type=list[LedgerEntry])
        return [entry for entry in entries if entry.api_key == tenant.credential]

    async def _make_channel(self, tenant: Tenant, upstream_url: str) -> None:
        await self.bus.call(
            dispatcher.CREATE_CHANNEL,
            dispatcher.CreateChannel(
                name=tenant.channel,
                base_url=upstream_url + "/v1",
                credential=tenant.credential,
                models={tenant.model: tenant.model},
            ),
        )
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        agreeing = 0
        while agreeing < AGREEING_ANSWERS:
            assert asyncio.get_running_loop().time() < give_up, "the new channel is not known everywhere"
            offered = await self.bus.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
            agreeing = agreeing + 1 if tenant.model in {model.id for model in offered.items} else 0


@asynccontextmanager
async def operate(stack: RunningStack) -> AsyncIterator[Operator]:
    """Yield the operator of a running stack; in the end the audit finds the whole ledger sound, and every receipt is right."""
    async with (
        stack.operator_bus() as bus,
        stack.database() as database,
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http,
    ):
        operator = Operator(stack, bus, database, http)
        yield operator
        assert await audit(database) == []
        await _verify_receipts(operator)


async def _verify_receipts(operator: Operator) -> None:
    """Compute every receipt of the operator's tenants again."""
    requests = await operator.database.fetch(
        "SELECT id::text FROM billing.hold WHERE account_id::text = ANY ($1) AND price_id IS NOT NULL",
        [tenant.account_id for tenant in operator.tenants],
    )
    for row in requests:
        receipt = await operator.bus.call(accounts.GET_RECEIPT, accounts.GetReceipt(request_id=row["id"]))
        assert differences(receipt) == [], receipt


def billed(bill: LedgerEntry) -> billing.Usage:
    """Return the units of a simulator's bill in the words of our own records."""
    return billing.Usage(
        input_tokens=bill.prompt_tokens,
        cache_read_tokens=bill.cached_tokens,
        cache_write_tokens=bill.cache_write_tokens,
        output_tokens=bill.completion_tokens,
        reasoning_tokens=bill.reasoning_tokens,
    )


def cost(usage: billing.Usage, price: billing.Price) -> int:
    """Return in nano-USD what the units cost at `price`, by the rule in Python: SQL booked it by its own."""
    return cost_nano_usd(
        Units(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        ),
        Price(
            input_pico_usd=price.input_pico_usd,
            output_pico_usd=price.output_pico_usd,
            cache_read_pico_usd=price.cache_read_pico_usd,
            cache_write_pico_usd=price.cache_write_pico_usd,
        ),
    )
