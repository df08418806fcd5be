"""Second factors, passkeys, sign-in by others and management keys. Who has what, and what proves it, `auth` decides."""

import re
import secrets
from urllib.parse import quote, unquote, urlencode

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler, Redirect
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import seconds_of, seconds_or_none
from services.edge.api.people import client_of, signed_in, view
from services.edge.api.shapes import people as shapes
from shared.bearer import sha256_of
from shared.contracts import factors, people
from shared.errors import InvalidRequest, RelayError

DAY_SECONDS = 86_400.0
TOKEN_CHARACTERS_MAX = 200
CODE_CHARACTERS_MAX = 4096  # of what an issuer sends a browser back with
OIDC_SECONDS = 600  # to sign in elsewhere
SIGN_IN_PATH = "/sign-in"
HOME_PATH = "/dashboard"
# A browser takes `//` and a backslash for the beginning of another host.
_OWN_PATH = re.compile(r"/(?!/)[!-\[\]-~]{0,500}")


async def sign_in_factor(context: Context, ask: shapes.SecondFactor, query: Nothing) -> shapes.SignedIn:
    """Show a code with the ticket of the password, and be signed in."""
    question = factors.SignInFactor(
        ticket_sha256=_hashed(ask.ticket), factor=ask.factor, code=ask.code[:100], client=client_of(context)
    )
    return signed_in(context, await context.bus.call(factors.SIGN_IN_FACTOR, question))


async def sign_in_passkey_start(
    context: Context, ask: shapes.PasskeyStart, query: Nothing
) -> shapes.PasskeyOptions:
    """Return what the browser is asked to show."""
    question = factors.StartPasskey(client=client_of(context), ticket_sha256=_hashed_if_given(ask.ticket))
    return _options(await context.bus.call(factors.START_PASSKEY, question))


async def sign_in_passkey(context: Context, ask: shapes.PasskeyAnswer, query: Nothing) -> shapes.SignedIn:
    """Show a passkey, alone or with the ticket of the password, and be signed in."""
    question = factors.SignInPasskey(
        challenge_sha256=_hashed(ask.challenge_id),
        credential=_text(ask.credential),
        client=client_of(context),
        ticket_sha256=_hashed_if_given(ask.ticket),
    )
    return signed_in(context, await context.bus.call(factors.SIGN_IN_PASSKEY, question))


async def confirm_passkey_start(context: Context, ask: Nothing, query: Nothing) -> shapes.PasskeyOptions:
    """Return what the browser is asked to show again."""
    return _options(await context.bus.call(factors.BEGIN_CONFIRM_PASSKEY, _me(context)))


async def confirm_passkey(context: Context, ask: shapes.PasskeyAnswer, query: Nothing) -> shapes.Me:
    """Make the session fresh."""
    session_id = context.person.session_id
    assert session_id is not None, "the route refuses management keys"
    question = factors.ConfirmPasskey(
        user_id=context.person.user_id,
        session_id=session_id,
        challenge_sha256=_hashed(ask.challenge_id),
        credential=_text(ask.credential),
        client=client_of(context),
    )
    renewed = await context.bus.call(factors.CONFIRM_PASSKEY, question)
    context.set_session(renewed.session_token)
    person = await context.bus.call(people.GET_PERSON, people.GetPerson(user_id=context.person.user_id))
    return view(person, is_fresh=True)


async def oidc_start(context: Context, ask: shapes.OidcStart, query: Nothing) -> shapes.OidcStarted:
    """Return where another's sign-in is, with a cookie that the browser must bring back from there."""
    secret = secrets.token_urlsafe(32)
    question = factors.StartOidc(
        provider=context.path["provider"][:100],
        browser_sha256=sha256_of(secret),
        client=client_of(context),
        invitation_sha256=_hashed_if_given(ask.invitation),
        language=context.language,
    )
    started = await context.bus.call(factors.START_OIDC, question)
    kept = f"{secret}.{quote(_own_path(ask.next), safe='')}"
    context.new_cookies.append(_oidc_cookie(context, kept))
    return shapes.OidcStarted(url=started.url)


