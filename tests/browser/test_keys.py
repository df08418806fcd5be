"""API keys in the console: made with limits, shown once, changed, replaced and ended."""

import datetime

import httpx
import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import wallet
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.caller import Caller
from tests.browser.visitor import Visitor
from tests.e2e.stack import RunningStack

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

ONE_DAY = datetime.timedelta(days=1)


def _row(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("row").filter(has_text=name)


async def _act(visitor: Visitor, name: str, action: str) -> None:
    """Choose something from the menu of a key."""
    await visitor.button("user:keys.actionsOf", name=name).click()
    await visitor.page.get_by_role("menuitem", name=visitor.words(action)).click()


def _status(site: RunningStack, secret: str) -> int:
    """Return what a request with a key is answered with."""
    return httpx.get(f"{site.base_url}/key", headers={"authorization": f"Bearer {secret}"}).status_code


async def test_a_key_is_made_with_everything_it_can_have(visitor: Visitor, world: World) -> None:
    """Models, addresses, limits and a last day: what was typed is what holds, and the list shows it."""
    ada = await world.newcomer("ada")
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/keys")
    await visitor.text("user:keys.none").wait_for()
    await visitor.button("user:keys.create").first.click()
    dialog = visitor.page.get_by_role("dialog")
    create = dialog.get_by_role("button", name=visitor.words("user:keys.createDo"))
    await create.click()
    await visitor.refuses("user:keys.name", visitor.words("user:keys.nameNeeded"))
    last_day = datetime.datetime.now(datetime.UTC).date() + 10 * ONE_DAY
    await _fill_in(visitor, dialog, last_day)
    await visitor.field("user:keys.limit.spend_day_usd").fill("a lot")
    await create.click()
    await visitor.refuses("user:keys.limit.spend_day_usd", visitor.words("user:keys.usdWrong"))
    await visitor.field("user:keys.limit.spend_day_usd").fill("2.50")
    await create.click()

    await visitor.button("user:keys.saved").click()
    await expect(_row(visitor, "workshop")).to_contain_text("gpt-4o-mini")
    made = (await ada.browser.get(table.KEYS, wallet.Keys)).items[0]
    assert (made.allowed_models, made.allowed_addresses) == (("gpt-4o-mini",), ("203.0.113.0/24",))
    assert (made.limits.requests_per_minute, made.limits.spend_day_usd) == (60, "2.50")
    assert made.expires is not None
    ends = datetime.datetime.fromtimestamp(made.expires, datetime.UTC).date()
    assert abs(ends - last_day) <= ONE_DAY  # the day is that of the browser's own time zone


async def _fill_in(visitor: Visitor, dialog: Locator, last_day: datetime.date) -> None:
    """Fill in all that the form of a key has, but for an amount."""
    await visitor.field("user:keys.name").fill("workshop")
    await dialog.get_by_label(visitor.words("user:keys.expires")).click()
    await visitor.page.get_by_role("option", name=visitor.words("user:keys.expiry.date")).click()
    await visitor.field("user:keys.lastDay").fill(last_day.isoformat())
    models = dialog.get_by_label(visitor.words("user:keys.models"))
    await models.fill("gpt-4o-mini")
    await visitor.page.get_by_role("option", name="gpt-4o-mini").click()
    await models.press("Escape")
    await dialog.get_by_label(visitor.words("user:keys.addresses")).fill("203.0.113.0/24")
    await dialog.get_by_role("button", name=visitor.words("user:keys.limits")).click()
    await visitor.field("user:keys.limit.requests_per_minute").fill("60")


async def test_what_the_server_refuses_stands_at_its_field(visitor: Visitor, world: World) -> None:
    """An address that is none; the rest of the form stays as it is."""
    ada = await world.newcomer("ada")
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/keys?create=yes")
    await visitor.field("user:keys.name").fill("workshop")
    addresses = visitor.page.get_by_role("dialog").get_by_label(visitor.words("user:keys.addresses"))
    await addresses.fill("nowhere,")
    await (
        visitor.page.get_by_role("dialog")
        .get_by_role("button", name=visitor.words("user:keys.createDo"))
        .click()
    )

    await expect(addresses).to_have_attribute("aria-invalid", "true")
    await expect(visitor.field("user:keys.name")).to_have_value("workshop")


async def test_a_key_is_renamed_and_replaced(visitor: Visitor, world: World, site: RunningStack) -> None:
    """The new one is shown once, and works in place of the old."""
    ada = await world.newcomer("ada")
    first = await ada.browser.get(table.MAKE_KEY, wallet.MadeKey, Ask(body={"name": "laptop"}))
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/keys")

    await _act(visitor, "laptop", "user:keys.edit")
    await visitor.field("user:keys.name").fill("notebook")
    await visitor.button("user:keys.save").click()
    await visitor.text("user:keys.changed").wait_for()
    await expect(_row(visitor, "notebook")).to_have_count(1)

    await _act(visitor, "notebook", "user:keys.rotate")
    await visitor.button("user:keys.rotateConfirm").click()
    title = visitor.words("user:keys.yourKey", name="notebook")
    secret = await visitor.copy(visitor.button("common:copy.what", what=title))
    await visitor.page.keyboard.press("Escape")
    await visitor.button("user:keys.saved").click()
    await expect(visitor.page.get_by_role("dialog")).to_have_count(0)
    assert secret not in await visitor.page.content()
    assert (_status(site, first.secret), _status(site, secret)) == (401, 200)


async def test_a_key_is_ended_by_its_name(visitor: Visitor, world: World, site: RunningStack) -> None:
    """Another word does not do; from then on it is refused."""
    ada = await world.newcomer("ada")
    made = await ada.browser.get(table.MAKE_KEY, wallet.MadeKey, Ask(body={"name": "notebook"}))
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/keys")
    active = _row(visitor, "notebook").filter(has_text=visitor.words("user:keyState.active"))
    await expect(active).to_have_count(1)
    await _act(visitor, "notebook", "user:keys.revoke")
    dialog = visitor.page.get_by_role("dialog")
    revoke = dialog.get_by_role("button", name=visitor.words("user:keys.revoke"))
    await dialog.get_by_role("textbox").fill("something else")
    await expect(revoke).to_be_disabled()
    await dialog.get_by_role("textbox").fill("notebook")
    await revoke.click()
    await visitor.text("user:keys.revoked", name="notebook").wait_for()
    await expect(active).to_have_count(0)
    assert _status(site, made.secret) == 401


async def test_the_list_tells_the_last_use_and_finds(visitor: Visitor, caller: Caller, world: World) -> None:
    """A key that has called says when; a search and a state leave what fits; a line opens all that is known."""
    # What the service does by itself, once a minute.
    used = "UPDATE auth.api_key SET last_used_at = now() WHERE id = $1"
    await world.database.execute(used, caller.key.key.id)
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/keys")
    await expect(_row(visitor, "laptop").get_by_role("time").first).to_be_visible()
    await visitor.page.get_by_role("searchbox").fill("serv")
    await expect(_row(visitor, "laptop")).to_have_count(0)
    await visitor.open("/keys?state=revoked")
    await visitor.text("user:keys.noneFound").wait_for()
    await visitor.button("user:filters.clear").click()

    await _row(visitor, "laptop").get_by_role("button").first.click()
    panel = visitor.page.get_by_role("dialog", name="laptop")
    await panel.get_by_role("link", name=visitor.words("user:keys.calls")).click()
    await expect(_row(visitor, "laptop")).to_have_count(1)
    await expect(_row(visitor, "server")).to_have_count(0)
