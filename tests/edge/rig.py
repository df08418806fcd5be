"""A running edge behind a real listener, with everybody it talks to: a real dispatcher, and stand-ins for auth and billing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec
from starlette.applications import Starlette

from services.edge.app import create_app
from services.edge.settings import EdgeSettings
from services.simulator.server import Simulator
from shared.bus import Attempt, Bus, Callees
from shared.contracts import accounts, auth, billing
from shared.contracts.call import AUTH, BILLING, DISPATCHER, EDGE
from shared.errors import RelayError, Unauthenticated
from shared.keys import mint, parse
from shared.settings import Settings
from tests.auth.conftest import in_force
from tests.dispatcher.rig import ACCOUNT_ID, Billing, World, chat
from tests.edge.serving import served

Serve = Callable[[Attempt], Awaitable[None]]


class Auth:
    """Auth as the edge knows it: says whose a key is, and notes that it was asked; is silent while `may_answer` is not set."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[auth.Verify] = []
        self.principals: dict[str, auth.Principal] = {}
        self.refusal: RelayError = Unauthenticated("invalid_api_key")
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self) -> None:
        """Answer from now on."""
        await self.bus.serve(auth.VERIFY, self._verify)
        await self.bus.control.flush()

    def key(
        self,
        *,
        expires_unix: float | None = None,
        allowed_models: tuple[str, ...] = (),
        allowed_addresses: tuple[str, ...] = (),
    ) -> str:
        """Return the text of a new good key."""
        text = mint()
        parsed = parse(text)
        assert parsed is not None
        self.principals[parsed.id] = auth.Principal(
            account_id=ACCOUNT_ID,
            key_id=parsed.id,
            version=1,
            expires_unix=expires_unix,
            allowed_models=allowed_models,
            allowed_addresses=allowed_addresses,
        )
        return text

    async def _verify(self, ask: auth.Verify) -> auth.Principal:
        self.asked.append(ask)
        principal = self.principals.get(ask.key_id)
        await self.may_answer.wait()
        if principal is None:
            raise self.refusal
        return principal


class Prices:
    """Billing's list of prices, where each model that is priced costs something, and the models of everybody's group."""

    def __init__(self, bus: Bus, models: tuple[str, ...] = ("m",)) -> None:
        self.bus = bus
        self.models = models
        self.group_models: tuple[str, ...] = ()
        self.refuses_limits: RelayError | None = None
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self) -> None:
        """Answer from now on."""
        await self.bus.serve(billing.LIST_PRICES, self._list)
        await self.bus.serve(accounts.GET_LIMITS, self._get_limits)
        await self.bus.control.flush()

    async def _get_limits(self, ask: accounts.GetLimits) -> accounts.LimitsInForce:
        if self.refuses_limits is not None:
            raise self.refuses_limits
        return msgspec.structs.replace(in_force(accounts.Limits()), allowed_models=self.group_models)

    async def _list(self, ask: billing.ListPrices) -> billing.Prices:
        self.asked += 1
        await self.may_answer.wait()
        rates = {name: 1 for name in billing.Price.__struct_fields__ if name.endswith("_pico_usd")}
        rest: dict[str, object] = {"id": 1, "max_output_tokens": 1000, "effective_unix": 0.0, **rates}
        return msgspec.convert({"items": [{**rest, "model": model} for model in self.models]}, billing.Prices)


class Around:
    """The parties around an edge, and its own bus."""

    def __init__(self, parties: dict[str, Bus]) -> None:
        self.bus = parties[EDGE]
        self.auth = Auth(parties[AUTH])
        self.billing = Billing(parties[BILLING])
        self.prices = Prices(parties[BILLING])
        self.dispatcher = parties[DISPATCHER]


@asynccontextmanager
async def around_of(nats_url: str) -> AsyncIterator[Around]:
    """Yield an edge's bus, auth and billing that answer, and a dispatcher's bus that does not yet."""
    async with AsyncExitStack() as stack:
        parties = {}
        for party in (EDGE, AUTH, BILLING, DISPATCHER):
            parties[party] = await stack.enter_async_context(Bus(Settings(nats_url=nats_url), party=party))
        around = Around(parties)
        await around.auth.serve()
        await around.billing.serve()
        await around.prices.serve()
        yield around