async def oidc_callback(context: Context, ask: Nothing, query: shapes.OidcCallback) -> Redirect:
    """Take back a browser from another's sign-in: to the console, to the second factor, or to the sign-in page with an error."""
    context.new_cookies.append(_oidc_cookie(context, ""))
    secret, _, wanted = context.cookies.get(_oidc_cookie_name(context), "").partition(".")
    question = factors.EndOidc(
        provider=context.path["provider"][:100],
        state_sha256=sha256_of((query.state or "")[:TOKEN_CHARACTERS_MAX]),
        browser_sha256=sha256_of(secret),
        client=client_of(context),
        code=None if query.code is None else query.code[:CODE_CHARACTERS_MAX],
        error=None if query.error is None else query.error[:100],
        issuer=None if query.iss is None else query.iss[:500],
    )
    try:
        outcome = await context.bus.call(factors.END_OIDC, question)
    except RelayError as error:
        # The sign-in page has a sentence for the code.
        return Redirect(f"{SIGN_IN_PATH}?{urlencode({'error': error.code})}")
    signed_in(context, outcome)
    next_path = _own_path(unquote(wanted))
    if outcome.ticket is None:
        return Redirect(next_path)
    # Behind the `#`: browsers send that part to no server, and no log has it.
    ticket = urlencode({"ticket": outcome.ticket, "factors": ",".join(outcome.factors)})
    return Redirect(f"{SIGN_IN_PATH}?{urlencode({'next': next_path})}#{ticket}")


async def begin_totp(context: Context, ask: Nothing, query: Nothing) -> shapes.TotpSecret:
    """Return a secret that is not in force yet."""
    begun = await context.bus.call(factors.BEGIN_TOTP, _me(context))
    return shapes.TotpSecret(secret=begun.secret, uri=begun.uri, svg=begun.svg)


async def confirm_totp(context: Context, ask: shapes.Code, query: Nothing) -> shapes.RecoveryCodes:
    """Put the secret in force with a code of it."""
    question = factors.ConfirmTotp(user_id=context.person.user_id, code=ask.code[:100])
    return shapes.RecoveryCodes(codes=(await context.bus.call(factors.CONFIRM_TOTP, question)).codes)


