"""Models and prices in the console: what is new is seen before it is stored, and anybody sees what is in force."""

import datetime
import re
from urllib.parse import quote

import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import channels
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, live_price

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LIST = "/operator/prices"


async def _offered(world: World) -> str:
    """Return a model that a channel offers and that has no price."""
    return f"model-of-{await world.make_channel()}"


async def _priced(world: World) -> str:
    """Return a model that costs 2 and 8."""
    model = await _offered(world)
    figures = {"above_input_tokens": 0, "input": "2", "output": "8", "cache_read": "1", "cache_write": "2"}
    ask = Ask(body={"model": model, "figures": [figures], "max_output_tokens": 1000})
    await world.operator.browser.get(table.SET_PRICE, channels.Price, ask)
    return model


async def _open(desk: Desk, model: str) -> Locator:
    """Open the page of a model; return the field of its input price."""
    await desk.open(f"{LIST}?model={quote(model)}")
    return desk.page.get_by_role("form").get_by_label(desk.words("operator:figure.input"), exact=True)


async def _review(desk: Desk, model: str) -> Locator:
    await desk.visitor.button("operator:prices.review").click()
    review = desk.dialog("operator:prices.reviewTitle", model=model)
    await expect(review).to_be_visible()
    return review


async def test_a_first_price_comes_from_the_catalogue(desk: Desk, world: World, arriving: Arrive) -> None:
    """A model without a price is pointed out; what its maker charges fills the form in; then anybody sees it."""
    visitor, words = desk.visitor, desk.words
    model = await _offered(world)
    await desk.open(LIST)
    await visitor.button("operator:prices.showMissing").click()
    await visitor.field("operator:prices.search").fill(model)
    line = desk.row(model)
    await expect(line).to_contain_text(words("operator:prices.refused"))
    await line.get_by_role("button", name=words("operator:prices.setPrice")).click()

    await expect(visitor.text("operator:prices.refusedNote")).to_be_visible()
    await desk.list("operator:prices.catalogue").fill("gpt-4.1-mini")
    await desk.page.get_by_role("option").filter(has_text=re.compile(r"^gpt-4\.1-mini ")).click()
    await visitor.settled()  # nothing that is asked for meanwhile takes the choice away
    await visitor.button("operator:prices.fillIn").click()
    await expect(visitor.field("operator:prices.context")).to_have_value("1,047,576")
    review = await _review(desk, model)
    await expect(review).to_contain_text(words("operator:prices.reviewFirst"))
    await expect(review).to_contain_text("US$0.40")
    await review.get_by_role("button", name=words("operator:prices.saveNow")).click()

    await desk.told("operator:prices.saved", model=model)
    await expect(desk.panel("operator:prices.now")).to_contain_text(words("operator:prices.callable"))
    await live_price(world, model, "0.4")
    guest = await arriving("zh")
    await guest.go("/")
    line = guest.page.get_by_role("row").filter(has_text=model)
    for text in ("US$0.40", "US$1.60", "1.05M", guest.words("public:models.capability.vision")):
        await expect(line).to_contain_text(text)
    await desk.logged("set_price", model)


async def test_a_new_version_shows_what_it_changes(desk: Desk, world: World, arriving: Arrive) -> None:
    """Nothing is stored before the difference was seen; afterwards both versions are there, and the new one is in force."""
    words = desk.words
    model = await _priced(world)
    await live_price(world, model, "2")
    guest = await arriving()
    await guest.go("/")
    line = guest.page.get_by_role("row").filter(has_text=model)
    await expect(line).to_contain_text("US$2.00")
    field = await _open(desk, model)
    await field.fill("2.5")
    review = await _review(desk, model)

    await expect(review.get_by_role("row")).to_have_count(2)
    changed = review.get_by_role("row").filter(has_text=words("operator:figure.input"))
    for text in ("US$2.00", "US$2.50", "+25%"):
        await expect(changed).to_contain_text(text)
    await review.get_by_role("button", name=words("operator:prices.goOnEditing")).click()
    await expect(field).to_have_value("2.5")
    assert not [
        row for row in await world.actions() if model in row.object and '"2.5"' in bytes(row.after).decode()
    ]

    review = await _review(desk, model)
    await review.get_by_role("button", name=words("operator:prices.saveNow")).click()
    await desk.told("operator:prices.saved", model=model)
    history = desk.panel("operator:prices.history")
    await expect(history.get_by_text(words("operator:prices.inForce"), exact=True)).to_have_count(1)
    await expect(history.get_by_role("table")).to_have_count(2)
    await expect(history.get_by_role("table").first).to_contain_text("US$2.50")
    await live_price(world, model, "2.5")
    await guest.page.reload()
    await expect(line).to_contain_text("US$2.50")
    row = await desk.logged("set_price", model)
    assert '"2"' in bytes(row.before).decode() or '"2.00"' in bytes(row.before).decode()
    assert '"2.5"' in bytes(row.after).decode()


