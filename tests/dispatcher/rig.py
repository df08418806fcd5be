"""A running dispatcher with everybody it talks to: real PostgreSQL, real NATS, simulated providers, a stand-in for billing."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
from starlette.applications import Starlette

import services.dispatcher
from services.dispatcher.app import create_app
from services.dispatcher.settings import DispatcherSettings
from services.simulator.server import Simulator
from shared.bus import Answer, Bus, Callers
from shared.contracts import billing, dispatcher
from shared.contracts.call import BILLING, DISPATCHER, EDGE, OPERATOR
from shared.errors import Conflict, ErrorBody, InsufficientFunds, RelayError, Unavailable
from shared.ids import uuid7
from shared.migrate import migrate
from shared.settings import Secret, Settings
from shared.stream.actions import Confirmed, Ended, Failed, Received, Started, Unconfirmed

MIGRATIONS = Path(services.dispatcher.__file__).parent / "migrations"
PATIENCE_SECONDS = 30.0  # how long anything may take before a test gives up on it
MASTER_KEY = secrets.token_hex(32)
ACCOUNT_ID = "018f0000-0000-7000-8000-000000000001"

T = TypeVar("T")
Claim = billing.Settle | billing.Void


async def until(holds: Callable[[], object]) -> None:
    """Return when `holds()`, within the patience of the tests."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def soon(waiting: Awaitable[T]) -> T:
    """Return what `waiting` returns, within the patience of the tests."""
    return await asyncio.wait_for(waiting, PATIENCE_SECONDS)


def migrated(postgres_url: str) -> str:
    """Return the URL of a new database with the dispatcher's schema."""
    name = f"test_{secrets.token_hex(8)}"

    async def make() -> str:
        url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        server = await asyncpg.connect(postgres_url)
        await server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        await server.close()
        connection = await asyncpg.connect(url)
        await migrate(connection, schema="dispatcher", folder=MIGRATIONS)
        await connection.close()
        return url

    return asyncio.run(make())


async def execute(url: str, statement: str) -> None:
    """Execute one statement as the superuser."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class Billing:
    """Billing as edge and dispatcher know it: notes what it is told; the first claim on a hold wins.

    It refuses a reserve with `refusal`, or one of more than `affordable_input_tokens`, and answers nothing while `may_answer`
    is not set; what it does not answer it has still done.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.reserves: list[billing.Reserve] = []
        self.fences: list[billing.Fence] = []
        self.claims: list[Claim] = []
        self.ends: dict[str, Claim] = {}
        self.leases: dict[str, bool] = {}
        self.refusal: RelayError | None = None
        self.affordable_input_tokens: int | None = None
        self.claim_refusal: RelayError | None = None
        self.output_tokens_granted = 4096
        self.extensions: list[billing.Extend] = []
        self.output_tokens_affordable = 1_000_000
        self.extend_refusal: RelayError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self) -> None:
        """Answer from now on."""
        await self.bus.serve(billing.RESERVE, self._reserve)
        await self.bus.serve(billing.EXTEND, self._extend)
        await self.bus.serve(billing.FENCE, self._fence)
        await self.bus.serve(billing.SETTLE, self._end)
        await self.bus.serve(billing.VOID, self._end)
        await self.bus.serve(billing.RENEW_LEASE, self._renew)
        await self.bus.serve(billing.END_LEASE, self._end_lease)
        await self.bus.control.flush()

    async def end_of(self, request_id: str) -> Claim:
        """Return the claim that ended the hold, once there is one."""
        await until(lambda: request_id in self.ends)
        return self.ends[request_id]

    def end_lease(self, lease_id: str) -> None:
        """End a lease as if it had run out."""
        self.leases[lease_id] = False

    async def only_end(self) -> Claim:
        """Return the claim that ended the only hold, once there is one."""
        await until(lambda: self.ends)
        (claim,) = self.ends.values()
        return claim

    async def _reserve(self, ask: billing.Reserve) -> billing.Hold:
        self.reserves.append(ask)
        await self.may_answer.wait()
        if self.refusal is not None:
            raise self.refusal
        if self.affordable_input_tokens is not None and ask.input_tokens_bound > self.affordable_input_tokens:
            raise InsufficientFunds("insufficient_balance", needed_usd="2", available_usd="1")
        if not self.leases.get(ask.lease_id):
            raise Unavailable("lease_ended", retry_after_seconds=1)
        if ask.request_id in self.ends:
            raise Conflict("id_conflict", id=ask.request_id)
        wanted = ask.output_tokens_wanted or self.output_tokens_granted
        return billing.Hold(
            request_id=ask.request_id, amount_nano_usd=1, output_tokens_granted=wanted, price_id=1
        )

    async def _extend(self, ask: billing.Extend) -> billing.Extended:
        self.extensions.append(ask)
        await self.may_answer.wait()
        known = max((each.output_tokens_bound for each in self.extensions[:-1]), default=0)
        if (
            self.extend_refusal is not None
            and ask.output_tokens_bound > self.output_tokens_affordable <= known
        ):
            raise self.extend_refusal
        bound = min(ask.output_tokens_bound, self.output_tokens_affordable)
        return billing.Extended(amount_nano_usd=bound, output_tokens_bound=bound)

    async def _fence(self, fence: billing.Fence) -> billing.Fenced:
        self.fences.append(fence)
        await self.may_answer.wait()
        return billing.Fenced(is_held=fence.request_id not in self.ends)

    async def _end(self, claim: Claim) -> billing.Ended:
        self.claims.append(claim)
        if self.claim_refusal is not None:
            raise self.claim_refusal
        first = self.ends.setdefault(claim.request_id, claim)
        await self.may_answer.wait()
        return billing.Ended(state="SETTLED" if isinstance(first, billing.Settle) else "VOIDED")

    async def _renew(self, lease: billing.Lease) -> billing.LeaseState:
        return billing.LeaseState(
            is_live=self.leases.setdefault(lease.lease_id, True), remaining_seconds=60.0
        )

    async def _end_lease(self, lease: billing.Lease) -> billing.LeaseState:
        self.leases[lease.lease_id] = False
        return billing.LeaseState(is_live=False)


