"""The playground: answers as they come, of one model or several, stopped at will, with tokens, cost and code."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import wallet
from services.edge.receipts import ReceiptView
from tests.api.client import Ask
from tests.api.world import World
from tests.browser import programs
from tests.browser.caller import MODEL, OTHER_MODEL, Caller, settled
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


def _answers(visitor: Visitor) -> Locator:
    """Return the answers of the last message, by where each says whose it is."""
    turns = visitor.page.get_by_role("region", name=visitor.words("user:playground.conversation"))
    return turns.get_by_role("article").last


async def _say(visitor: Visitor, text: str) -> None:
    await visitor.field("user:playground.message").fill(text)
    await visitor.field("user:playground.message").press("Enter")


async def _choose(visitor: Visitor, field: Locator, model: str) -> None:
    await field.click()
    await visitor.page.get_by_role("option", name=model, exact=True).click()


async def test_two_models_answer_side_by_side_and_say_what_it_cost(visitor: Visitor, world: World) -> None:
    """Each with its tokens and, once it is settled, its charge, which leads to the receipt."""
    ada = await world.newcomer("ada")
    await world.credit(ada)
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/playground")
    await visitor.button("user:playground.add").click()
    for number, model in enumerate((MODEL, OTHER_MODEL), start=1):
        field = visitor.page.get_by_role(
            "combobox", name=visitor.words("user:playground.modelNumber", number=number)
        )
        await _choose(visitor, field, model)
    await _say(visitor, "Hello there. [[sim out=7]]")

    cost = _answers(visitor).get_by_role("link", name="US$")
    await expect(cost).to_have_count(2)
    await expect(_answers(visitor).get_by_text(visitor.words("user:playground.tokens"))).to_have_count(2)
    calls = await settled(ada)
    assert sorted(each.model for each in calls) == sorted((MODEL, OTHER_MODEL))
    assert {each.output_tokens for each in calls} == {7}
    href = await cost.first.get_attribute("href")
    assert href is not None
    request_id = href.rpartition("/")[2]
    assert request_id in {each.id for each in calls}
    await cost.first.click()
    receipt = visitor.page.get_by_role("dialog", name=visitor.words("user:receipt.title"))
    known = await ada.browser.get(table.RECEIPT, ReceiptView, Ask(path={"request_id": request_id}))
    await expect(receipt).to_contain_text(f"US${known.charged_usd}")


async def test_an_answer_is_stopped(visitor: Visitor, world: World) -> None:
    """What came stays, with a word about it; the log says that it was left."""
    ada = await world.newcomer("ada")
    await world.credit(ada)
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/playground")
    await _say(visitor, "Tell me a long story. [[sim out=2000 tps=20]]")
    await _answers(visitor).get_by_role("paragraph").nth(1).wait_for()
    await visitor.button("user:playground.stop").click()

    await visitor.text("user:playground.stopped").wait_for()
    await expect(visitor.field("user:playground.message")).to_be_focused()
    assert [each.state for each in await settled(ada)] == ["left"]


async def test_without_money_the_answer_says_what_to_do(visitor: Visitor, world: World) -> None:
    """The sentence of the API, and the way to the wallet."""
    ada = await world.newcomer("ada")
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/playground")
    await _say(visitor, "Hello.")
    await _answers(visitor).get_by_role("alert").get_by_role("link").click()
    await visitor.heading("user:wallet.title").wait_for()


async def test_a_break_is_told_and_the_answer_is_asked_for_again(visitor: Visitor, world: World) -> None:
    """What came before it stays, and is not passed off as whole."""
    ada = await world.newcomer("ada")
    await world.credit(ada)
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/playground")
    await _choose(
        visitor, visitor.page.get_by_role("combobox", name=visitor.words("user:playground.model")), MODEL
    )
    await _say(visitor, "[[sim out=60 cut=tok:9 cut_mode=rst]]")
    await expect(_answers(visitor).get_by_role("alert")).to_be_visible()
    await visitor.button("user:playground.againOf", model=MODEL).click()
    await visitor.button("user:playground.againOf", model=MODEL).wait_for()
    await settled(ada)
    assert len((await ada.browser.get(table.CALLS, wallet.Calls)).items) == 2
    visitor.problems = [each for each in visitor.problems if "ERR_INCOMPLETE_CHUNKED_ENCODING" not in each]


async def test_the_code_of_a_call_makes_it(visitor: Visitor, spender: Caller, tmp_path: Path) -> None:
    """In each language, with every character of its message, such as quotes of both kinds."""
    await visitor.sign_in_with(spender.person.browser)
    await visitor.open("/playground")
    await visitor.field("user:playground.message").fill('It\'s "here" \\ $HOME `now`. [[sim out=6]]\n你好')
    await visitor.button("user:playground.showCode").click()
    dialog = visitor.page.get_by_role("dialog", name=visitor.words("user:playground.codeTitle"))
    codes = {}
    for kind, label in programs.LABELS.items():
        await dialog.get_by_role("button", name=label, exact=True).click()
        copy = dialog.get_by_role("button", name=visitor.words("common:copy.what", what=label), exact=True)
        codes[kind] = (await visitor.copy(copy)).replace("sk-relay-your-key", spender.other_key.secret)

    printed = await programs.run_all(codes, tmp_path)

    assert all(text.strip() for text in printed.values())
    assert printed["curl"].rstrip().endswith("data: [DONE]")
