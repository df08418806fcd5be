"""What was asked and what really went out: the journal of requests, and the ledger of what a provider would bill.

A bill exists for each request that was taken on, also when its answer broke off: the prompt was read. It counts the
output that was generated until the end, the cut or the caller's departure; with `ignore_abort` all of it.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from services.simulator.answer import Usage
from services.simulator.plan import Plan
from services.simulator.usage import so_far

MOST_EXCHANGES = 10_000
KEPT_BODY_BYTES = 16_384

Outcome = Literal["running", "completed", "cut", "aborted"]
RawHeaders = Sequence[tuple[bytes, bytes]]


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the fate of its answer. Times are Unix seconds; `body` is the first part of `body_bytes`.

    `outcome` is `cut` when the plan was to break off, `aborted` when the peer left before the plan was done;
    `is_closed_early` is true when the peer left before a complete answer, so also while a cut hung.
    """

    number: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: str
    body_bytes: int
    api_key: str
    model: str
    status: int
    received_at: float
    first_byte_at: float | None
    ended_at: float | None
    bytes_sent: int
    tokens_planned: int
    tokens_emitted: int
    outcome: Outcome
    is_closed_early: bool

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider would bill for one request; `number` is its number in the journal."""

    number: int
    api_key: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cache_write_ttl: str
    completion_tokens: int
    reasoning_tokens: int
    web_searches: int
    service_tier: str
    outcome: Outcome
    is_aborted: bool


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start or the last reset. `models` counts requests in the journal; CPU time is the process's."""

    open_connections: int
    running: int
    requests: int
    tokens_planned: int
    tokens_emitted: int
    models: dict[str, int]
    cpu_seconds: float


class Exchange:
    """One request while its answer is under way; the player writes it, the journal reads it."""

    __slots__ = (
        "api_key", "body", "body_bytes", "bytes_sent", "ended_at", "first_byte_at", "headers", "is_closed_early",
        "method", "model", "number", "outcome", "path", "plan", "received_at", "tokens_emitted",
    )  # fmt: skip

    def __init__(self, method: str, path: str, headers: RawHeaders, body: bytes, api_key: str) -> None:
        self.number = 0
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body[:KEPT_BODY_BYTES]
        self.body_bytes = len(body)
        self.api_key = api_key
        self.model = ""
        self.plan: Plan | None = None
        self.received_at = time.time()
        self.first_byte_at: float | None = None
        self.ended_at: float | None = None
        self.bytes_sent = 0
        self.tokens_emitted = 0
        self.outcome: Outcome = "running"
        self.is_closed_early = False

    def end(self, outcome: Outcome) -> None:
        """Note how the answer ended; only the first time counts."""
        if self.outcome == "running":
            self.outcome = outcome
            self.ended_at = time.time()

    @property
    def tokens_planned(self) -> int:
        """The tokens of output that the complete answer has."""
        usage = self.plan.usage if self.plan else None
        return usage.completion_tokens if usage else 0

    def to_entry(self) -> JournalEntry:
        """Return what the journal shows now."""
        return JournalEntry(
            number=self.number,
            method=self.method,
            path=self.path,
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers],
            body=self.body.decode("utf-8", "replace"),
            body_bytes=self.body_bytes,
            api_key=self.api_key,
            model=self.model,
            status=self.plan.status if self.plan else 0,
            received_at=self.received_at,
            first_byte_at=self.first_byte_at,
            ended_at=self.ended_at,
            bytes_sent=self.bytes_sent,
            tokens_planned=self.tokens_planned,
            tokens_emitted=self.tokens_emitted,
            outcome=self.outcome,
            is_closed_early=self.is_closed_early,
        )

    def to_bill(self) -> LedgerEntry | None:
        """Return what a provider would bill now, None for nothing at all."""
        usage = self._billed_usage()
        if usage is None:
            return None
        return LedgerEntry(
            number=self.number,
            api_key=self.api_key,
            model=self.model,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_ttl=usage.cache_write_ttl,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            web_searches=usage.web_searches,
            service_tier=usage.service_tier,
            outcome=self.outcome,
            is_aborted=self.outcome == "aborted",
        )

    def _billed_usage(self) -> Usage | None:
        if self.plan is None or self.plan.usage is None:
            return None
        if self.outcome == "aborted" and self.plan.bills_after_abort:
            return self.plan.usage
        return so_far(self.plan.usage, self.tokens_emitted)


class Journal:
    """The last exchanges, and totals over all of them since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def open(self, exchange: Exchange) -> None:
        """Number the exchange and keep it, in place of the oldest when the journal is full."""
        if len(self._exchanges) == MOST_EXCHANGES:
            oldest = self._exchanges[0]
            self._forgotten_planned += oldest.tokens_planned
            self._forgotten_emitted += oldest.tokens_emitted
        self._count += 1
        exchange.number = self._count
        self._exchanges.append(exchange)

    def reset(self) -> None:
        """Forget everything; answers that are under way go on unseen."""
        self._exchanges: deque[Exchange] = deque(maxlen=MOST_EXCHANGES)
        self._count = 0
        self._forgotten_planned = 0
        self._forgotten_emitted = 0

    def entries(self) -> list[JournalEntry]:
        """Return the requests, oldest first."""
        return [exchange.to_entry() for exchange in self._exchanges]

    def bills(self) -> list[LedgerEntry]:
        """Return what a provider would bill, oldest first."""
        return [bill for exchange in self._exchanges if (bill := exchange.to_bill())]

    def stats(self, open_connections: int) -> Stats:
        """Return the totals."""
        models: dict[str, int] = {}
        for exchange in self._exchanges:
            models[exchange.model] = models.get(exchange.model, 0) + 1
        return Stats(
            open_connections=open_connections,
            running=sum(exchange.outcome == "running" for exchange in self._exchanges),
            requests=self._count,
            tokens_planned=self._forgotten_planned + sum(one.tokens_planned for one in self._exchanges),
            tokens_emitted=self._forgotten_emitted + sum(one.tokens_emitted for one in self._exchanges),
            models=models,
            cpu_seconds=time.process_time(),
        )
