"""What `billing` answers about accounts: their limits and groups, codes to top up with, and the receipt of each request."""

from typing import Literal

import msgspec

from shared.contracts.billing import Balance, Price, UpstreamAttempt, Usage
from shared.contracts.call import BILLING, EDGE, OPERATOR, Call, Empty

Scope = Literal["key", "account"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a key or an account may do at most; None is no limit. Days and months are those of UTC."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    spend_day_nano_usd: int | None = None
    spend_month_nano_usd: int | None = None
    spend_total_nano_usd: int | None = None


class SetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Give a key, or without one the account, these limits in place of all that it had."""

    account_id: str
    limits: Limits
    key_id: str | None = None


class GetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Which limits apply to a key, or without one to its account, and how much of each is used?"""

    account_id: str
    key_id: str | None = None


class LimitsInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The limits with what they count now: the last minute, what runs, and what was charged today, this month and ever.

    Without any limit nothing is counted, and the figures are zero. `own_limits` leaves out what an account has from its group.
    """

    limits: Limits
    own_limits: Limits
    requests: int
    tokens: int
    running: int
    held_nano_usd: int
    day_nano_usd: int
    month_nano_usd: int
    total_nano_usd: int
    group_name: str | None = None
    multiplier_ppm: int = 1_000_000
    allowed_models: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts that are alike: limits for each that has none of its own, the models they may use (none named: all), the price.

    `multiplier_ppm` is what a price is multiplied with, in parts per million.
    """

    name: str
    limits: Limits = Limits()
    allowed_models: tuple[str, ...] = ()
    multiplier_ppm: int = 1_000_000


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Every group, by name."""

    items: tuple[Group, ...]


class GroupName(msgspec.Struct, frozen=True, kw_only=True):
    """The group of this name."""

    name: str


class SetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Put an account into a group; None takes it out of the one it is in."""

    account_id: str
    group_name: str | None


class MakeCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Make `count` codes that each credit `amount_nano_usd` once; `lifetime_seconds` None means that they do not expire."""

    batch: str
    count: int
    amount_nano_usd: int
    lifetime_seconds: float | None = None


class MadeCodes(msgspec.Struct, frozen=True, kw_only=True):
    """The new codes, shown here and never again: only their keyed hashes are kept."""

    batch: str
    codes: tuple[str, ...]


class ClaimCode(msgspec.Struct, frozen=True, kw_only=True):
    """Credit a code to an account, once and for all; the code itself stays where it was entered: `code_sha256` is what travels."""

    account_id: str
    code_sha256: bytes


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What the code was worth, and the balance with it. Claiming a code again for the same account answers the same."""

    amount_nano_usd: int
    balance: Balance


class CodeBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of codes."""

    name: str
    amount_nano_usd: int
    codes: int
    claimed: int
    created_unix: float
    expires_unix: float | None = None
    revoked_unix: float | None = None


class CodeBatches(msgspec.Struct, frozen=True, kw_only=True):
    """Every batch, newest first."""

    items: tuple[CodeBatch, ...]


class BatchName(msgspec.Struct, frozen=True, kw_only=True):
    """The batch of codes of this name."""

    name: str


class GetReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What happened with the money of a request? With `key_id` only if that key made it, with `account_id` if the account did."""

    request_id: str
    key_id: str | None = None
    account_id: str | None = None


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One usage record: `rule` of the table C1…C10 decided over `usage`, which `source` has counted."""

    rule: str
    outcome: str
    usage: Usage
    source: str
    is_estimated: bool
    is_late: bool
    cost_nano_usd: int
    charged_nano_usd: int
    writeoff_nano_usd: int
    writeoff_cause: str | None
    channel: str
    witness: str
    created_unix: float


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its money: everything from which the charge can be computed again.

    `state` is the hold's. `charges` is empty while it runs and when it was voided, and has two entries if it was settled after it
    had expired. `first_nano_usd` was held at first, `amount_nano_usd` after `extensions`.
    `error` is the code that the client saw, and the times are those of Settle; None where they are not known.
    """

    request_id: str
    account_id: str
    key_id: str
    model: str
    state: str
    outcome: str | None
    created_unix: float
    closed_unix: float | None
    price: Price
    multiplier_ppm: int
    input_tokens_bound: int
    output_tokens_bound: int
    first_nano_usd: int
    amount_nano_usd: int
    extensions: int
    settled_nano_usd: int | None
    is_stream: bool = False
    error: str | None = None
    first_output_ms: int | None = None
    took_ms: int | None = None
    attempts: tuple[UpstreamAttempt, ...]
    charges: tuple[Charge, ...]


class GetSpending(msgspec.Struct, frozen=True, kw_only=True):
    """What did a key spend on each day (UTC), from `first_day` (2026-01-31) up to and without `end_day`?"""

    account_id: str
    key_id: str
    first_day: str
    end_day: str


class DaySpending(msgspec.Struct, frozen=True, kw_only=True):
    """What one model cost a key on one day."""

    day: str
    model: str
    requests: int
    charged_nano_usd: int


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """The days asked for, oldest first; days without a charge are left out."""

    items: tuple[DaySpending, ...]


SET_LIMITS = Call("billing.limits.set", SetLimits, LimitsInForce, owner=BILLING, callers=(OPERATOR,))
GET_LIMITS = Call("billing.limits.get", GetLimits, LimitsInForce, owner=BILLING, callers=(EDGE, OPERATOR))
PUT_GROUP = Call("billing.group.put", Group, Group, owner=BILLING, callers=(OPERATOR,))
LIST_GROUPS = Call("billing.group.list", Empty, Groups, owner=BILLING, callers=(OPERATOR,))
DELETE_GROUP = Call("billing.group.delete", GroupName, Empty, owner=BILLING, callers=(OPERATOR,))
SET_GROUP = Call("billing.group.set", SetGroup, LimitsInForce, owner=BILLING, callers=(OPERATOR,))
MAKE_CODES = Call("billing.code.make", MakeCodes, MadeCodes, owner=BILLING, callers=(OPERATOR,))
CLAIM_CODE = Call("billing.code.claim", ClaimCode, Claimed, owner=BILLING, callers=(EDGE, OPERATOR))
LIST_CODES = Call("billing.code.list", Empty, CodeBatches, owner=BILLING, callers=(OPERATOR,))
REVOKE_CODES = Call("billing.code.revoke", BatchName, CodeBatch, owner=BILLING, callers=(OPERATOR,))
GET_RECEIPT = Call("billing.receipt.get", GetReceipt, Receipt, owner=BILLING, callers=(EDGE, OPERATOR))
GET_SPENDING = Call("billing.spending.get", GetSpending, Spending, owner=BILLING, callers=(EDGE,))
