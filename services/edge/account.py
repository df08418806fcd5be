"""What a key may ask about itself: its limits and balance, what it spent, and the receipt of each of its requests.

`GET /v1/key` and `GET /v1/receipts/{request_id}` are ours. The two dashboard routes are those that OpenAI once had, and that
clients still ask for a balance. Amounts are decimal text, exact to the nano-USD, but for the dashboard's.
"""

import datetime
import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from services.edge.chat import language_in, send_error
from services.edge.errors import Language
from services.edge.principals import Principals
from services.edge.receipts import ReceiptView, view
from services.edge.visits import Visit, Visits
from shared.bus import Bus
from shared.contracts import accounts, billing
from shared.contracts.auth import Principal
from shared.errors import InvalidRequest, NotFound, RelayError
from shared.money import NANO_PER_USD, usd_from_nano

DAYS_BACK = (
    100  # of spending that counts as used where a key has no limit in all; OpenAI's dashboard shows as many
)


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: decimal text for money, counts for the others."""

    limit: str | int
    used: str | int
    remaining: str | int


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its owner sees it. Limits by name; those of the account count what all its keys do."""

    object: str = "key"
    id: str
    expires: int | None
    allowed_models: tuple[str, ...]
    available_usd: str
    held_usd: str
    key_limits: dict[str, LimitView]
    account_limits: dict[str, LimitView]


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """What a client shows as the quota: all that the key may spend, what it has spent included, in USD."""

    object: str = "billing_subscription"
    has_payment_method: bool = True
    soft_limit_usd: float
    hard_limit_usd: float
    system_hard_limit_usd: float
    access_until: int


class CostView(msgspec.Struct, frozen=True, kw_only=True):
    """What one model cost, in cents of a USD."""

    name: str
    cost: float


