"""The path of a newcomer, from the first page to the receipt of the first call, by nothing but what the pages offer."""

from pathlib import Path

import pytest

from shared.money import usd_from_nano
from tests.api.client import new_email, new_password
from tests.api.world import World
from tests.browser import programs
from tests.browser.conftest import Arrive
from tests.browser.visitor import Visitor
from tests.browser.words import LANGUAGES, Language

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_from_the_first_page_to_a_receipt(
    arriving: Arrive, world: World, language: Language, tmp_path: Path
) -> None:
    """Sign up, confirm, top up, make a key, run the code that came with it, and read what it cost: the ledger's own figures."""
    visitor = await arriving(language)
    code = (await world.make_codes()).codes[0]
    await _sign_up(visitor, new_email())
    await _redeem(visitor, code)
    copied = await _make_key(visitor)

    answer = await programs.run("python", copied, tmp_path)

    assert answer.strip()
    await _read_receipt(visitor, world)


async def _sign_up(visitor: Visitor, email: str) -> None:
    """Come to the site, make an account, and click the link of the message."""
    page = visitor.page
    await visitor.open("/")
    await visitor.link("public:landing.start").click()
    await visitor.field("account:email").fill(email)
    await visitor.field("account:password").fill(new_password())
    await visitor.button("account:signUp.do").click()
    await page.get_by_role("status").get_by_role("link").click()
    letter = page.get_by_role("article").filter(has_text=email)
    await letter.get_by_role("link").click()
    await visitor.button("account:confirm.do").click()
    await visitor.heading("user:start.title").wait_for()


async def _redeem(visitor: Visitor, code: str) -> None:
    """Follow the first of the first steps."""
    await visitor.link("user:start.topUp.action").click()
    await visitor.field("user:wallet.code").fill(code.lower())
    await visitor.button("user:wallet.redeemDo").click()
    told = visitor.page.get_by_role("status").filter(has_text="US$1.00")
    await told.wait_for()


async def _make_key(visitor: Visitor) -> str:
    """Follow the second of the first steps; return the code that was copied with the new key in it."""
    page = visitor.page
    await visitor.link("common:navigation.dashboard").click()
    await visitor.link("user:start.key.action").click()
    await visitor.field("user:keys.name").fill("laptop")
    await visitor.button("user:keys.createDo").last.click()
    title = visitor.words("user:keys.yourKey", name="laptop")
    secret = await visitor.copy(visitor.button("common:copy.what", what=title))
    copied = await visitor.copy(visitor.button("common:copy.what", what="Python"))
    assert secret in copied
    assert secret in await page.content()
    await visitor.button("user:keys.saved").click()
    await page.get_by_role("dialog").wait_for(state="detached")
    assert secret not in await page.content()
    return copied


async def _read_receipt(visitor: Visitor, world: World) -> None:
    """Find the call in the usage log and open its receipt; what it says is what the ledger has."""
    page = visitor.page
    await visitor.link("common:navigation.usage").click()
    await visitor.settled()
    row = page.get_by_role("row").filter(has_text="laptop")
    await row.get_by_role("button").click()
    receipt = page.get_by_role("dialog")
    await receipt.get_by_text(visitor.words("user:callState.complete"), exact=True).wait_for()
    request_id = page.url.rpartition("/")[2]
    used = await world.database.fetchrow(
        "SELECT charged_nano_usd, input_tokens, output_tokens FROM billing.usage WHERE request_id = $1::text::uuid",
        request_id,
    )
    assert used is not None
    charged = "US$" + usd_from_nano(used["charged_nano_usd"])
    lines = {
        await line.get_by_role("rowheader").inner_text(): await line.get_by_role("cell").all_inner_texts()
        for line in await receipt.get_by_role("row").all()
        if await line.get_by_role("rowheader").count()
    }
    assert lines[visitor.words("user:receipt.charged")] == [charged]
    assert lines[visitor.words("user:receipt.units.input")][0] == str(used["input_tokens"])
    assert lines[visitor.words("user:receipt.units.output")][0] == str(used["output_tokens"])
