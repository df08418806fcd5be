"""Keys, money and calls, as their owner sees them."""

from typing import Literal

import msgspec

from services.edge.api.shapes.ranges import Count, Moment, PageSize

State = Literal["running", "complete", "failed", "left"]
"""`failed` is an error after the request was admitted, or a refusal; `left` a client that went away."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key or an account may do at most; None is no limit. Days and months are those of UTC."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    spend_day_usd: str | None = None
    spend_month_usd: str | None = None
    spend_total_usd: str | None = None


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """How much of each limit is used now; zero where nothing is counted, since there is no limit."""

    requests: int
    tokens: int
    running: int
    day_usd: str
    month_usd: str
    total_usd: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One API key; its secret is not kept. `hint` is how the key begins, to recognise it. Empty lists allow everything."""

    id: str
    name: str
    hint: str
    state: Literal["active", "expired", "revoked"]
    allowed_models: tuple[str, ...]
    allowed_addresses: tuple[str, ...]
    limits: Limits
    used: Used
    spent_usd: str
    created: int
    expires: int | None
    last_used: int | None


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """One page of keys, newest first."""

    items: tuple[Key, ...]
    next_cursor: str | None


class MakeKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`expires` None means that it does not expire."""

    name: str
    expires: Moment | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()
    limits: Limits = Limits()


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key. `secret` is the whole `sk-relay-…` text, shown here and never again."""

    key: Key
    secret: str


class UpdateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; `expires` None makes the key last."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    expires: Moment | msgspec.UnsetType | None = msgspec.UNSET
    allowed_models: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    allowed_addresses: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    limits: Limits | msgspec.UnsetType = msgspec.UNSET


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list: `cursor` is what the page before gave as `next_cursor`, `limit` from 1 to 200."""

    cursor: str | None = None
    limit: PageSize = 50


class KeysQuery(PageQuery, frozen=True, kw_only=True):
    """`search` looks in names; `state` leaves out the others."""

    search: str | None = None
    state: Literal["active", "expired", "revoked"] | None = None


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has. `held_usd` is kept back for `running` requests and comes back as far as it is not used."""

    posted_usd: str
    held_usd: str
    available_usd: str
    running: int
    limits: Limits
    used: Used
    group_name: str | None
    price_multiplier: str


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the balance, with the balance after it. `amount_usd` is negative for what was taken.

    `reason` is what an operator wrote, or the batch of a code; a `usage` names its request and model.
    """

    id: int
    kind: Literal["credit", "code", "debit", "usage", "over", "late"]
    amount_usd: str
    balance_usd: str
    reason: str
    request_id: str | None
    model: str | None
    created: int


class Transfers(msgspec.Struct, frozen=True, kw_only=True):
    """One page of transfers, newest first."""

    items: tuple[Transfer, ...]
    next_cursor: str | None


class TransfersQuery(PageQuery, frozen=True, kw_only=True):
    """`kind` `money` leaves out what requests cost; `first_day` and `end_day` (not included) bound the time."""

    kind: Literal["all", "money", "usage"] = "all"
    first_day: str | None = None
    end_day: str | None = None


class RedeemCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code as it is written on the card."""

    code: str


class Redeemed(msgspec.Struct, frozen=True, kw_only=True):
    """What the code was worth, and what is available with it. `is_repeat` says that the account had redeemed it before."""

    amount_usd: str
    available_usd: str
    is_repeat: bool


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `error` is the code of what went wrong, None if nothing did; tokens are 0 where there was no answer.

    `first_output_ms` and `took_ms` are None where they were not measured.
    """

    id: str
    key_id: str
    key_name: str
    model: str
    state: State
    error: str | None
    is_stream: bool
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    charged_usd: str
    is_estimated: bool
    first_output_ms: int | None
    took_ms: int | None
    created: int


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """One page of calls, newest first."""

    items: tuple[Call, ...]
    next_cursor: str | None


class CallsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters; what is given must all hold. `request_id` is exact."""

    request_id: str | None = None
    model: str | None = None
    key_id: str | None = None
    state: State | None = None
    first_day: str | None = None
    end_day: str | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in a span of time. `first_output_ms` is the median of streams, None where there was none."""

    requests: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    charged_usd: str
    first_output_ms: int | None


class Point(Totals, frozen=True, kw_only=True):
    """One slice of time, from `began`."""

    began: int


class Slice(Totals, frozen=True, kw_only=True):
    """What one model or key did; `name` is the key's."""

    id: str
    name: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What an account did in the last days: in all, over time in steps of `step_seconds` without gaps, and by model and by key.

    `series` breaks the spending of each step down by model, the dearest first; `before` is the same span before this one.
    """

    days: int
    step_seconds: int
    totals: Totals
    before: Totals
    points: tuple[Point, ...]
    models: tuple[Slice, ...]
    keys: tuple[Slice, ...]
    series: tuple["Series", ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What one model cost in each step of the overview."""

    model: str
    charged_usd: tuple[str, ...]


class OverviewQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How far to look back: one day in hours, more in days. With `key_id` or `model` only that."""

    days: Literal[1, 7, 30, 90] = 7
    key_id: str | None = None
    model: str | None = None
