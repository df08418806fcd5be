"""The site's texts and settings in the console: changed while it runs, and seen by whoever comes."""

import secrets
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import operator
from tests.api.client import Ask, letters_to, link_in, new_email, new_password
from tests.api.world import World
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, asked, written
from tests.browser.visitor import Visitor
from tests.browser.words import LANGUAGES

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

SITE, INVITATIONS = "/operator/site", "/operator/accounts?tab=invitations"


async def _settings(world: World) -> operator.SiteSettings:
    return await world.operator.browser.get(table.SETTINGS, operator.SiteSettings)


async def _set(world: World, wanted: operator.SiteSettings, **changes: object) -> None:
    """Store settings as some operator, whatever version there is."""
    version = (await _settings(world)).version
    body = msgspec.to_builtins(msgspec.structs.replace(wanted, version=version, **changes))
    await world.operator.browser.get(table.PUT_SETTINGS, operator.SiteSettings, Ask(body=body))


@pytest_asyncio.fixture(loop_scope="session")
async def before(world: World) -> AsyncIterator[operator.SiteSettings]:
    """The settings as they are, and will be again, since other tests have the same site."""
    found = await _settings(world)
    yield found
    await _set(world, found)


def _mode(desk: Desk, mode: str) -> Locator:
    return desk.page.get_by_role("radio", name=desk.words(f"operator:site.mode.{mode}"), exact=True)


async def _visit(visitor: Visitor, address: str) -> None:
    await visitor.page.goto(address if "://" in address else visitor.site.public_url + address)


async def _reads(guest: Visitor, texts: dict[str, str], mark: str) -> None:
    """See that a guest reads all of it in their language, and can put the announcement away."""
    await _visit(guest, "/")
    notice = guest.page.get_by_role("complementary", name=guest.words("common:notice.label"))
    await expect(notice).to_have_text(texts[f"operator:site.noticeIn.{guest.words.language}"])
    about = guest.page.get_by_role("region", name=guest.words("public:landing.aboutTitle"))
    await expect(about).to_contain_text(texts[f"operator:site.aboutIn.{guest.words.language}"])
    await expect(guest.page).to_have_title(f"Relay {mark}")
    contact = guest.words("common:contact", contact=f"help-{mark}@example.org")
    await expect(guest.page.get_by_role("contentinfo")).to_contain_text(contact)
    await guest.button("common:notice.close").click()
    await guest.page.reload()
    await expect(about).to_be_visible()
    await expect(notice).to_be_hidden()


async def test_texts_are_seen_in_both_languages(
    desk: Desk, before: operator.SiteSettings, arriving: Arrive
) -> None:
    """An announcement, what the site is, its name and contact; each visitor reads their own language."""
    visitor, words = desk.visitor, desk.words
    mark = secrets.token_hex(4)
    texts = {
        f"operator:site.{name}In.{language}": f"{name} in {language}: {mark} <b>bold</b>"
        for name in ("notice", "about")
        for language in LANGUAGES
    }
    await desk.open(SITE)
    await visitor.field("operator:site.name").fill("")
    await visitor.field("operator:site.contact").fill(f"help-{mark}@example.org")
    for key, text in texts.items():
        await visitor.field(key).fill(text)
    await visitor.field("operator:site.credit").fill("much")
    await visitor.button("operator:save").click()
    await desk.wrong(visitor.field("operator:site.name"), words("operator:site.nameMissing"))
    await desk.wrong(visitor.field("operator:site.credit"), words("operator:credit.amountWrong"))
    await visitor.field("operator:site.name").fill(f"Relay {mark}")
    await visitor.field("operator:site.credit").fill("0.75")
    await visitor.button("operator:site.showPreview").first.click()
    await expect(desk.page.get_by_role("region", name=words("operator:site.preview")).first).to_have_text(
        texts["operator:site.noticeIn.en"]
    )
    await visitor.button("operator:save").click()
    await desk.told("operator:site.saved")

    for language in LANGUAGES:
        await _reads(await arriving(language), texts, mark)
    row = await desk.logged("put_settings", "site")
    assert asked(row.after)["sign_up_credit_usd"] == "0.75"
    assert (asked(row.before)["contact"], asked(row.after)["contact"]) == (
        before.contact,
        f"help-{mark}@example.org",
    )


async def test_sign_up_can_be_by_invitation_or_off(
    desk: Desk, before: operator.SiteSettings, arriving: Arrive
) -> None:
    """What visitors are told, and that there is no form any more."""
    guest = await arriving()
    form = guest.button("account:signUp.do")
    await _visit(guest, "/sign-up")
    await expect(form).to_be_visible()
    await desk.open(SITE)

    for mode, told in (("invitation", "needsInvitation"), ("off", "off")):
        await _mode(desk, mode).check()
        await desk.visitor.button("operator:save").click()
        await expect(desk.visitor.button("operator:site.discard")).to_be_hidden()  # until it is stored
        await _visit(guest, "/sign-up")
        await expect(guest.text(f"account:signUp.{told}")).to_be_visible()
        await expect(form).to_be_hidden()
    await _visit(guest, "/")
    await expect(guest.link("public:landing.signIn")).to_have_count(2)
    await expect(guest.link("common:signUp")).to_be_hidden()


