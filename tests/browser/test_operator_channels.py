"""Channels in the console: an operator connects an upstream account, looks whether it answers, and changes what there is."""

import secrets

import httpx
import pytest
from playwright.async_api import expect

from services.edge.api import table
from services.edge.api.shapes import channels
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, live_price, written

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LIST, NEW = "/operator/channels", "/operator/channels/new/form"


def _name() -> str:
    return f"upstream-{secrets.token_hex(4)}"


def _credential() -> str:
    return f"sk-sim-openai-{secrets.token_hex(8)}"


async def _fill_in(desk: Desk, name: str, credential: str, model: str) -> None:
    visitor = desk.visitor
    await visitor.field("operator:channel.name").fill(name)
    await desk.list("operator:channel.baseUrl").fill(visitor.site.simulator_url + "/v1")
    await visitor.field("operator:channel.credential").fill(credential)
    await visitor.field("operator:channel.oursAt", number=1).fill(model)


async def _price(world: World, model: str) -> None:
    figures = {"above_input_tokens": 0, "input": "3", "output": "6", "cache_read": "1", "cache_write": "3"}
    ask = Ask(
        body={"model": model, "figures": [figures], "max_output_tokens": 1000, "context_tokens": 128_000}
    )
    await world.operator.browser.get(table.SET_PRICE, channels.Price, ask)


async def _call(world: World, model: str) -> httpx.Response:
    await world.credit(world.alice)
    key = (await world.make_key(world.alice)).secret
    body = {"model": model, "messages": [{"role": "user", "content": "Are you there? [[sim out=5]]"}]}
    headers = {"authorization": f"Bearer {key}"}
    return await world.http.post("/v1/chat/completions", json=body, headers=headers)


async def test_what_is_wrong_stands_at_its_field(desk: Desk) -> None:
    """What the page sees by itself, and what only the server knows; what was entered stays."""
    visitor, words = desk.visitor, desk.words
    await desk.open(NEW)

    await visitor.button("operator:channel.make").click()

    await desk.wrong(visitor.field("operator:channel.name"), words("operator:channel.nameMissing"))
    await desk.wrong(desk.list("operator:channel.baseUrl"), words("operator:channel.urlMissing"))
    await desk.wrong(visitor.field("operator:channel.credential"), words("operator:channel.keyMissing"))
    await expect(visitor.field("operator:channel.name")).to_be_focused()
    await expect(visitor.text("operator:channel.modelsMissing")).to_be_visible()

    credential = _credential()
    await _fill_in(desk, "demo", credential, "some-model")
    await visitor.button("operator:channel.make").click()

    await desk.wrong(visitor.field("operator:channel.name"), "demo")
    await expect(visitor.field("operator:channel.name")).to_be_focused()
    await expect(visitor.field("operator:channel.credential")).to_have_value(credential)
    row = await desk.logged("make_channel", "demo", result="already_exists")
    assert credential not in written(row)


async def test_a_new_channel_is_tested_and_its_model_can_be_called(
    desk: Desk, world: World, arriving: Arrive
) -> None:
    """It is connected, answers, and once it has a price its model is called and stands on the landing page."""
    visitor, words = desk.visitor, desk.words
    name, credential = _name(), _credential()
    model = f"model-of-{name}"
    await desk.open(LIST)
    await visitor.link("operator:channels.new").click()

    await _fill_in(desk, name, credential, model)
    await visitor.button("operator:channel.make").click()

    await expect(visitor.text("operator:channel.madeNote")).to_be_visible()
    await visitor.button("operator:channel.test").click()
    await expect(
        desk.page.get_by_role("status").filter(has_text=words("operator:result.completed"))
    ).to_contain_text(words("operator:channel.testStatus", status=200))
    assert (await _call(world, model)).status_code == 404, "a model without a price is refused"
    await _price(world, model)
    await live_price(world, model, "3")
    assert (await _call(world, model)).status_code == 200
    guest = await arriving()
    await guest.go("/")
    line = guest.page.get_by_role("row").filter(has_text=model)
    await expect(line).to_contain_text("128K")
    await expect(line).to_contain_text("US$3.00")
    await expect(line).to_contain_text("US$6.00")
    for action in ("make_channel", "test_channel"):
        assert credential not in written(await desk.logged(action, name))


async def test_a_second_key_wants_a_name_of_its_own(desk: Desk, world: World) -> None:
    """What is wrong stands at its field, and the key that was entered is still there when it is mended."""
    visitor, words = desk.visitor, desk.words
    name, credential = await world.make_channel(), _credential()
    await desk.open(f"{LIST}/{name}")
    await visitor.button("operator:channel.addKey").click()
    dialog = desk.dialog("operator:channel.addKey")
    field = dialog.get_by_label(words("operator:channel.keyName"))
    add = dialog.get_by_role("button", name=words("operator:channel.addKey"))

    await add.click()
    await desk.wrong(field, words("operator:channel.nameMissing"))
    await desk.wrong(visitor.field("operator:channel.credential"), words("operator:channel.keyMissing"))
    await field.fill("default")
    await visitor.field("operator:channel.credential").fill(credential)
    await add.click()
    await desk.wrong(field, "default")
    await field.fill("spare")
    await add.click()

    await expect(dialog).to_be_hidden()
    await expect(visitor.button("operator:channel.removeKeyNamed", key="spare")).to_be_enabled()
    assert credential not in written(await desk.logged("add_upstream_key", name))


