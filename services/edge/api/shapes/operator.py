"""What an operator sees and does: people, money, codes, the site, and who did what."""

from typing import Annotated, Literal

import msgspec

from services.edge.api.shapes.people import Role
from services.edge.api.shapes.ranges import Moment
from services.edge.api.shapes.site import SignUpMode, Text
from services.edge.api.shapes.wallet import CallsQuery, Limits, PageQuery, Point, Totals, Used
from shared.trail import SecretText

AccountStatus = Literal["active", "suspended"]


class ErrorCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests ended with the error of this code."""

    code: str
    requests: int


class ChannelShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel did; money is what its requests were charged."""

    channel: str
    requests: int
    failed: int
    charged_usd: str


class AuditResult(msgspec.Struct, frozen=True, kw_only=True):
    """The last check of the ledger's invariants. `findings` is 0 when every one holds; None figures: it has not run yet."""

    ran: int | None
    took_ms: int | None
    invariants: int | None
    findings: int | None


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The whole site in the last days.

    `credited_usd` is money that came in, `charged_usd` (in `totals`) what was used, `owed_usd` what all accounts have together.
    `running` are requests that hold money now.
    """

    days: int
    step_seconds: int
    totals: Totals
    before: Totals
    points: tuple[Point, ...]
    errors: tuple[ErrorCount, ...]
    channels: tuple[ChannelShare, ...]
    credited_usd: str
    written_off_usd: str
    owed_usd: str
    held_usd: str
    running: int
    accounts: int
    audit: AuditResult


class TrafficQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How far to look back: one day in hours, more in days."""

    days: Literal[1, 7, 30, 90] = 7


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One person of an account."""

    id: str
    account_id: str
    email: str
    role: Role
    is_confirmed: bool
    has_second_factor: bool
    created: int
    seen: int | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One paying account. `name` is mostly the address of the person who made it."""

    id: str
    name: str
    status: AccountStatus
    available_usd: str
    held_usd: str
    spent_usd: str
    group_name: str | None
    keys: int
    created: int


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """One page of accounts, newest first."""

    items: tuple[Account, ...]
    next_cursor: str | None


class AccountsQuery(PageQuery, frozen=True, kw_only=True):
    """`search` looks in names and in the addresses of people, or is a whole address, or the id of an account or a person.

    With a group and another filter a page may have few items or none, and yet not be the last.
    """

    search: str | None = None
    status: AccountStatus | None = None
    group_name: str | None = None


class AccountDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An account with its people and limits."""

    account: Account
    people: tuple[Person, ...]
    limits: Limits
    own_limits: Limits
    used: Used


class MakePerson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who can sign in at once, with an account of their own."""

    email: str
    password: SecretText
    role: Role = "member"


class SetRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a person an operator, or no more. Nobody changes their own role."""

    role: Role


class SetStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Suspend an account, or let it go on."""

    status: AccountStatus


class Credit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Add to a balance, or take from it with a negative amount, once for each `idempotency_key`."""

    amount_usd: str
    reason: str
    idempotency_key: str


class SetGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put an account into a group; None takes it out."""

    group_name: str | None


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts that are alike: limits, models (none named: all), and what a price is multiplied with."""

    name: str
    limits: Limits = Limits()
    allowed_models: tuple[str, ...] = ()
    price_multiplier: str = "1"


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Every group, by name."""

    items: tuple[Group, ...]


class CodeBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of codes."""

    name: str
    amount_usd: str
    codes: int
    claimed: int
    created: int
    expires: int | None
    revoked: int | None


class CodeBatches(msgspec.Struct, frozen=True, kw_only=True):
    """Every batch, newest first."""

    items: tuple[CodeBatch, ...]


class MakeCodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch of at most 5000 codes. `expires` None means that they do not expire."""

    batch: str
    count: Annotated[int, msgspec.Meta(ge=1, le=5000)]
    amount_usd: str
    expires: Moment | None = None


class MadeCodes(msgspec.Struct, frozen=True, kw_only=True):
    """The new codes, shown here and never again."""

    batch: CodeBatch
    codes: tuple[str, ...]


class CodeClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A code of a batch that was claimed, and by whom."""

    account_id: str
    account_name: str
    claimed: int


class CodeClaims(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a batch's claims, newest first."""

    items: tuple[CodeClaim, ...]
    next_cursor: str | None


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A link with which one person may sign up. `email` None invites whoever has it."""

    id: str
    email: str | None
    created: int
    expires: int
    used: int | None


class Invitations(msgspec.Struct, frozen=True, kw_only=True):
    """Invitations, newest first."""

    items: tuple[Invitation, ...]


class Invite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With an `email` the link is sent there too."""

    email: str | None = None
    lifetime_days: int = 7


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """The new invitation. `url` is shown here and never again."""

    invitation: Invitation
    url: str


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is safe to change while the site runs; live on every replica within a second. `version` is of what was read."""

    version: int
    name: str
    sign_up: SignUpMode
    sign_up_credit_usd: str
    notice: Text
    about: Text
    contact: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator did or tried. `result` is `done`, an error's code, or `unknown` when the answer was lost.

    `before` and `after` are what was changed, as JSON without secrets; `object` names it, such as `channel openai-1`.
    """

    id: int
    user_id: str | None
    email: str
    through: Literal["console", "management key", "command line"]
    address: str
    action: str
    object: str
    before: msgspec.Raw
    after: msgspec.Raw
    result: str
    created: int


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """One page of what operators did, newest first."""

    items: tuple[Action, ...]
    next_cursor: str | None


class ActionsQuery(PageQuery, frozen=True, kw_only=True):
    """`action` is exact; `search` looks in objects and addresses."""

    action: str | None = None
    search: str | None = None


class AllCallsQuery(CallsQuery, frozen=True, kw_only=True):
    """The filters of one's own calls, and of which account, on which channel, with which error."""

    account_id: str | None = None
    channel: str | None = None
    error: str | None = None
