"""Codes in the console: a batch is made and kept once, its codes are claimed, and what nobody has claimed is ended."""

import secrets
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import operator
from tests.api.client import Ask
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, sit_down, written

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LIST = "/operator/codes"


async def _make(desk: Desk, batch: str, count: int) -> Locator:
    """Make a batch of codes of 2.50; return the dialog that shows them."""
    visitor, words = desk.visitor, desk.words
    await desk.open(LIST)
    await visitor.button("operator:codes.make").first.click()
    dialog = desk.dialog("operator:codes.make")
    name = dialog.get_by_label(words("operator:codes.name"), exact=True)
    amount = dialog.get_by_label(words("operator:codes.each"), exact=True)
    await dialog.get_by_label(words("operator:codes.count"), exact=True).fill(str(count))
    make = dialog.get_by_role("button", name=words("operator:codes.make"))
    await make.click()
    await desk.wrong(name, words("operator:codes.nameWrong"))
    await desk.wrong(amount, words("operator:credit.amountWrong"))
    await name.fill(batch)
    await amount.fill("2.50")
    await expect(dialog).to_contain_text(words("operator:codes.total", total=f"US${2.5 * count:.2f}"))
    await make.click()
    return desk.dialog("operator:codes.made_other", count=count)


async def test_codes_can_be_kept_once_and_never_seen_again(desk: Desk, world: World, tmp_path: Path) -> None:
    """The file has all of them; whoever closes the dialog without keeping them is asked; afterwards they are nowhere."""
    words = desk.words
    batch = f"spring-{secrets.token_hex(4)}"
    made = await _make(desk, batch, 3)
    close = made.get_by_role("button", name=words("common:close")).last

    await close.click()
    question = desk.dialog("operator:codes.closeTitle")
    await question.get_by_role("button", name=words("common:cancel")).click()
    async with desk.page.expect_download() as begun:
        await desk.visitor.button("operator:codes.download").click()
    download = await begun.value
    await download.save_as(tmp_path / "codes.txt")
    codes = (tmp_path / "codes.txt").read_text(encoding="utf-8").split()
    assert (download.suggested_filename, len(set(codes))) == (f"{batch}.txt", 3)
    for code in codes:
        await expect(made).to_contain_text(code)
    await close.click()
    await expect(made).to_be_hidden()

    await desk.page.get_by_role("button", name=batch).click()
    drawer = desk.dialog("operator:codes.batchTitle", name=batch)
    await expect(drawer).to_contain_text(words("operator:codes.notReadable"))
    seen = await desk.page.content() + written(await desk.logged("make_codes", batch))
    seen += (await world.operator.browser.send(table.CODE_BATCHES)).text
    assert not [code for code in codes if code in seen]


async def test_claims_are_seen_and_the_rest_is_revoked(desk: Desk, world: World, arriving: Arrive) -> None:
    """A customer redeems one of two; the operator sees who; the other one is good for nothing any more."""
    words = desk.words
    codes = await world.make_codes()
    batch, person = codes.batch.name, await world.newcomer("collector")
    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    code = customer.visitor.field("user:wallet.code")
    redeem = customer.visitor.button("user:wallet.redeemDo")
    await code.fill(codes.codes[0].lower())
    await redeem.click()
    await expect(customer.row(batch)).to_contain_text("+US$1.00")

    await desk.open(f"{LIST}?batch={batch}")
    drawer = desk.dialog("operator:codes.batchTitle", name=batch)
    await expect(drawer).to_contain_text(words("operator:codes.claimedOf", claimed=1, codes=2))
    await expect(drawer.get_by_role("row").filter(has_text=person.email)).to_be_visible()
    await desk.visitor.button("operator:codes.revoke").click()
    question = desk.dialog("operator:codes.revokeTitle")
    await expect(question).to_contain_text(words("operator:codes.revokeMessage_one", count=1))
    await desk.visitor.field("operator:confirmByName.label").fill(batch)
    await question.get_by_role("button", name=words("operator:codes.revoke")).click()

    await desk.told("operator:codes.revoked")
    await expect(drawer).to_contain_text(words("operator:codes.states.revoked"))
    await code.fill(codes.codes[1])
    await redeem.click()
    await customer.wrong(code, "The code is no longer valid.")
    await desk.logged("revoke_codes", batch)
    claims = await world.operator.browser.get(
        table.CODE_CLAIMS, operator.CodeClaims, Ask(path={"batch": batch})
    )
    assert [claim.account_id for claim in claims.items] == [person.me.account_id]
