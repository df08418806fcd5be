"""The two pictures of the README: the dashboard of a user, and two models side by side in the playground."""

import secrets
from pathlib import Path

from playwright.async_api import Browser

from services.edge.api import table
from tests.api.client import Ask
from tests.api.world import channel_body
from tests.browser.gallery.scenery import Scenery
from tests.browser.visitor import HEIGHT, WIDE, Visitor

FOLDER = Path(__file__).parent.parent.parent.parent / "docs" / "images"
QUESTION = "Explain to a new colleague what a database index is, in two sentences."
# The simulator says what stands behind the provider's name of a model.
ANSWERS = {
    "claude-sonnet-4-5": (
        "An **index** keeps the values of a column in order. The database walks down a small tree instead of reading every row."
    ),
    "gpt-5": "It is like the index of a book: sorted and quick to search. In return every write costs a little more work.",
}


async def make(browser: Browser, scenery: Scenery) -> list[Path]:
    """Make both pictures anew; return their files."""
    await _prepare(scenery)
    FOLDER.mkdir(exist_ok=True)
    context = await browser.new_context(
        locale="en-US", viewport={"width": WIDE, "height": HEIGHT}, reduced_motion="reduce"
    )
    page = await context.new_page()
    visitor = Visitor(scenery.world.stack, context, page, "en")
    try:
        await visitor.sign_in_with(scenery.ada.browser)
        await visitor.go("/dashboard?days=30")
        await visitor.button("common:notice.close").click()
        await page.mouse.move(0, HEIGHT - 1)
        dashboard = FOLDER / "console-dashboard.png"
        await page.screenshot(path=dashboard, animations="disabled")
        await page.set_viewport_size({"width": WIDE, "height": 580})
        await visitor.go("/playground")
        await visitor.button("user:playground.add").click()
        first, second = ANSWERS
        for at, model in ((0, first), (1, second)):
            await page.get_by_role("combobox").nth(at).click()
            await page.get_by_role("option", name=model, exact=True).click()
        await visitor.field("user:playground.message").fill(QUESTION)
        await visitor.button("user:playground.send").click()
        await visitor.button("user:playground.send").wait_for()
        await visitor.settled()
        playground = FOLDER / "console-playground.png"
        await page.screenshot(path=playground, animations="disabled", caret="hide")
    finally:
        await context.close()
    return [dashboard, playground]


async def _prepare(scenery: Scenery) -> None:
    """Let a channel that goes before all others give the answers."""
    world = scenery.world
    models = {name: f"{name}@reply={answer},ttft=240,tps=70" for name, answer in ANSWERS.items()}
    body = channel_body(world, f"showcase-{secrets.token_hex(2)}") | {"models": models, "priority": 100}
    answer = await world.operator.browser.send(table.MAKE_CHANNEL, Ask(body=body))
    assert answer.is_success, answer.text
