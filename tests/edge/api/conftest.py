"""An operator at the API: real services behind a bus that enforces the edge's rights, and the steps that the frame takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from services.edge.api import table, trail
from services.edge.api.context import Context, Person, Through
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.frame import query_of
from services.edge.api.handlers import HANDLERS
from services.edge.api.shapes import operator
from services.edge.app import create_app
from services.edge.settings import EdgeSettings
from shared.bus import Bus
from shared.contracts import auth
from shared.contracts.call import EDGE, OPERATOR
from shared.contracts.people import Client
from shared.ids import uuid7
from shared.settings import Secret, Settings
from tests.cli.conftest import Relay, relay_of
from tests.edge.api.browser import PASSWORD, Browser, address
from tests.edge.serving import served

ADDRESS = "192.0.2.7"


class Operator:
    """A person who is an operator, and what the frame does for them."""

    def __init__(self, bus: Bus, user: auth.User, running: Relay) -> None:
        self.bus = bus
        self.user = user
        self.running = running
        self.through: Through = "console"
        self.address = ADDRESS

    async def do(self, endpoint: Endpoint, ask: msgspec.Struct | None = None, **given: Any) -> Any:
        """Return the answer of a route; `given` are parameters of its path, and of its query."""
        path = {name: given.pop(name) for name in list(given) if f"{{{name}" in endpoint.path}
        query = query_of(urlencode(given).encode(), endpoint.query)
        ask = Nothing() if ask is None else ask
        asked = msgspec.json.decode(msgspec.json.encode(ask), type=endpoint.takes)
        context = self.context(path)
        begun = await trail.begin(context, endpoint, asked)
        try:
            answer = await HANDLERS[endpoint](context, asked, query)
        except Exception as error:
            await trail.end(context, begun, error)
            raise
        await trail.end(context, begun)
        assert type(answer) is endpoint.gives
        return msgspec.json.decode(msgspec.json.encode(answer), type=endpoint.gives)

    async def last_action(self) -> operator.Action:
        """Return the newest entry of the log."""
        page: operator.Actions = await self.do(table.ACTIONS, limit=1)
        return page.items[0]

    async def log(self) -> str:
        """Return the newest entries of the log, as the API gives them."""
        return msgspec.json.encode(await self.do(table.ACTIONS, limit=200)).decode()

    def context(self, path: dict[str, str] | None = None) -> Context:
        """Return what a handler is given."""
        person = Person(
            user_id=self.user.id,
            account_id=self.user.account_id,
            email=self.user.email,
            role=self.user.role,
            language="en",
            is_fresh=True,
            session_id=str(uuid7()),
            through=self.through,
        )
        return Context(
            bus=self.bus,
            person=person,
            path=path or {},
            language="en",
            client=Client(address=self.address, agent="a test"),
            cookies={},
            settings=EdgeSettings(nats_url=self.running.nats_url),
        )

    async def member(self, name: str = "") -> auth.User:
        """Return a new person with an account of their own."""
        return await member(self.running, f"{name or 'member'}-{uuid7().hex}@example.com")


async def member(running: Relay, email: str, role: auth.Role = "member") -> auth.User:
    """Return a new person, made as the command line makes one."""
    async with Bus(settings_of(running, OPERATOR), party=OPERATOR) as bus:
        return await bus.call(auth.CREATE_USER, auth.CreateUser(email=email, password=PASSWORD, role=role))


def settings_of(running: Relay, party: str) -> Settings:
    """Return how a party reaches the bus."""
    return Settings(
        nats_url=running.nats_url, nats_user=party, nats_password=Secret(running.passwords[party])
    )


@pytest.fixture(scope="session")
def running(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Auth, billing and the dispatcher, with a database and a bus of their own."""
    with relay_of(postgres_url, tmp_path_factory.mktemp("nats")) as made:
        yield made


@pytest.fixture
async def op(running: Relay) -> AsyncIterator[Operator]:
    """An operator of their own, on the edge's bus."""
    user = await member(running, f"operator-{uuid7().hex}@example.com", "admin")
    async with Bus(settings_of(running, EDGE), party=EDGE) as bus:
        yield Operator(bus, user, running)


@pytest.fixture
async def url(running: Relay) -> AsyncIterator[str]:
    """The address of an edge in front of the running services."""
    access = settings_of(running, EDGE)
    settings = EdgeSettings(
        nats_url=access.nats_url,
        nats_user=access.nats_user,
        nats_password=Secret(access.nats_password.reveal()),
        access_log=False,
    )
    app = create_app(settings, Bus(settings, party=EDGE))
    async with app.router.lifespan_context(app), served(app, settings) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def browser(url: str) -> AsyncIterator[Browser]:
    """A browser that is signed in nowhere."""
    made = Browser(url)
    async with made.http:
        yield made


async def signed_in(browser: Browser, running: Relay, role: str = "member") -> str:
    """Sign a new person in; return the address."""
    email = address()
    await member(running, email, "admin" if role == "admin" else "member")
    assert (await browser.ask("POST", "/sign-in", email=email, password=PASSWORD))["state"] == "signed_in"
    return email


async def open_sign_up(running: Relay, mode: str = "open") -> None:
    """Let people sign up."""
    await asyncio.to_thread(running.text, "site", "set", "--sign-up", mode)
