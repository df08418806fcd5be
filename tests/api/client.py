"""Somebody who asks the JSON API: nobody in particular, a session in a browser, or a script with a key."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import people, site

COOKIE = "relay-session"  # without TLS; with it the name begins with __Host-
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.05
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_LINK = re.compile(r"https?://[^\s<>]+")
_TOKEN = re.compile(r"[#?&/]token[=/]([A-Za-z0-9_.~-]+)")
_PARAMETER = re.compile(r"{([a-z_]+)(?::path)?}")

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a route is asked with: values of its path, its body as plain values, its query."""

    path: dict[str, str] = {}
    body: dict[str, object] | None = None
    query: dict[str, str] = {}


class Problem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an error says."""

    message: str
    type: str
    param: str | None
    code: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of every error."""

    error: Problem


class Asker:
    """One party. `address` is where it seems to be: limits of sign-in count by address, so each party has its own.

    With a `cookie` it behaves as a browser does, with Origin and Fetch-Metadata; with a `bearer` as a script does.
    """

    def __init__(self, http: httpx.AsyncClient, *, cookie: str = "", bearer: str = "") -> None:
        self.cookie = cookie
        self.bearer = bearer
        self.agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
        self.address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
        self._http = http

    @property
    def origin(self) -> str:
        """The origin of the site's own pages."""
        return str(self._http.base_url).rstrip("/")

    async def send(self, endpoint: Endpoint, ask: Ask | None = None, **headers: str | None) -> httpx.Response:
        """Return the answer of a route. `headers` replace what this party sends (`sec_fetch_site=…`); None leaves one out."""
        ask = ask or Ask()
        sent = self._headers() | {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self._http.request(
            endpoint.method,
            url_of(endpoint, ask),
            params=ask.query,
            content=None if ask.body is None else msgspec.json.encode(ask.body),
            headers={name: value for name, value in sent.items() if value is not None},
        )
        if not self.bearer:
            self.cookie = _cookie_in(answer, self.cookie)
        return answer

    async def get(self, endpoint: Endpoint, shape: type[Shape], ask: Ask | None = None) -> Shape:
        """Return what a route gives; fail unless it is asked successfully."""
        answer = await self.send(endpoint, ask)
        assert answer.is_success, f"{endpoint.name}: {answer.status_code} {answer.text}"
        return msgspec.json.decode(answer.content, type=shape)

    def _headers(self) -> dict[str, str | None]:
        headers: dict[str, str | None] = {
            "x-forwarded-for": self.address,
            "user-agent": self.agent,
            "content-type": "application/json",
            "accept-language": "en",
        }
        if self.bearer:
            return headers | {"authorization": f"Bearer {self.bearer}"}
        if self.cookie:
            headers["cookie"] = f"{COOKIE}={self.cookie}"
        return headers | {"origin": self.origin, "sec-fetch-site": "same-origin"}


@asynccontextmanager
async def connected(origin: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a connection that many parties share: it keeps no cookie of its own."""
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    async with httpx.AsyncClient(base_url=origin, cookies=jar, timeout=PATIENCE_SECONDS) as http:
        yield http


def url_of(endpoint: Endpoint, ask: Ask) -> str:
    """Return the path of a route with its parameters filled in."""
    return "/api" + _PARAMETER.sub(lambda found: quote(ask.path[found[1]], safe=""), endpoint.path)


def parameters_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the names of the parameters in a route's path."""
    return tuple(_PARAMETER.findall(endpoint.path))


def problem_in(answer: httpx.Response) -> Problem:
    """Return what an error says; fail when it has another shape."""
    assert answer.headers["content-type"] == "application/json", answer.headers
    return msgspec.json.decode(answer.content, type=Envelope).error


async def letters_to(asker: Asker, email: str, *, count: int = 1) -> list[site.Message]:
    """Return what the developer's outbox has for an address, newest first, once there are `count` letters."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        outbox = await asker.get(table.OUTBOX, site.Outbox)
        letters = [message for message in outbox.items if message.to == email]
        if len(letters) >= count:
            return letters
        assert asyncio.get_running_loop().time() < give_up, f"{len(letters)} of {count} letters to {email}"
        await asyncio.sleep(POLL_SECONDS)


def link_in(letter: site.Message) -> str:
    """Return the link of a letter."""
    found = _LINK.search(letter.body)
    assert found, letter.body
    return found[0]


async def link_token(asker: Asker, email: str, *, count: int = 1) -> str:
    """Return the token in the link of the newest of `count` letters to an address."""
    link = link_in((await letters_to(asker, email, count=count))[0])
    found = _TOKEN.search(link)
    assert found, link
    return found[1]


async def sign_up(asker: Asker, email: str, password: str) -> people.Me:
    """Make an account, confirm its address from the outbox, and be signed in."""
    made = await asker.send(table.SIGN_UP, Ask(body={"email": email, "password": password}))
    assert made.is_success, made.text
    ask = Ask(body={"token": await link_token(asker, email)})
    await asker.get(table.CONFIRM_EMAIL, people.SignedIn, ask)
    return await asker.get(table.ME, people.Me)


async def sign_in(asker: Asker, email: str, password: str) -> people.Me:
    """Sign in with address and password alone."""
    await asker.get(table.SIGN_IN, people.SignedIn, Ask(body={"email": email, "password": password}))
    return await asker.get(table.ME, people.Me)


def new_email(name: str = "somebody") -> str:
    """Return an address that nobody has yet."""
    return f"{name}-{secrets.token_hex(5)}@example.org"


def new_password() -> str:
    """Return a good password."""
    return secrets.token_urlsafe(18)


def _cookie_in(answer: httpx.Response, before: str) -> str:
    """Return the session's cookie after an answer; fail when it sets one that a script or another site could read."""
    for header in answer.headers.get_list("set-cookie"):
        value, *attributes = (part.strip() for part in header.removeprefix(f"{COOKIE}=").split(";"))
        if header.startswith(f"{COOKIE}="):
            assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes), header
            return value
    return before
