"""The services that commands talk to, running in a thread of their own, on a bus that enforces everybody's rights."""

import asyncio
import secrets
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette

from services.auth.app import create_app as auth_app
from services.auth.settings import AuthSettings
from services.billing.app import create_app as billing_app
from services.billing.settings import BillingSettings
from services.cli.main import relay
from services.devstack.nats import EmbeddedNats
from services.devstack.schemas import migrate_all
from services.dispatcher.app import create_app as dispatcher_app
from services.dispatcher.settings import DispatcherSettings
from shared.bus import Bus
from shared.contracts.call import AUTH, BILLING, DISPATCHER, OPERATOR, PARTIES
from shared.contracts.nats_config import nats_config
from shared.settings import load

START_SECONDS = 60.0
NOWHERE = {
    name: "" for name in ("RELAY_NATS_URL", "RELAY_NATS_USER", "RELAY_NATS_PASSWORD", "RELAY_DATABASE_URL")
} | {"RELAY_DATA_DIR": "/nonexistent/relay"}  # not the data of a stack that was run in this folder


class Relay:
    """The command line of a running Relay: `environment` says where it runs, `passwords` are those of the bus."""

    def __init__(
        self,
        nats_url: str,
        database_url: str,
        passwords: Mapping[str, str],
        logins: Mapping[str, str] | None = None,
    ) -> None:
        self.nats_url = nats_url
        self.database_url = database_url
        self.passwords = passwords
        self.logins = logins or {}
        self.key_pepper, self.master_key = secrets.token_hex(32), secrets.token_hex(32)
        self.environment = self.variables_of(OPERATOR)

    def run(self, *arguments: str, given: str | bytes | None = None, **variables: str) -> Result:
        """Return how a command ended; a traceback is raised here."""
        return run(*arguments, given=given, environment=self.environment | variables)

    def text(self, *arguments: str, given: str | None = None, **variables: str) -> str:
        """Return what a command that succeeds prints for people."""
        result = self.run(*arguments, given=given, **variables)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def json(self, *arguments: str, given: str | None = None, **variables: str) -> dict[str, msgspec.Raw]:
        """Return the one JSON document that a command that succeeds prints, a member each."""
        text = self.text(*arguments, "--json", given=given, **variables)
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])

    def refusal(
        self, *arguments: str, given: str | bytes | None = None, status: int = 1, **variables: str
    ) -> str:
        """Return the sentence of a command that ends with `status`, and prints nothing else."""
        result = self.run(*arguments, given=given, **variables)
        assert (result.exit_code, result.stdout) == (status, "")
        if status == 1:
            assert result.stderr.count("\n") == 1
        return result.stderr.strip().splitlines()[-1].removeprefix("Error: ")

    def variables_of(self, party: str) -> dict[str, str]:
        """Return how `party` reaches the bus and the database, with its own login if it has one."""
        return {
            "RELAY_NATS_URL": self.nats_url,
            "RELAY_NATS_USER": party,
            "RELAY_NATS_PASSWORD": self.passwords[party],
            "RELAY_DATABASE_URL": self.logins.get(party, self.database_url),
        }


def run(*arguments: str, given: str | bytes | None = None, environment: Mapping[str, str]) -> Result:
    """Return how `relay` ended with these arguments and variables; a traceback is raised here."""
    return CliRunner().invoke(
        relay,
        arguments,
        input=given,
        env={**NOWHERE, **environment},
        catch_exceptions=False,
        prog_name="relay",
    )


@pytest.fixture(scope="session")
def running(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Auth, billing and the dispatcher, with a database and a bus of their own."""
    with relay_of(postgres_url, tmp_path_factory.mktemp("nats")) as made:
        yield made


@contextmanager
def relay_of(postgres_url: str, nats_dir: Path) -> Iterator[Relay]:
    """Yield the command line of services that run for as long as this is entered."""
    name = f"relay_{secrets.token_hex(8)}"
    database_url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    passwords = {party: secrets.token_hex(16) for party in PARTIES}
    asyncio.run(_execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    asyncio.run(migrate_all(database_url))
    with EmbeddedNats(nats_dir, nats_config(passwords)) as nats:
        made = Relay(nats.url, database_url, passwords)
        with Services(made):
            yield made
    asyncio.run(_execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


class Services:
    """Auth, billing and the dispatcher in a thread of their own; entering waits until they have started, or raises why not."""

    def __init__(self, relay: Relay, **auth: str) -> None:
        """Services on the databases and the bus of `relay`; `auth` are variables of the environment of auth."""
        self._relay = relay
        self._auth = auth
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services")
        self._started: Future[None] = Future()
        self._stopping = asyncio.Event()

    def __enter__(self) -> None:
        self._thread.start()
        self._ended = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        wait([self._started, self._ended], START_SECONDS, FIRST_COMPLETED)
        if not self._started.done():
            self.__exit__()

    def __exit__(self, *raised: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        try:
            self._ended.result(START_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            for app in self._apps():
                await stack.enter_async_context(app.router.lifespan_context(app))
            self._started.set_result(None)
            await self._stopping.wait()

    def _apps(self) -> Iterator[Starlette]:
        auth, billing, dispatcher = (self._relay.variables_of(party) for party in (AUTH, BILLING, DISPATCHER))
        auth["RELAY_KEY_PEPPER"] = self._relay.key_pepper
        auth["RELAY_OUTBOX_PAGE"] = "true"
        auth["RELAY_FACTOR_KEY"] = secrets.token_hex(32)
        auth["RELAY_PUBLIC_URL"] = "https://relay.example"
        auth |= self._auth
        dispatcher["RELAY_MASTER_KEY"] = self._relay.master_key
        billing["RELAY_CODE_PEPPER"] = secrets.token_hex(32)
        billing_settings = load(BillingSettings, billing)
        yield billing_app(billing_settings, Bus(billing_settings, party=BILLING))
        auth_settings = load(AuthSettings, auth)
        yield auth_app(auth_settings, Bus(auth_settings, party=AUTH))
        dispatcher_settings = load(DispatcherSettings, dispatcher)
        yield dispatcher_app(dispatcher_settings, Bus(dispatcher_settings, party=DISPATCHER))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
