"""Sessions: how long they live, what ends them, and that what has ended stays so."""

import asyncio

import pytest

from shared.bearer import mint, sha256_of
from shared.contracts import auth, people
from shared.contracts.call import Empty
from shared.errors import Forbidden, InvalidRequest, NotFound, RateLimited, Unauthenticated
from shared.ids import uuid7
from tests.auth.conftest import World
from tests.auth.visitor import EMAIL, PASSWORD, Visitor, find, letters, prolong_waits, token_for

NEW = "quite another password"


@pytest.fixture
async def ada(world: World) -> Visitor:
    """Somebody who has signed in."""
    await world.operator.call(auth.CREATE_USER, auth.CreateUser(email=EMAIL, password=PASSWORD))
    visitor = Visitor(world)
    await visitor.sign_in()
    return visitor


async def signed_in(world: World, address: str = "198.51.100.1") -> Visitor:
    """Return the same person in another place."""
    visitor = Visitor(world, address=address, agent="Safari on iOS")
    await visitor.sign_in()
    return visitor


async def assert_ended(visitor: Visitor) -> None:
    """Assert that the visitor's session is no more."""
    with pytest.raises(Unauthenticated) as caught:
        await visitor.whoami()
    assert caught.value.code == "session_ended"


@pytest.mark.parametrize(
    "change",
    ["expires_at = now()", "ended_at = now()", "ends_at = now(), expires_at = now()"],
    ids=["idle", "ended", "at the latest"],
)
async def test_a_session_that_is_over_is_nobodys(world: World, ada: Visitor, change: str) -> None:
    """Whichever end has come; showing its token again does not bring it back."""
    await world.execute(f"UPDATE auth.session SET {change}")
    for _ in range(2):
        await assert_ended(ada)


async def test_a_token_that_nobody_made_is_nobodys(world: World, ada: Visitor) -> None:
    """Nor is the hash of a token a token."""
    token = ada.token or ""
    for wrong in (mint(), token[:-1], token + "A", "", sha256_of(token).hex()):
        with pytest.raises(Unauthenticated):
            await find(world, wrong, ada.client)
    assert (await ada.whoami()).email == EMAIL


async def test_use_moves_the_idle_end_and_never_the_last(world: World, ada: Visitor) -> None:
    """At most once a minute; where it was seen last is noted with it."""
    end = "SELECT expires_at = ends_at, expires_at > now() + interval '6 days', address FROM auth.session"
    await world.execute(
        "UPDATE auth.session SET expires_at = now() + interval '1 hour', seen_at = now() - interval '2 minutes'"
    )
    ada.address = "203.0.113.5"
    await ada.whoami()
    assert await world.rows(end) == [(False, True, "203.0.113.5")]

    await world.execute(
        "UPDATE auth.session SET expires_at = now() + interval '1 hour', ends_at = now() + interval '1 day',"
        " seen_at = now() - interval '2 minutes'"
    )
    await ada.whoami()
    assert await world.rows(end) == [(True, False, "203.0.113.5")]

    await world.execute("UPDATE auth.session SET expires_at = now() + interval '1 hour'")
    await ada.whoami()
    assert await world.rows(end) == [(False, False, "203.0.113.5")]


async def test_a_session_that_was_ended_is_not_used_again(world: World, ada: Visitor) -> None:
    """Sign-out: the token that somebody kept is worth nothing."""
    person = await ada.whoami()
    ask = people.EndSession(user_id=person.user_id, session_id=person.session_id)
    assert await world.edge.call(people.END_SESSION, ask) == Empty()
    await assert_ended(ada)
    with pytest.raises(NotFound):
        await world.edge.call(people.END_SESSION, ask)


async def test_nobody_ends_or_sees_the_session_of_another(world: World, ada: Visitor) -> None:
    """An id is good only together with its person; what is no id is not found."""
    await world.operator.call(auth.CREATE_USER, auth.CreateUser(email="eve@example.com", password=PASSWORD))
    eve = Visitor(world)
    await eve.sign_in("eve@example.com")
    user_id = (await eve.whoami()).user_id
    for session_id in (ada.session_id or "", str(uuid7()), "x", "' OR true --"):
        with pytest.raises(NotFound):
            await world.edge.call(
                people.END_SESSION, people.EndSession(user_id=user_id, session_id=session_id)
            )
        with pytest.raises((NotFound, Unauthenticated)):
            await world.edge.call(
                people.CONFIRM_SESSION,
                people.ConfirmSession(
                    user_id=user_id,
                    session_id=session_id,
                    factor="password",
                    secret=PASSWORD,
                    client=eve.client,
                ),
            )
    listed = await world.edge.call(people.LIST_SESSIONS, people.ListSessions(user_id=user_id))
    assert [each.id for each in listed.items] == [eve.session_id]
    await world.edge.call(people.END_SESSIONS, people.EndSessions(user_id=user_id))
    assert (await ada.whoami()).email == EMAIL


