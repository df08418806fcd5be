"""What `auth` answers about the site: its settings and texts, invitations, its mail, and what operators did."""

from typing import Literal

import msgspec

from shared.contracts.call import AUTH, EDGE, OPERATOR, Call, Empty, Event
from shared.trail import ActionKind

SignUpMode = Literal["open", "invitation", "off"]
Through = Literal["console", "management key", "command line"]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A text of the operator's in both languages, as plain text."""

    en: str = ""
    zh: str = ""


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is safe to change while the site runs. `version` counts the changes."""

    version: int
    name: str
    sign_up: SignUpMode
    sign_up_credit_nano_usd: int
    notice: Text
    about: Text
    contact: str


class PutSite(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the settings; refused when their `version` is no longer the one that was read."""

    settings: SiteSettings


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else's sign-in that this site offers."""

    id: str
    name: str


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, and what else a page must know of this site.

    `public_url` is where people reach the console, without a slash at its end. `has_mail` says that there is a mail server,
    `has_outbox` that messages can be read at the site itself, which only a local stack allows.
    """

    settings: SiteSettings
    public_url: str
    has_mail: bool
    has_outbox: bool
    providers: tuple[Provider, ...] = ()


class SiteChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The site has new settings."""

    version: int


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A link with which one person may sign up, until it is used, revoked or expired. `email` None invites whoever has it."""

    id: str
    email: str | None
    created_unix: float
    expires_unix: float
    used_unix: float | None = None
    revoked_unix: float | None = None


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """Invite somebody; with an `email` the link is sent there too, in `language`."""

    created_by: str | None = None
    email: str | None = None
    lifetime_seconds: float = 7 * 86_400.0
    language: Literal["en", "zh"] = "en"


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """The new invitation. `url` is shown here and never again."""

    invitation: Invitation
    url: str


class ListInvitations(msgspec.Struct, frozen=True, kw_only=True):
    """List invitations, newest first."""

    limit: int = 100


class Invitations(msgspec.Struct, frozen=True, kw_only=True):
    """The invitations asked for."""

    items: tuple[Invitation, ...]


class RevokeInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """Take an invitation back."""

    invitation_id: str


class ListMail(msgspec.Struct, frozen=True, kw_only=True):
    """List the last messages that no mail server took; not found but on a local stack."""

    limit: int = 50


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would have gone out by mail."""

    id: int
    to: str
    subject: str
    body: str
    created_unix: float


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    """The messages asked for, newest first."""

    items: tuple[Message, ...]


class BeginAction(msgspec.Struct, frozen=True, kw_only=True):
    """Write down what an operator is about to do.

    `action` names the route or command, `object` what it is done to, such as `channel openai-1`; `asked` is what was asked for, as
    JSON without secrets.
    """

    user_id: str | None
    email: str
    through: Through
    address: str
    action: str
    object: str
    asked: str = "null"


class BegunAction(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the action in the log."""

    id: int


class EndAction(msgspec.Struct, frozen=True, kw_only=True):
    """Write down how an action ended, once: `done` or an error's code, and what was before and after, as JSON without secrets.

    `object` is a better name of what it was done to than was known when it began, if there is one.
    """

    id: int
    result: str
    before: str = "null"
    after: str | None = None
    object: str | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator did or tried. `result` is `unknown` when nothing was written after it began.

    `before` and `after` are JSON; `after` is what was asked for when the end does not say it.
    """

    id: int
    user_id: str | None
    email: str
    through: Through
    address: str
    action: str
    object: str
    before: str
    after: str
    result: str
    created_unix: float


class ListActions(msgspec.Struct, frozen=True, kw_only=True):
    """List what operators did, newest first, before the number `before_id` if it is given.

    `action` is exact; `search` is a part of an object or of an operator's e-mail address, in any case of letters.
    """

    before_id: int | None = None
    limit: int = 50
    action: str | None = None
    search: str | None = None


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """The actions asked for, and whether there are older ones."""

    items: tuple[Action, ...]
    has_more: bool


GET_SITE = Call("auth.site.get", Empty, Site, owner=AUTH, callers=(EDGE, OPERATOR))
PUT_SITE = Call(
    "auth.site.put", PutSite, Site, owner=AUTH, callers=(EDGE, OPERATOR), action=ActionKind("put_settings", "site")
)  # fmt: skip
INVITE = Call(
    "auth.invitation.create", Invite, Invited, owner=AUTH, callers=(EDGE, OPERATOR),
    action=ActionKind("invite", "invitation for {email}"),
)  # fmt: skip
LIST_INVITATIONS = Call(
    "auth.invitation.list", ListInvitations, Invitations, owner=AUTH, callers=(EDGE, OPERATOR)
)
REVOKE_INVITATION = Call(
    "auth.invitation.revoke", RevokeInvitation, Invitation, owner=AUTH, callers=(EDGE, OPERATOR),
    action=ActionKind("revoke_invitation", "invitation {invitation_id}"),
)  # fmt: skip
LIST_MAIL = Call("auth.mail.list", ListMail, Messages, owner=AUTH, callers=(EDGE,))
BEGIN_ACTION = Call("auth.action.begin", BeginAction, BegunAction, owner=AUTH, callers=(EDGE, OPERATOR))
END_ACTION = Call("auth.action.end", EndAction, Empty, owner=AUTH, callers=(EDGE, OPERATOR))
LIST_ACTIONS = Call("auth.action.list", ListActions, Actions, owner=AUTH, callers=(EDGE, OPERATOR))

SITE_CHANGED = Event("auth.event.site_changed", SiteChanged, owner=AUTH, listeners=(EDGE,))
