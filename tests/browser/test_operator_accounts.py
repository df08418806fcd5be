"""Accounts in the console: operators find people, move money with a reason, limit and suspend, and make operators of members."""

import secrets

import httpx
import pytest
from playwright.async_api import Locator, expect

from tests.api.world import Person, World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, asked, sit_down, written

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LIST = "/operator/accounts"


def _address(person: Person) -> str:
    return f"{LIST}/{person.me.account_id}"


async def _call(world: World, secret: str) -> tuple[int, str]:
    """Return the status of a small call, and the code of its error."""
    body = {"model": world.stack.demo.model, "messages": [{"role": "user", "content": "hello [[sim out=2]]"}]}
    headers = {"authorization": f"Bearer {secret}"}
    answer: httpx.Response = await world.http.post("/v1/chat/completions", json=body, headers=headers)
    return answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]


async def _credit_dialog(desk: Desk) -> tuple[Locator, Locator]:
    """Open the dialog that moves money; return its fields of amount and reason."""
    await desk.visitor.button("operator:account.credit").click()
    dialog = desk.dialog("operator:credit.title")
    amount = dialog.get_by_label(desk.words("operator:credit.amount"), exact=True)
    return amount, dialog.get_by_label(desk.words("operator:credit.reason"), exact=True)


async def test_an_account_is_found_by_what_one_knows_of_it(desk: Desk, world: World) -> None:
    """By a part of an address, by an id; a line opens it; what fits nothing is said so."""
    visitor = desk.visitor
    person = await world.newcomer("ludmila")
    await desk.open(LIST)
    search = visitor.field("operator:accounts.search")

    await search.fill("nobody-of-that-name")
    await expect(visitor.text("operator:accounts.noneFits")).to_be_visible()
    await visitor.button("operator:clearFilters").click()
    await search.fill(person.me.account_id)
    await expect(desk.row("@example.org")).to_have_count(1)
    await search.fill(person.email[:13])
    await expect(desk.row("@example.org")).to_have_count(1)
    await desk.page.get_by_role("button", name=person.email, exact=True).click()

    await expect(desk.page.get_by_role("heading", name=person.email, exact=True)).to_be_visible()
    await expect(
        visitor.text("operator:person.noSecondFactor").or_(desk.panel("operator:account.people"))
    ).to_be_visible()


async def test_money_is_moved_with_a_reason_that_the_customer_reads(
    desk: Desk, world: World, arriving: Arrive
) -> None:
    """What is wrong stands at its field; what will be there is seen before; once done it is in the customer's wallet."""
    visitor, words = desk.visitor, desk.words
    person = await world.newcomer()
    await desk.open(_address(person))

    amount, reason = await _credit_dialog(desk)
    add = visitor.button("operator:credit.doAdd")
    await amount.fill("twenty")
    await add.click()
    await desk.wrong(amount, words("operator:credit.amountWrong"))
    await desk.wrong(reason, words("operator:credit.reasonMissing"))
    await amount.fill("20.50")
    await reason.fill("bank transfer of 3 May")
    await expect(desk.row(words("operator:credit.after"))).to_contain_text("US$20.50")
    await add.click()
    await desk.told("operator:credit.done", available="US$20.50")

    assert asked((await desk.logged("credit", person.email)).after)["reason"] == "bank transfer of 3 May"
    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    await expect(customer.row("bank transfer of 3 May")).to_contain_text("+US$20.50")
    await expect(customer.page.get_by_role("main")).to_contain_text("US$20.50")


async def test_no_more_is_taken_than_there_is(desk: Desk, world: World, arriving: Arrive) -> None:
    """The field says how much there is; what was taken is in the customer's wallet, with its reason."""
    visitor = desk.visitor
    person = await world.newcomer()
    await world.credit(person, "20.50")
    await desk.open(_address(person))

    amount, reason = await _credit_dialog(desk)
    await visitor.text("operator:credit.take").click()
    await amount.fill("100")
    await reason.fill("booked twice")
    await visitor.button("operator:credit.doTake").click()
    await desk.wrong(amount, "20.5")
    await amount.fill("0.5")
    await visitor.button("operator:credit.doTake").click()
    await desk.told("operator:credit.done", available="US$20.00")

    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    await expect(customer.row("booked twice")).to_contain_text("-US$0.50")