class Heard(msgspec.Struct, kw_only=True):
    """All that came for one call."""

    head: dispatcher.AnswerHead | None = None
    data: bytes = b""
    outcome: Ended | Failed
    settlement: Confirmed | Unconfirmed | None = None

    @property
    def tail(self) -> dispatcher.AnswerTail:
        """The last word on the answer."""
        assert isinstance(self.outcome, Ended), self.outcome
        return msgspec.msgpack.decode(self.outcome.tail, type=dispatcher.AnswerTail)

    @property
    def error(self) -> ErrorBody:
        """The error that ended the answer."""
        assert self.tail.error is not None, self.data
        return self.tail.error

    @property
    def claim(self) -> billing.Settle:
        """The claim that the last word carries."""
        assert self.tail.claim is not None
        return self.tail.claim


class World:
    """A running dispatcher, and the parties around it: `callers` are the streams of an edge."""

    def __init__(
        self,
        stack: AsyncExitStack,
        parties: dict[str, Bus],
        billing: Billing,
        callers: Callers,
        database_url: str,
    ) -> None:
        self.stack = stack
        self.edge = parties[EDGE]
        self.operator = parties[OPERATOR]
        self.billing = billing
        self.callers = callers
        self.database_url = database_url

    async def simulator(self, defaults: str = "") -> Simulator:
        """Return a new provider."""
        return await self.stack.enter_async_context(Simulator(defaults=defaults))

    async def channel(
        self, upstream: Simulator | str, name: str = "", **fields: object
    ) -> dispatcher.ChannelInfo:
        """Make a channel to `upstream` that serves the model `m`."""
        url = upstream if isinstance(upstream, str) else upstream.url + "/v1"
        given: dict[str, object] = {
            "name": name or f"channel-{secrets.token_hex(4)}",
            "base_url": url,
            "credential": "sk-upstream-secret",
            "models": {"m": "theirs"},
            **fields,
        }
        made = msgspec.convert(given, dispatcher.CreateChannel)
        return await self.operator.call(dispatcher.CREATE_CHANNEL, made)

    async def open(
        self, text: str = "hello", *, is_stream: bool = True, body: bytes | None = None, **fields: object
    ) -> Answer:
        """Send a call to the dispatcher."""
        call = msgspec.structs.replace(CALL, is_stream=is_stream, **fields)
        return await self.callers.open(
            request_id=uuid7().hex,
            head=msgspec.msgpack.encode(call),
            body=chat(text, is_stream=is_stream) if body is None else body,
            deadline_seconds=60.0,
        )

    async def ask(
        self, text: str = "hello", *, is_stream: bool = True, body: bytes | None = None, **fields: object
    ) -> Heard:
        """Send a call and return its whole answer."""
        return await hear(await self.open(text, is_stream=is_stream, body=body, **fields))


