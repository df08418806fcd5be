"""The usage log and the dashboard: every call, why one failed, and figures that are the ledger's or "no data"."""

import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import wallet
from services.edge.receipts import ReceiptView
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.caller import MODEL, OTHER_MODEL, Caller
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

NOBODYS_REQUEST = "0198c0de-1234-7abc-8def-0123456789ab"


def _rows(visitor: Visitor) -> Locator:
    """Return the lines of the log, without its head."""
    log = visitor.page.get_by_role("table", name=visitor.words("user:usage.title"))
    return log.get_by_role("rowgroup").nth(1).get_by_role("row")


async def _choose(visitor: Visitor, field: str, option: str) -> None:
    await visitor.page.get_by_role("combobox", name=visitor.words(field)).click()
    await visitor.page.get_by_role("option", name=option, exact=True).click()


async def test_the_log_shows_what_fits_its_filters(visitor: Visitor, caller: Caller) -> None:
    """By model, by key and by state; the view has an address of its own, and clearing brings all back."""
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/usage")
    await expect(_rows(visitor)).to_have_count(2)

    await _choose(visitor, "user:usage.model", MODEL)
    await expect(_rows(visitor)).to_have_count(1)
    await expect(_rows(visitor)).to_contain_text("laptop")
    await visitor.button("user:filters.clear").click()
    await _choose(visitor, "user:usage.state", visitor.words("user:callState.failed"))
    await expect(_rows(visitor)).to_have_count(1)
    await visitor.page.reload()
    await expect(_rows(visitor)).to_contain_text(OTHER_MODEL)
    await _choose(visitor, "user:usage.key", "laptop")
    await visitor.text("user:usage.noneFound").wait_for()
    await visitor.button("user:filters.clear").first.click()
    await expect(_rows(visitor)).to_have_count(2)


async def test_a_request_is_found_by_its_id(visitor: Visitor, caller: Caller) -> None:
    """What is no id says how one looks; that of nobody finds nothing."""
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/usage")
    search = visitor.page.get_by_role("searchbox", name=visitor.words("user:usage.search"))
    await search.fill("the one of yesterday")
    await visitor.text("user:usage.notAnId").wait_for()
    await search.fill(NOBODYS_REQUEST)
    await visitor.text("user:usage.noneFound").wait_for()
    await search.fill(caller.good.upper())
    await expect(_rows(visitor)).to_have_count(1)
    await expect(_rows(visitor)).to_contain_text(MODEL)


async def test_a_failed_call_says_why_and_opens_its_receipt(visitor: Visitor, caller: Caller) -> None:
    """The cause is a sentence, in the line and in the receipt, which says that nothing was charged; Escape leads back."""
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/usage?state=failed")
    calls = (await caller.person.browser.get(table.CALLS, wallet.Calls)).items
    error = next(each.error for each in calls if each.id == caller.failed)
    cause = visitor.words(f"user:cause.{error}")
    await expect(_rows(visitor)).to_contain_text(cause)

    await _rows(visitor).get_by_role("button").click()
    receipt = visitor.page.get_by_role("dialog", name=visitor.words("user:receipt.title"))
    await expect(receipt).to_contain_text(cause)
    await expect(receipt).to_contain_text(visitor.words("user:receipt.nothing"))
    await expect(receipt).to_contain_text("US$0.00")
    assert visitor.page.url.endswith(f"/usage/{caller.failed}?state=failed")
    await visitor.page.keyboard.press("Escape")
    await expect(receipt).to_have_count(0)
    assert visitor.page.url.endswith("/usage?state=failed")


async def test_a_receipt_has_an_address(visitor: Visitor, caller: Caller, world: World) -> None:
    """It opens from a bookmark with the ledger's figures; that of somebody else is not there."""
    ask = Ask(path={"request_id": caller.good})
    known = await caller.person.browser.get(table.RECEIPT, ReceiptView, ask)
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open(f"/usage/{caller.good}")
    receipt = visitor.page.get_by_role("dialog", name=visitor.words("user:receipt.title"))
    charged = receipt.get_by_role("row").filter(has_text=visitor.words("user:receipt.charged")).last
    await expect(charged).to_contain_text(f"US${known.charged_usd}")

    theirs = await world.newcomer("ada")
    await visitor.sign_in_with(theirs.browser)
    await visitor.open(f"/usage/{caller.good}")
    await expect(receipt.get_by_role("alert")).to_be_visible()
    assert MODEL not in await receipt.inner_text()


async def test_the_dashboard_shows_what_was_called(visitor: Visitor, caller: Caller) -> None:
    """Figures, charts that can be read as tables, and both models and keys."""
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/dashboard")
    spent = (await caller.person.browser.get(table.OVERVIEW, wallet.Overview)).totals
    figures = visitor.page.get_by_role("main").get_by_role("definition")
    assert spent.requests == 2
    await expect(_figure(visitor, "user:dashboard.requests")).to_have_text("2")
    await expect(_figure(visitor, "user:dashboard.errors")).to_have_text("50%")
    assert await figures.count() >= 6
    for title, names in (("byModel", (MODEL, OTHER_MODEL)), ("byKey", ("laptop", "server"))):
        breakdown = visitor.page.get_by_role("table", name=visitor.words(f"user:dashboard.{title}"))
        for name in names:
            await breakdown.get_by_role("link", name=name, exact=True).wait_for()
    await visitor.button("common:chart.asTable").first.click()
    await visitor.page.get_by_role("columnheader", name=visitor.words("common:chart.time")).wait_for()


async def test_before_the_first_call_there_is_no_data(visitor: Visitor, world: World) -> None:
    """Where nothing was measured it says so, and no zero stands for it; the first steps lead on."""
    ada = await world.newcomer("ada")
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/dashboard")
    await visitor.heading("user:start.title").wait_for()
    no_data = visitor.words("common:noData")
    await expect(_figure(visitor, "user:dashboard.firstToken")).to_contain_text(no_data)
    await expect(_figure(visitor, "user:dashboard.errors")).to_contain_text(no_data)
    await visitor.open("/usage")
    await visitor.text("user:usage.none").wait_for()
    await visitor.link("user:usage.try").wait_for()


def _figure(visitor: Visitor, label: str) -> Locator:
    """Return the figure below a label of the dashboard."""
    term = visitor.page.get_by_role("main").locator("dt").filter(has_text=visitor.words(label))
    return term.first.locator("xpath=following-sibling::dd[1]")