async def test_limits_hold_at_once(desk: Desk, world: World, arriving: Arrive) -> None:
    """The second call of a minute is refused; the account's page and the customer's wallet say how much is used."""
    visitor, words = desk.visitor, desk.words
    person = await world.newcomer()
    await world.credit(person)
    key = (await world.make_key(person)).secret
    await desk.open(_address(person))
    await visitor.button("operator:account.changeLimits").click()
    dialog = desk.dialog("operator:account.changeLimits")

    await dialog.get_by_label(words("operator:limits.requests_per_minute")).fill("1")
    spend = dialog.get_by_label(words("operator:limits.spend_day_usd"))
    save = dialog.get_by_role("button", name=words("operator:save"))
    await spend.fill("0")
    await save.click()
    await desk.wrong(spend, words("operator:limits.amountWrong"))
    await spend.fill("5")
    await save.click()

    await desk.told("operator:account.limitsSet")
    assert [await _call(world, key), await _call(world, key)] == [
        (200, ""),
        (429, "requests_per_minute_exceeded"),
    ]
    await desk.page.reload()
    limits = desk.panel("operator:account.limits")
    await expect(limits).to_contain_text(words("operator:limits.usedOf", used=1, most=1))
    await desk.logged("set_limits", person.email)
    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    await expect(customer.page.get_by_role("main")).to_contain_text(words("user:keys.limit.spend_day_usd"))


async def test_a_group_changes_the_prices_of_its_accounts(desk: Desk, world: World, arriving: Arrive) -> None:
    """It is made, an account is put into it, and it cannot be removed while one is in it."""
    visitor, words = desk.visitor, desk.words
    person, group = await world.newcomer(), f"group-{secrets.token_hex(4)}"
    await desk.open(f"{LIST}?tab=groups")
    await visitor.button("operator:groups.make").click()
    dialog = desk.dialog("operator:groups.make")
    await dialog.get_by_label(words("operator:groups.name"), exact=True).fill(group)
    multiplier = dialog.get_by_label(words("operator:groups.multiplier"), exact=True)
    await multiplier.fill("a half")
    await visitor.button("operator:save").click()
    await desk.wrong(multiplier, words("operator:groups.multiplierWrong"))
    await multiplier.fill("0.5")
    await visitor.button("operator:save").click()
    await expect(desk.row(group)).to_contain_text("× 0.5")
    await desk.logged("put_group", group)

    await desk.open(_address(person))
    panel = desk.panel("operator:accounts.group")
    await desk.choose(desk.list("operator:accounts.group"), group)
    await panel.get_by_role("button", name=words("operator:save")).click()
    await desk.told("operator:account.groupSet")
    await desk.logged("set_account_group", person.email)
    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    await expect(customer.page.get_by_role("main")).to_contain_text("× 0.5")

    await _remove_group(desk, group)
    await expect(desk.row(group)).to_be_visible()
    await desk.logged("delete_group", group, result="group_in_use")


async def _remove_group(desk: Desk, group: str) -> None:
    words = desk.words
    await desk.open(f"{LIST}?tab=groups")
    await desk.row(group).get_by_role("button", name=words("operator:groups.remove")).click()
    question = desk.dialog("operator:groups.removeTitle", name=group)
    await question.get_by_role("button", name=words("operator:groups.remove")).click()
    await expect(question).to_be_hidden()
    await expect(desk.page.get_by_role("alert").first).to_be_visible()


async def test_a_group_that_nobody_is_in_can_be_removed(desk: Desk, world: World) -> None:
    """And only such a one."""
    group = await world.make_group()

    await _remove_group(desk, group)

    await desk.told("operator:groups.removed")
    await expect(desk.row(group)).to_be_hidden()
    await desk.logged("delete_group", group)


