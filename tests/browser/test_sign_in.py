"""Signing in and out in a browser: with a password, a new password by mail, and somebody else's sign-in."""

from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from playwright.async_api import expect

from services.edge.api import table
from services.edge.api.shapes import operator, people
from shared.messages import render
from tests.api.client import Ask, new_email, new_password
from tests.api.world import World
from tests.browser.visitor import Visitor, code_of
from tests.e2e.stack import RunningStack

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

_ELSEWHERE = ("a request to another site:", "console: Failed to load resource: net::ERR_")


async def _sign_in(visitor: Visitor, email: str, password: str) -> None:
    await visitor.field("account:email").fill(email)
    await visitor.field("account:password").fill(password)
    await visitor.button("account:signIn.do").click()


async def test_a_wrong_password_and_an_unknown_address_look_the_same(visitor: Visitor, world: World) -> None:
    """One message for both, and what was typed stays there to be mended."""
    ada = await world.newcomer("ada")
    await visitor.open("/sign-in")

    for email in (ada.email, new_email()):
        await _sign_in(visitor, email, "not the password")
        await expect(visitor.page.get_by_role("alert")).to_have_text(render("wrong_credentials", "en", {}))
        await expect(visitor.field("account:email")).to_have_value(email)
        await visitor.page.reload()


async def test_who_must_sign_in_gets_where_they_wanted_and_out_again(visitor: Visitor, world: World) -> None:
    """The page that was asked for comes after the sign-in; after the sign-out nothing of it can be seen any more."""
    ada = await world.newcomer("ada")
    await visitor.open("/wallet?kind=money")
    await _sign_in(visitor, ada.email, ada.password)
    await visitor.heading("user:wallet.title").wait_for()
    assert visitor.page.url.endswith("/wallet?kind=money")

    await visitor.button("common:personMenu", email=ada.email).click()
    await visitor.page.get_by_role("menuitem", name=visitor.words("common:signOut")).click()
    await visitor.heading("public:landing.title").wait_for()

    await visitor.open("/wallet")
    await visitor.heading("account:signIn.title").wait_for()
    await visitor.page.go_back()
    await visitor.heading("public:landing.title").wait_for()


async def test_a_forgotten_password_is_replaced_by_the_link_of_a_message(
    visitor: Visitor, world: World
) -> None:
    """The link leads to a form, it works once, and from then on the new password alone is good."""
    ada, password = await world.newcomer("ada"), new_password()
    await visitor.open("/sign-in")
    await visitor.link("account:signIn.forgot").click()
    await visitor.field("account:email").fill(ada.email)
    await visitor.button("account:forgot.do").click()
    await visitor.page.get_by_role("status").get_by_role("link").click()
    letters = visitor.page.get_by_role("article").filter(has_text=ada.email)
    await letters.first.get_by_role("link").click()
    link = visitor.page.url
    await visitor.field("account:newPassword").fill(password)
    await visitor.button("account:reset.do").click()
    await visitor.heading("account:reset.doneTitle").wait_for()

    await visitor.page.get_by_role("main").get_by_role("link").click()
    await _sign_in(visitor, ada.email, ada.password)
    await expect(visitor.page.get_by_role("alert")).to_have_text(render("wrong_credentials", "en", {}))
    await _sign_in(visitor, ada.email, password)
    await visitor.heading("user:start.title").wait_for()

    await visitor.follow(link)
    await visitor.field("account:newPassword").fill(new_password())
    await visitor.button("account:reset.do").click()
    await visitor.page.get_by_role("alert").wait_for()
    await visitor.link("account:reset.again").wait_for()


async def test_a_reset_is_promised_to_an_unknown_address_as_well(visitor: Visitor) -> None:
    """The page says the same, and no message is sent."""
    email = new_email()
    await visitor.open("/forgot-password")
    await visitor.field("account:email").fill(email)
    await visitor.button("account:forgot.do").click()

    await visitor.text("account:forgot.sent", email=email).wait_for()
    await visitor.go("/outbox")
    assert await visitor.page.get_by_role("article").filter(has_text=email).count() == 0


