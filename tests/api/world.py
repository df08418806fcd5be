"""Two users, an operator and nobody: what each of them has, made through the API itself."""

import datetime
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pyotp

from services.edge.api import table
from services.edge.api.shapes import channels, operator, people, wallet
from services.edge.api.shapes.site import SignUpMode
from shared.db import Connection
from tests.api.client import Ask, Asker, connected, new_email, new_password, sign_in, sign_up
from tests.auth.device import Device
from tests.e2e.stack import RunningStack

CREDIT_USD = "5"
FUTURE = 4_102_444_800  # 2100-01-01


class Person(msgspec.Struct, kw_only=True):
    """Somebody with an account, their session, and a management key."""

    email: str
    password: str
    me: people.Me
    browser: Asker
    script: Asker


class World:
    """What the tests of one stack share, and how more is made of it. `operator` may do everything, `nobody` has not signed in."""

    def __init__(self, stack: RunningStack, http: httpx.AsyncClient, database: Connection) -> None:
        self.stack = stack
        self.http = http
        self.database = database
        self.nobody = Asker(http)
        self.operator: Person
        self.alice: Person
        self.bob: Person

    async def begin(self) -> None:
        """Let the people be there: the operator whom the first start made, and two who have signed up."""
        demo = self.stack.demo
        browser = Asker(self.http)
        me = await sign_in(browser, demo.admin_email, demo.admin_password)
        self.operator = await self._person(demo.admin_email, demo.admin_password, me, browser)
        self.alice = await self.newcomer("alice")
        self.bob = await self.newcomer("bob")

    async def newcomer(self, name: str = "newcomer") -> Person:
        """Return somebody who has just signed up."""
        return await self.newcomer_at(new_email(name))

    async def newcomer_at(self, email: str) -> Person:
        """Return somebody who has just signed up with this address."""
        password, browser = new_password(), Asker(self.http)
        return await self._person(email, password, await sign_up(browser, email, password), browser)

    @asynccontextmanager
    async def stale(self, person: Person) -> AsyncIterator[None]:
        """Let the last time that a person has shown a password or second factor be long ago, until the end of the context."""
        change = "UPDATE auth.session SET fresh_at = now() - $2::interval WHERE user_id = $1::text::uuid"
        await self.database.execute(change, person.me.user_id, datetime.timedelta(days=1))
        try:
            yield
        finally:
            await self.database.execute(change, person.me.user_id, datetime.timedelta())

    @asynccontextmanager
    async def sign_up_mode(self, mode: SignUpMode) -> AsyncIterator[None]:
        """Let these people sign up until the end of the context."""
        before = await self.operator.browser.get(table.SETTINGS, operator.SiteSettings)
        changed = await self._put_settings(msgspec.structs.replace(before, sign_up=mode))
        try:
            yield
        finally:
            await self._put_settings(msgspec.structs.replace(before, version=changed.version))

    async def _put_settings(self, settings: operator.SiteSettings) -> operator.SiteSettings:
        ask = Ask(body=msgspec.to_builtins(settings))
        return await self.operator.browser.get(table.PUT_SETTINGS, operator.SiteSettings, ask)

    async def credit(
        self, person: Person, amount_usd: str = CREDIT_USD, *, reason: str = "for a test"
    ) -> None:
        """Give a person money, as the operator."""
        body: dict[str, object] = {
            "amount_usd": amount_usd,
            "reason": reason,
            "idempotency_key": secrets.token_hex(8),
        }
        ask = Ask(path={"account_id": person.me.account_id}, body=body)
        await self.operator.browser.get(table.CREDIT, wallet.Wallet, ask)

    async def make_key(self, person: Person) -> wallet.MadeKey:
        """Return a new API key of a person."""
        return await person.browser.get(table.MAKE_KEY, wallet.MadeKey, Ask(body={"name": "laptop"}))

    async def make_management_key(self, person: Person) -> people.MadeManagementKey:
        """Return a new management key of a person."""
        ask = Ask(body={"name": "script"})
        return await person.browser.get(table.MAKE_MANAGEMENT_KEY, people.MadeManagementKey, ask)

    async def call(self, person: Person) -> str:
        """Return the id of a call that a person made and paid for."""
        await self.credit(person)
        key = await self.make_key(person)
        answer = await self.http.post(
            "/v1/chat/completions",
            json={"model": self.stack.demo.model, "messages": [{"role": "user", "content": "[[sim out=5]]"}]},
            headers={"authorization": f"Bearer {key.secret}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-request-id"]

    async def other_session(self, person: Person) -> str:
        """Return the id of one more session of a person, on another device."""
        elsewhere = Asker(self.http)
        await sign_in(elsewhere, person.email, person.password)
        sessions = await elsewhere.get(table.SESSIONS, people.Sessions)
        return next(session.id for session in sessions.items if session.is_current)

    async def add_totp(self, person: Person) -> str:
        """Give a person an authenticator; return its secret."""
        secret = (await person.browser.get(table.BEGIN_TOTP, people.TotpSecret)).secret
        ask = Ask(body={"code": pyotp.TOTP(secret).now()})
        await person.browser.get(table.CONFIRM_TOTP, people.RecoveryCodes, ask)
        return secret

    async def new_passkey(self, person: Person, device: Device) -> Ask:
        """Return the answer of a person's new device to the site's challenge."""
        options = await person.browser.get(table.BEGIN_PASSKEY, people.PasskeyOptions)
        credential = msgspec.Raw(device.make(options_text(options), person.browser.origin).encode())
        return Ask(body={"challenge_id": options.challenge_id, "credential": credential, "name": "phone"})

    async def add_passkey(self, person: Person, device: Device) -> str:
        """Give a person a passkey; return its id."""
        ask = await self.new_passkey(person, device)
        return (await person.browser.get(table.ADD_PASSKEY, people.Passkey, ask)).id

    async def make_channel(self) -> str:
        """Return the name of a new channel to the simulator."""
        name = f"channel-{secrets.token_hex(5)}"
        body = channel_body(self, name)
        await self.operator.browser.get(table.MAKE_CHANNEL, channels.Channel, Ask(body=body))
        return name

    async def make_codes(self) -> operator.MadeCodes:
        """Return a new batch of codes."""
        ask = Ask(body={"batch": f"batch-{secrets.token_hex(5)}", "count": 2, "amount_usd": "1"})
        return await self.operator.browser.get(table.MAKE_CODES, operator.MadeCodes, ask)

    async def make_group(self) -> str:
        """Return the name of a new group that no account is in."""
        name = f"group-{secrets.token_hex(5)}"
        await self.operator.browser.get(table.PUT_GROUP, operator.Group, Ask(body={"name": name}))
        return name

    async def invite(self) -> str:
        """Return the id of a new invitation."""
        invited = await self.operator.browser.get(table.INVITE, operator.Invited, Ask(body={}))
        return invited.invitation.id

    async def actions(self) -> tuple[operator.Action, ...]:
        """Return the last rows of the log of what operators did, newest first."""
        ask = Ask(query={"limit": "200"})
        return (await self.operator.browser.get(table.ACTIONS, operator.Actions, ask)).items

    async def _person(self, email: str, password: str, me: people.Me, browser: Asker) -> Person:
        person = Person(email=email, password=password, me=me, browser=browser, script=Asker(self.http))
        person.script.bearer = (await self.make_management_key(person)).secret
        return person


def channel_body(world: World, name: str) -> dict[str, object]:
    """Return what makes a channel to the simulator."""
    return {
        "name": name,
        "base_url": world.stack.simulator_url + "/v1",
        "credential": f"sk-sim-openai-{name}",
        "models": {f"model-of-{name}": f"model-of-{name}"},
    }


def options_text(options: people.PasskeyOptions) -> str:
    """Return what `navigator.credentials` is given, as JSON."""
    return bytes(options.options).decode()


@asynccontextmanager
async def populated(stack: RunningStack) -> AsyncIterator[World]:
    """Yield the world of a running stack."""
    async with connected(stack.public_url) as http, stack.database() as database:
        world = World(stack, http, database)
        await world.begin()
        yield world
