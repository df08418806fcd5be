"""Somebody at a browser: what they see by role and name, in their language, and what must not happen on any page."""

import asyncio
import re
import secrets
import time
from urllib.parse import urlsplit

import pyotp
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

from tests.api.client import COOKIE, Asker
from tests.browser.words import LOCALES, Language, Words
from tests.e2e.stack import RunningStack

PATIENCE_MS = 20_000
WIDE, NARROW = 1440, 390
HEIGHT = 900
# The browser says this of every answer that is an error; what the page makes of it is what counts.
_ANSWERED_BADLY = "Failed to load resource: the server responded with a status of 4"
_WAIT_FOR_CLIPBOARD = """async () => {
  for (;;) {
    const text = await navigator.clipboard.readText();
    if (text) return text;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}"""


class Visitor:
    """A person with a browser of their own: no cookie, no storage, and an address that nobody else has.

    `problems` are errors of scripts, breaches of the content security policy, answers of 5xx, and requests to other sites.
    """

    def __init__(self, site: RunningStack, context: BrowserContext, page: Page, language: Language) -> None:
        self.site = site
        self.context = context
        self.page = page
        self.words = Words(language)
        self.problems: list[str] = []
        context.on("request", self._note_request)
        context.on("response", self._note_response)
        context.on("console", self._note_console)
        context.on("weberror", lambda error: self.problems.append(f"script: {error.error}"))

    async def go(self, path: str) -> None:
        """Open a page of the site by its address, as from a bookmark."""
        await self.page.goto(self.site.public_url + path)
        await self.settled()

    async def sign_in_with(self, session: Asker) -> None:
        """Have the session of somebody who has signed in, from the next page on."""
        await self.context.add_cookies(
            [{"name": COOKIE, "value": session.cookie, "url": self.site.public_url, "httpOnly": True}]
        )

    async def open(self, path: str) -> None:
        """Open a page of the site and go on at once: for a test that waits for what it looks at."""
        await self.page.goto(self.site.public_url + path, wait_until="commit")

    async def follow(self, link: str) -> None:
        """Open a link that came by mail: as a page anew, also where another `#` of the same page is shown."""
        await self.page.goto("about:blank")
        await self.page.goto(link)

    async def settled(self) -> None:
        """Return once the page has all it asked for and shows no sign of loading."""
        await self.page.wait_for_load_state("networkidle")
        await self.page.locator("[aria-busy=true]").first.wait_for(state="detached")

    def button(self, key: str, /, **values: object) -> Locator:
        """Return a button by its text."""
        return self.page.get_by_role("button", name=self.words(key, **values), exact=True)

    def link(self, key: str, /, **values: object) -> Locator:
        """Return a link by its text."""
        return self.page.get_by_role("link", name=self.words(key, **values), exact=True)

    def field(self, key: str, /, **values: object) -> Locator:
        """Return a field by its label; a required one has a mark after it that is no part of the label."""
        return self.page.get_by_label(self.words(key, **values), exact=True)

    def heading(self, key: str, /, **values: object) -> Locator:
        """Return a heading by its text."""
        return self.page.get_by_role("heading", name=self.words(key, **values), exact=True)

    def text(self, key: str, /, **values: object) -> Locator:
        """Return what says this, wherever it stands."""
        return self.page.get_by_text(self.words(key, **values), exact=True)

    async def refuses(self, key: str, problem: str) -> None:
        """Return once a field says what is wrong with it, to the eye and to a screen reader."""
        field = self.field(key)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description(re.compile(re.escape(problem)))
        await expect(field).to_be_focused()

    async def copied(self) -> str:
        """Return what lies in the clipboard."""
        text: str = await self.page.evaluate("() => navigator.clipboard.readText()")
        return text

    async def copy(self, button: Locator) -> str:
        """Click a button that copies; return what it has put into the clipboard."""
        await self.page.evaluate("() => navigator.clipboard.writeText('')")
        await button.click()
        async with asyncio.timeout(PATIENCE_MS / 1000):
            text: str = await self.page.evaluate(_WAIT_FOR_CLIPBOARD)
        return text

    async def add_authenticator(self) -> None:
        """Give the browser a device with passkeys that always says yes. Source: Chrome DevTools Protocol, WebAuthn."""
        session = await self.context.new_cdp_session(self.page)
        await session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def _note_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self._host:
            self.problems.append(f"a request to another site: {request.url}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 500:
            self.problems.append(f"{response.status} of {response.url}")

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_ANSWERED_BADLY):
            self.problems.append(f"console: {message.text}")

    @property
    def _host(self) -> str:
        return urlsplit(self.site.public_url).netloc


async def arrive(
    browser: Browser,
    site: RunningStack,
    *,
    language: Language = "en",
    scheme: str = "light",
    width: int = WIDE,
) -> Visitor:
    """Return a new visitor; `visitor.context` is to be closed in the end."""
    context = await browser.new_context(
        locale=LOCALES[language],
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": HEIGHT},
        has_touch=width < 600,
        reduced_motion="reduce",
        extra_http_headers={"x-forwarded-for": _address()},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE_MS)
    return Visitor(site, context, await context.new_page(), language)


def code_of(secret: str, *, steps_ahead: int = 0) -> str:
    """Return the six digits of an authenticator, now or as they will be: a site takes each of them once."""
    totp = pyotp.TOTP(secret)
    return totp.at(int(time.time()) + steps_ahead * totp.interval)


def _address() -> str:
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
