"""`python -m tests.browser.gallery`: take pictures of every page, empty and after a month, and put them on one sheet.

`--readme` makes the pictures of the README instead.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from services.billing.audit import audit
from tests.api.world import World, populated
from tests.browser.chromium import FLAGS, NO_CHINESE_FONT, NoBrowserError, find, has_chinese_font
from tests.browser.gallery.scenery import Scenery
from tests.browser.gallery.sheet import Picture, write
from tests.browser.gallery.showcase import make
from tests.browser.gallery.walk import roles, take_all, take_states
from tests.e2e.stack import RunningStack

FOLDER = Path(__file__).parent.parent.parent.parent / ".screenshots"


async def main(asked: list[str]) -> int:
    """Take them; return the exit status."""
    if not has_chinese_font():
        _say(NO_CHINESE_FONT)
    async with _site() as (browser, world):
        if "--readme" in asked:
            return await _show(browser, world)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        pictures, problems = await _take(browser, world)
    sheet = write(FOLDER, pictures)
    for problem in problems:
        _say(problem)
    _say(f"{len(pictures)} pictures: {sheet}")
    return 1 if problems else 0


@asynccontextmanager
async def _site() -> AsyncIterator[tuple[Browser, World]]:
    """Yield a browser and a new site."""
    with tempfile.TemporaryDirectory(prefix="relay-screenshots-") as data:
        async with async_playwright() as playwright:
            program = find(Path(playwright.chromium.executable_path))
            browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
            with RunningStack(Path(data), trusted_proxies="127.0.0.0/8") as site:
                async with populated(site) as world:
                    yield browser, world
            await browser.close()


async def _show(browser: Browser, world: World) -> int:
    """Make the pictures of the README."""
    scenery = Scenery(world)
    await scenery.build()
    for file in await make(browser, scenery):
        _say(f"{file.stat().st_size // 1024} KB: {file}")
    return 0


async def _take(browser: Browser, world: World) -> tuple[list[Picture], list[str]]:
    """Take pictures of the site as it begins, and as it is after a month."""
    _say("Pictures of an empty site …")
    empty = roles(
        "nobody-at-first",
        {"newcomer": world.bob.browser, "operator-at-first": world.operator.browser},
        {"newcomer": "person", "operator-at-first": "operator"},
    )
    taken, problems = await take_all(browser, world.stack, FOLDER, empty, {})
    _say("A month passes …")
    scenery = Scenery(world)
    await scenery.build()
    problems += [f"the ledger: {finding}" for finding in await audit(world.database)]
    _say("Pictures of a site at work …")
    busy = roles(
        "nobody",
        {"user": scenery.ada.browser, "operator": world.operator.browser},
        {"user": "person", "operator": "operator"},
    )
    more, further = await take_all(browser, world.stack, FOLDER, busy, scenery.values)
    _say("Pictures of dialogs, drawers and errors …")
    await scenery.refresh()
    sessions = {
        "user": scenery.ada.browser,
        "doubted": scenery.doubted,
        "operator": world.operator.browser,
    }
    states, last = await take_states(browser, world.stack, FOLDER, sessions, scenery.values)
    return taken + more + states, problems + further + last


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except NoBrowserError as error:
        sys.exit(str(error))
