"""What `billing` answers: holds and their ends, leases, credit, prices, and its own copy of who may spend."""

from typing import Literal, Self

import msgspec

from shared.contracts.call import AUTH, BILLING, DISPATCHER, EDGE, OPERATOR, Call, Empty, Event, WorkQueue
from shared.trail import ActionKind

Outcome = Literal["completed", "client_gone", "upstream_failed", "refused", "platform_failed", "unfunded"]
AbortPolicy = Literal["estimate", "no_bill"]
Witness = Literal["dispatcher", "edge"]


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """May this request run? Bounds are token counts; `output_tokens_wanted` is for one choice, None if the client named none.

    The hold of a stream covers only the first of its output, and grows with it.
    """

    request_id: str
    account_id: str
    key_id: str
    lease_id: str
    model: str
    input_tokens_bound: int
    output_tokens_wanted: int | None
    choices: int
    deadline_seconds: float
    fingerprint: str
    idempotency_key: str | None = None
    is_stream: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the tightest limit per minute of key and account leaves after this request; None for what is not limited."""

    requests_limit: int | None = None
    requests_remaining: int | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The money is held. `output_tokens_granted` is the bound for one choice, to be sent upstream.

    `output_tokens_held` is how much output the hold covers, over all choices; None is all that was granted. `standing` is None for
    a caller without limits.
    """

    request_id: str
    amount_nano_usd: int
    output_tokens_granted: int
    price_id: int
    output_tokens_held: int | None = None
    standing: Standing | None = None


class Extend(msgspec.Struct, frozen=True, kw_only=True):
    """Raise the hold so that it covers `output_tokens_bound` over all choices; the figure is cumulative.

    With `is_partial` as far as the money goes, if that is further than it is now.
    """

    request_id: str
    account_id: str
    attempt: int
    output_tokens_bound: int
    is_partial: bool = False


class Extended(msgspec.Struct, frozen=True, kw_only=True):
    """How far the hold reaches now, over all choices."""

    amount_nano_usd: int
    output_tokens_bound: int


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """From now on only attempt `attempt` or a later one may extend, settle or void the hold. A repeat changes nothing."""

    request_id: str
    account_id: str
    attempt: int