async def test_a_suspended_account_is_told_so_everywhere(desk: Desk, world: World, arriving: Arrive) -> None:
    """Its keys are refused, its sessions see why, signing in says why; reactivated all of it works again."""
    person = await world.newcomer()
    await world.credit(person)
    key = (await world.make_key(person)).secret
    assert (await _call(world, key))[0] == 200
    customer = await sit_down(world, await arriving(), person.browser)
    await customer.open("/wallet")
    await expect(customer.visitor.heading("user:wallet.available")).to_be_visible()
    await desk.open(_address(person))

    await desk.switch_account("suspend")

    await expect(desk.visitor.text("operator:account.suspendedNote")).to_be_visible()
    assert await _call(world, key) == (403, "account_suspended")
    await customer.page.reload()
    await expect(customer.page.get_by_text("The account is suspended.")).to_be_visible()
    stranger = await arriving()
    await stranger.page.goto(stranger.site.public_url + "/sign-in")
    await stranger.field("account:email").fill(person.email)
    await stranger.field("account:password").fill(person.password)
    await stranger.button("account:signIn.do").click()
    await expect(stranger.page.get_by_role("alert")).to_have_text("The account is suspended.")

    await desk.switch_account("reactivate")

    assert (await _call(world, key))[0] == 200
    await customer.page.get_by_role("button", name=customer.words("common:error.retry")).click()
    await expect(customer.visitor.heading("user:wallet.available")).to_be_visible()
    row = await desk.logged("set_account_status", person.email)
    assert (asked(row.before), asked(row.after)) == ({"status": "suspended"}, {"status": "active"})


async def test_a_member_becomes_an_operator_and_a_member_again(
    desk: Desk, world: World, arriving: Arrive
) -> None:
    """The operator's pages come and go with the role; to a member they are not there."""
    visitor, words = desk.visitor, desk.words
    person = await world.newcomer()
    colleague = await sit_down(world, await arriving(), person.browser)
    await colleague.open("/operator/channels")
    await expect(colleague.visitor.heading("public:notFound.title")).to_be_visible()
    await desk.open(_address(person))

    await visitor.button("operator:person.makeOperator").click()
    question = desk.dialog("operator:person.makeOperatorTitle")
    await question.get_by_role("button", name=words("operator:person.makeOperator")).click()
    await desk.told("operator:person.nowOperator")

    await colleague.page.reload()
    await expect(colleague.row("demo")).to_be_visible()
    await visitor.button("operator:person.endOperator").click()
    question = desk.dialog("operator:person.endOperatorTitle")
    await question.get_by_role("button", name=words("operator:person.endOperator")).click()
    await desk.told("operator:person.noMoreOperator")

    await colleague.page.reload()
    await expect(colleague.visitor.heading("public:notFound.title")).to_be_visible()
    await expect(colleague.visitor.link("common:navigation.channels")).to_be_hidden()
    await desk.logged("set_role", person.email)


async def test_nobody_locks_themselves_out(desk: Desk, world: World) -> None:
    """One's own role and one's own account are not to be changed, and the page says why."""
    visitor, words = desk.visitor, desk.words

    await desk.open(_address(world.operator))

    await expect(visitor.button("operator:person.endOperator")).to_be_disabled()
    await expect(visitor.button("operator:person.endOperator")).to_have_attribute(
        "title", words("operator:person.ownRole")
    )
    await expect(visitor.button("operator:account.suspend")).to_be_disabled()


async def test_a_person_is_made_who_can_sign_in(desk: Desk, world: World, arriving: Arrive) -> None:
    """The address that is taken is told at its field; the password is shown once, and is in no log."""
    visitor, words = desk.visitor, desk.words
    email = f"made-{secrets.token_hex(4)}@example.org"
    await desk.open(LIST)
    await visitor.button("operator:accounts.makePerson").first.click()
    dialog = desk.dialog("operator:accounts.makePerson")
    field = dialog.get_by_label(words("operator:accounts.email"), exact=True)
    make = dialog.get_by_role("button", name=words("operator:accounts.makePerson"))
    await field.fill(world.alice.email)
    await make.click()
    await desk.wrong(field, world.alice.email)
    await field.fill(email)
    password = await dialog.get_by_label(words("operator:accounts.password"), exact=True).input_value()
    await make.click()

    await expect(desk.dialog("operator:accounts.personMade")).to_contain_text(password)
    assert password not in written(await desk.logged("make_person", email))
    person = await arriving()
    await person.page.goto(person.site.public_url + "/sign-in")
    await person.field("account:email").fill(email)
    await person.field("account:password").fill(password)
    await person.button("account:signIn.do").click()
    await expect(person.page.get_by_role("button", name=email)).to_be_visible()
