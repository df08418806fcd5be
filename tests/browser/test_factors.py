"""Second factors and passkeys in a browser: set up, asked for, and done without."""

import pytest
from playwright.async_api import expect

from shared.messages import render
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.visitor import Visitor, code_of

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_an_authenticator_is_set_up_and_asked_for(arriving: Arrive, world: World) -> None:
    """Its code lets in once, a recovery code too; the account page says how many of those are left."""
    ada, visitor = await world.newcomer("ada"), await arriving()
    await visitor.sign_in_with(ada.browser)
    secret, used, recovery_codes = await _set_up(visitor)

    elsewhere = await arriving()
    await _first_step(elsewhere, ada.email, ada.password)
    await elsewhere.field("account:factor.code.totp").fill(used)
    await elsewhere.button("account:signIn.do").click()
    await elsewhere.refuses("account:factor.code.totp", render("wrong_code", "en", {}))
    await elsewhere.field("account:factor.code.totp").fill(code_of(secret, steps_ahead=1))
    await elsewhere.button("account:signIn.do").click()
    await elsewhere.heading("user:dashboard.title").wait_for()

    without_it = await arriving()
    await _first_step(without_it, ada.email, ada.password)
    await without_it.page.get_by_text(without_it.words("common:factor.recovery_code"), exact=True).click()
    await without_it.page.get_by_role("textbox").fill(recovery_codes[0])
    await without_it.button("account:signIn.do").click()
    await without_it.heading("user:dashboard.title").wait_for()
    await without_it.open("/account")
    left = len(recovery_codes) - 1
    await without_it.text("account:totp.codesLeft_other", count=left).wait_for()


async def test_an_authenticator_is_removed_after_a_question(visitor: Visitor, world: World) -> None:
    """Whoever thinks better of it keeps it."""
    ada = await world.newcomer("ada")
    await world.add_totp(ada)
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/account")
    section = visitor.page.get_by_role("region", name=visitor.words("account:totp.title"))
    dialog = visitor.page.get_by_role("dialog")
    remove = visitor.words("account:totp.remove")

    await section.get_by_role("button", name=remove).click()
    await dialog.get_by_role("button", name=visitor.words("common:cancel")).click()
    await expect(dialog).to_have_count(0)
    await expect(section).to_contain_text(visitor.words("account:totp.on"))

    await section.get_by_role("button", name=remove).click()
    await dialog.get_by_role("button", name=remove).click()
    await visitor.text("account:totp.removed").wait_for()
    await section.get_by_text(visitor.words("account:totp.off"), exact=True).wait_for()


async def test_a_passkey_signs_in_alone_and_as_the_second_factor(visitor: Visitor, world: World) -> None:
    """It is added with a name, works instead of the password and after it, and is removed after a question."""
    ada = await world.newcomer("ada")
    await visitor.add_authenticator()
    await visitor.sign_in_with(ada.browser)
    await visitor.open("/account")
    await visitor.button("account:passkeys.add").click()
    await visitor.field("account:name").fill("laptop")
    await visitor.button("account:passkeys.go").click()
    passkeys = visitor.page.get_by_role("table", name=visitor.words("account:passkeys.title"))
    await expect(passkeys.get_by_role("row")).to_have_count(2)
    await expect(passkeys).to_contain_text("laptop")

    await visitor.context.clear_cookies()
    await visitor.open("/sign-in")
    await visitor.button("account:signIn.passkey").click()
    await visitor.heading("user:dashboard.title").wait_for()

    await visitor.context.clear_cookies()
    await _first_step(visitor, ada.email, ada.password)
    await visitor.button("account:factor.usePasskey").click()
    await visitor.heading("user:dashboard.title").wait_for()

    await visitor.open("/account")
    await passkeys.get_by_role("button", name=visitor.words("account:passkeys.remove")).click()
    await (
        visitor.page.get_by_role("dialog")
        .get_by_role("button", name=visitor.words("account:passkeys.remove"))
        .click()
    )
    await visitor.text("account:passkeys.emptyTitle").wait_for()


async def _set_up(visitor: Visitor) -> tuple[str, str, list[str]]:
    """Set up an authenticator on the account page; return its secret, the code that was used, and the recovery codes."""
    await visitor.open("/account")
    await visitor.button("account:totp.begin").click()
    by_hand = visitor.words("account:totp.byHand")
    secret = await visitor.copy(visitor.button("common:copy.what", what=by_hand))
    code = code_of(secret)
    await visitor.field("account:totp.enter").fill("000000" if code != "000000" else "111111")
    await visitor.button("account:totp.confirm").click()
    await visitor.refuses("account:totp.enter", render("wrong_code", "en", {}))
    await visitor.field("account:totp.enter").fill(f"{code[:3]} {code[3:]}")
    await visitor.button("account:totp.confirm").click()
    shown = visitor.words("account:totp.codesTitle")
    recovery_codes = (await visitor.copy(visitor.button("common:copy.what", what=shown))).split()
    await visitor.button("account:kept").click()
    await visitor.text("account:totp.on").wait_for()
    return secret, code, recovery_codes


async def _first_step(visitor: Visitor, email: str, password: str) -> None:
    """Show address and password, and come to the second step."""
    await visitor.open("/sign-in")
    await visitor.field("account:email").fill(email)
    await visitor.field("account:password").fill(password)
    await visitor.button("account:signIn.do").click()
    await visitor.heading("account:factor.title").wait_for()