async def remove_totp(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """Do without an authenticator."""
    await context.bus.call(factors.REMOVE_TOTP, _me(context))
    return Nothing()


async def new_recovery_codes(context: Context, ask: Nothing, query: Nothing) -> shapes.RecoveryCodes:
    """Make new recovery codes; all before them are void."""
    made = await context.bus.call(factors.NEW_RECOVERY_CODES, _me(context))
    return shapes.RecoveryCodes(codes=made.codes)


async def list_passkeys(context: Context, ask: Nothing, query: Nothing) -> shapes.Passkeys:
    """Return one's passkeys, oldest first."""
    found = await context.bus.call(factors.LIST_PASSKEYS, _me(context))
    return shapes.Passkeys(items=tuple(_passkey(each) for each in found.items))


async def begin_passkey(context: Context, ask: Nothing, query: Nothing) -> shapes.PasskeyOptions:
    """Return what the browser is asked to make."""
    return _options(await context.bus.call(factors.BEGIN_PASSKEY, _me(context)))


async def add_passkey(context: Context, ask: shapes.PasskeyAnswer, query: Nothing) -> shapes.Passkey:
    """Add the passkey that the browser has made."""
    question = factors.AddPasskey(
        user_id=context.person.user_id,
        challenge_sha256=_hashed(ask.challenge_id),
        credential=_text(ask.credential),
        name=ask.name,
    )
    return _passkey(await context.bus.call(factors.ADD_PASSKEY, question))


async def remove_passkey(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """Remove one of one's passkeys."""
    question = factors.RemovePasskey(user_id=context.person.user_id, passkey_id=context.path["passkey_id"])
    await context.bus.call(factors.REMOVE_PASSKEY, question)
    return Nothing()


async def list_management_keys(context: Context, ask: Nothing, query: Nothing) -> shapes.ManagementKeys:
    """Return one's management keys that still work."""
    found = await context.bus.call(factors.LIST_MANAGEMENT_KEYS, _me(context))
    return shapes.ManagementKeys(items=tuple(_management_key(each) for each in found.items))


async def make_management_key(
    context: Context, ask: shapes.MakeManagementKey, query: Nothing
) -> shapes.MadeManagementKey:
    """Make a management key and show it, once."""
    question = factors.MakeManagementKey(
        user_id=context.person.user_id,
        name=ask.name,
        lifetime_seconds=None if ask.lifetime_days is None else ask.lifetime_days * DAY_SECONDS,
    )
    made = await context.bus.call(factors.MAKE_MANAGEMENT_KEY, question)
    return shapes.MadeManagementKey(key=_management_key(made.key), secret=made.secret)


async def end_management_key(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """End one of one's management keys for good."""
    question = factors.EndManagementKey(user_id=context.person.user_id, key_id=context.path["key_id"])
    await context.bus.call(factors.END_MANAGEMENT_KEY, question)
    return Nothing()


def _me(context: Context) -> factors.OfPerson:
    return factors.OfPerson(user_id=context.person.user_id)


def _hashed(token: str) -> bytes:
    """Return what stands for a token; nothing that is too long is one, and its beginning is none either."""
    return sha256_of(token if len(token) <= TOKEN_CHARACTERS_MAX else "")


def _hashed_if_given(token: str | None) -> bytes | None:
    return None if token is None else _hashed(token)


def _text(credential: msgspec.Raw) -> str:
    """Return JSON as text. Raises: InvalidRequest for what is none, since it was passed on unread."""
    try:
        return bytes(credential).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("passkey_refused", param="credential") from error


def _options(begun: factors.PasskeyOptions) -> shapes.PasskeyOptions:
    return shapes.PasskeyOptions(challenge_id=begun.challenge_id, options=msgspec.Raw(begun.options.encode()))


def _passkey(each: factors.Passkey) -> shapes.Passkey:
    return shapes.Passkey(
        id=each.id,
        name=each.name,
        created=seconds_of(each.created_unix),
        used=seconds_or_none(each.used_unix),
    )


def _management_key(each: factors.ManagementKey) -> shapes.ManagementKey:
    return shapes.ManagementKey(
        id=each.id,
        name=each.name,
        created=seconds_of(each.created_unix),
        expires=seconds_or_none(each.expires_unix),
        used=seconds_or_none(each.last_used_unix),
    )


def _own_path(wanted: str) -> str:
    """Return where a browser goes once it has signed in: a page of this site, whatever was wanted."""
    return wanted if _OWN_PATH.fullmatch(wanted) else HOME_PATH


def _oidc_cookie_name(context: Context) -> str:
    return "__Host-relay-oidc" if _is_secure(context) else "relay-oidc"


def _oidc_cookie(context: Context, kept: str) -> str:
    """Return a cookie for the way out and back; it comes along when another site sends the browser here, so it is Lax."""
    seconds = OIDC_SECONDS if kept else 0
    secure = "; Secure" if _is_secure(context) else ""
    name = _oidc_cookie_name(context)
    return f"{name}={kept}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _is_secure(context: Context) -> bool:
    return context.settings.public_url.startswith("https://")


HANDLERS: dict[Endpoint, Handler] = {
    table.SIGN_IN_FACTOR: sign_in_factor,
    table.SIGN_IN_PASSKEY_START: sign_in_passkey_start,
    table.SIGN_IN_PASSKEY: sign_in_passkey,
    table.OIDC_START: oidc_start,
    table.OIDC_CALLBACK: oidc_callback,
    table.CONFIRM_PASSKEY_START: confirm_passkey_start,
    table.CONFIRM_PASSKEY: confirm_passkey,
    table.BEGIN_TOTP: begin_totp,
    table.CONFIRM_TOTP: confirm_totp,
    table.REMOVE_TOTP: remove_totp,
    table.NEW_RECOVERY_CODES: new_recovery_codes,
    table.PASSKEYS: list_passkeys,
    table.BEGIN_PASSKEY: begin_passkey,
    table.ADD_PASSKEY: add_passkey,
    table.REMOVE_PASSKEY: remove_passkey,
    table.MANAGEMENT_KEYS: list_management_keys,
    table.MAKE_MANAGEMENT_KEY: make_management_key,
    table.END_MANAGEMENT_KEY: end_management_key,
}
