"""One browser and one site for the whole session; each visitor has a context of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.api.world import World, populated
from tests.auth.issuers import CLIENT_ID, CLIENT_SECRET, honest_issuer
from tests.browser.caller import Caller, new_caller
from tests.browser.chromium import FLAGS, NoBrowserError, find
from tests.browser.desk import Desk, sit_down
from tests.browser.visitor import PATIENCE_MS, WIDE, Visitor, arrive
from tests.browser.words import Language
from tests.e2e.stack import RunningStack

Arrive = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium that runs as long as the session."""
    async with async_playwright() as playwright:
        try:
            program = find(Path(playwright.chromium.executable_path))
        except NoBrowserError as error:
            pytest.fail(str(error), pytrace=False)
        expect.set_options(timeout=PATIENCE_MS)
        running = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    """The address of an issuer that people of the site may sign in with."""
    with honest_issuer() as url:
        yield url


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, issuer: str) -> Iterator[RunningStack]:
    """The site of the tests in a browser: as the other tests have it, and with an issuer; its group is `browser`."""
    provider = {"id": "honest", "name": "Honest", "issuer": issuer}
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    providers = msgspec.json.encode([provider | client]).decode()
    with RunningStack(
        tmp_path_factory.mktemp("site"), trusted_proxies="127.0.0.0/8", oidc_providers=providers
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(site: RunningStack) -> AsyncIterator[World]:
    """The people of the site, who can be asked for codes, and the operator, who makes them."""
    async with populated(site) as world:
        yield world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def caller(world: World) -> Caller:
    """Somebody with calls; tests only read what they have."""
    return await new_caller(world)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def spender(world: World) -> Caller:
    """Somebody with keys to call with, as often as tests like."""
    return await new_caller(world)


@pytest_asyncio.fixture(loop_scope="session")
async def arriving(browser: Browser, site: RunningStack) -> AsyncIterator[Arrive]:
    """Makes visitors; in the end none of them has met an error that nobody was told of."""
    visitors = []

    async def arrived(language: Language = "en", *, scheme: str = "light", width: int = WIDE) -> Visitor:
        visitors.append(await arrive(browser, site, language=language, scheme=scheme, width=width))
        return visitors[-1]

    yield arrived
    for visitor in visitors:
        await visitor.context.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(arriving: Arrive) -> Visitor:
    """Somebody who comes to the site for the first time, with an English browser."""
    return await arriving()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def office(browser: Browser, site: RunningStack) -> AsyncIterator[Visitor]:
    """The operator's browser. It stays open, since a page that is opened anew costs a quarter of one in a new browser."""
    visitor = await arrive(browser, site)
    yield visitor
    await visitor.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(office: Visitor, world: World) -> AsyncIterator[Desk]:
    """The operator, who has signed in, with an English browser, on whatever page they were before."""
    yield await sit_down(world, office)
    problems, office.problems = office.problems, []
    assert problems == []
