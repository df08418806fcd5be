"""Signing up, signing in, and what people manage of themselves."""

from typing import Annotated, Literal

import msgspec

from services.edge.api.shapes.site import Language

Role = Literal["admin", "member"]
Factor = Literal["totp", "passkey", "recovery_code"]


class SignUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make an account. Whether the address is known already is never told: its owner gets a message either way."""

    email: str
    password: str
    language: Language = "en"
    invitation: str | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the link in a message carries; good once."""

    token: str


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Address and password."""

    email: str
    password: str


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """`signed_in` comes with the session's cookie, `second_factor` with a ticket to show with one of `factors` within minutes."""

    state: Literal["signed_in", "second_factor"]
    ticket: str | None = None
    factors: tuple[Factor, ...] = ()


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of six digits, or a recovery code, with the ticket of the first step."""

    ticket: str
    factor: Literal["totp", "recovery_code"]
    code: str


class PasskeyStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin to show a passkey: as second factor with a `ticket`, else instead of address and password."""

    ticket: str | None = None


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `navigator.credentials` is given, as JSON of the Web Authentication standard; `challenge_id` comes back with it."""

    challenge_id: str
    options: msgspec.Raw


class PasskeyAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer of `navigator.credentials.get` or `.create`, as its `toJSON` writes it."""

    challenge_id: str
    credential: msgspec.Raw
    ticket: str | None = None
    name: str = ""


class OidcStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`invitation` is the token of an invitation, for whoever has no account yet.

    `next` is the page of the console that the browser comes back to; any other address stands for the dashboard.
    """

    invitation: str | None = None
    next: str = "/dashboard"


class OidcStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Where the browser goes now. The cookie of this answer must come back with it."""

    url: str


class OidcCallback(msgspec.Struct, frozen=True, kw_only=True):
    """What the other's sign-in sends the browser back with (RFC 6749 §4.1.2, RFC 9207); what else it adds is not looked at."""

    state: str | None = None
    code: str | None = None
    error: str | None = None
    iss: str | None = None


class Email(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address; the answer is the same whoever it belongs to."""

    email: str
    language: Language = "en"


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new password, with the token of the message. Every session of the person ends."""

    token: str
    password: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who has signed in. `is_fresh` says that password or second factor were shown within the last minutes."""

    user_id: str
    account_id: str
    email: str
    role: Role
    language: Language
    has_password: bool
    has_totp: bool
    passkeys: int
    recovery_codes_left: int
    is_fresh: bool
    created: int


class UpdateMe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    language: Language | None = None


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new password, with the old one if there is one. All other sessions end."""

    current: str | None = None
    password: str


class Confirm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show once more who it is, before what is dangerous: the password, or a code."""

    factor: Literal["password", "totp", "recovery_code"]
    secret: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One place that is signed in. `agent` is a browser and system in words, such as `Firefox on Linux`."""

    id: str
    agent: str
    address: str
    created: int
    seen: int
    is_current: bool


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the person is signed in, the latest first."""

    items: tuple[Session, ...]


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret that is not in force before a code of it was shown. `svg` is the picture for an authenticator."""

    secret: str
    uri: str
    svg: str


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of six digits."""

    code: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that each replace a second factor once, shown here and never again; older ones are void."""

    codes: tuple[str, ...]


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """One passkey."""

    id: str
    name: str
    created: int
    used: int | None


class Passkeys(msgspec.Struct, frozen=True, kw_only=True):
    """The person's passkeys, oldest first."""

    items: tuple[Passkey, ...]


class ManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to this API, with the rights of the person who made it; never to `/v1`."""

    id: str
    name: str
    created: int
    expires: int | None
    used: int | None


class ManagementKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The person's management keys that still work, oldest first."""

    items: tuple[ManagementKey, ...]


class MakeManagementKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`lifetime_days` None means that it does not expire."""

    name: str
    lifetime_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None


class MadeManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key. `secret` is shown here and never again."""

    key: ManagementKey
    secret: str
