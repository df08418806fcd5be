"""What `billing` answers about the past: calls, transfers, what was done in a span of time, and the last audit.

Lists come newest first and by key: `before` is where the page before ended, and what it answers as `next_before` is where this
one does. A page may be short, or empty, and still have one after it: a search looks at so many calls at a time and no more.
"""

from typing import Literal

import msgspec

from shared.contracts.billing import Usage
from shared.contracts.call import BILLING, EDGE, OPERATOR, Call

CallState = Literal["running", "complete", "failed", "left"]
TransferKind = Literal["credit", "code", "debit", "usage", "over", "late"]
PAGE_ROWS_MAX = 1000
Days = Literal[1, 7, 30, 90]
Hours = Literal[1, 24, 168]


class GetUsage(msgspec.Struct, frozen=True, kw_only=True):
    """List usage records, newest first; those of one account, or the one of a request, if named."""

    account_id: str | None = None
    request_id: str | None = None
    limit: int = 100


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one request used and cost, and the rule that decided it."""

    request_id: str
    account_id: str
    key_id: str
    model: str
    price_id: int
    rule: str
    outcome: str
    is_estimated: bool
    usage: Usage
    cost_nano_usd: int
    charged_nano_usd: int
    writeoff_nano_usd: int
    channel: str
    created_unix: float


class UsageRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The records asked for."""

    items: tuple[UsageRecord, ...]


class ListCalls(msgspec.Struct, frozen=True, kw_only=True):
    """List calls; what is given must all hold. Without `account_id` those of every account, which only an operator may see.

    The times are those at which a call came, from `first_unix` up to and without `end_unix`. `before` is the id of a call.
    """

    account_id: str | None = None
    request_id: str | None = None
    model: str | None = None
    key_id: str | None = None
    state: CallState | None = None
    channel: str | None = None
    error: str | None = None
    first_unix: float | None = None
    end_unix: float | None = None
    before: str | None = None
    limit: int = 50


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `error` is the code of what went wrong, None if nothing did; `usage` is empty where there was no answer.

    `rule` and `outcome` decided the charge; they are empty while the call runs, and a voided one has no rule. Times are None where
    they were not measured.
    """

    request_id: str
    account_id: str
    key_id: str
    model: str
    state: CallState
    error: str | None
    outcome: str
    rule: str
    is_stream: bool
    channel: str
    usage: Usage
    is_estimated: bool
    cost_nano_usd: int
    charged_nano_usd: int
    writeoff_nano_usd: int
    first_output_ms: int | None
    took_ms: int | None
    created_unix: float


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of calls."""

    items: tuple[CallRecord, ...]
    next_before: str | None


class ListTransfers(msgspec.Struct, frozen=True, kw_only=True):
    """List what changed an account's balance; `money` leaves out what requests cost, `usage` is only that.

    From `first_unix` up to and without `end_unix`. `before` is the id of a transfer.
    """

    account_id: str
    kind: Literal["all", "money", "usage"] = "all"
    first_unix: float | None = None
    end_unix: float | None = None
    before: int | None = None
    limit: int = 50


class TransferRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a balance, negative for what was taken, and the balance after it. A `code` has its batch as the reason."""

    id: int
    kind: TransferKind
    amount_nano_usd: int
    balance_nano_usd: int
    reason: str
    request_id: str | None
    model: str | None
    created_unix: float


class TransferPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of transfers."""

    items: tuple[TransferRecord, ...]
    next_before: int | None


class ListClaims(msgspec.Struct, frozen=True, kw_only=True):
    """List who claimed the codes of a batch. `before` is what `next_before` was."""

    batch: str
    before: str | None = None
    limit: int = 50


class ClaimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One claimed code."""

    account_id: str
    claimed_unix: float


class ClaimPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of claims."""

    items: tuple[ClaimRecord, ...]
    next_before: str | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in a span of time. `failed` are requests with an error, `faults` those of them that were no client's fault.

    `first_output_ms` is the median over streams, None where there was none.
    """

    requests: int = 0
    failed: int = 0
    faults: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    charged_nano_usd: int = 0
    writeoff_nano_usd: int = 0
    first_output_ms: int | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of time, from `began_unix`."""

    began_unix: int
    figures: Figures


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one model, key, channel or error has of it; `id` names it."""

    id: str
    figures: Figures


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What one model cost in each step."""

    model: str
    charged_nano_usd: tuple[int, ...]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in the last days, in steps without gaps, and in the same span `before` them. Parts come the dearest first."""

    step_seconds: int
    totals: Figures
    before: Figures
    steps: tuple[Step, ...]


class GetOverview(msgspec.Struct, frozen=True, kw_only=True):
    """What did an account do in the last days: one day in hours, more in days of UTC. With `key_id` or `model` only that."""

    account_id: str
    days: Days
    key_id: str | None = None
    model: str | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The course of it, and its parts."""

    course: Course
    models: tuple[Part, ...]
    keys: tuple[Part, ...]
    series: tuple[Series, ...]


class GetTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What did the whole site do in the last days?"""

    days: Days


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """The last audit of the ledger that came to its end: when, how long it took, and how many invariants it found broken."""

    ran_unix: float
    took_ms: int
    invariants: int
    findings: int


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole site did, and how it stands now.

    `credited_nano_usd` is what came in during those days, less what was taken back by hand; `owed_nano_usd` is what all accounts
    have together, `held_nano_usd` what `running` requests keep of it. `audit` is None before the first one.
    """

    course: Course
    models: tuple[Part, ...]
    channels: tuple[Part, ...]
    errors: tuple[Part, ...]
    credited_nano_usd: int
    owed_nano_usd: int
    held_nano_usd: int
    running: int
    accounts: int
    audit: Audited | None


class GetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How did each model do in the last hours?"""

    hours: Hours


class ModelSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of time, from `began_unix`."""

    began_unix: int
    requests: int
    faults: int


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a model did: over streams, the median and the 95th percentile of the first output, and the median of tokens a second."""

    model: str
    requests: int
    faults: int
    first_output_ms: int | None
    first_output_p95_ms: int | None
    tokens_per_second: float | None
    slices: tuple[ModelSlice, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that was called, by name; slices are without gaps."""

    slice_seconds: int
    items: tuple[ModelStatus, ...]


class GetKeySpending(msgspec.Struct, frozen=True, kw_only=True):
    """What were these keys of an account charged, ever?"""

    account_id: str
    key_ids: tuple[str, ...]


class KeySpending(msgspec.Struct, frozen=True, kw_only=True):
    """What each key was charged; one that was never charged is left out."""

    charged_nano_usd: dict[str, int]


LIST_USAGE = Call("billing.usage.list", GetUsage, UsageRecords, owner=BILLING, callers=(OPERATOR,))
LIST_CALLS = Call("billing.calls.list", ListCalls, CallPage, owner=BILLING, callers=(EDGE, OPERATOR))
LIST_TRANSFERS = Call("billing.transfers.list", ListTransfers, TransferPage, owner=BILLING, callers=(EDGE,))
LIST_CLAIMS = Call("billing.code.claims", ListClaims, ClaimPage, owner=BILLING, callers=(EDGE,))
GET_OVERVIEW = Call("billing.overview.get", GetOverview, Overview, owner=BILLING, callers=(EDGE,))
GET_TRAFFIC = Call("billing.traffic.get", GetTraffic, Traffic, owner=BILLING, callers=(EDGE,))
GET_STATUS = Call("billing.status.get", GetStatus, Status, owner=BILLING, callers=(EDGE,))
GET_KEY_SPENDING = Call("billing.keys.spending", GetKeySpending, KeySpending, owner=BILLING, callers=(EDGE,))