class Fenced(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the hold is live with the fence around it; False when it had ended before, or is unknown: there is no fence then."""

    is_held: bool


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one call. `input_tokens` is the whole prompt, cache reads and writes included; output includes reasoning."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class UpstreamAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One channel that was looked at for a request, and what came of it; for receipts and `relay request`.

    `result` is `completed`, a fault's kind such as `rate_limited`, or `skipped_…` for a channel that was not called and why.
    `credential` is the name of the upstream key, never the key. `status` is the upstream's HTTP status, None when there was none.
    `began_ms` counts from when the dispatcher took the request.
    """

    channel: str
    result: str
    credential: str = ""
    status: int | None = None
    began_ms: int = 0
    took_ms: int = 0
    may_be_billed: bool = False


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of how a request ended. Billing decides the charge from it by the declared table C1…C10.

    `usage` is what the upstream reported, None when it said nothing; `delivered` is our own estimate of what the client got.
    `counted_by` is what counted it, such as `tiktoken/o200k_base`.
    `error` is the code of the error that the client saw, None if it saw none. The times count from when the dispatcher took the
    request, on its clock: to the first of the answer, and to its end; None where they are not known. Nothing is decided from them.
    The bounds are those of the hold, over all choices: a usage far beyond them is not believed, and neither is one of which
    `is_usage_doubtful` says that some of its figures were no counts, and are left out or cut off here.
    """

    request_id: str
    account_id: str
    attempt: int
    outcome: Outcome
    is_upstream_accepted: bool
    input_tokens_bound: int
    output_tokens_bound: int
    usage: Usage | None = None
    is_usage_doubtful: bool = False
    delivered: Usage = Usage()
    abort_policy: AbortPolicy = "estimate"
    channel: str = ""
    witness: Witness = "dispatcher"
    attempts: tuple[UpstreamAttempt, ...] = ()
    counted_by: str = "bytes"
    error: str | None = None
    first_output_ms: int | None = None
    took_ms: int | None = None


class Void(msgspec.Struct, frozen=True, kw_only=True):
    """End a hold without a charge; an unknown id leaves a tombstone, so that a late reserve cannot revive it.

    `attempt` is whose word it is; 0 speaks for the request as long as nothing was fenced. `reason` is `client_gone` when the client
    left, `refused` when the request itself was at fault, or what else kept it from being answered. `channel` is the last that was
    asked. `error` and the times are as in Settle.
    """

    request_id: str
    account_id: str
    reason: str
    attempt: int = 0
    attempts: tuple[UpstreamAttempt, ...] = ()
    channel: str = ""
    error: str | None = None
    first_output_ms: int | None = None
    took_ms: int | None = None


class Spilled(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that billing has not confirmed, and that waits for it on disk: a settlement or a void, never both."""

    settle: Settle | None = None
    void: Void | None = None

    def __post_init__(self) -> None:
        if (self.settle is None) == (self.void is None):
            raise ValueError("one claim is spilled at a time")

    @classmethod
    def of(cls, claim: Settle | Void) -> Self:
        """Return `claim` as it is spilled."""
        return cls(void=claim) if isinstance(claim, Void) else cls(settle=claim)

    @property
    def claim(self) -> Settle | Void:
        """The claim that it is."""
        claim = self.settle or self.void
        assert claim is not None
        return claim


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the hold ended: now, or already before (a repeat gets the stored outcome)."""

    state: str
    charged_nano_usd: int = 0


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The edge process `lease_id` lives and owns its holds."""

    lease_id: str


class LeaseState(msgspec.Struct, frozen=True, kw_only=True):
    """`remaining_seconds` on PostgreSQL's clock. Renewing revives a lease that has lapsed, but never one that has ended.

    The edge of an ended lease takes a new one.
    """

    is_live: bool
    remaining_seconds: float = 0.0


class PutAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Billing's copy of an account's status; an older version never replaces a newer one."""

    account_id: str
    status: Literal["active", "suspended"]
    version: int


class PutKey(msgspec.Struct, frozen=True, kw_only=True):
    """Billing's copy of a key's status; an older version never replaces a newer one."""

    key_id: str
    account_id: str
    status: Literal["active", "revoked"]
    expires_unix: float | None
    version: int


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """Add to a balance once per `idempotency_key`; a negative amount takes back what is available."""

    account_id: str
    amount_nano_usd: int
    idempotency_key: str
    reason: str


class GetBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What does the account have?"""

    account_id: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Posted money, the part of it that running requests hold, and what is left to spend."""

    account_id: str
    posted_nano_usd: int
    held_nano_usd: int

    @property
    def available_nano_usd(self) -> int:
        """What a new request can use."""
        return self.posted_nano_usd - self.held_nano_usd


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a request whose whole prompt is longer than `above_input_tokens`: pico-USD for each token."""

    above_input_tokens: int
    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int


class SetPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Make a new price version of a model: pico-USD for each token, and the model's limits.

    `tiers` go upwards. `effective_unix` None means now; a time in the past is refused, since what was charged stays charged.
    `context_tokens` and `capabilities` (such as `vision`) are for people to read; `source` says where the figures come from.
    """

    model: str
    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int
    max_output_tokens: int
    tiers: tuple[PriceTier, ...] = ()
    effective_unix: float | None = None
    context_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    source: str = ""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One price version."""

    id: int
    model: str
    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int
    max_output_tokens: int
    effective_unix: float
    tiers: tuple[PriceTier, ...] = ()
    context_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    source: str = ""


class ListPrices(msgspec.Struct, frozen=True, kw_only=True):
    """List the price that is in force for each model; for one model every version, newest first.

    With `is_scheduled` those that are not effective yet, the next first.
    """

    model: str | None = None
    is_scheduled: bool = False


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """The prices asked for."""

    items: tuple[Price, ...]


class UsageRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """A request was charged, from the outbox. The same `outbox_id` may come twice, and a lower one after a higher one."""

    outbox_id: int
    request_id: str
    account_id: str
    charged_nano_usd: int


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """A balance was credited or adjusted, from the outbox."""

    outbox_id: int
    account_id: str
    amount_nano_usd: int


class PriceChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A model has a new price version."""

    model: str


RESERVE = Call("billing.reserve", Reserve, Hold, owner=BILLING, callers=(EDGE,), timeout_seconds=2.0)
EXTEND = Call("billing.extend", Extend, Extended, owner=BILLING, callers=(DISPATCHER,), timeout_seconds=2.0)
FENCE = Call("billing.fence", Fence, Fenced, owner=BILLING, callers=(EDGE,), timeout_seconds=2.0)
SETTLE = Call("billing.settle", Settle, Ended, owner=BILLING, callers=(DISPATCHER, EDGE))
VOID = Call("billing.void", Void, Ended, owner=BILLING, callers=(EDGE, DISPATCHER))
SPILL = WorkQueue(
    "billing.spill",
    Spilled,
    owner=BILLING,
    senders=(DISPATCHER, EDGE),
    watchers=(OPERATOR,),
    stream="RELAY_SPILL",
    bytes_max=256 * 1024 * 1024,  # some half a million claims
)
RENEW_LEASE = Call("billing.lease.renew", Lease, LeaseState, owner=BILLING, callers=(EDGE,))
END_LEASE = Call("billing.lease.end", Lease, LeaseState, owner=BILLING, callers=(EDGE,))
PUT_ACCOUNT = Call("billing.account.put", PutAccount, Empty, owner=BILLING, callers=(AUTH,))
PUT_KEY = Call("billing.key.put", PutKey, Empty, owner=BILLING, callers=(AUTH,))
GET_BALANCE = Call("billing.balance.get", GetBalance, Balance, owner=BILLING, callers=(EDGE, OPERATOR))
CREDIT = Call(
    "billing.credit", Credit, Balance, owner=BILLING, callers=(AUTH, EDGE, OPERATOR),
    action=ActionKind("credit", "account {account_id}"),
)  # fmt: skip
SET_PRICE = Call(
    "billing.price.set", SetPrice, Price, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("set_price", "price of {model}"),
)  # fmt: skip
LIST_PRICES = Call("billing.price.list", ListPrices, Prices, owner=BILLING, callers=(EDGE, OPERATOR))

USAGE_RECORDED = Event("billing.event.usage_recorded", UsageRecorded, owner=BILLING, listeners=())
CREDITED = Event("billing.event.credited", Credited, owner=BILLING, listeners=())
PRICE_CHANGED = Event("billing.event.price_changed", PriceChanged, owner=BILLING, listeners=(EDGE,))