async def test_somebody_elses_sign_in(visitor: Visitor, site: RunningStack, issuer: str) -> None:
    """Who is known to the issuer comes back with an account, to the page that was wanted, and can set a password there."""
    await visitor.open("/account")
    await _agree(visitor, issuer, new_email("grace"))

    await visitor.heading("account:account.title").wait_for()
    assert urlsplit(visitor.page.url).path == "/account"
    await visitor.text("account:changePassword.none").wait_for()
    await visitor.field("account:newPassword").fill(new_password())
    await visitor.button("account:changePassword.set").click()
    await visitor.text("account:changePassword.description").wait_for()
    _forgive_the_issuer(visitor)


async def test_somebody_elses_sign_in_does_not_stand_for_the_second_factor(
    visitor: Visitor, world: World, issuer: str
) -> None:
    """Who has one is asked for it afterwards, and then has the page that was wanted."""
    ada = await world.newcomer("ada")
    secret = await world.add_totp(ada)
    await visitor.open("/wallet")
    await _agree(visitor, issuer, ada.email)

    await visitor.field("account:factor.code.totp").fill(code_of(secret, steps_ahead=1))
    assert "ticket" not in visitor.page.url
    await visitor.button("account:signIn.do").click()
    await visitor.heading("user:wallet.title").wait_for()
    _forgive_the_issuer(visitor)


async def _agree(visitor: Visitor, issuer: str, email: str) -> None:
    """Choose the issuer on the sign-in page, and be somebody there with this address."""
    async with httpx.AsyncClient(trust_env=False) as http:
        claims = {"email": email, "email_verified": True}
        (await http.put(f"{issuer}/users/{email}", json=claims)).raise_for_status()
    await visitor.button("account:provider", name="Honest").click()
    await visitor.page.get_by_role("textbox", name="sub").fill(email)
    await visitor.page.get_by_role("button", name="Authorize").click()


async def test_an_invited_person_joins_by_somebody_elses_sign_in(
    visitor: Visitor, world: World, issuer: str
) -> None:
    """Where sign-up is by invitation, the same person without one is told so, and has no account."""
    email = new_email("guest")
    async with world.sign_up_mode("invitation"):
        await visitor.open("/sign-in")
        await _agree(visitor, issuer, email)
        needed = visitor.words("account:providerFailed.invitation_needed")
        await expect(visitor.page.get_by_role("alert")).to_have_text(needed)

        invited = await world.operator.browser.get(table.INVITE, operator.Invited, Ask(body={}))
        await visitor.follow(invited.url)
        await _agree(visitor, issuer, email)
        await visitor.heading("user:start.title").wait_for()
    _forgive_the_issuer(visitor)


async def test_an_issuer_that_says_no_is_told(visitor: Visitor, issuer: str) -> None:
    """Whoever changes their mind there is back at the sign-in, with a sentence about it."""
    await visitor.open("/sign-in")
    await visitor.button("account:provider", name="Honest").click()
    await visitor.page.get_by_role("button", name="Deny").wait_for()
    # This issuer's own button forgets the state, which RFC 6749 §4.1.2.1 asks for: so we go the way that it leads to.
    question = parse_qs(urlsplit(visitor.page.url).query)
    answer = urlencode({"error": "access_denied", "state": question["state"][0]})
    await visitor.page.goto(f"{question['redirect_uri'][0]}?{answer}")

    failed = visitor.words("account:providerFailed.oidc_cancelled")
    await expect(visitor.page.get_by_role("alert")).to_have_text(failed)
    _forgive_the_issuer(visitor)


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/wallet?kind=money", "/wallet?kind=money"),
        ("//elsewhere.example", "/dashboard"),
        ("/\\elsewhere.example", "/dashboard"),
        ("/\telsewhere.example", "/dashboard"),
        ("https://elsewhere.example", "/dashboard"),
        ("/" + "a" * 5_000, "/dashboard"),  # it stands in a cookie on the way
    ],
)
async def test_the_way_back_leads_to_this_site_alone(
    site: RunningStack, issuer: str, wanted: str, reached: str
) -> None:
    """Whoever sends somebody to the sign-in chooses a page of this site, and no other site."""
    async with httpx.AsyncClient(base_url=site.public_url, trust_env=False) as http:
        claims = {"email": "grace@example.org", "email_verified": True}
        (await http.put(f"{issuer}/users/grace", json=claims)).raise_for_status()
        console = {"x-relay-console": "1"}
        start = await http.post("/api/oidc/honest/start", headers=console, json={"next": wanted})
        agreed = await http.post(start.json()["url"], data={"sub": "grace"})
        back = await http.get(agreed.headers["location"])

    assert (back.status_code, back.headers["location"]) == (302, reached)


