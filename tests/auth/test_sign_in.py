"""Signing in with a password, and what stands against guessing."""

import asyncio

import argon2
import pytest

from services.auth.attempts import SIGN_IN_ADDRESS, SIGN_IN_FROM, SIGN_IN_PERSON, Subject
from services.auth.settings import AuthSettings
from shared.bus import Bus
from shared.contracts import auth, people
from shared.contracts.call import EDGE
from shared.errors import Forbidden, RateLimited, RelayError, Unauthenticated
from shared.settings import Settings
from tests.auth.conftest import World, replica
from tests.auth.visitor import EMAIL, PASSWORD, Visitor, find, open_sign_up, prolong_waits

WRONG = "wrong password"


async def member(world: World) -> auth.User:
    """Return a person whom an operator has made."""
    return await world.operator.call(auth.CREATE_USER, auth.CreateUser(email=EMAIL, password=PASSWORD))


async def refused(visitor: Visitor, email: str = EMAIL, password: str = WRONG) -> RelayError:
    """Return why a try to sign in was refused."""
    with pytest.raises(RelayError) as caught:
        await visitor.sign_in(email, password)
    return caught.value


async def tried(world: World, subject: Subject, tries: int) -> None:
    """Let `tries` be counted of a subject."""
    digest = subject.digest.hex()
    await world.execute(
        f"INSERT INTO auth.attempt (subject, tries) VALUES ('\\x{digest}', {tries})"
        " ON CONFLICT (subject) DO UPDATE SET tries = excluded.tries"
    )


async def test_the_right_password_gives_a_session(world: World) -> None:
    """In any case of the address; a person made by an operator needs no message."""
    user = await member(world)
    visitor = Visitor(world)

    outcome = await visitor.sign_in("ADA@Example.com")

    assert (outcome.state, outcome.ticket, outcome.factors) == ("signed_in", None, ())
    assert (await visitor.whoami()).user_id == user.id


@pytest.mark.parametrize(
    "email", [EMAIL, "nobody@example.com", "no address", "a\x00b@example.com", "e" * 500]
)
async def test_whoever_is_wrong_hears_the_same(world: World, email: str) -> None:
    """A wrong password, an unknown address, and what is no address."""
    await member(world)
    error = await refused(Visitor(world), email)
    assert isinstance(error, Unauthenticated)
    assert (error.code, error.param, error.details) == ("wrong_credentials", None, {})


async def test_only_who_has_the_password_hears_what_is_wrong_with_the_account(world: World) -> None:
    """A suspended account, and an address that nobody has proved."""
    user = await member(world)
    suspend = auth.SetAccountStatus(account_id=user.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    assert (await refused(Visitor(world))).code == "wrong_credentials"
    assert (await refused(Visitor(world), password=PASSWORD)).code == "account_suspended"

    await world.operator.call(
        auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=user.account_id, status="active")
    )
    await world.execute("UPDATE auth.app_user SET email_confirmed_at = NULL")
    assert (await refused(Visitor(world))).code == "wrong_credentials"
    assert (await refused(Visitor(world), password=PASSWORD)).code == "email_not_confirmed"
    await world.operator.call(people.CONFIRM_PERSON, people.ConfirmPerson(email=EMAIL))
    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_who_has_no_password_signs_in_with_none(world: World) -> None:
    """Somebody of another's sign-in."""
    await member(world)
    await world.execute("UPDATE auth.app_user SET password_hash = NULL")
    for password in (PASSWORD, ""):
        assert (await refused(Visitor(world), password=password)).code == "wrong_credentials"


async def test_a_session_that_somebody_planted_is_not_taken_over(world: World) -> None:
    """Signing in makes a new token, and ends the session that the browser had: whoever planted it has nothing."""
    await open_sign_up(world)
    mallory = Visitor(world)
    await mallory.join("mallory@example.com")
    planted, session_id = mallory.token or "", mallory.session_id
    await member(world)
    ada = Visitor(world)
    ada.token, ada.session_id = planted, session_id

    await ada.sign_in()

    assert ada.token != planted
    assert (await ada.whoami()).email == EMAIL
    with pytest.raises(Unauthenticated, match="signed out"):
        await find(world, planted, mallory.client)


async def test_no_token_is_kept(world: World) -> None:
    """Neither a session's nor a link's is in any table, but for the message that is kept here to be read."""
    await open_sign_up(world)
    ada = Visitor(world)
    await ada.join()
    await world.execute("UPDATE auth.mail SET body = NULL")

    text = ""
    for table in ("session", "ticket", "mail", "app_user", "attempt"):
        text += repr(await world.rows(f"SELECT t::text FROM auth.{table} AS t"))

    assert ada.session_id is not None
    assert ada.session_id in text
    assert (ada.token or "?") not in text
    assert PASSWORD not in text


