"""Signing up: who may, what it takes, and that it happens once."""

import asyncio

import pytest

from shared.bearer import mint
from shared.contracts import people, site
from shared.errors import Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable
from tests.auth.conftest import World
from tests.auth.visitor import EMAIL, PASSWORD, Visitor, letters, open_sign_up, token_for, token_in

NANO_PER_USD = 10**9
NOTHING_THERE = [(0, 0)]
COUNTS = "SELECT (SELECT count(*) FROM auth.app_user), (SELECT count(*) FROM auth.account)"


async def test_a_person_is_there_once_the_address_is_proved(world: World) -> None:
    """Before that there is neither person nor account; after it they are signed in."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up(" Ada@Example.COM")
    token = await token_for(world)
    assert await world.rows(COUNTS) == NOTHING_THERE
    assert world.billing.accounts == []

    outcome = await ada.confirm(token)

    person = await ada.whoami()
    assert (outcome.state, person.email, person.role, person.is_fresh) == ("signed_in", EMAIL, "member", True)
    assert [put.account_id for put in world.billing.accounts] == [person.account_id]
    assert world.billing.credits == {}
    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_the_message_leads_to_the_console_in_its_language(world: World) -> None:
    """The token stands behind the `#`, where no server sees it."""
    await open_sign_up(world)
    ask = people.SignUp(email=EMAIL, password=PASSWORD, client=Visitor(world).client, language="zh")
    await world.edge.call(people.SIGN_UP, ask)

    [letter] = await letters(world)

    assert letter.subject == "请确认您在 Acme AI 的邮箱地址"
    assert f"https://relay.example/confirm-email#token={token_in(letter.body)}\n" in letter.body


async def test_whoever_has_an_account_gets_another_message(world: World) -> None:
    """The answer is the same; the password that was entered changes nothing, and there is no link that proves anything."""
    await open_sign_up(world)
    await Visitor(world).join()

    await Visitor(world).sign_up(password="another password")

    letter = (await letters(world))[-1]
    assert letter.subject == "You already have an account at Acme AI"
    assert "#" not in letter.body
    assert await world.rows(COUNTS) == [(1, 1)]
    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_a_link_is_good_once(world: World) -> None:
    """Shown again it makes nothing and signs nobody in."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)
    await ada.confirm(token)

    with pytest.raises(InvalidRequest) as caught:
        await Visitor(world).confirm(token)

    assert (caught.value.code, caught.value.param) == ("link_not_valid", "token")
    assert await world.rows("SELECT count(*) FROM auth.session") == [(1,)]


async def test_of_links_shown_at_once_one_makes_the_person(world: World) -> None:
    """The same link many times, and the links of two sign-ups with one address."""
    await open_sign_up(world)
    first, second = Visitor(world), Visitor(world)
    await first.sign_up()
    tokens = [await token_for(world)]
    await second.sign_up(password="another password")
    tokens.append(await token_for(world))

    outcomes = await asyncio.gather(
        *(Visitor(world).confirm(token) for token in tokens * 3), return_exceptions=True
    )

    assert sum(isinstance(outcome, people.SignedIn) for outcome in outcomes) == 1
    refused = [outcome for outcome in outcomes if not isinstance(outcome, people.SignedIn)]
    assert all(isinstance(each, InvalidRequest) and each.code == "link_not_valid" for each in refused)
    assert await world.rows(COUNTS) == [(1, 1)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE auth.ticket SET expires_at = now()",
        "UPDATE auth.ticket SET used_at = now()",
        "UPDATE auth.ticket SET kind = 'reset_password'",
        "DELETE FROM auth.mail; DELETE FROM auth.ticket",
    ],
)
async def test_a_link_that_is_over_makes_nobody(world: World, change: str) -> None:
    """Expired, used, of another kind, or gone."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)
    await world.execute(change)

    with pytest.raises(InvalidRequest, match="link is no longer valid"):
        await ada.confirm(token)
    assert await world.rows(COUNTS) == NOTHING_THERE


async def test_a_link_that_nobody_made_makes_nobody(world: World) -> None:
    """Not even while the message is still unwritten and its ticket has no token."""
    await open_sign_up(world)
    await Visitor(world).sign_up()
    with pytest.raises(InvalidRequest, match="link is no longer valid"):
        await Visitor(world).confirm(mint())


async def test_a_new_account_is_given_the_credit_of_the_site_once(world: World) -> None:
    """What the site promised at the sign-up; a repeat after a lost answer is the same account and the same credit."""
    await open_sign_up(world, credit_nano_usd=2 * NANO_PER_USD)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)
    await open_sign_up(world, credit_nano_usd=5 * NANO_PER_USD)
    await world.execute("ALTER TABLE auth.session ADD CONSTRAINT fails CHECK (agent = '') NOT VALID")
    with pytest.raises(Exception, match="unexpected fault"):
        await ada.confirm(token)
    assert await world.rows(COUNTS) == NOTHING_THERE
    await world.execute("ALTER TABLE auth.session DROP CONSTRAINT fails")

    await ada.confirm(token)

    account_id = (await ada.whoami()).account_id
    assert {put.account_id for put in world.billing.accounts} == {account_id}
    assert [(key, each.amount_nano_usd) for key, each in world.billing.credits.items()] == [
        (f"sign-up:{account_id}", 2 * NANO_PER_USD)
    ]


async def test_while_billing_refuses_the_link_stays_good(world: World) -> None:
    """Nobody is there whom billing does not know."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)
    world.billing.refusal = Unavailable("service_unavailable", part="PostgreSQL")
    with pytest.raises(Unavailable):
        await ada.confirm(token)
    assert await world.rows(COUNTS) == NOTHING_THERE

    world.billing.refusal = None
    assert (await ada.confirm(token)).state == "signed_in"


