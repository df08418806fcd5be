"""Who may see the operator's pages, and that dangerous acts ask once more who it is, without losing what was entered."""

import pytest
from playwright.async_api import Locator, Request, expect

from services.edge.api import table
from services.edge.api.shapes import wallet
from tests.api.world import Person, World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, another_session, colleague, sit_down
from tests.browser.pages import pages
from tests.browser.visitor import code_of

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]


async def _available(world: World, person: Person) -> str:
    return (await person.browser.get(table.WALLET, wallet.Wallet)).available_usd


def _proof(desk: Desk) -> tuple[Locator, Locator]:
    """Return the dialog that asks who it is, and its button."""
    dialog = desk.dialog("common:proof.title")
    return dialog, dialog.get_by_role("button", name=desk.words("common:proof.confirm"))


async def test_a_password_is_asked_for_again_and_nothing_is_lost(world: World, arriving: Arrive) -> None:
    """Whoever closes the question still has the form; a wrong password is told; the right one lets the act be done, once."""
    desk = await sit_down(world, await arriving(), await another_session(world, world.operator))
    visitor, words = desk.visitor, desk.words
    person = await world.newcomer()
    await desk.open(f"/operator/accounts/{person.me.account_id}")
    await visitor.button("operator:account.credit").click()
    dialog = desk.dialog("operator:credit.title")
    amount = dialog.get_by_label(words("operator:credit.amount"), exact=True)
    await amount.fill("7.25")
    await dialog.get_by_label(words("operator:credit.reason"), exact=True).fill("cash")
    proof, confirm = _proof(desk)
    password = proof.get_by_label(words("common:factor.password"), exact=True)

    async with world.stale(world.operator):
        await visitor.button("operator:credit.doAdd").click()
        await proof.get_by_role("button", name=words("common:cancel")).click()
        await expect(proof).to_be_hidden()
        await expect(amount).to_have_value("7.25")
        assert await _available(world, person) == "0.00"

        await visitor.button("operator:credit.doAdd").click()
        await password.fill("not the password")
        await confirm.click()
        await expect(proof.get_by_role("alert")).to_be_visible()
        assert await _available(world, person) == "0.00"
        await password.fill(world.operator.password)
        await confirm.click()

        await desk.told("operator:credit.done", available="US$7.25")
        assert await _available(world, person) == "7.25"
        await desk.switch_account("suspend")  # for some minutes nothing more is asked


async def test_a_second_factor_will_do_as_well(world: World, arriving: Arrive) -> None:
    """A code of the authenticator, in the middle of making a channel."""
    person = await colleague(world, "zh")
    secret = await world.add_totp(person)
    desk = await sit_down(world, await arriving("zh"), person.browser)
    visitor, words = desk.visitor, desk.words
    name = f"channel-of-{person.me.user_id[:8]}"
    await desk.open("/operator/channels/new/form")
    await visitor.field("operator:channel.name").fill(name)
    await desk.list("operator:channel.baseUrl").fill(world.stack.simulator_url + "/v1")
    await visitor.field("operator:channel.credential").fill("sk-sim-openai")
    await visitor.field("operator:channel.oursAt", number=1).fill(f"model-of-{name}")
    proof, confirm = _proof(desk)

    async with world.stale(person):
        await visitor.button("operator:channel.make").click()
        await proof.get_by_text(words("common:factor.totp"), exact=True).click()
        code = proof.get_by_label(words("common:proof.totp"), exact=True)
        await code.fill(code_of(secret, steps_ahead=1))
        await confirm.click()
        await expect(visitor.text("operator:channel.madeTitle")).to_be_visible()

    await desk.logged("make_channel", name, by=person.email)


async def test_a_passkey_will_do_as_well(world: World, arriving: Arrive) -> None:
    """It is shown by the browser, in the middle of changing what the site says."""
    person = await colleague(world, "en")
    desk = await sit_down(world, await arriving(), person.browser)
    visitor, words = desk.visitor, desk.words
    await visitor.add_authenticator()
    await desk.open("/account")
    await visitor.button("account:passkeys.add").click()
    adding = desk.dialog("account:passkeys.addTitle")
    await adding.get_by_label(words("account:name"), exact=True).fill("key ring")
    await adding.get_by_role("button", name=words("account:passkeys.go")).click()
    await expect(desk.page.get_by_text("key ring")).to_be_visible()
    await desk.open("/operator/accounts")
    await visitor.button("operator:accounts.makePerson").first.click()
    email = f"by-{person.email}"
    await (
        desk.dialog("operator:accounts.makePerson")
        .get_by_label(words("operator:accounts.email"), exact=True)
        .fill(email)
    )
    proof, _ = _proof(desk)

    async with world.stale(person):
        await (
            desk.dialog("operator:accounts.makePerson")
            .get_by_role("button", name=words("operator:accounts.makePerson"))
            .click()
        )
        await proof.get_by_text(words("common:factor.passkey"), exact=True).click()
        await visitor.button("common:proof.usePasskey").click()
        await expect(desk.dialog("operator:accounts.personMade")).to_contain_text(email)

    await desk.logged("make_person", email, by=person.email)


async def test_a_member_sees_no_page_of_operators(world: World, arriving: Arrive) -> None:
    """Each of them is not there, nothing leads to one, and nothing of what is on it is asked for."""
    desk = await sit_down(world, await arriving(), world.alice.browser)
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(request.url)

    desk.page.on("request", note)
    await desk.open("/wallet")
    await expect(desk.visitor.heading("user:wallet.title")).to_be_visible()
    navigation = desk.page.get_by_role("navigation", name=desk.words("common:navigation.label"))
    await expect(navigation.get_by_role("link")).to_have_count(8)

    for page in pages():
        if page.access == "operator":
            path = page.address(dict.fromkeys(page.parameters, "demo"))
            await desk.page.evaluate("path => history.pushState(null, '', path)", path)
            await expect(desk.visitor.heading("public:notFound.title")).to_be_visible()
            await desk.page.evaluate("() => history.pushState(null, '', '/wallet')")
            await expect(desk.visitor.heading("user:wallet.title")).to_be_visible()

    assert any("/api/me" in url for url in sent)
    assert not [url for url in sent if "/api/operator" in url or "/operator/" in url]


async def test_whoever_has_to_sign_in_first_comes_to_the_page_they_wanted(
    world: World, arriving: Arrive
) -> None:
    """With its filters."""
    visitor = await arriving()
    await visitor.page.goto(f"{visitor.site.public_url}/operator/channels?state=on")
    await visitor.field("account:email").fill(world.operator.email)
    await visitor.field("account:password").fill(world.operator.password)

    await visitor.button("account:signIn.do").click()

    await expect(visitor.heading("common:navigation.channels")).to_be_visible()
    assert visitor.page.url.endswith("/operator/channels?state=on")