async def test_after_five_wrong_passwords_the_next_waits(world: World) -> None:
    """Also the right one, from there; the wait is told, and who waits long enough may try again."""
    await member(world)
    guesser = Visitor(world)
    for _ in range(5):
        assert (await refused(guesser)).code == "wrong_credentials"
    waits = (
        "SELECT blocked_until - tried_at = interval '1 s' FROM auth.attempt WHERE blocked_until IS NOT NULL"
    )
    assert await world.rows(waits) == [(True,)]
    await prolong_waits(world)

    error = await refused(guesser, password=PASSWORD)

    assert isinstance(error, RateLimited)
    assert error.code == "too_many_attempts"
    assert 1 <= (error.retry_after_seconds or 0) <= 61
    assert error.retry_after_seconds == error.details["retry_seconds"]
    assert (await Visitor(world, address="198.51.100.1").sign_in()).state == "signed_in"
    await world.execute("UPDATE auth.attempt SET blocked_until = now()")
    assert (await guesser.sign_in()).state == "signed_in"


async def test_an_address_that_nobody_has_is_limited_alike(world: World) -> None:
    """Else the limit would tell who has an account."""
    for _ in range(5):
        assert (await refused(Visitor(world), "nobody@example.com")).code == "wrong_credentials"
    await prolong_waits(world)
    assert (await refused(Visitor(world), "Nobody@example.com")).code == "too_many_attempts"


async def test_replicas_count_together(world: World, settings: AuthSettings) -> None:
    """The count is PostgreSQL's: what one replica has seen the other knows."""
    await member(world)
    for _ in range(5):
        assert (await refused(Visitor(world))).code == "wrong_credentials"
    await prolong_waits(world)
    async with replica(settings), Bus(Settings(nats_url=settings.nats_url), party=EDGE) as other:
        ask = people.SignIn(email=EMAIL, password=PASSWORD, client=Visitor(world).client)
        for _ in range(6):
            with pytest.raises(RateLimited):
                await other.call(people.SIGN_IN, ask)


async def test_tries_at_once_are_counted_each(world: World) -> None:
    """A try is paid for before it is made: of twenty at once one is looked at, where many were wrong before."""
    await member(world)
    await tried(world, Subject(SIGN_IN_FROM, f"192.0.2.7 {EMAIL}"), 20)
    errors = await asyncio.gather(*(refused(Visitor(world)) for _ in range(20)))
    assert sum(error.code == "wrong_credentials" for error in errors) == 1
    assert sum(error.code == "too_many_attempts" for error in errors) == 19


async def test_one_place_cannot_go_through_many_people(world: World) -> None:
    """Whatever address of an IPv6 network it uses."""
    await tried(world, Subject(SIGN_IN_ADDRESS, "2001:db8:1:2::/64"), 100)
    visitor = Visitor(world, address="2001:db8:1:2::1")
    assert (await refused(visitor, "person@example.com")).code == "wrong_credentials"
    limited = Visitor(world, address="2001:db8:1:2:ffff::1")
    assert (await refused(limited, "another@example.com")).code == "too_many_attempts"
    elsewhere = Visitor(world, address="2001:db8:1:3::1")
    assert (await refused(elsewhere, "another@example.com")).code == "wrong_credentials"


async def test_nobody_is_locked_out_from_elsewhere(world: World) -> None:
    """When a crowd guesses at one person, new places wait, and where the person has been before they get in at once."""
    await member(world)
    at_home = Visitor(world)
    await at_home.sign_in()
    await tried(world, Subject(SIGN_IN_PERSON, EMAIL), 1000)
    await world.execute("UPDATE auth.attempt SET blocked_until = now() + interval '60 s' WHERE tries = 1000")
    assert (await refused(Visitor(world, address="198.51.100.1"))).code == "too_many_attempts"
    assert (
        await refused(Visitor(world, address="198.51.100.1"), password=PASSWORD)
    ).code == "too_many_attempts"

    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_being_right_is_free(world: World) -> None:
    """Whoever signs in many times is never told to wait, and what was wrong before is forgotten."""
    await member(world)
    visitor = Visitor(world)
    for _ in range(2):
        for _ in range(4):
            assert (await refused(visitor)).code == "wrong_credentials"
        await visitor.sign_in()
    for _ in range(6):
        await visitor.sign_in()
    [(tries,)] = await world.rows("SELECT max(tries) FROM auth.attempt")
    assert tries == 8  # of the place, which only gets back the tries that were right


async def test_a_hash_of_old_is_made_anew(world: World) -> None:
    """At the next sign-in, when the password is there; a wrong one changes nothing."""
    await member(world)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await world.execute(f"UPDATE auth.app_user SET password_hash = '{weak}'")
    await refused(Visitor(world))
    assert await world.rows("SELECT password_hash FROM auth.app_user") == [(weak,)]

    await Visitor(world).sign_in()

    [(stored,)] = await world.rows("SELECT password_hash FROM auth.app_user")
    assert str(stored).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert (await Visitor(world).sign_in()).state == "signed_in"


async def test_a_suspended_person_has_no_session(world: World) -> None:
    """It is refused while the account is suspended, and lives on afterwards."""
    user = await member(world)
    visitor = Visitor(world)
    await visitor.sign_in()
    suspend = auth.SetAccountStatus(account_id=user.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    with pytest.raises(Forbidden, match="suspended"):
        await visitor.whoami()

    reactivate = auth.SetAccountStatus(account_id=user.account_id, status="active")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, reactivate)
    assert (await visitor.whoami()).user_id == user.id
