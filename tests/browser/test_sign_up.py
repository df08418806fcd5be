"""Signing up in a browser: who may, and what is said to those who may not."""

import pytest

from services.edge.api import table
from services.edge.api.shapes import operator
from shared.messages import render
from tests.api.client import Ask, new_email, new_password
from tests.api.world import World
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_a_bad_password_is_refused_beside_its_field(visitor: Visitor) -> None:
    """One that is too short, and one that leaks often; a good one then leads on."""
    await visitor.open("/sign-up")
    await visitor.field("account:email").fill(new_email())
    for password, code in (("short", "password_length"), ("password1234", "password_too_common")):
        await visitor.field("account:password").fill(password)
        await visitor.button("account:signUp.do").click()
        await visitor.refuses("account:password", render(code, "en", {"least": 8, "most": 128}))

    await visitor.field("account:password").fill(new_password())
    await visitor.button("account:signUp.do").click()
    await visitor.heading("account:signUp.sentTitle").wait_for()


async def test_an_address_that_has_an_account_is_not_given_away(visitor: Visitor, world: World) -> None:
    """The page says what it says to everybody; the message tells its owner."""
    ada = await world.newcomer("ada")
    await visitor.open("/sign-up")
    await visitor.field("account:email").fill(ada.email)
    await visitor.field("account:password").fill(new_password())
    await visitor.button("account:signUp.do").click()

    await visitor.text("account:signUp.sent", email=ada.email).wait_for()


async def test_a_link_that_was_used_says_so(visitor: Visitor, world: World) -> None:
    """Or was never given: one sentence, and the way to a new one."""
    await visitor.open("/confirm-email#token=" + "x" * 43)
    await visitor.button("account:confirm.do").click()
    await visitor.page.get_by_role("alert").wait_for()
    await visitor.page.get_by_text(visitor.words("account:confirm.again")).wait_for()


async def test_nobody_can_sign_up_when_it_is_off(visitor: Visitor, world: World) -> None:
    """The page says so, and no page leads there."""
    async with world.sign_up_mode("off"):
        await visitor.go("/sign-up")
        await visitor.text("account:signUp.off").wait_for()
        await visitor.go("/")
        assert await visitor.link("common:signUp").count() == 0
        await visitor.link("public:landing.signIn").first.wait_for()
        await visitor.go("/sign-in")
        assert await visitor.page.get_by_text(visitor.words("account:signIn.noAccount")).count() == 0


async def test_an_invitation_lets_one_person_sign_up(visitor: Visitor, world: World) -> None:
    """Without its link the page says that one is needed; with it the form is there, and works once."""
    email = new_email("guest")
    async with world.sign_up_mode("invitation"):
        invited = await world.operator.browser.get(table.INVITE, operator.Invited, Ask(body={}))
        await visitor.open("/sign-up")
        await visitor.text("account:signUp.needsInvitation").wait_for()

        await visitor.follow(invited.url)
        await visitor.field("account:email").fill(email)
        await visitor.field("account:password").fill(new_password())
        await visitor.button("account:signUp.do").click()
        await visitor.page.get_by_role("status").get_by_role("link").click()
        letter = visitor.page.get_by_role("article").filter(has_text=email)
        await letter.get_by_role("link").click()
        await visitor.button("account:confirm.do").click()
        await visitor.heading("user:start.title").wait_for()
