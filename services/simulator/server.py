"""The simulator as a server: listens, answers, and tells what it did, in process and under `/_sim/`."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType

import msgspec

from services.simulator.behaviour import parse
from services.simulator.connection import Connection, Header
from services.simulator.desk import Desk
from services.simulator.journal import Exchange, Journal, JournalEntry, LedgerEntry, Stats
from services.simulator.plan import Plan
from services.simulator.response import refuse, reply
from services.simulator.scenarios import Match, Scenario, to_directive
from shared.errors import InvalidRequest, MethodNotAllowed, NotFound, RelayError

ADMIN_PREFIX = "/_sim/"
BACKLOG = 4_096
GRACE_SECONDS = 0.2
ABORT_SECONDS = 5.0


class Simulator:
    """A simulated provider on `host` and `port` (0 takes a free one), for as long as its context is entered.

    `defaults` is a directive for every request, such as `tps=100 out=50`; equal seeds give equal answers. A channel's base
    URL is `url` + `/v1`.

    Raises: InvalidRequest for defaults that are not a directive.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, defaults: str = "", seed: int = 0) -> None:
        self._host = host
        self._port = port
        self._desk = Desk(parse(defaults), seed)
        self._journal = Journal()
        self._connections: set[Connection] = set()
        self._are_gone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._admin: dict[tuple[str, str], Callable[[bytes], bytes]] = {
            ("GET", "health"): lambda _: _json({"status": "ok"}),
            ("GET", "requests"): lambda _: _json(self.journal),
            ("GET", "ledger"): lambda _: _json(self.ledger),
            ("GET", "stats"): lambda _: _json(self.stats),
            ("POST", "reset"): self._reset_for_admin,
            ("POST", "scenarios"): self._queue_for_admin,
        }

    async def __aenter__(self) -> "Simulator":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:40123`; it must have been started."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    @property
    def journal(self) -> list[JournalEntry]:
        """The last requests, oldest first, as they stand now."""
        return self._journal.entries()

    @property
    def ledger(self) -> list[LedgerEntry]:
        """What a provider would bill for them, oldest first."""
        return self._journal.bills()

    @property
    def stats(self) -> Stats:
        """The totals."""
        return self._journal.stats(len(self._connections))

    async def start(self) -> None:
        """Listen. Raises: OSError when the address cannot be used."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, self._host, self._port, backlog=BACKLOG)

    async def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Stop listening; answers under way get `grace_seconds`, then their connections are dropped."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.finish()
        if not await self._wait_until_gone(grace_seconds):
            for connection in list(self._connections):
                connection.abort()
            await self._wait_until_gone(ABORT_SECONDS)
        self._server = None

    def queue(self, directive: str, *, times: int = 1, match: Match | None = None) -> None:
        """Answer the next `times` requests that match as the directive says.

        Raises: InvalidRequest for a directive that cannot be followed.
        """
        self._desk.scenarios.add(parse(directive), match or Match(), times)

    def reset(self) -> None:
        """Forget journal, ledger, totals, scenarios and attempts."""
        self._journal.reset()
        self._desk.reset()

    def answer(
        self, method: str, path: str, headers: Sequence[Header], body: bytes
    ) -> tuple[Plan, Exchange | None]:
        """Return the plan for a request, and its exchange in the journal; `/_sim/` itself is not recorded."""
        if path.startswith(ADMIN_PREFIX):
            return self._administer(method, path.removeprefix(ADMIN_PREFIX), body), None
        exchange = Exchange(method, path, headers, body, _key_in(headers))
        self._journal.open(exchange)
        return self._desk.answer(exchange, body), exchange

    def _administer(self, method: str, name: str, body: bytes) -> Plan:
        handle = self._admin.get((method, name))
        try:
            if handle is not None:
                return reply(handle(body))
            allowed = next((verb for verb, known in self._admin if known == name), None)
            if allowed is None:
                raise NotFound("unknown_url", method=method, path=ADMIN_PREFIX + name)
            raise MethodNotAllowed("method_not_allowed", method=method, allowed=allowed)
        except RelayError as error:
            return refuse(error)

    def _reset_for_admin(self, _: bytes) -> bytes:
        self.reset()
        return _json({"status": "ok"})

    def _queue_for_admin(self, body: bytes) -> bytes:
        try:
            scenario = msgspec.json.decode(body, type=Scenario)
        except msgspec.DecodeError as error:
            raise InvalidRequest("invalid_value", problem=str(error)) from error
        self._desk.scenarios.add(to_directive(scenario.behaviour), scenario.match, scenario.times)
        return _json({"queued": len(self._desk.scenarios)})

    def _connect(self) -> Connection:
        return Connection(self, self._connections.add, self._forget)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._are_gone.set()

    async def _wait_until_gone(self, timeout: float) -> bool:
        self._are_gone.clear()
        if not self._connections:
            return True
        try:
            await asyncio.wait_for(self._are_gone.wait(), timeout)
        except TimeoutError:
            return False
        return True


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _key_in(headers: Sequence[Header]) -> str:
    """Return the caller's key, from the header that OpenAI, Azure or Anthropic reads it from."""
    for name, value in headers:
        if name.lower() in (b"api-key", b"x-api-key"):
            return value.decode("latin-1").strip()
        if name.lower() == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            return key.strip() if scheme.lower() == "bearer" else ""
    return ""
