"""What `billing` answers about accounts: their limits and groups, codes to top up with, and the receipt of each request."""

from typing import Literal

import msgspec

from shared.contracts.billing import Balance, Price, UpstreamAttempt, Usage
from shared.contracts.call import AUTH, BILLING, EDGE, OPERATOR, Call, Empty
from shared.trail import ActionKind, SecretBytes

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


class GetKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What do these keys of an account, at most 200, cost and count? Those that it does not have are left out."""

    account_id: str
    key_ids: tuple[str, ...]


class KeyInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A key's limits with what they count now, and what it was charged in all."""

    key_id: str
    in_force: LimitsInForce
    spent_nano_usd: int


class KeysInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The keys asked for, in no order."""

    items: tuple[KeyInForce, ...]


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


class ListMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are in a group? At most `limit` of them, the newest first, from below the id `before_id` on."""

    group_name: str
    before_id: str | None = None
    limit: int = 200


class AccountIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of accounts; which of them exist is not said."""

    account_ids: tuple[str, ...]


class AccountSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What billing knows of an account at a glance. `spent_nano_usd` is what its requests were charged, ever."""

    account_id: str
    posted_nano_usd: int
    held_nano_usd: int
    spent_nano_usd: int
    running: int
    group_name: str | None = None


class AccountSheets(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts asked for, by id; those that billing does not know are left out."""

    items: tuple[AccountSheet, ...]


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
    """The new codes, shown here and never again: only their keyed hashes are kept. The times are those of their batch."""

    batch: str
    codes: tuple[str, ...]
    created_unix: float = 0.0
    expires_unix: float | None = None


class ClaimCode(msgspec.Struct, frozen=True, kw_only=True):
    """Credit a code to an account, once and for all; the code itself stays where it was entered: `code_sha256` is what travels."""

    account_id: str
    code_sha256: SecretBytes


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What the code was worth, and the balance with it. Claiming it again for the same account adds nothing: `is_repeat`."""

    amount_nano_usd: int
    balance: Balance
    is_repeat: bool = False


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


SET_LIMITS = Call(
    "billing.limits.set", SetLimits, LimitsInForce, owner=BILLING, callers=(AUTH, EDGE, OPERATOR),
    action=ActionKind("set_limits", "account {account_id}"),
)  # fmt: skip
GET_LIMITS = Call(
    "billing.limits.get", GetLimits, LimitsInForce, owner=BILLING, callers=(AUTH, EDGE, OPERATOR)
)
GET_KEYS = Call("billing.keys.get", GetKeys, KeysInForce, owner=BILLING, callers=(EDGE,))
PUT_GROUP = Call(
    "billing.group.put", Group, Group, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("put_group", "group {name}"),
)  # fmt: skip
LIST_GROUPS = Call("billing.group.list", Empty, Groups, owner=BILLING, callers=(EDGE, OPERATOR))
LIST_MEMBERS = Call("billing.group.members", ListMembers, AccountIds, owner=BILLING, callers=(EDGE,))
DELETE_GROUP = Call(
    "billing.group.delete", GroupName, Empty, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("delete_group", "group {name}"),
)  # fmt: skip
SET_GROUP = Call(
    "billing.group.set", SetGroup, LimitsInForce, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("set_account_group", "account {account_id}"),
)  # fmt: skip
GET_SHEETS = Call("billing.account.list", AccountIds, AccountSheets, owner=BILLING, callers=(EDGE,))
MAKE_CODES = Call(
    "billing.code.make", MakeCodes, MadeCodes, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("make_codes", "codes {batch}"),
)  # fmt: skip
CLAIM_CODE = Call(
    "billing.code.claim", ClaimCode, Claimed, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("claim_code", "account {account_id}"),
)  # fmt: skip
LIST_CODES = Call("billing.code.list", Empty, CodeBatches, owner=BILLING, callers=(EDGE, OPERATOR))
REVOKE_CODES = Call(
    "billing.code.revoke", BatchName, CodeBatch, owner=BILLING, callers=(EDGE, OPERATOR),
    action=ActionKind("revoke_codes", "codes {name}"),
)  # fmt: skip
GET_RECEIPT = Call("billing.receipt.get", GetReceipt, Receipt, owner=BILLING, callers=(EDGE, OPERATOR))
GET_SPENDING = Call("billing.spending.get", GetSpending, Spending, owner=BILLING, callers=(EDGE,))
