"""What `auth` answers about people: signing up and in, their sessions, their passwords.

No token crosses the bus to be looked for: its SHA-256 stands for it. A token that is made crosses once, on its way to its owner.
"""

from typing import Literal

import msgspec

from shared.contracts.auth import Role, User
from shared.contracts.call import AUTH, EDGE, OPERATOR, Call, Empty
from shared.trail import ActionKind, SecretText

Language = Literal["en", "zh"]
Factor = Literal["totp", "passkey", "recovery_code"]
CodeFactor = Literal["totp", "recovery_code"]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person is. `agent` is a browser and system in words, such as `Firefox on Linux`.

    `session_id` is the session that the browser had, if any: it ends when another begins there.
    """

    address: str
    agent: str
    session_id: str | None = None


class SignUp(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for an account; the answer is the same for an address that has one, and its owner gets a message either way."""

    email: str
    password: str
    client: Client
    language: Language = "en"
    invitation_sha256: bytes | None = None


class ConfirmEmail(msgspec.Struct, frozen=True, kw_only=True):
    """Prove an address with the token of a message: the account is made, and the person signed in."""

    token_sha256: bytes
    client: Client


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in with a password."""

    email: str
    password: str
    client: Client


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A session of which only the token's hash is kept, or a ticket to be shown with one of `factors`."""

    state: Literal["signed_in", "second_factor"]
    session_token: str | None = None
    ticket: str | None = None
    factors: tuple[Factor, ...] = ()


class FindSession(msgspec.Struct, frozen=True, kw_only=True):
    """Whose session is this? It lives on for its idle time."""

    token_sha256: bytes
    client: Client


class SessionPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Who has signed in. `is_fresh`: password or second factor were shown within the last minutes."""

    session_id: str
    user_id: str
    account_id: str
    email: str
    role: Role
    language: Language
    is_fresh: bool


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One place that is signed in."""

    id: str
    agent: str
    address: str
    created_unix: float
    seen_unix: float


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person is signed in, the latest seen first."""

    items: tuple[Session, ...]


class ListSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Where is a person signed in?"""

    user_id: str


class EndSession(msgspec.Struct, frozen=True, kw_only=True):
    """End one session of a person."""

    user_id: str
    session_id: str


class EndSessions(msgspec.Struct, frozen=True, kw_only=True):
    """End every session of a person but `session_id`."""

    user_id: str
    session_id: str | None = None


class ConfirmSession(msgspec.Struct, frozen=True, kw_only=True):
    """Show again who it is: the session is fresh then, under a new token."""

    user_id: str
    session_id: str
    factor: Literal["password", "totp", "recovery_code"]
    secret: str
    client: Client


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """The session goes on under this token; the one before is void."""

    session_token: str


class GetPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Who is this?"""

    user_id: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may see of themselves."""

    id: str
    account_id: str
    email: str
    role: Role
    language: Language
    has_password: bool
    is_confirmed: bool
    created_unix: float
    has_totp: bool = False
    passkeys: int = 0
    recovery_codes_left: int = 0


class UpdatePerson(msgspec.Struct, frozen=True, kw_only=True):
    """Change what is given of a person's settings."""

    user_id: str
    language: Language | None = None


class ForgotPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Send a link for a new password, if the address has an account; the answer is the same if not."""

    email: str
    client: Client
    language: Language = "en"


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Set a new password with the token of a message; every session of the person ends."""

    token_sha256: bytes
    password: str
    client: Client


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Set a new password, showing the one before if there is one; every other session ends."""

    user_id: str
    session_id: str
    password: str
    client: Client
    current: str | None = None


class SetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Give a person who is locked out a new password; every session of theirs ends."""

    email: str
    password: SecretText


class ConfirmPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Vouch for an address whose message does not arrive: also ends a sign-up that waits for it."""

    email: str


SIGN_UP = Call("auth.sign_up", SignUp, Empty, owner=AUTH, callers=(EDGE,))
CONFIRM_EMAIL = Call("auth.sign_up.confirm", ConfirmEmail, SignedIn, owner=AUTH, callers=(EDGE,))
SIGN_IN = Call("auth.sign_in", SignIn, SignedIn, owner=AUTH, callers=(EDGE,))
FIND_SESSION = Call(
    "auth.session.find", FindSession, SessionPerson, owner=AUTH, callers=(EDGE,), timeout_seconds=2.0
)
LIST_SESSIONS = Call("auth.session.list", ListSessions, Sessions, owner=AUTH, callers=(EDGE,))
END_SESSION = Call("auth.session.end", EndSession, Empty, owner=AUTH, callers=(EDGE,))
END_SESSIONS = Call("auth.session.end_others", EndSessions, Empty, owner=AUTH, callers=(EDGE,))
CONFIRM_SESSION = Call("auth.session.confirm", ConfirmSession, NewToken, owner=AUTH, callers=(EDGE,))
GET_PERSON = Call("auth.person.get", GetPerson, Person, owner=AUTH, callers=(EDGE,))
UPDATE_PERSON = Call("auth.person.update", UpdatePerson, Person, owner=AUTH, callers=(EDGE,))
FORGOT_PASSWORD = Call("auth.password.forgot", ForgotPassword, Empty, owner=AUTH, callers=(EDGE,))
RESET_PASSWORD = Call("auth.password.reset", ResetPassword, Empty, owner=AUTH, callers=(EDGE,))
CHANGE_PASSWORD = Call("auth.password.change", ChangePassword, NewToken, owner=AUTH, callers=(EDGE,))
SET_PASSWORD = Call(
    "auth.user.set_password", SetPassword, User, owner=AUTH, callers=(OPERATOR,),
    action=ActionKind("set_password", "person {email}"),
)  # fmt: skip
CONFIRM_PERSON = Call(
    "auth.user.confirm", ConfirmPerson, User, owner=AUTH, callers=(OPERATOR,),
    action=ActionKind("confirm_person", "person {email}"),
)  # fmt: skip
