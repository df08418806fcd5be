"""The log of what operators do, in the console: every kind of action is in it, with who and what, and without secrets."""

import re

import pytest
from playwright.async_api import expect

from services.edge.api import table
from services.edge.api.shapes import channels
from services.edge.api.trail import ACTIONS
from shared.trail import secret_fields
from tests.api.client import Ask
from tests.api.probes import PROBES
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, colleague, sit_down, written
from tests.browser.pages import SOURCES
from tests.browser.words import LANGUAGES, Words

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LOG = "/operator/actions"
NAMES = {kind.name for kind in ACTIONS.values()}


@pytest.mark.asyncio(loop_scope="function")
async def test_the_console_has_a_word_for_every_action() -> None:
    """Its list is that of the log, and each has a text in both languages."""
    source = (SOURCES / "pages" / "operator" / "actions" / "names.ts").read_text(encoding="utf-8")

    assert set(re.findall(r'^  "(\w+)",$', source, re.MULTILINE)) == NAMES
    for language in LANGUAGES:
        words = Words(language)
        assert len({words(f"operator:action.{name}") for name in NAMES}) == len(NAMES)


async def _do_everything(world: World) -> list[str]:
    """Do each action once, as the operator; return the secrets that were sent and given."""
    kept: list[str] = []
    for endpoint in ACTIONS:
        ask = await PROBES[endpoint](world, world.operator)
        answer = await world.operator.browser.send(endpoint, ask)
        assert answer.is_success, f"{endpoint.name}: {answer.text}"
        body = ask.body or {}
        kept += [str(body[name]) for name in secret_fields(endpoint.takes) if name in body]
        if endpoint in (table.MAKE_CODES, table.INVITE):
            given = answer.json()
            kept += [*given.get("codes", ()), *given.get("url", "").partition("=")[2:]]
    return [each for each in kept if each]


async def test_every_action_is_in_the_log_without_its_secrets(world: World, arriving: Arrive) -> None:
    """In Chinese as well: what was done, on what, by whom, and that it was done."""
    desk = await sit_down(world, await arriving("zh"), (await colleague(world, "zh")).browser)
    kept = await _do_everything(world)
    assert len(kept) >= 7, "keys of channels, a password, codes and a link"

    await desk.open(LOG)

    for name in sorted(NAMES):
        line = desk.row(desk.words(f"operator:action.{name}"), desk.words("operator:actions.done")).first
        await expect(line).to_contain_text(world.operator.email)
        await expect(line).to_contain_text(desk.words("operator:actions.throughs.console"))
    seen = await desk.page.content() + written(await world.actions())
    assert not [secret for secret in kept if secret in seen]


async def test_an_action_shows_what_it_changed(desk: Desk, world: World) -> None:
    """It is found by its object and kind; what was there before stands beside what was asked for."""
    visitor, words = desk.visitor, desk.words
    name = await world.make_channel()
    update = Ask(path={"name": name}, body={"priority": 3, "credential": "sk-sim-openai-of-the-log"})
    await world.operator.browser.get(table.UPDATE_CHANNEL, channels.Channel, update)
    await desk.open(LOG)

    await visitor.field("operator:actions.search").fill(name)
    await expect(desk.row()).to_have_count(3)
    await expect(desk.row(f"channel {name}")).to_have_count(2)
    await desk.choose(desk.list("operator:actions.action"), words("operator:action.update_channel"))
    await expect(desk.row()).to_have_count(2)
    await desk.page.get_by_role("button", name=words("operator:action.update_channel")).click()

    drawer = desk.dialog("operator:action.update_channel")
    await expect(drawer.get_by_role("row", name=re.compile(r"^priority 0 3$"))).to_be_visible()
    await expect(drawer.get_by_role("row").filter(has_text="credential")).to_contain_text("[hidden]")
    await expect(drawer).to_contain_text(world.operator.email)
    await expect(drawer).to_contain_text(world.operator.browser.address)
    await expect(drawer).not_to_contain_text("sk-sim-openai")