async def test_a_key_that_is_refused_is_seen_and_taken_away(desk: Desk, world: World) -> None:
    """A test says of each key what came of it, the channel says which one is out, and the last one stays."""
    visitor, words = desk.visitor, desk.words
    name = await world.make_channel()
    spare = Ask(path={"name": name}, body={"name": "spare", "credential": "sk-sim-invalid-1"})
    await world.operator.browser.get(table.ADD_UPSTREAM_KEY, channels.Channel, spare)
    await desk.open(f"{LIST}/{name}")

    await visitor.button("operator:channel.test").click()
    results = desk.page.get_by_role("status").filter(has_text=words("operator:result.completed"))
    await expect(results).to_contain_text(words("operator:channel.testWithKey", key="default"))
    await expect(results).to_contain_text(words("operator:result.credential"))
    await expect(results).to_contain_text(words("operator:resultHelp.credential"))
    line = desk.page.get_by_role("listitem").filter(has_text="spare")
    await expect(line).to_contain_text(words("operator:channel.refusedAs.credential"))

    await visitor.button("operator:channel.removeKeyNamed", key="spare").click()
    question = desk.dialog("operator:channel.removeKeyTitle")
    await question.get_by_role("button", name=words("operator:channel.removeKey")).click()
    await desk.told("operator:channel.keyRemoved")
    await expect(line).to_be_hidden()
    await expect(visitor.button("operator:channel.removeKeyNamed", key="default")).to_be_disabled()
    await desk.logged("remove_upstream_key", f"{name}, key spare")


async def test_a_copy_is_off_until_it_is_turned_on(desk: Desk, world: World) -> None:
    """It is like the one before but for its key; several at once get a state."""
    visitor, words = desk.visitor, desk.words
    name, credential = await world.make_channel(), _credential()
    copy = f"{name}-copy"
    await desk.open(f"{LIST}/{name}")

    await visitor.button("operator:channel.copy").click()
    dialog = desk.dialog("operator:channel.copyOf", name=name)
    await visitor.field("operator:channel.newName").fill(copy)
    await visitor.field("operator:channel.credential").fill(credential)
    await dialog.get_by_role("button", name=words("operator:channel.copy")).click()

    await expect(desk.page.get_by_role("heading", name=copy, exact=True)).to_be_visible()
    await expect(visitor.text("operator:channel.madeOffNote")).to_be_visible()
    await expect(desk.panel("operator:channel.modelsTitle_one", count=1)).to_contain_text(f"model-of-{name}")
    await visitor.button("operator:channel.changeState").click()
    await desk.page.get_by_role("menuitem", name=words("operator:channel.set.on")).click()
    await desk.told("operator:channel.stateSet")
    await expect(visitor.text("operator:channel.madeNote")).to_be_visible()
    await expect(visitor.text("operator:channel.state.on")).to_be_visible()

    await visitor.link("common:navigation.channels").first.click()
    await visitor.field("operator:channels.search").fill(name)
    await expect(desk.row("demo")).to_be_hidden()
    for each in (name, copy):
        await visitor.field("operator:channels.select", name=each).check()
    await visitor.button("operator:channel.set.draining").click()
    await expect(desk.row(name, words("operator:channel.state.draining"))).to_have_count(2)
    await desk.logged("set_channel_states", f"{name}, {copy}")
    row = await desk.logged("copy_channel", name)
    assert copy in written(row)
    assert credential not in written(row)


async def test_the_form_holds_what_there_is_and_changes_it(desk: Desk, world: World) -> None:
    """A weight, one more model, a header and a parameter, which is checked while it is written."""
    visitor, words = desk.visitor, desk.words
    name, header = await world.make_channel(), secrets.token_hex(12)
    await desk.open(f"{LIST}/{name}")
    await visitor.link("operator:channel.edit").click()
    await expect(visitor.field("operator:channel.oursAt", number=1)).to_have_value(f"model-of-{name}")

    await visitor.field("operator:channel.weight").fill("30")
    await visitor.button("operator:channel.addModel").click()
    await visitor.field("operator:channel.oursAt", number=2).fill(f"second-of-{name}")
    await visitor.field("operator:channel.theirsAt", number=2).fill("gpt-4o")
    await visitor.button("operator:channel.form.showAdvanced").click()
    await visitor.button("operator:channel.addHeader").click()
    what = words("operator:channel.headers")
    await visitor.field("operator:channel.pairName", what=what, number=1).fill("openai-organization")
    await visitor.field("operator:channel.pairValue", what=what, number=1).fill(header)
    await visitor.button("operator:channel.addParameter").first.click()
    what = words("operator:channel.setParameters")
    value = visitor.field("operator:channel.pairValue", what=what, number=1)
    await visitor.field("operator:channel.pairName", what=what, number=1).fill("temperature")
    await value.fill("warm")
    await desk.wrong(value, words("operator:channel.noJson"))
    await value.fill("0.7")
    await visitor.button("operator:save").click()

    await expect(desk.row(f"second-of-{name}")).to_contain_text("gpt-4o")
    await expect(desk.panel("operator:channel.settingsTitle")).to_contain_text("temperature: 0.7")
    assert header not in written(await desk.logged("update_channel", name))


async def test_a_channel_is_deleted_by_its_name(desk: Desk, world: World) -> None:
    """No slip of the hand does it; the list knows it no more."""
    visitor, words = desk.visitor, desk.words
    name = await world.make_channel()
    await desk.open(LIST)
    await desk.page.get_by_role("button", name=words("operator:channels.menu", name=name)).click()
    await desk.page.get_by_role("menuitem", name=words("operator:channel.delete")).click()

    question = desk.dialog("operator:channel.deleteTitle")
    delete = question.get_by_role("button", name=words("operator:channel.delete"))
    await expect(delete).to_be_disabled()
    await visitor.field("operator:confirmByName.label").fill(name)
    await delete.click()

    await desk.told("operator:channel.deleted")
    await expect(desk.row("demo")).to_be_visible()
    await expect(desk.row(name)).to_be_hidden()
    await desk.logged("delete_channel", name)
