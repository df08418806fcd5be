"""A site as it is after a month of business: made through its own API, every call really answered and charged."""

import asyncio
import datetime
import secrets
from contextlib import suppress
from random import Random

import httpx
import msgspec

from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import channels, operator, wallet
from tests.api.client import Ask, Asker, Shape, sign_in
from tests.api.world import Person, World, channel_body
from tests.browser.gallery.history import History

DAYS = 35
QUIET_DAYS = 25  # before them, with fewer calls
QUIET_SECONDS = 60.0
MODELS = (
    "gpt-5",
    "gpt-5-mini",
    "claude-sonnet-4-5",
    "gemini-2.5-pro",
    "deepseek-v3.2",
    "fireworks/accounts/fireworks/models/kimi-k2-instruct-0905",
)
TRIAL_MODEL = "glm-4.6"
LONG_MODEL = "zai-org/glm-4.6-customer-support-finetuned-2026-09-14-checkpoint-004200-awq-int4-w4a16-group128-context-1m-eu-central"
LONG_NAME = "nightly evaluation of the documentation assistant, second environment in Frankfurt"
# What a call asks of the simulator, and how often.
MANNERS = (
    ("[[sim out={tokens} ttft={ttft} tps=1200 cached={cached}]]", 95),
    ("[[sim status=500]]", 2),
    ("[[sim out=60 cut=tok:9 cut_mode=rst]]", 1),
    ("[[sim status=400 code=context_length_exceeded]]", 2),
)
PROMPTS = (
    "Summarise the minutes of our last meeting in five points.",
    "Translate this paragraph into Chinese.",
    "Why does this query not use its index?",
    "Write a polite answer to this complaint.",
)
# What people put before their question, over and over; a provider reads most of it from its cache.
CONTEXT = (
    "The service takes orders by HTTP, stores them in PostgreSQL and tells the warehouse over a queue. Every order has a number, "
    "a customer and a list of articles, each with its price and quantity. An order is confirmed only when all of its articles "
    "are in stock; otherwise it waits, and the customer is told by mail when to expect it. Returns are credited within two days. "
)
CONTEXT_TOKENS = 90
COLLEAGUES = (
    "bruno.alvarez@example.org",
    "chiara@example.com",
    "dmitri@example.net",
    "engineering-platform-and-infrastructure-team@a-company-with-a-long-name.example.com",
    "fatima@example.org",
    "guo.li@example.cn",
    "hana@example.jp",
    "ivan@example.org",
    "zhang.wei@example.cn",
)
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/604.1",
)
NOTICE = {
    "en": "On Sunday from 02:00 to 02:30 UTC the database is upgraded. Calls may wait for some seconds; nothing is lost.",
    "zh": "周日 02:00 至 02:30（UTC）升级数据库，期间调用可能需要等待几秒，数据不会丢失。",
}
ABOUT = {
    "en": "Run by the computing centre for everybody who teaches or studies here. Questions are answered on weekdays.",
    "zh": "由计算中心运营，面向全体师生。工作日答复咨询。",
}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One key that calls, with what it prefers to call."""

    secret: str
    models: tuple[str, ...]
    is_stream: bool


class Scenery:
    """Builds it. `ada` is the user whose pages are shown, `values` what fills in the parameters of addresses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ada: Person
        self.doubted = Asker(world.http)  # a session of hers that is asked for the password again
        self.values: dict[str, str] = {}
        self._history = History()
        self._random = Random(20)  # the same month each time
        self._callers: list[Caller] = []

    async def build(self) -> None:
        """Let two months have passed, the last day of them today."""
        now = datetime.datetime.now(datetime.UTC)
        first = now - datetime.timedelta(days=DAYS)
        founded = first - datetime.timedelta(days=QUIET_DAYS)
        self._history.mark(founded)
        await self._found()
        self.ada = await self.world.newcomer_at("ada.lindqvist@example.org")
        colleagues = [await self.world.newcomer_at(email) for email in COLLEAGUES]
        await self._equip(colleagues)
        for day in range(1, QUIET_DAYS):
            await self._quiet()
            self._history.mark(founded + datetime.timedelta(days=day))
            await asyncio.gather(*(self._call(each) for each in self._some(self._random.randint(5, 9))))
        for part in range(DAYS * 3):
            moment = first + datetime.timedelta(hours=8 * part + 1, minutes=self._random.randrange(400))
            await self._quiet()
            self._history.mark(moment)
            if part % 24 == 5:
                await self._top_up(self.ada, str(self._random.choice((10, 20, 50))))
            await asyncio.gather(*(self._call(each) for each in self._busy(part)))
        await self._quiet()
        self._history.mark(datetime.datetime.now(datetime.UTC))
        await self._history.move(self.world.database)
        await self._today(colleagues)

    async def refresh(self) -> None:
        """Let everybody have just shown their password, but for `doubted`."""
        await self.world.database.execute("UPDATE auth.session SET fresh_at = now()")
        await sign_in(self.doubted, self.ada.email, self.ada.password)
        await self.world.database.execute(
            """UPDATE auth.session SET fresh_at = now() - interval '1 day' WHERE id = (
                SELECT s.id FROM auth.session AS s ORDER BY s.created_at DESC LIMIT 1)"""
        )

    async def _found(self) -> None:
        """What an operator sets up in the first hour."""
        settings = await self._get(table.SETTINGS, operator.SiteSettings)
        body = msgspec.to_builtins(settings) | {
            "notice": NOTICE,
            "about": ABOUT,
            "contact": "relay@example.org",
        }
        await self._do(table.PUT_SETTINGS, Ask(body=body))
        for model in (*MODELS, TRIAL_MODEL):
            await self._do(table.SET_PRICE, Ask(body=_price(await self._known(model))))
        await self._do(
            table.SET_PRICE, Ask(body=_price(await self._known(TRIAL_MODEL)) | {"model": LONG_MODEL})
        )
        for channel in _channels(self.world):
            await self._do(table.MAKE_CHANNEL, Ask(body=channel))
        spare: dict[str, object] = {"name": "spare", "credential": f"sk-sim-openai-{secrets.token_hex(4)}"}
        await self._do(table.ADD_UPSTREAM_KEY, Ask(path={"name": "openai"}, body=spare))
        for name, multiplier in (("partners", "0.85"), ("students", "1")):
            await self._do(table.PUT_GROUP, Ask(body={"name": name, "price_multiplier": multiplier}))

    async def _equip(self, colleagues: list[Person]) -> None:
        """Give everybody money and keys."""
        for name, models, is_stream in (
            ("production", MODELS[:3], True),
            ("laptop", MODELS[3:5], True),
            (LONG_NAME, MODELS[5:], False),
        ):
            key = await self._key(self.ada, name)
            self._callers.append(Caller(secret=key.secret, models=models, is_stream=is_stream))
        await self._top_up(self.ada, "40")
        for person in colleagues:
            await self._top_up(person, str(self._random.choice((5, 12.5, 80))))
            key = await self._key(person, "default")
            two = tuple(self._random.sample(MODELS, 2))
            self._callers.append(
                Caller(secret=key.secret, models=two, is_stream=bool(len(self._callers) % 2))
            )

    async def _today(self, colleagues: list[Person]) -> None:
        """What is about now: limits, what has ended, other devices, codes, invitations."""
        ada = self.ada
        limited: dict[str, object] = {
            "requests_per_minute": 60,
            "spend_day_usd": "5",
            "spend_month_usd": "80",
        }
        workshop = await self._key(ada, "workshop", limits=limited, allowed_models=list(MODELS[:2]))
        old = await self._key(ada, "before the move")
        await ada.browser.get(table.REVOKE_KEY, wallet.Key, Ask(path={"key_id": old.key.id}))
        for agent in AGENTS:
            device = Asker(self.world.http)
            device.agent = agent
            await sign_in(device, ada.email, ada.password)
        await self._do(
            table.SET_ACCOUNT_GROUP,
            Ask(path={"account_id": colleagues[0].me.account_id}, body={"group_name": "partners"}),
        )
        await self._do(
            table.SET_STATUS,
            Ask(path={"account_id": colleagues[2].me.account_id}, body={"status": "suspended"}),
        )
        codes = await self._codes("spring-workshop", 24, "5")
        for person, code in zip(colleagues, codes, strict=False):
            if person is not colleagues[2]:
                await person.browser.get(table.REDEEM, wallet.Redeemed, Ask(body={"code": code}))
        await self._codes("fair-2026", 100, "2.5")
        await self._do(table.REVOKE_CODES, Ask(path={"batch": "fair-2026"}))
        await self._do(table.INVITE, Ask(body={"email": "noor@example.org"}))
        await self._do(table.INVITE, Ask(body={}))
        for name in ("openai", "anthropic-and-google-over-a-reseller-in-singapore"):
            await self._do(table.TEST_CHANNEL, Ask(path={"name": name}, body={}))
        trial = await self._key(ada, "trial")
        tried = Caller(secret=trial.secret, models=(TRIAL_MODEL,), is_stream=False)
        await self._call(msgspec.structs.replace(tried, models=(LONG_MODEL,)), "[[sim out=300]]")
        await self._call(tried, "[[sim status=401]]")
        await asyncio.gather(*(self._call(each) for each in self._callers[:4]))
        await self._quiet()
        await self._name_objects(workshop, colleagues[0])

    async def _name_objects(self, key: wallet.MadeKey, colleague: Person) -> None:
        """Note what fills in the parameters of addresses."""
        calls = await self.ada.browser.get(table.CALLS, wallet.Calls)
        self.values = {
            "keyId": key.key.id,
            "requestId": calls.items[0].id,
            "accountId": colleague.me.account_id,
            "name": "openai",
        }

    def _busy(self, part: int) -> list[Caller]:
        """Return who calls in one part of a day: more at daytime, and more as time goes on."""
        return self._some(self._random.randint(1, 3 + part // 25) * (2 if part % 3 else 1))

    def _some(self, count: int) -> list[Caller]:
        return self._random.choices(
            self._callers, weights=[6, 3, 2] + [1] * (len(self._callers) - 3), k=count
        )

    async def _call(self, caller: Caller, manner: str = "") -> None:
        """Call a model; some calls fail, as they do."""
        if not manner:
            ((manner, _),) = self._random.choices(MANNERS, weights=[weight for _, weight in MANNERS])
        times = self._random.randint(0, 500) if caller.is_stream else 0
        directive = manner.format(
            tokens=self._random.randint(80, 900),
            ttft=self._random.randint(90, 420),
            cached=CONTEXT_TOKENS * times * 2 // 3,
        )
        prompt = f"{CONTEXT * times}{self._random.choice(PROMPTS)} {directive}"
        body = {
            "model": self._random.choice(caller.models),
            "messages": [{"role": "user", "content": prompt}],
            "stream": caller.is_stream,
        }
        headers = {"authorization": f"Bearer {caller.secret}"}
        # A stream that breaks on its way is one of the things that happen.
        async with self.world.http.stream(
            "POST", "/v1/chat/completions", json=body, headers=headers
        ) as answer:
            with suppress(httpx.RemoteProtocolError):
                await answer.aread()

    async def _quiet(self) -> None:
        """Return once nothing is held and nothing waits to be told."""
        give_up = asyncio.get_running_loop().time() + QUIET_SECONDS
        query = """SELECT (SELECT count(*) FROM billing.hold WHERE state = 'HELD') + (SELECT count(*) FROM billing.outbox)"""
        while await self.world.database.fetchval(query):
            assert asyncio.get_running_loop().time() < give_up, "calls have not come to their end"
            await asyncio.sleep(0.02)

    async def _known(self, model: str) -> channels.CatalogueEntry:
        found = await self._get(table.CATALOGUE, channels.Catalogue, Ask(query={"search": model}))
        return next(each for each in found.items if each.model == model)

    async def _codes(self, batch: str, count: int, amount_usd: str) -> tuple[str, ...]:
        ask = Ask(body={"batch": batch, "count": count, "amount_usd": amount_usd})
        return (await self._get(table.MAKE_CODES, operator.MadeCodes, ask)).codes

    async def _key(self, person: Person, name: str, **members: object) -> wallet.MadeKey:
        return await person.browser.get(table.MAKE_KEY, wallet.MadeKey, Ask(body={"name": name, **members}))

    async def _top_up(self, person: Person, amount_usd: str) -> None:
        await self.world.credit(person, amount_usd, reason="bank transfer")

    async def _do(self, endpoint: Endpoint, ask: Ask) -> None:
        answer = await self.world.operator.browser.send(endpoint, ask)
        assert answer.is_success, f"{endpoint.name}: {answer.text}"

    async def _get(self, endpoint: Endpoint, shape: type[Shape], ask: Ask | None = None) -> Shape:
        return await self.world.operator.browser.get(endpoint, shape, ask)


def _price(entry: channels.CatalogueEntry) -> dict[str, object]:
    return {
        "model": entry.model,
        "figures": msgspec.to_builtins(entry.figures),
        "max_output_tokens": entry.max_output_tokens or 16_384,
        "context_tokens": entry.context_tokens,
        "capabilities": list(entry.capabilities),
        "source": entry.source,
    }


def _channels(world: World) -> list[dict[str, object]]:
    """Return channels in every state; all lead to the simulator, and one has a key that will be refused."""
    rows: tuple[tuple[str, tuple[str, ...], dict[str, object]], ...] = (
        ("openai", MODELS[:2], {"priority": 10, "weight": 3}),
        ("openai-second-account", MODELS[:2], {"priority": 10}),
        ("anthropic-and-google-over-a-reseller-in-singapore", MODELS[2:4], {"headers": {"x-team": "relay"}}),
        ("deepseek", MODELS[4:5], {"priority": 5, "slow_seconds": 20.0}),
        ("fireworks", MODELS[5:], {"default_parameters": {"temperature": "0.7"}}),
        ("azure-east-asia", MODELS[:1], {"state": "draining", "auth_header": "api-key"}),
        ("old-provider", MODELS[2:3], {"state": "off", "abort_policy": "no_bill"}),
        ("trial", (TRIAL_MODEL, LONG_MODEL), {}),
    )
    return [
        channel_body(world, name) | {"models": {model: model for model in models}} | further
        for name, models, further in rows
    ]