async def _join(world: World, guest: Visitor, link: str, email: str) -> None:
    """Sign up with the link of an invitation, confirm the address, and find the credit of the site."""
    await _visit(guest, link)
    await guest.field("account:email").fill(email)
    await guest.field("account:password").fill(new_password())
    await guest.button("account:signUp.do").click()
    await expect(guest.heading("account:signUp.sentTitle")).to_be_visible()
    letters = await letters_to(world.nobody, email, count=2)
    await _visit(guest, link_in(letters[0]))
    await guest.button("account:confirm.do").click()
    await expect(guest.heading("common:navigation.dashboard")).to_be_visible()
    await _visit(guest, "/wallet")
    await expect(guest.page.get_by_role("main")).to_contain_text("+US$1.25")


async def test_an_invited_person_signs_up_once(
    desk: Desk, world: World, before: operator.SiteSettings, arriving: Arrive
) -> None:
    """The link is shown once; who has it gets in while others do not, with the credit of the site; then it is used."""
    visitor, words = desk.visitor, desk.words
    await _set(world, before, sign_up="invitation", sign_up_credit_usd="1.25")
    email = new_email("invited")
    await desk.open(INVITATIONS)
    await visitor.button("operator:invitations.invite").click()
    await (
        desk.dialog("operator:invitations.invite")
        .get_by_label(words("operator:invitations.email"), exact=True)
        .fill(email)
    )
    await visitor.button("operator:invitations.make").click()
    made = desk.dialog("operator:invitations.made")
    await expect(made).to_contain_text(words("operator:invitations.madeFor", email=email))
    await made.get_by_role(
        "button", name=words("common:copy.what", what=words("operator:invitations.link"))
    ).click()
    link = await visitor.copied()
    await made.get_by_role("button", name=words("common:close")).last.click()
    await expect(desk.row(email)).to_contain_text(words("operator:invitations.open"))
    assert link.rpartition("=")[2] not in await desk.page.content()
    assert link.rpartition("=")[2] not in written(await desk.logged("invite", "invitation"))

    await _join(world, await arriving(), link, email)

    await desk.page.reload()
    await expect(desk.row(email)).to_contain_text(words("operator:invitations.used"))
    await expect(desk.row(email).get_by_role("button")).to_be_hidden()


async def test_an_invitation_is_taken_back(
    desk: Desk, world: World, before: operator.SiteSettings, arriving: Arrive
) -> None:
    """Its link is good for nothing from then on, and says so."""
    words = desk.words
    await _set(world, before, sign_up="invitation")
    email = new_email("invited")
    ask = Ask(body={"email": email})
    invited = await world.operator.browser.get(table.INVITE, operator.Invited, ask)
    await desk.open(INVITATIONS)

    await desk.row(email).get_by_role("button", name=words("operator:invitations.revoke")).click()
    question = desk.dialog("operator:invitations.revokeTitle")
    await question.get_by_role("button", name=words("operator:invitations.revoke")).click()

    await desk.told("operator:invitations.revoked")
    await expect(desk.row(email)).to_be_hidden()
    await desk.logged("revoke_invitation", invited.invitation.id)
    guest = await arriving()
    await _visit(guest, invited.url)
    await guest.field("account:email").fill(email)
    await guest.field("account:password").fill(new_password())
    await guest.button("account:signUp.do").click()
    await expect(guest.page.get_by_text("The invitation is not valid for this")).to_be_visible()


async def test_nobody_overwrites_what_somebody_else_has_saved(
    desk: Desk, world: World, before: operator.SiteSettings
) -> None:
    """Both are shown; whoever keeps their own saves it in the next try, whoever takes the other's has it whole."""
    visitor, words = desk.visitor, desk.words
    contact = visitor.field("operator:site.contact")
    save = visitor.button("operator:save")
    choice = desk.page.get_by_role("alert").filter(has_text=words("operator:site.somebodyElse"))
    await desk.open(SITE)
    await contact.fill("mine@example.org")
    await _set(world, before, contact="theirs@example.org")

    await save.click()
    line = choice.get_by_role("row").filter(has_text=words("operator:site.fields.contact"))
    await expect(line).to_contain_text("theirs@example.org")
    await expect(line).to_contain_text("mine@example.org")
    await visitor.button("operator:site.keepMine").click()
    await save.click()
    await desk.told("operator:site.saved")
    assert (await _settings(world)).contact == "mine@example.org"

    await contact.fill("again@example.org")
    await _set(world, before, contact="theirs@example.org")
    await save.click()
    await visitor.button("operator:site.takeTheirs").click()
    await expect(contact).to_have_value("theirs@example.org")
    await expect(save).to_be_disabled()
    await expect(choice).to_be_hidden()
