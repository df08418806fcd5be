"""The wallet: codes, every transfer with its reason, and the same as a table to keep."""

import csv
from pathlib import Path

import pytest
from playwright.async_api import expect

from services.edge.api import table
from services.edge.api.shapes import wallet
from shared.messages import render
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.caller import Caller
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_a_code_adds_once(visitor: Visitor, world: World) -> None:
    """However it is written; what is wrong with one is told at its field, before the server is asked if that can be."""
    ada = await world.newcomer("ada")
    mine, theirs = (await world.make_codes()).codes
    await world.bob.browser.get(table.REDEEM, wallet.Redeemed, Ask(body={"code": theirs}))
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/wallet")
    redeem, code = visitor.button("user:wallet.redeemDo"), visitor.field("user:wallet.code")
    none = theirs[:-5] + ("00000" if not theirs.endswith("00000") else "11111")
    wrong = {
        "": visitor.words("user:wallet.codeNeeded"),
        "RELAY-12345": visitor.words("user:wallet.codeLength_other", wanted=25, count=5),
        "RELAY-?2345": visitor.words("user:wallet.codeStrange", character="?"),
        none: render("code_unknown", "en", {}),
        theirs: render("code_claimed", "en", {}),
    }
    for typed, problem in wrong.items():
        await code.fill(typed)
        await redeem.click()
        await visitor.refuses("user:wallet.code", problem)

    await code.fill(mine.lower().replace("-", " "))
    await redeem.click()
    await visitor.page.get_by_role("status").filter(has_text="US$1.00").wait_for()
    transfers = visitor.page.get_by_role("table", name=visitor.words("user:wallet.transfers"))
    await expect(transfers.get_by_role("row").nth(1)).to_contain_text("+US$1.00")
    await expect(transfers.get_by_role("row").nth(1)).to_contain_text(visitor.words("user:transfer.code"))

    await code.fill(mine)
    await redeem.click()
    before = visitor.words("user:wallet.redeemedBefore").partition("<")[0].strip()
    await visitor.page.get_by_role("status").filter(has_text=before).wait_for()
    await visitor.settled()
    await expect(transfers.get_by_role("row")).to_have_count(2)


async def test_every_transfer_has_its_reason_and_can_be_saved(
    visitor: Visitor, caller: Caller, tmp_path: Path
) -> None:
    """The list, its filter, and the file have the same figures: those of the ledger."""
    await visitor.sign_in_with(caller.person.browser)
    await visitor.open("/wallet")
    ledger = (await caller.person.browser.get(table.TRANSFERS, wallet.Transfers)).items
    rows = visitor.page.get_by_role("table", name=visitor.words("user:wallet.transfers")).get_by_role("row")
    await expect(rows).to_have_count(1 + len(ledger))
    await expect(rows.filter(has_text="bank transfer of May")).to_contain_text("+US$5.00")
    await expect(rows.filter(has_text=visitor.words("user:transfer.usage"))).to_have_count(1)

    file = tmp_path / "transfers.csv"
    async with visitor.page.expect_download() as download:
        await visitor.link("user:csv").click()
    await (await download.value).save_as(file)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        saved = list(csv.DictReader(opened))
    assert [(row["Amount (USD)"], row["Balance (USD)"]) for row in saved] == [
        (each.amount_usd, each.balance_usd) for each in ledger
    ]
    assert saved[-1]["Reason"] == "bank transfer of May"
    assert saved[0]["Request"] == caller.good

    await visitor.page.get_by_text(visitor.words("user:wallet.kinds.money"), exact=True).click()
    await expect(rows).to_have_count(2)
    await visitor.page.get_by_text(visitor.words("user:wallet.kinds.all"), exact=True).click()
    await rows.get_by_role("link").click()
    await visitor.page.get_by_role("dialog", name=visitor.words("user:receipt.title")).wait_for()
    assert visitor.page.url.endswith(caller.good)