class DayView(msgspec.Struct, frozen=True, kw_only=True):
    """One day, by its first second."""

    timestamp: int
    line_items: list[CostView]


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What a key spent in a span of days, in cents of a USD."""

    object: str = "list"
    daily_costs: list[DayView]
    total_usage: float


Answer = KeyView | ReceiptView | SubscriptionView | UsageView


class AccountEndpoint:
    """The routes as one ASGI application; the last part of the path says which one is meant."""

    def __init__(self, bus: Bus, principals: Principals, default_language: Language, visits: Visits) -> None:
        self._bus = bus
        self._principals = principals
        self._default_language = default_language
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = Visit("account")
        try:
            await self._serve(scope, send, visit)
        finally:
            self._visits.end(visit)

    async def _serve(self, scope: Scope, send: Send, visit: Visit) -> None:
        language = language_in(scope, self._default_language)
        try:
            principal = await self._principals.of(scope)
            visit.identified(principal)
            answer = await self._answer(principal, scope, language)
        except RelayError as error:
            visit.failed("refused", error)
            visit.status = await send_error(send, error, language=language, request_id=visit.request_id)
            return
        visit.status, visit.outcome = 200, "complete"
        body = msgspec.json.encode(answer)
        name = str(visit.request_id).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", name),
            (b"request-id", name),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, principal: Principal, scope: Scope, language: Language) -> Answer:
        wanted = scope["path_params"].get("request_id")
        if wanted is not None:
            return await self._receipt(principal, wanted, language)
        answers: dict[str, Callable[[Principal, Scope], Awaitable[Answer]]] = {
            "key": self._key,
            "subscription": self._subscription,
            "usage": self._usage,
        }
        return await answers[scope["path"].rpartition("/")[2]](principal, scope)

    async def _receipt(self, principal: Principal, request_id: str, language: Language) -> ReceiptView:
        try:
            named = str(uuid.UUID(request_id))
        except ValueError as error:
            raise NotFound("not_found", what="request") from error
        question = accounts.GetReceipt(request_id=named, key_id=principal.key_id)
        return view(await self._bus.call(accounts.GET_RECEIPT, question), language)

    async def _key(self, principal: Principal, scope: Scope) -> KeyView:
        of_key, of_account = await self._limits(principal)
        balance = await self._balance(principal)
        return KeyView(
            id=principal.key_id,
            expires=None if principal.expires_unix is None else int(principal.expires_unix),
            allowed_models=principal.allowed_models or of_account.allowed_models,
            available_usd=usd_from_nano(balance.available_nano_usd),
            held_usd=usd_from_nano(balance.held_nano_usd),
            key_limits=_limit_views(of_key),
            account_limits=_limit_views(of_account),
        )

    async def _subscription(self, principal: Principal, scope: Scope) -> SubscriptionView:
        of_key, of_account = await self._limits(principal)
        balance = await self._balance(principal)
        today = datetime.datetime.now(datetime.UTC).date()
        used = sum(
            day.charged_nano_usd
            for day in await self._spending(
                principal, today - datetime.timedelta(days=DAYS_BACK), today + datetime.timedelta(days=1)
            )
        )
        left = [balance.available_nano_usd]
        for each in (of_key, of_account):
            most = each.limits.spend_total_nano_usd
            left += [] if most is None else [max(most - each.total_nano_usd - each.held_nano_usd, 0)]
        quota_usd = (used + min(left)) / NANO_PER_USD
        return SubscriptionView(
            soft_limit_usd=quota_usd,
            hard_limit_usd=quota_usd,
            system_hard_limit_usd=quota_usd,
            access_until=0 if principal.expires_unix is None else int(principal.expires_unix),
        )

    async def _usage(self, principal: Principal, scope: Scope) -> UsageView:
        asked = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
        today = datetime.datetime.now(datetime.UTC).date()
        first = _date(asked, "start_date", today - datetime.timedelta(days=DAYS_BACK))
        end = _date(asked, "end_date", today + datetime.timedelta(days=1))
        days: dict[str, list[CostView]] = {}
        items = await self._spending(principal, first, end)
        for item in items:
            costs = days.setdefault(item.day, [])
            costs.append(CostView(name=item.model, cost=_cents(item.charged_nano_usd)))
        return UsageView(
            daily_costs=[DayView(timestamp=_timestamp(day), line_items=costs) for day, costs in days.items()],
            total_usage=_cents(sum(item.charged_nano_usd for item in items)),
        )

    async def _limits(self, principal: Principal) -> tuple[accounts.LimitsInForce, accounts.LimitsInForce]:
        question = accounts.GetLimits(account_id=principal.account_id, key_id=principal.key_id)
        of_key = await self._bus.call(accounts.GET_LIMITS, question)
        of_account = await self._bus.call(
            accounts.GET_LIMITS, accounts.GetLimits(account_id=principal.account_id)
        )
        return of_key, of_account

    async def _balance(self, principal: Principal) -> billing.Balance:
        return await self._bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=principal.account_id))

    async def _spending(
        self, principal: Principal, first: datetime.date, end: datetime.date
    ) -> tuple[accounts.DaySpending, ...]:
        question = accounts.GetSpending(
            account_id=principal.account_id,
            key_id=principal.key_id,
            first_day=first.isoformat(),
            end_day=end.isoformat(),
        )
        return (await self._bus.call(accounts.GET_SPENDING, question)).items


def _limit_views(state: accounts.LimitsInForce) -> dict[str, LimitView]:
    limits = state.limits
    counts = {
        "requests_per_minute": (limits.requests_per_minute, state.requests),
        "tokens_per_minute": (limits.tokens_per_minute, state.tokens),
        "concurrent_requests": (limits.concurrent_requests, state.running),
    }
    views = {
        name: LimitView(limit=most, used=used, remaining=max(most - used, 0))
        for name, (most, used) in counts.items()
        if most is not None
    }
    money = {
        "spend_day_usd": (limits.spend_day_nano_usd, state.day_nano_usd),
        "spend_month_usd": (limits.spend_month_nano_usd, state.month_nano_usd),
        "spend_total_usd": (limits.spend_total_nano_usd, state.total_nano_usd),
    }
    for name, (most, spent) in money.items():
        if most is not None:
            used = spent + state.held_nano_usd
            views[name] = LimitView(
                limit=usd_from_nano(most),
                used=usd_from_nano(used),
                remaining=usd_from_nano(max(most - used, 0)),
            )
    return views


def _date(asked: dict[str, list[str]], name: str, default: datetime.date) -> datetime.date:
    try:
        return datetime.date.fromisoformat(asked[name][0]) if name in asked else default
    except ValueError as error:
        raise InvalidRequest(
            "invalid_value", param=name, problem="a date is written as 2026-01-31"
        ) from error


def _timestamp(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp())


def _cents(amount_nano_usd: int) -> float:
    return amount_nano_usd * 100 / NANO_PER_USD