def _forgive_the_issuer(visitor: Visitor) -> None:
    """Its pages are another site, and take their style from a third."""
    visitor.problems = [each for each in visitor.problems if not each.startswith(_ELSEWHERE)]


async def test_the_session_of_another_device_is_ended(visitor: Visitor, world: World) -> None:
    """It is listed beside this one; after its end it is gone from the list, and that device is signed out."""
    ada = await world.newcomer("ada")
    await visitor.open("/sign-in?next=/account")
    await _sign_in(visitor, ada.email, ada.password)
    sessions = visitor.page.get_by_role("table", name=visitor.words("account:sessions.title"))
    await expect(sessions.get_by_role("row")).to_have_count(3)
    mine = sessions.get_by_role("row").filter(has_text=visitor.words("account:sessions.current"))
    await expect(mine).to_have_count(1)

    await sessions.get_by_role("button", name=visitor.words("account:sessions.end"), exact=True).click()

    await expect(sessions.get_by_role("row")).to_have_count(2)
    await expect(mine).to_have_count(1)
    assert (await ada.browser.send(table.ME)).status_code == 401


async def test_a_changed_password_ends_all_other_sessions(visitor: Visitor, world: World) -> None:
    """A wrong one until now is told beside its field; the right one is enough."""
    ada, password = await world.newcomer("ada"), new_password()
    await visitor.open("/sign-in?next=/account")
    await _sign_in(visitor, ada.email, ada.password)
    await visitor.field("account:changePassword.current").fill("not the password")
    await visitor.field("account:newPassword").fill(password)
    await visitor.button("account:changePassword.change").click()
    await visitor.refuses("account:changePassword.current", render("wrong_password", "en", {}))

    await visitor.field("account:changePassword.current").fill(ada.password)
    await visitor.button("account:changePassword.change").click()

    await visitor.text("account:changePassword.done").wait_for()
    assert (await ada.browser.send(table.ME)).status_code == 401
    ask = Ask(body={"email": ada.email, "password": password})
    await ada.browser.get(table.SIGN_IN, people.SignedIn, ask)


async def test_what_is_dangerous_asks_once_more_who_it_is(visitor: Visitor, world: World) -> None:
    """Long after the sign-in a management key takes the password again; then it is shown, this once."""
    ada = await world.newcomer("ada")
    await visitor.open("/sign-in?next=/account")
    await _sign_in(visitor, ada.email, ada.password)
    await visitor.button("account:management.make").click()
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_label(visitor.words("account:name")).fill("nightly report")
    async with world.stale(ada):
        await dialog.get_by_role("button", name=visitor.words("account:management.make")).click()
        proof = visitor.page.get_by_role("dialog", name=visitor.words("common:proof.title"))
        await proof.get_by_label(visitor.words("common:factor.password"), exact=True).fill(ada.password)
        await proof.get_by_role("button", name=visitor.words("common:proof.confirm")).click()
        secret = await visitor.copy(visitor.button("common:copy.what", what="nightly report"))

    ada.script.bearer = secret
    assert (await ada.script.get(table.ME, people.Me)).email == ada.email