async def test_people_see_where_they_are_signed_in(world: World, ada: Visitor) -> None:
    """The latest first; what has ended is not listed."""
    phone = await signed_in(world)
    gone = await signed_in(world, "198.51.100.2")
    user_id = (await ada.whoami()).user_id
    ended = people.EndSession(user_id=user_id, session_id=gone.session_id or "")
    await world.edge.call(people.END_SESSION, ended)

    listed = await world.edge.call(people.LIST_SESSIONS, people.ListSessions(user_id=user_id))

    assert [(each.id, each.agent, each.address) for each in listed.items] == [
        (phone.session_id, "Safari on iOS", "198.51.100.1"),
        (ada.session_id, "Firefox on Linux", "192.0.2.7"),
    ]


async def test_all_others_end_together(world: World, ada: Visitor) -> None:
    """And the one that asks for it stays."""
    others = [await signed_in(world), await signed_in(world, "198.51.100.2")]
    person = await ada.whoami()
    await world.edge.call(
        people.END_SESSIONS, people.EndSessions(user_id=person.user_id, session_id=person.session_id)
    )
    for other in others:
        await assert_ended(other)
    assert (await ada.whoami()).email == EMAIL


async def test_showing_the_password_makes_a_session_fresh_under_a_new_token(
    world: World, ada: Visitor
) -> None:
    """The token before is void at once; the session keeps its id and its last end."""
    await world.execute("UPDATE auth.session SET fresh_at = now() - interval '11 minutes'")
    before = await ada.whoami()
    ends = await world.rows("SELECT ends_at FROM auth.session")
    old = Visitor(world)
    old.token = ada.token
    assert not before.is_fresh

    await ada.prove()

    after = await ada.whoami()
    assert (after.is_fresh, after.session_id) == (True, before.session_id)
    assert await world.rows("SELECT ends_at FROM auth.session") == ends
    await assert_ended(old)


async def test_a_wrong_password_proves_nothing_and_is_counted(world: World, ada: Visitor) -> None:
    """The session stays as it is; after five the next must wait, also for changing the password, and also when right."""
    await world.execute("UPDATE auth.session SET fresh_at = now() - interval '11 minutes'")
    for number in range(5):
        with pytest.raises(InvalidRequest) as caught:
            await (ada.prove("wrong password") if number % 2 else ada.change_password(NEW, "wrong password"))
        assert caught.value.code == "wrong_password"
    await prolong_waits(world)
    for attempt in (ada.prove(), ada.change_password(NEW)):
        with pytest.raises(RateLimited):
            await attempt
    assert not (await ada.whoami()).is_fresh


@pytest.mark.parametrize("factor", ["totp", "recovery_code"])
async def test_a_code_that_nobody_has_proves_nothing(world: World, ada: Visitor, factor: str) -> None:
    """Whoever has no second factor cannot show one."""
    person = await ada.whoami()
    ask = people.ConfirmSession(
        user_id=person.user_id,
        session_id=person.session_id,
        factor="totp" if factor == "totp" else "recovery_code",
        secret="123456",
        client=ada.client,
    )
    with pytest.raises(InvalidRequest) as caught:
        await world.edge.call(people.CONFIRM_SESSION, ask)
    assert (caught.value.code, caught.value.param) == ("wrong_code", "secret")


async def test_a_new_password_ends_every_other_session(world: World, ada: Visitor) -> None:
    """This one goes on under a new token; the person is told by mail; the old password is no more."""
    other, old = await signed_in(world), Visitor(world)
    old.token = ada.token

    await ada.change_password(NEW)

    assert (await ada.whoami()).is_fresh
    for ended in (other, old):
        await assert_ended(ended)
    assert [each.subject for each in await letters(world)] == ["Your password for Relay was changed"]
    with pytest.raises(Unauthenticated):
        await Visitor(world).sign_in()
    assert (await Visitor(world).sign_in(password=NEW)).state == "signed_in"


