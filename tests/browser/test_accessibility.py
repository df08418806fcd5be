"""Everybody can use every page: with a screen reader, by keyboard, on a phone, in either theme and language."""

import asyncio

import msgspec
import pytest
from playwright.async_api import expect

from services.devstack.demo import CHANNEL
from tests.api.client import Asker
from tests.api.world import World
from tests.browser import axe
from tests.browser.caller import Caller
from tests.browser.conftest import Arrive
from tests.browser.pages import NOT_FOUND, Access, pages
from tests.browser.visitor import HEIGHT, NARROW, WIDE, Visitor
from tests.browser.words import Words

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

KINDS: tuple[Access, ...] = ("public", "person", "operator")
AT_ONCE = 3
STEPS_AROUND = 14  # more than the form of a key has
# Colours that are on their way from one theme to the other are those of neither; one change sets off the next further inside.
_UNTIL_NOTHING_MOVES = """async () => {
  const moving = () => document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity);
  while (moving().length > 0) await Promise.allSettled(moving().map((each) => each.finished));
}"""
_TOO_WIDE_BY = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


@pytest.mark.parametrize("kind", KINDS)
async def test_axe_finds_nothing_serious_and_a_phone_is_wide_enough(
    arriving: Arrive, world: World, caller: Caller, kind: Access
) -> None:
    """On every page that this kind of visitor sees: in light colours on a wide screen, and in dark ones on a phone."""
    addresses = _addresses(world, caller, kind)
    session = _session(world, caller, kind)
    visitors = [await arriving() for _ in range(AT_ONCE)]
    if session is not None:
        for visitor in visitors:
            await visitor.sign_in_with(session)

    parts = [addresses[number::AT_ONCE] for number in range(AT_ONCE)]
    found = await asyncio.gather(*map(_faults, visitors, parts))

    faults = [fault for part in found for fault in part]
    assert not faults, "\n".join(faults)


async def _faults(visitor: Visitor, addresses: list[str]) -> list[str]:
    """Return what is wrong with pages, a line each."""
    page, faults = visitor.page, []
    for address in addresses:
        await page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        await page.emulate_media(color_scheme="light")
        await visitor.go(address)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(visitor.text("common:error.title")).to_have_count(0)
        faults += [f"{address}, light: {fault}" for fault in await axe.grave_faults(page)]
        await page.set_viewport_size({"width": NARROW, "height": HEIGHT})
        await page.emulate_media(color_scheme="dark")
        await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        await page.evaluate(_UNTIL_NOTHING_MOVES)
        faults += [f"{address}, dark on a phone: {fault}" for fault in await axe.grave_faults(page)]
        if (pixels := await page.evaluate(_TOO_WIDE_BY)) > 0:
            faults.append(f"{address} is {pixels} px too wide for a phone")
    return faults


def _session(world: World, caller: Caller, kind: Access) -> Asker | None:
    return {"public": None, "person": caller.person.browser, "operator": world.operator.browser}[kind]


def _addresses(world: World, caller: Caller, kind: Access) -> list[str]:
    """Return the address of every page of this access; one whose last part may be missing has two."""
    values = {
        "keyId": caller.key.key.id,
        "requestId": caller.good,
        "name": CHANNEL,
        "accountId": caller.person.me.account_id,
    }
    found = {NOT_FOUND} if kind == "public" else set()
    for page in pages():
        if page.access == kind:
            found.add(page.address(values))
            if page.path.endswith("?"):
                whole = msgspec.structs.replace(page, path=page.path.removesuffix("?"))
                found.add(whole.address(values))
    return sorted(found)


async def test_the_switches_of_language_and_colours_hold(arriving: Arrive, caller: Caller) -> None:
    """What was chosen is there after the next visit too, before and after the sign-in."""
    visitor = await arriving("en", scheme="light")
    root = visitor.page.locator("html")
    await visitor.go("/")
    await visitor.button("common:language.zh").click()
    chinese = Words("zh")
    await visitor.page.get_by_role("heading", name=chinese("public:landing.title")).wait_for()
    await expect(root).to_have_attribute("lang", "zh-CN")
    now, to = chinese("common:scheme.auto"), chinese("common:scheme.light")
    await visitor.page.get_by_role("button", name=chinese("common:scheme.switch", now=now, next=to)).click()
    now, to = to, chinese("common:scheme.dark")
    await visitor.page.get_by_role("button", name=chinese("common:scheme.switch", now=now, next=to)).click()
    await expect(root).to_have_attribute("data-mantine-color-scheme", "dark")

    await visitor.sign_in_with(caller.person.browser)
    await visitor.go("/keys")
    await visitor.page.get_by_role("heading", name=chinese("user:keys.title")).wait_for()
    await expect(root).to_have_attribute("data-mantine-color-scheme", "dark")


async def test_the_first_tab_skips_to_the_content(visitor: Visitor, caller: Caller) -> None:
    """Before and after the sign-in; from there the next one is in the page itself."""
    for address in ("/", "/keys"):
        await visitor.go(address)
        await visitor.page.keyboard.press("Tab")
        skip = visitor.link("common:skipToContent")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await visitor.page.keyboard.press("Enter")
        await visitor.page.keyboard.press("Tab")
        assert await visitor.page.evaluate("() => document.activeElement.closest('main') !== null")
        await visitor.sign_in_with(caller.person.browser)


async def test_a_dialog_holds_the_focus_and_gives_it_back(visitor: Visitor, caller: Caller) -> None:
    """Tab goes round inside, Escape closes, and the focus is where it was."""
    page = visitor.page
    await visitor.sign_in_with(caller.person.browser)
    await visitor.go("/keys")
    create = visitor.button("user:keys.create")
    await create.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(visitor.field("user:keys.name")).to_be_focused()
    for key in ("Tab", "Shift+Tab"):
        for _ in range(STEPS_AROUND):
            await page.keyboard.press(key)
            assert await page.evaluate("() => document.activeElement.closest('[role=dialog]') !== null")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(create).to_be_focused()


async def test_a_table_and_its_menus_work_by_keyboard(visitor: Visitor, caller: Caller) -> None:
    """A line opens and closes, and a menu does what it offers, without a mouse."""
    page = visitor.page
    await visitor.sign_in_with(caller.person.browser)
    await visitor.go("/keys")
    row = page.get_by_role("row").filter(has_text="laptop")
    await row.get_by_role("button").first.focus()
    await page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="laptop")
    await panel.wait_for()
    await page.keyboard.press("Escape")
    await expect(panel).to_have_count(0)

    await visitor.button("user:keys.actionsOf", name="laptop").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("menuitem", name=visitor.words("user:keys.rotate")).wait_for()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog", name=visitor.words("user:keys.rotateTitle")).wait_for()
    await page.keyboard.press("Escape")


async def test_the_navigation_of_a_phone_opens_and_closes(arriving: Arrive, caller: Caller) -> None:
    """It is out of the way until it is wanted, and goes away once somebody has gone somewhere."""
    visitor = await arriving(width=NARROW)
    await visitor.sign_in_with(caller.person.browser)
    await visitor.go("/dashboard")
    wallet = visitor.link("common:navigation.wallet")
    await expect(wallet).not_to_be_in_viewport()
    await visitor.button("common:navigation.open").click()
    await wallet.click()
    await visitor.heading("user:wallet.title").wait_for()
    await expect(wallet).not_to_be_in_viewport()
