"""What `auth` answers about second factors, passkeys, sign-in by others and management keys.

As in `people.py`, no token crosses the bus to be looked for: its SHA-256 stands for it. Options and credentials of passkeys are
JSON of the Web Authentication standard, as text.
"""

import msgspec

from shared.contracts.auth import Role
from shared.contracts.call import AUTH, EDGE, OPERATOR, Call, Empty
from shared.contracts.people import Client, CodeFactor, Language, NewToken, SignedIn
from shared.trail import ActionKind


class SignInFactor(msgspec.Struct, frozen=True, kw_only=True):
    """Show a code with the ticket of a password that was right."""

    ticket_sha256: bytes
    factor: CodeFactor
    code: str
    client: Client


class StartPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """Begin to sign in with a passkey: as second factor with the ticket of the first, else alone."""

    client: Client
    ticket_sha256: bytes | None = None


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser is asked. `challenge_id` comes back with its answer, once and within minutes."""

    challenge_id: str
    options: str


class SignInPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """The browser's answer; with the same ticket that it was begun with."""

    challenge_sha256: bytes
    credential: str
    client: Client
    ticket_sha256: bytes | None = None


class OfPerson(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about a person alone."""

    user_id: str


class ConfirmPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """Show again who it is, with a passkey: the session is fresh then, under a new token."""

    user_id: str
    session_id: str
    challenge_sha256: bytes
    credential: str
    client: Client


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, which is not in force before a code of it was shown. `svg` is the picture of `uri`."""

    secret: str
    uri: str
    svg: str


class ConfirmTotp(msgspec.Struct, frozen=True, kw_only=True):
    """Put the person's newest secret in force with a code of it, in place of the one before."""

    user_id: str
    code: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that each replace a second factor once, shown here and never again; older ones are void."""

    codes: tuple[str, ...]


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """One passkey."""

    id: str
    name: str
    created_unix: float
    used_unix: float | None = None


class Passkeys(msgspec.Struct, frozen=True, kw_only=True):
    """A person's passkeys, oldest first."""

    items: tuple[Passkey, ...]


class AddPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """The browser's answer with a new credential. Without a name the passkey gets one."""

    user_id: str
    challenge_sha256: bytes
    credential: str
    name: str = ""


class RemovePasskey(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a passkey of a person."""

    user_id: str
    passkey_id: str


class ManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to the JSON API with the rights of its person. `last_used_unix` is true to about a minute."""

    id: str
    name: str
    created_unix: float
    expires_unix: float | None = None
    last_used_unix: float | None = None


class ManagementKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A person's management keys that still work, oldest first."""

    items: tuple[ManagementKey, ...]


class MakeManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """Make a management key; `lifetime_seconds` None means that it does not expire."""

    user_id: str
    name: str
    lifetime_seconds: float | None = None


class MadeManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key. `secret` is the whole `mk-relay-…` text, shown here and never again."""

    key: ManagementKey
    secret: str


class EndManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """End a management key of a person for good."""

    user_id: str
    key_id: str


class VerifyManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """Is this management key good, and whose is it? The secret itself stays at the edge."""

    key_id: str
    secret_sha256: bytes


class ManagementPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Whose management key it is, as that person is now."""

    user_id: str
    account_id: str
    email: str
    role: Role
    language: Language


class StartOidc(msgspec.Struct, frozen=True, kw_only=True):
    """Begin to sign in at somebody else's; `browser_sha256` is of a secret that this browser keeps until it comes back."""

    provider: str
    browser_sha256: bytes
    client: Client
    invitation_sha256: bytes | None = None
    language: Language = "en"


class OidcStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Where the browser goes."""

    url: str


class EndOidc(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser came back with. `issuer` is the parameter `iss` of RFC 9207."""

    provider: str
    state_sha256: bytes
    browser_sha256: bytes
    client: Client
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


class RemoveFactors(msgspec.Struct, frozen=True, kw_only=True):
    """Take every second factor from a person who has lost theirs; every session and management key of theirs ends."""

    email: str


class RemovedFactors(msgspec.Struct, frozen=True, kw_only=True):
    """What the person had."""

    had_totp: bool
    passkeys: int
    recovery_codes: int


SIGN_IN_FACTOR = Call("auth.sign_in.factor", SignInFactor, SignedIn, owner=AUTH, callers=(EDGE,))
START_PASSKEY = Call("auth.sign_in.passkey.start", StartPasskey, PasskeyOptions, owner=AUTH, callers=(EDGE,))
SIGN_IN_PASSKEY = Call("auth.sign_in.passkey", SignInPasskey, SignedIn, owner=AUTH, callers=(EDGE,))
START_OIDC = Call(
    "auth.oidc.start", StartOidc, OidcStarted, owner=AUTH, callers=(EDGE,), timeout_seconds=12.0
)
END_OIDC = Call("auth.oidc.end", EndOidc, SignedIn, owner=AUTH, callers=(EDGE,), timeout_seconds=40.0)
BEGIN_CONFIRM_PASSKEY = Call(
    "auth.session.passkey.start", OfPerson, PasskeyOptions, owner=AUTH, callers=(EDGE,)
)
CONFIRM_PASSKEY = Call("auth.session.confirm.passkey", ConfirmPasskey, NewToken, owner=AUTH, callers=(EDGE,))
BEGIN_TOTP = Call("auth.totp.begin", OfPerson, TotpSecret, owner=AUTH, callers=(EDGE,))
CONFIRM_TOTP = Call("auth.totp.confirm", ConfirmTotp, RecoveryCodes, owner=AUTH, callers=(EDGE,))
REMOVE_TOTP = Call("auth.totp.remove", OfPerson, Empty, owner=AUTH, callers=(EDGE,))
NEW_RECOVERY_CODES = Call("auth.recovery_codes.make", OfPerson, RecoveryCodes, owner=AUTH, callers=(EDGE,))
LIST_PASSKEYS = Call("auth.passkey.list", OfPerson, Passkeys, owner=AUTH, callers=(EDGE,))
BEGIN_PASSKEY = Call("auth.passkey.begin", OfPerson, PasskeyOptions, owner=AUTH, callers=(EDGE,))
ADD_PASSKEY = Call("auth.passkey.add", AddPasskey, Passkey, owner=AUTH, callers=(EDGE,))
REMOVE_PASSKEY = Call("auth.passkey.remove", RemovePasskey, Empty, owner=AUTH, callers=(EDGE,))
LIST_MANAGEMENT_KEYS = Call("auth.management_key.list", OfPerson, ManagementKeys, owner=AUTH, callers=(EDGE,))
MAKE_MANAGEMENT_KEY = Call(
    "auth.management_key.make", MakeManagementKey, MadeManagementKey, owner=AUTH, callers=(EDGE,)
)
END_MANAGEMENT_KEY = Call("auth.management_key.end", EndManagementKey, Empty, owner=AUTH, callers=(EDGE,))
VERIFY_MANAGEMENT_KEY = Call(
    "auth.management_key.verify", VerifyManagementKey, ManagementPerson, owner=AUTH, callers=(EDGE,),
    timeout_seconds=2.0,
)  # fmt: skip
REMOVE_FACTORS = Call(
    "auth.user.remove_factors", RemoveFactors, RemovedFactors, owner=AUTH, callers=(OPERATOR,),
    action=ActionKind("remove_factors", "person {email}"),
)  # fmt: skip
