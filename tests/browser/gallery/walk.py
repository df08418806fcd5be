"""Opens every page of the console as everybody, in both languages and themes, narrow and wide, and takes its picture."""

import asyncio
from itertools import product
from pathlib import Path

import msgspec
from playwright.async_api import Browser

from tests.api.client import COOKIE, Asker
from tests.browser.gallery.sheet import Picture
from tests.browser.pages import NOT_FOUND, Access, Page, pages
from tests.browser.visitor import NARROW, WIDE, Visitor, arrive
from tests.browser.words import LANGUAGES, Language
from tests.e2e.stack import RunningStack

SCHEMES = ("light", "dark")
AT_ONCE = 2
LOOKS = tuple(product(LANGUAGES, SCHEMES, (NARROW, WIDE)))
SEEN_BY: dict[Access, tuple[str, ...]] = {
    "public": ("nobody",),
    "person": ("user", "newcomer"),
    "operator": ("operator",),
}


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who looks at pages. `session` None has not signed in."""

    name: str
    session: Asker | None
    pages: tuple[Page, ...]


def roles(nobody: str, sessions: dict[str, Asker], access: dict[str, Access]) -> list[Role]:
    """Return who looks at what: each role at the pages of its access, and nobody at what anybody may see."""
    known = pages()
    open_pages = [page for page in known if page.access == "public"]
    missing = Page(path=NOT_FOUND, access="public")
    found = [Role(name=nobody, session=None, pages=(*open_pages, missing))]
    for name, session in sessions.items():
        seen = tuple(page for page in known if page.access == access[name])
        found.append(Role(name=name, session=session, pages=seen))
    return found


async def take_all(
    browser: Browser, site: RunningStack, folder: Path, looking: list[Role], values: dict[str, str]
) -> tuple[list[Picture], list[str]]:
    """Take every picture; return them, and what went wrong on the pages, such as an error of a script."""
    taken: list[Picture] = []
    problems: list[str] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def look(role: Role, language: Language, scheme: str, width: int) -> None:
        async with gate:
            visitor = await arrive(browser, site, language=language, scheme=scheme, width=width)
            try:
                if role.session is not None:
                    await sign_in_with(visitor, role.session)
                for page in role.pages:
                    if set(page.parameters) <= set(values):
                        picture = Picture(
                            page=page.name, role=role.name, language=language, scheme=scheme, width=width
                        )
                        await visitor.go(page.address(values))
                        await visitor.page.screenshot(
                            path=folder / picture.file, full_page=True, animations="disabled", caret="hide"
                        )
                        taken.append(picture)
                        problems.extend(f"{picture.file}: {each}" for each in visitor.problems)
                        visitor.problems.clear()
            finally:
                await visitor.context.close()

    await asyncio.gather(*(look(role, *each) for role in looking for each in LOOKS))
    return taken, problems


async def sign_in_with(visitor: Visitor, session: Asker) -> None:
    """Let a visitor have the session of somebody who has signed in."""
    await visitor.context.add_cookies(
        [{"name": COOKIE, "value": session.cookie, "url": visitor.site.public_url, "httpOnly": True}]
    )
