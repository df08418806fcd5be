"""Opens every page of the console as everybody, in both languages and themes, narrow and wide, and takes its picture."""

import asyncio
from itertools import product
from pathlib import Path

import msgspec
from playwright.async_api import Browser, TimeoutError

from tests.api.client import Asker
from tests.browser.gallery.sheet import Picture
from tests.browser.gallery.states import STATES, show
from tests.browser.pages import NOT_FOUND, Access, Page, pages
from tests.browser.visitor import NARROW, WIDE, Visitor, arrive
from tests.browser.words import LANGUAGES, Language
from tests.e2e.stack import RunningStack

SCHEMES = ("light", "dark")
AT_ONCE = 2
LOOKS = tuple(product(LANGUAGES, SCHEMES, (NARROW, WIDE)))
STATE_LOOKS: tuple[tuple[Language, str, int], ...] = (("en", "light", WIDE), ("zh", "dark", NARROW))
HIGHEST = 8000


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
                await speak(visitor, language)
                if role.session is not None:
                    await visitor.sign_in_with(role.session)
                for page in role.pages:
                    if set(page.parameters) <= set(values):
                        picture = Picture(
                            page=page.name, role=role.name, language=language, scheme=scheme, width=width
                        )
                        await visitor.go(page.address(values))
                        await take(visitor, folder / picture.file, is_whole=True)
                        taken.append(picture)
                        problems.extend(f"{picture.file}: {each}" for each in visitor.problems)
                        visitor.problems.clear()
            finally:
                await visitor.context.close()

    await asyncio.gather(*(look(role, *each) for role in looking for each in LOOKS))
    return taken, problems


async def take_states(
    browser: Browser, site: RunningStack, folder: Path, sessions: dict[str, Asker], values: dict[str, str]
) -> tuple[list[Picture], list[str]]:
    """Take a picture of every state in two looks; return them, and what went wrong."""
    taken: list[Picture] = []
    problems: list[str] = []
    for language, scheme, width in STATE_LOOKS:
        for state in STATES:
            visitor = await arrive(browser, site, language=language, scheme=scheme, width=width)
            picture = Picture(page=state.name, role=state.role, language=language, scheme=scheme, width=width)
            try:
                await speak(visitor, language)
                if state.role in sessions:
                    await visitor.sign_in_with(sessions[state.role])
                await show(visitor, state, values)
                await take(visitor, folder / picture.file, is_whole=state.is_whole)
                taken.append(picture)
            except TimeoutError as error:
                problems.append(f"{picture.file}: {error.message}")
            finally:
                if state.answer is None:  # else the browser tells of what was made to fail
                    problems.extend(f"{picture.file}: {each}" for each in visitor.problems)
                await visitor.page.unroute_all(behavior="ignoreErrors")
                await visitor.context.close()
    return taken, problems


async def take(visitor: Visitor, file: Path, *, is_whole: bool) -> None:
    """Take a picture of the window, or of the whole page: then the window is made as high, so that what is fixed to it is whole."""
    page = visitor.page
    size = page.viewport_size
    if is_whole and size is not None:
        height: int = await page.evaluate("() => document.documentElement.scrollHeight")
        if height > size["height"]:
            await page.set_viewport_size({"width": size["width"], "height": min(height, HIGHEST)})
            await visitor.settled()
    await page.screenshot(path=file, full_page=is_whole, animations="disabled", caret="hide")
    if size is not None:
        await page.set_viewport_size(size)


async def speak(visitor: Visitor, language: Language) -> None:
    """Let the browser have chosen a language, which goes before that of the person's account."""
    await visitor.context.add_init_script(f"localStorage.setItem('relay-language', '{language}')")
