"""Who asks the JSON API, and whether this request may speak for them.

A browser shows a session by its cookie, a script a management key as `Authorization: Bearer mk-relay-…`; a key to `/v1` opens
nothing here, and neither of these opens `/v1`. A cookie comes along with whatever a browser is made to send, so a request that
changes something must come from our own pages: by `Sec-Fetch-Site` and `Origin` where the browser tells them, as every current one
does, and else by a header that no other site's page can set without asking us (OWASP, Cross-Site Request Forgery Prevention).
"""

import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.types import Scope

from services.edge.addresses import client_address
from services.edge.api.context import Person
from services.edge.api.endpoint import Endpoint
from services.edge.settings import EdgeSettings
from shared import keys
from shared.bearer import sha256_of
from shared.bus import Bus
from shared.contracts import factors, people
from shared.contracts.people import Client
from shared.errors import Forbidden, Unauthenticated

SESSION_DAYS = 30  # of the cookie; the server ends the session long before when nobody uses it
CONSOLE_HEADER = b"x-relay-console"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iOS"), ("iPad", "iPadOS"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux"),
)  # fmt: skip


class Access:
    """Finds out who asks. `origins` are those of our own pages."""

    def __init__(self, bus: Bus, settings: EdgeSettings) -> None:
        self._bus = bus
        self._settings = settings
        self.is_secure = settings.public_url.startswith("https://")
        self.origins = _origins(settings.public_url)

    @property
    def cookie_name(self) -> str:
        """The session's cookie: bound to this host and to TLS, if the console is reached by TLS (RFC 6265bis §4.1.3)."""
        return "__Host-relay-session" if self.is_secure else "relay-session"

    def cookie(self, token: str) -> str:
        """Return the value of Set-Cookie that sets the session's token, or ends it for an empty one."""
        seconds = SESSION_DAYS * 86_400 if token else 0
        secure = "; Secure" if self.is_secure else ""
        return f"{self.cookie_name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"

    def client(self, scope: Scope) -> Client:
        """Return where the request comes from."""
        address = client_address(scope, self._settings.trusted_proxies)
        return Client(
            address="" if address is None else str(address), agent=agent_of(_header(scope, b"user-agent"))
        )

    def check_origin(self, scope: Scope) -> None:
        """Raises: Forbidden when the request may come from another site's page."""
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        if site and site != "same-origin":
            raise Forbidden("other_site")
        if origin and origin not in self.origins:
            raise Forbidden("other_site")
        if not site and not origin and not _header(scope, CONSOLE_HEADER):
            raise Forbidden("other_site")

    async def person(self, scope: Scope, endpoint: Endpoint, client: Client) -> Person | None:
        """Return who asks, None for nobody.

        Raises: Unauthenticated for a session or key that is not good, where somebody is needed; Unavailable.
        """
        bearer = _header(scope, b"authorization")
        if bearer:
            if endpoint.is_browser_only:
                raise Forbidden("session_needed")
            return await self._by_key(bearer)
        token = cookies_of(scope).get(self.cookie_name, "")
        if not _TOKEN.fullmatch(token):
            return None
        try:
            return await self.by_session(token, client)
        except (Unauthenticated, Forbidden):
            if endpoint.access == "public":
                return None  # a session that has ended, or whose account is suspended, keeps nobody from signing in
            raise

    async def by_session(self, token: str, client: Client) -> Person:
        """Return whose session it is. Raises: Unauthenticated; Unavailable."""
        question = people.FindSession(token_sha256=sha256_of(token), client=client)
        found = await self._bus.call(people.FIND_SESSION, question)
        return Person(
            user_id=found.user_id,
            account_id=found.account_id,
            email=found.email,
            role=found.role,
            language=found.language,
            is_fresh=found.is_fresh,
            through="console",
            session_id=found.session_id,
        )

    async def _by_key(self, bearer: str) -> Person:
        scheme, _, credential = bearer.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("management_key_needed")
        key = keys.parse(credential.strip(), keys.MANAGEMENT_PREFIX)
        if key is None:
            raise Unauthenticated("management_key_needed")
        question = factors.VerifyManagementKey(key_id=key.id, secret_sha256=key.secret_sha256)
        found = await self._bus.call(factors.VERIFY_MANAGEMENT_KEY, question)
        return Person(
            user_id=found.user_id,
            account_id=found.account_id,
            email=found.email,
            role=found.role,
            language=found.language,
            is_fresh=True,
            through="management key",
        )


def check_rights(endpoint: Endpoint, person: Person | None) -> None:
    """Raises: Unauthenticated or Forbidden unless `person` may use the route."""
    if endpoint.access == "public":
        return
    if person is None:
        raise Unauthenticated("sign_in_needed")
    if endpoint.access == "operator" and person.role != "admin":
        raise Forbidden("operators_only")
    if endpoint.is_dangerous and not person.is_fresh:
        raise Forbidden("fresh_sign_in_needed")


def cookies_of(scope: Scope) -> dict[str, str]:
    """Return the cookies of a request, none if they cannot be read."""
    jar: SimpleCookie = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                return {}
    return {name: morsel.value for name, morsel in jar.items()}


def agent_of(user_agent: str) -> str:
    """Return browser and system in words, such as `Firefox on Linux`; empty for what is not known."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return " on ".join(part for part in (browser, system) if part)


def _origins(public_url: str) -> frozenset[str]:
    parts = urlsplit(public_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    if parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return frozenset((origin,))
    port = f":{parts.port}" if parts.port else ""
    return frozenset(f"{parts.scheme}://{host}{port}" for host in _LOOPBACK)


def _header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope["headers"]:
        if name == wanted:
            return str(value.decode("latin-1"))
    return ""