@asynccontextmanager
async def answering(bus: Bus, serve: Serve) -> AsyncIterator[Callees]:
    """Yield a dispatcher's end of the streams that answers each call by `serve`; left, it is as if killed."""
    async with Callees(bus, serve, streams_max=100, body_bytes_max=10_000_000) as callees:
        await callees.start()
        yield callees


class Edge:
    """A running edge: its application, and clients for it."""

    def __init__(self, app: Starlette, port: int, key: str) -> None:
        self.app = app
        self.port = port
        self.key = key
        self.url = f"http://127.0.0.1:{port}"

    def client(self, key: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Return a client with a good key, or another."""
        given = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json", **headers}
        return httpx.AsyncClient(base_url=self.url, headers=given, timeout=30.0)

    async def post(
        self, text: str = "hello", *, is_stream: bool = False, key: str | None = None, **fields: object
    ) -> httpx.Response:
        """Return the whole answer to one chat request."""
        async with self.client(key) as client:
            body = chat(text, is_stream=is_stream, **fields)
            return await client.post("/v1/chat/completions", content=body)

    async def metric(self, name: str) -> float:
        """Return one figure of the edge, 0 while it has no series."""
        async with self.client() as client:
            page = (await client.get("/metrics")).text
        return next((float(line.split()[-1]) for line in page.splitlines() if line.startswith(name)), 0.0)


@asynccontextmanager
async def edge_of(around: Around, settings: EdgeSettings) -> AsyncIterator[Edge]:
    """Yield a running edge behind a listener of its own."""
    bus = Bus(settings, party=EDGE)
    app = create_app(settings, bus)
    async with app.router.lifespan_context(app):
        await bus.control.flush()
        async with served(app, settings) as port:
            yield Edge(app, port, around.auth.key())


class Torn(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a stream, and whether its body was finished."""

    status: int
    headers: dict[str, str]
    data: bytes
    is_finished: bool

    @property
    def events(self) -> list[bytes]:
        """The data of each event; comments are left out."""
        blocks = self.data.split(b"\n\n")
        return [block.removeprefix(b"data: ") for block in blocks if block.startswith(b"data: ")]

    @property
    def error(self) -> dict[str, str | None]:
        """The error that the last event holds."""
        return msgspec.json.decode(self.events[-1], type=dict[str, dict[str, str | None]])["error"]

    @property
    def is_whole(self) -> bool:
        """Whether the stream ended well."""
        return self.is_finished and self.data.endswith(b"data: [DONE]\n\n")


async def stream(edge: Edge, text: str = "hello", *, is_stream: bool = True, **fields: object) -> Torn:
    """Return all that comes of a request, also when its body is never finished."""
    parts = []
    async with edge.client() as client:
        body = chat(text, is_stream=is_stream, **fields)
        async with client.stream("POST", "/v1/chat/completions", content=body) as response:
            is_finished = True
            try:
                async for part in response.aiter_raw():
                    parts.append(part)
            except httpx.RemoteProtocolError:
                is_finished = False
            return Torn(
                status=response.status_code,
                headers=dict(response.headers),
                data=b"".join(parts),
                is_finished=is_finished,
            )


async def provider(upstreams: World, defaults: str) -> Simulator:
    """Return a provider behind the only channel."""
    upstream = await upstreams.simulator(defaults)
    await upstreams.channel(upstream, "one")
    return upstream


def error_of(answer: httpx.Response) -> dict[str, str | None]:
    """Return the error of a response, which has the four members that SDKs read, and its hints."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] in ("true", "false")
    assert ("retry-after" in answer.headers) == (answer.headers["x-should-retry"] == "true")
    assert answer.headers["x-request-id"]
    return dict(error)


async def until_metric(edge: Edge, name: str, value: float) -> None:
    """Return when a figure of the edge has this value."""
    async with asyncio.timeout(30):
        while await edge.metric(name) != value:  # noqa: ASYNC110 - a figure has no event
            await asyncio.sleep(0.02)