CALL = dispatcher.ChatCall(
    account_id=ACCOUNT_ID,
    model="m",
    is_stream=True,
    include_usage=False,
    output_tokens_granted=1000,
    choices=1,
    input_tokens_bound=100,
    deadline_seconds=60.0,
)


def chat(text: str, *, is_stream: bool = True, **fields: object) -> bytes:
    """Return the body of a request with one message for the model `m`."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": is_stream, **fields}
    return msgspec.json.encode(body)


def identity(answer: Answer) -> str:
    """Return the id of the call as billing knows it."""
    text = answer.request_id
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


async def hear(answer: Answer) -> Heard:
    """Return all of an answer, taking each part as it comes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head, parts = None, []
        while True:
            for step in await answer.next():
                if isinstance(step, Started):
                    head = msgspec.msgpack.decode(step.head, type=dispatcher.AnswerHead)
                elif isinstance(step, Received):
                    parts.append(step.data)
                    await answer.consumed(len(step.data))
                elif isinstance(step, Ended | Failed):
                    return Heard(head=head, data=b"".join(parts), outcome=step)


async def begun(answer: Answer) -> None:
    """Return when the first bytes of an answer have come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(isinstance(step, Received) for step in await answer.next()):
            pass


def settings_of(nats_url: str, database_url: str, **changes: object) -> DispatcherSettings:
    """Return the settings of a dispatcher that may call the loopback."""
    settings = DispatcherSettings(
        nats_url=nats_url,
        database_url=Secret(database_url),
        master_key=Secret(MASTER_KEY),
        upstream_private_networks=("127.0.0.0/8",),
        drain_seconds=5.0,
    )
    return msgspec.structs.replace(settings, **changes)


@asynccontextmanager
async def replica(settings: DispatcherSettings) -> AsyncIterator[Starlette]:
    """Yield the application of one running dispatcher."""
    bus = Bus(settings, party=DISPATCHER)
    app = create_app(settings, bus)
    async with app.router.lifespan_context(app):
        await bus.control.flush()
        yield app


@asynccontextmanager
async def world_of(
    nats_url: str, database_url: str, *, billing: Billing | None = None
) -> AsyncIterator[World]:
    """Yield everybody but the dispatcher, over a database without channels, with a billing of its own unless one is given."""
    await execute(database_url, "TRUNCATE dispatcher.channel CASCADE")
    async with AsyncExitStack() as stack:
        parties = {}
        for party in (EDGE, OPERATOR) if billing else (EDGE, OPERATOR, BILLING):
            parties[party] = await stack.enter_async_context(Bus(Settings(nats_url=nats_url), party=party))
        callers = await stack.enter_async_context(Callers(parties[EDGE]))
        if billing is None:
            billing = Billing(parties[BILLING])
            await billing.serve()
        yield World(stack, parties, billing, callers, database_url)


async def missing(app: Starlette) -> list[str]:
    """Return what the service says is missing for it to be ready."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://dispatcher"
    ) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code == 200) == (not answer.json()["missing"])
    return list(answer.json()["missing"])


async def two(world: World, first: str, second: str = "reply=hi") -> tuple[Simulator, Simulator]:
    """Make a channel that behaves as `first` says, and one to turn to that behaves as `second` says."""
    upstreams = await world.simulator(first), await world.simulator(second)
    await world.channel(upstreams[0], "first", priority=1)
    await world.channel(upstreams[1], "second")
    return upstreams


def is_whole(heard: Heard) -> bool:
    """Whether an answer ended well."""
    return heard.tail.error is None and heard.claim.outcome == "completed"