async def test_a_password_is_changed_by_who_shows_the_old_one(world: World, ada: Visitor) -> None:
    """Nothing shown is wrong too; what is common or too short is refused by its field."""
    for current in ("wrong password", "", None):
        with pytest.raises(InvalidRequest) as caught:
            await ada.change_password(NEW, current)
        assert (caught.value.code, caught.value.param) == ("wrong_password", "current")
    for password in ("short", "password1"):
        with pytest.raises(InvalidRequest) as caught:
            await ada.change_password(password)
        assert caught.value.param == "password"
    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_who_has_no_password_sets_one_while_the_session_is_fresh(world: World, ada: Visitor) -> None:
    """For somebody of another's sign-in; a session alone is not enough later on."""
    await world.execute("UPDATE auth.app_user SET password_hash = NULL")
    await world.execute("UPDATE auth.session SET fresh_at = now() - interval '11 minutes'")
    with pytest.raises(Forbidden) as caught:
        await ada.change_password(NEW, None)
    assert caught.value.code == "fresh_sign_in_needed"
    with pytest.raises(InvalidRequest):
        await ada.prove("")

    await world.execute("UPDATE auth.session SET fresh_at = now()")
    await ada.change_password(NEW, None)
    assert (await Visitor(world).sign_in(password=NEW)).state == "signed_in"


async def test_a_reset_sets_a_password_once_and_ends_every_session(world: World, ada: Visitor) -> None:
    """By the link of the message; it proves the address too, and forgives what was guessed meanwhile."""
    await world.execute("UPDATE auth.app_user SET email_confirmed_at = NULL")
    await ada.forgot("ADA@example.com")
    token = await token_for(world)

    await Visitor(world, address="203.0.113.9").reset(token, NEW)

    await assert_ended(ada)
    assert (await Visitor(world).sign_in(password=NEW)).state == "signed_in"
    with pytest.raises(InvalidRequest) as caught:
        await Visitor(world).reset(token, "yet another password")
    assert (caught.value.code, caught.value.param) == ("link_not_valid", "token")
    assert (await letters(world))[-1].subject == "Your password for Relay was changed"


async def test_of_resets_at_once_one_counts(world: World, ada: Visitor) -> None:
    """A link is good once, also in the same moment."""
    await ada.forgot()
    token = await token_for(world)
    outcomes = await asyncio.gather(
        *(Visitor(world).reset(token, f"{NEW} {number}") for number in range(4)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, InvalidRequest) for outcome in outcomes)


async def test_a_change_of_password_voids_the_links_for_another(world: World, ada: Visitor) -> None:
    """Whoever still has one cannot take the account back."""
    await ada.forgot()
    token = await token_for(world)
    await ada.change_password(NEW)
    with pytest.raises(InvalidRequest):
        await Visitor(world).reset(token, "yet another password")


async def test_a_password_that_is_refused_leaves_the_link_good(world: World, ada: Visitor) -> None:
    """The person chooses another one."""
    await ada.forgot()
    token = await token_for(world)
    for password in ("short", "password1"):
        with pytest.raises(InvalidRequest):
            await Visitor(world).reset(token, password)
    await Visitor(world).reset(token, NEW)


async def test_for_nobody_there_is_no_message(world: World) -> None:
    """And the ticket that was made for it can be used by nobody."""
    await Visitor(world).forgot("nobody@example.com")
    assert await letters(world, "nobody@example.com") == []
    assert await world.rows("SELECT outcome FROM auth.mail") == [("needless",)]
    assert await world.rows("SELECT token_sha256, user_id FROM auth.ticket") == [(None, None)]


async def test_an_operator_lets_in_who_is_locked_out(world: World, ada: Visitor) -> None:
    """With a new password; every session has ended."""
    user = await world.operator.call(
        people.SET_PASSWORD, people.SetPassword(email="Ada@Example.com", password=NEW)
    )
    assert user.email == EMAIL
    await assert_ended(ada)
    assert (await Visitor(world).sign_in(password=NEW)).state == "signed_in"
    for email, password, error in (("nobody@example.com", NEW, NotFound), (EMAIL, "short", InvalidRequest)):
        with pytest.raises(error):
            await world.operator.call(people.SET_PASSWORD, people.SetPassword(email=email, password=password))


async def test_people_see_and_change_their_own_settings(world: World, ada: Visitor) -> None:
    """The language in which they are spoken to."""
    user_id = (await ada.whoami()).user_id
    person = await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=user_id))
    assert (person.email, person.language, person.has_password, person.is_confirmed) == (
        EMAIL,
        "en",
        True,
        True,
    )

    changed = await world.edge.call(people.UPDATE_PERSON, people.UpdatePerson(user_id=user_id, language="zh"))

    assert changed.language == "zh"
    assert (await ada.whoami()).language == "zh"
    same = await world.edge.call(people.UPDATE_PERSON, people.UpdatePerson(user_id=user_id))
    assert same == changed
    with pytest.raises(NotFound):
        await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=str(uuid7())))