async def test_a_site_begins_closed(world: World) -> None:
    """Nobody signs up before an operator says so, nor after they have said that it is over."""
    with pytest.raises(Forbidden) as caught:
        await Visitor(world).sign_up()
    assert caught.value.code == "sign_up_off"

    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)
    await open_sign_up(world, "off")
    with pytest.raises(Forbidden):
        await ada.confirm(token)
    assert await world.rows(COUNTS) == NOTHING_THERE


async def invited(world: World, email: str | None = None, lifetime_seconds: float = 60.0) -> str:
    """Return the token of a new invitation."""
    ask = site.Invite(email=email, lifetime_seconds=lifetime_seconds)
    return token_in((await world.operator.call(site.INVITE, ask)).url)


async def test_an_invitation_lets_one_person_in(world: World) -> None:
    """The first to prove an address has used it."""
    await open_sign_up(world, "invitation")
    token = await invited(world)
    with pytest.raises(Forbidden) as caught:
        await Visitor(world).sign_up()
    assert caught.value.code == "invitation_needed"
    for email in (EMAIL, "eve@example.com"):
        await Visitor(world).sign_up(email, invitation=token)
    links = [await token_for(world, email) for email in (EMAIL, "eve@example.com")]

    await Visitor(world).confirm(links[0])
    with pytest.raises(Forbidden) as caught:
        await Visitor(world).confirm(links[1])

    assert caught.value.code == "invitation_not_valid"
    assert await world.rows(COUNTS) == [(1, 1)]
    with pytest.raises(Forbidden):
        await Visitor(world).sign_up("third@example.com", invitation=token)
    [mine] = (await world.operator.call(site.LIST_INVITATIONS, site.ListInvitations())).items
    assert mine.used_unix is not None


async def test_an_invitation_for_an_address_lets_only_that_in(world: World) -> None:
    """And the link goes there, with the same token that the operator was shown."""
    await open_sign_up(world, "invitation")
    token = await invited(world, email="Ada@example.com")
    with pytest.raises(Forbidden, match="invitation is not valid"):
        await Visitor(world).sign_up("eve@example.com", invitation=token)

    [letter] = await letters(world)
    assert f"https://relay.example/sign-up#invitation={token}\n" in letter.body
    await Visitor(world).sign_up(invitation=token)
    assert (await Visitor(world).confirm(await token_for(world))).state == "signed_in"


async def test_an_invitation_that_has_ended_lets_nobody_in(world: World) -> None:
    """Taken back or expired, before the sign-up or between it and its link; one that was used cannot be taken back."""
    await open_sign_up(world, "invitation")
    token = await invited(world)
    await Visitor(world).sign_up(invitation=token)
    link = await token_for(world)
    [mine] = (await world.operator.call(site.LIST_INVITATIONS, site.ListInvitations())).items
    revoked = await world.operator.call(site.REVOKE_INVITATION, site.RevokeInvitation(invitation_id=mine.id))
    assert revoked.revoked_unix is not None
    for attempt in (Visitor(world).confirm(link), Visitor(world).sign_up(invitation=token)):
        with pytest.raises(Forbidden, match="invitation is not valid"):
            await attempt

    late = await invited(world)
    await world.execute("UPDATE auth.invitation SET expires_at = now() WHERE revoked_at IS NULL")
    with pytest.raises(Forbidden, match="invitation is not valid"):
        await Visitor(world).sign_up("eve@example.com", invitation=late)

    used = await invited(world)
    await Visitor(world).sign_up("bob@example.com", invitation=used)
    await Visitor(world).confirm(await token_for(world, "bob@example.com"))
    [newest, *_] = (await world.operator.call(site.LIST_INVITATIONS, site.ListInvitations())).items
    with pytest.raises(NotFound):
        await world.operator.call(site.REVOKE_INVITATION, site.RevokeInvitation(invitation_id=newest.id))


@pytest.mark.parametrize(
    ("email", "password", "param"),
    [("ada", PASSWORD, "email"), (EMAIL, "1234567", "password"), (EMAIL, "Passw0rd", "password")],
)
async def test_what_cannot_be_is_refused_with_its_field(
    world: World, email: str, password: str, param: str
) -> None:
    """The third is long enough, but one of those that leak most often."""
    await open_sign_up(world)
    with pytest.raises(InvalidRequest) as caught:
        await Visitor(world).sign_up(email, password)
    assert caught.value.param == param


async def test_nobody_is_flooded_with_messages(world: World) -> None:
    """The fifth message to one address must wait, whoever asks for it, and whether or not there is an account."""
    await open_sign_up(world)
    for number in range(3):
        await Visitor(world, address=f"192.0.2.{number}").sign_up()
    await Visitor(world, address="192.0.2.9").forgot()
    with pytest.raises(RateLimited) as caught:
        await Visitor(world, address="192.0.2.10").forgot()
    assert 1 <= (caught.value.retry_after_seconds or 0) <= 60
    assert len(await letters(world)) == 3


async def test_an_operator_finishes_a_sign_up_whose_message_is_lost(world: World) -> None:
    """By vouching for the address; then the link is over."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.sign_up()
    token = await token_for(world)

    user = await world.operator.call(people.CONFIRM_PERSON, people.ConfirmPerson(email="ADA@example.com"))

    assert user.email == EMAIL
    assert (await ada.sign_in()).state == "signed_in"
    with pytest.raises(InvalidRequest):
        await ada.confirm(token)
    with pytest.raises(NotFound):
        await world.operator.call(people.CONFIRM_PERSON, people.ConfirmPerson(email="eve@example.com"))