async def test_a_tenfold_price_wants_a_second_look(desk: Desk, world: World) -> None:
    """It is marked, and cannot be stored before somebody says that it was checked."""
    words = desk.words
    model = await _priced(world)
    field = await _open(desk, model)
    await field.fill("20")
    review = await _review(desk, model)

    await expect(review).to_contain_text(words("operator:prices.largeTitle_one", count=1))
    save = review.get_by_role("button", name=words("operator:prices.saveNow"))
    await expect(save).to_be_disabled()
    await review.get_by_label(words("operator:prices.largeSure")).check()
    await save.click()

    await desk.told("operator:prices.saved", model=model)
    await live_price(world, model, "20")


async def test_a_price_can_begin_later(desk: Desk, world: World) -> None:
    """A moment that has passed is wrong at its field; what is to come is seen, and nobody pays it yet."""
    visitor, words = desk.visitor, desk.words
    model = await _priced(world)
    field = await _open(desk, model)
    await field.fill("1.5")
    await desk.page.get_by_label(words("operator:prices.whenLater"), exact=True).check()
    moment = visitor.field("operator:prices.whenMoment")
    await moment.fill("2020-01-01T00:00")
    await visitor.button("operator:prices.review").click()
    await desk.wrong(moment, words("operator:prices.momentPast"))
    later = datetime.datetime.now() + datetime.timedelta(days=30)
    await moment.fill(later.strftime("%Y-%m-%dT%H:%M"))
    review = await _review(desk, model)

    await expect(review.get_by_text(words.pattern("operator:prices.reviewLater"))).to_be_visible()
    await review.get_by_role("button", name=words("operator:prices.saveLater")).click()

    await desk.told("operator:prices.saved", model=model)
    to_come = desk.page.get_by_role("alert").filter(has_text=words("operator:prices.scheduledFrom"))
    await expect(to_come).to_contain_text("US$1.50")
    await expect(desk.panel("operator:prices.now")).to_contain_text("US$2.00")
    await live_price(world, model, "2")
    await visitor.link("common:navigation.prices").first.click()
    await visitor.text("operator:prices.shown.scheduled").click()
    await expect(desk.row(model)).to_contain_text(words("operator:prices.scheduledBadge_one", count=1))


async def test_wrong_figures_are_told_beside_them(desk: Desk, world: World) -> None:
    """What is no price, and a tier that is cheaper than the one before."""
    visitor, words = desk.visitor, desk.words
    field = await _open(desk, await _priced(world))
    await field.fill("2,50")
    await visitor.button("operator:prices.review").click()
    figures = desk.page.get_by_role("group", name=words("operator:prices.figures"))
    await expect(figures.get_by_role("alert")).to_have_text(words("operator:prices.problem.price", number=1))

    await field.fill("2.50")
    await visitor.button("operator:prices.addTier").click()
    await visitor.field("operator:prices.aboveTokens").fill("200000")
    await field.nth(1).fill("1")
    await visitor.button("operator:prices.review").click()
    await expect(figures.get_by_role("alert")).to_have_text(
        words("operator:prices.problem.cheaper", number=2)
    )
