"""Authenticators and recovery codes: in force after a code, each code once, counted tries, and a way back."""

import asyncio

import pytest

from shared.contracts import auth, factors, people
from shared.errors import Forbidden, InvalidRequest, NotFound, RateLimited, RelayError, Unauthenticated
from tests.auth.conftest import World
from tests.auth.device import Device
from tests.auth.people import (
    CLIENT,
    add_passkey,
    code_of,
    find_session,
    set_up_totp,
    show_code,
    sign_in,
    sign_up,
)


async def ticket(world: World) -> str:
    """Return the ticket of a right password."""
    signed = await sign_in(world)
    assert (signed.state, signed.session_token) == ("second_factor", None)
    assert signed.ticket is not None
    return signed.ticket


async def test_a_secret_is_not_in_force_before_a_code_of_it(world: World) -> None:
    """Whoever closes the page meanwhile signs in as before."""
    ada = await sign_up(world)
    begun = await world.edge.call(factors.BEGIN_TOTP, factors.OfPerson(user_id=ada.user_id))

    assert (await sign_in(world)).state == "signed_in"
    with pytest.raises(InvalidRequest, match="wrong"):
        await world.edge.call(factors.CONFIRM_TOTP, factors.ConfirmTotp(user_id=ada.user_id, code="000000x"))
    confirm = factors.ConfirmTotp(user_id=ada.user_id, code=code_of(begun.secret))
    made = await world.edge.call(factors.CONFIRM_TOTP, confirm)

    assert len(set(made.codes)) == 10
    signed = await sign_in(world)
    assert (signed.state, signed.factors) == ("second_factor", ("totp", "recovery_code"))
    person = await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=ada.user_id))
    assert (person.has_totp, person.recovery_codes_left) == (True, 10)
    with pytest.raises(InvalidRequest, match="set-up"):
        await world.edge.call(factors.CONFIRM_TOTP, confirm)


async def test_a_code_signs_in_once(world: World) -> None:
    """Not a second time with another ticket, and neither does the code before it."""
    ada = await sign_up(world)
    secret, _ = await set_up_totp(world, ada)

    before, code = code_of(secret, -1), code_of(secret)
    signed = await show_code(world, await ticket(world), code)
    assert signed.session_token is not None
    assert (await find_session(world, signed.session_token)).user_id == ada.user_id

    again = await ticket(world)
    for used in (code, before):
        with pytest.raises(InvalidRequest, match="wrong, or was used"):
            await show_code(world, again, used)


async def test_a_changed_key_is_told_and_leaves_recovery_codes(world: World) -> None:
    """Who had an authenticator before learns that the site cannot check it any more, and gets in by another way."""
    ada = await sign_up(world)
    secret, codes = await set_up_totp(world, ada)
    other_key_id = "sealed = set_byte(sealed, 2, get_byte(sealed, 2) # 1)"  # the first byte of its name
    await world.execute(f"UPDATE auth.totp SET {other_key_id}")

    with pytest.raises(InvalidRequest, match="not the one that it was"):
        await show_code(world, await ticket(world), code_of(secret))
    assert (await show_code(world, await ticket(world), codes[0], "recovery_code")).session_token is not None


async def test_the_code_that_put_it_in_force_is_used_up(world: World) -> None:
    """Whoever looked over the shoulder has nothing."""
    ada = await sign_up(world)
    begun = await world.edge.call(factors.BEGIN_TOTP, factors.OfPerson(user_id=ada.user_id))
    code = code_of(begun.secret)
    await world.edge.call(factors.CONFIRM_TOTP, factors.ConfirmTotp(user_id=ada.user_id, code=code))
    with pytest.raises(InvalidRequest, match="wrong"):
        await show_code(world, await ticket(world), code)


async def test_of_two_who_show_a_code_at_once_one_gets_in(world: World) -> None:
    """Whichever comes first."""
    ada = await sign_up(world)
    secret, _ = await set_up_totp(world, ada)
    first, second = await ticket(world), await ticket(world)
    code = code_of(secret)

    results = await asyncio.gather(
        show_code(world, first, code), show_code(world, second, code), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["InvalidRequest", "SignedIn"]


async def test_a_ticket_signs_in_once(world: World) -> None:
    """And only what was made for a second factor."""
    ada = await sign_up(world)
    secret, codes = await set_up_totp(world, ada)
    shown = await ticket(world)
    await show_code(world, shown, code_of(secret))

    for each in (shown, "made up"):
        with pytest.raises(InvalidRequest, match="Begin again"):
            await show_code(world, each, codes[0], "recovery_code")
    person = await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=ada.user_id))
    assert person.recovery_codes_left == 10


async def test_a_recovery_code_signs_in_once(world: World) -> None:
    """However it is written."""
    ada = await sign_up(world)
    _, codes = await set_up_totp(world, ada)

    written = codes[0].upper().replace("-", " ").replace("0", "O").replace("1", "l")
    assert (await show_code(world, await ticket(world), written, "recovery_code")).session_token is not None
    with pytest.raises(InvalidRequest, match="wrong"):
        await show_code(world, await ticket(world), codes[0], "recovery_code")
    person = await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=ada.user_id))
    assert person.recovery_codes_left == 9


async def test_new_recovery_codes_void_the_old_ones(world: World) -> None:
    """All of them."""
    ada = await sign_up(world)
    _, old = await set_up_totp(world, ada)
    new = await world.edge.call(factors.NEW_RECOVERY_CODES, factors.OfPerson(user_id=ada.user_id))

    with pytest.raises(InvalidRequest):
        await show_code(world, await ticket(world), old[0], "recovery_code")
    assert (await show_code(world, await ticket(world), new.codes[0], "recovery_code")).session_token


async def test_a_code_of_somebody_else_is_worth_nothing(world: World) -> None:
    """Neither of their authenticator nor of their recovery codes."""
    await set_up_totp(world, await sign_up(world))
    secret, codes = await set_up_totp(world, await sign_up(world, "eve@example.com"))

    with pytest.raises(InvalidRequest):
        await show_code(world, await ticket(world), code_of(secret))
    with pytest.raises(InvalidRequest):
        await show_code(world, await ticket(world), codes[0], "recovery_code")


async def test_tries_are_counted(world: World) -> None:
    """By person, whatever the ticket: a right code after too many wrong ones must wait, too."""
    ada = await sign_up(world)
    secret, _ = await set_up_totp(world, ada)
    tickets = [await ticket(world) for _ in range(3)]
    refused: list[RelayError] = []
    while not any(isinstance(each, RateLimited) for each in refused):
        with pytest.raises(RelayError) as caught:
            await show_code(world, tickets[len(refused) % 3], "000000x")
        refused.append(caught.value)
    assert len(refused) < 10
    assert refused[-1].retry_after_seconds is not None
    with pytest.raises(RateLimited):
        await show_code(world, tickets[0], code_of(secret))


async def test_a_session_is_confirmed_with_a_code(world: World) -> None:
    """Under a new token; the old one is void."""
    ada = await sign_up(world)
    secret, codes = await set_up_totp(world, ada)
    shown: list[tuple[people.CodeFactor, str]] = [("totp", code_of(secret)), ("recovery_code", codes[3])]
    for factor, code in shown:
        ask = people.ConfirmSession(
            user_id=ada.user_id, session_id=ada.session_id, factor=factor, secret=code, client=CLIENT
        )
        token = (await world.edge.call(people.CONFIRM_SESSION, ask)).session_token
        assert (await find_session(world, token)).is_fresh
        with pytest.raises(InvalidRequest, match="wrong"):
            await world.edge.call(people.CONFIRM_SESSION, ask)


async def test_a_new_authenticator_replaces_the_old_one_when_it_is_in_force(world: World) -> None:
    """Until then the old one is asked for."""
    ada = await sign_up(world)
    old, _ = await set_up_totp(world, ada)
    begun = await world.edge.call(factors.BEGIN_TOTP, factors.OfPerson(user_id=ada.user_id))
    assert (await show_code(world, await ticket(world), code_of(old))).session_token

    await world.edge.call(
        factors.CONFIRM_TOTP, factors.ConfirmTotp(user_id=ada.user_id, code=code_of(begun.secret))
    )
    await world.execute("UPDATE auth.totp SET last_step = 0")
    with pytest.raises(InvalidRequest):
        await show_code(world, await ticket(world), code_of(old))
    assert (await show_code(world, await ticket(world), code_of(begun.secret))).session_token


async def test_without_an_authenticator_a_password_is_enough_again(world: World) -> None:
    """And codes that would replace it go with it."""
    ada = await sign_up(world)
    await set_up_totp(world, ada)
    of_ada = factors.OfPerson(user_id=ada.user_id)
    await world.edge.call(factors.REMOVE_TOTP, of_ada)

    assert (await sign_in(world)).state == "signed_in"
    assert await world.rows("SELECT count(*) FROM auth.recovery_code") == [(0,)]
    with pytest.raises(NotFound):
        await world.edge.call(factors.REMOVE_TOTP, of_ada)
    with pytest.raises(InvalidRequest, match="no second factor"):
        await world.edge.call(factors.NEW_RECOVERY_CODES, of_ada)


async def test_a_suspended_account_does_not_sign_in_with_a_code(world: World) -> None:
    """Also where the password was shown before it was suspended."""
    ada = await sign_up(world)
    secret, _ = await set_up_totp(world, ada)
    shown = await ticket(world)
    suspend = auth.SetAccountStatus(account_id=ada.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    with pytest.raises(Forbidden, match="suspended"):
        await show_code(world, shown, code_of(secret))


async def test_secrets_are_not_in_the_database(world: World) -> None:
    """Neither of an authenticator, also while it waits, nor a recovery code."""
    ada = await sign_up(world)
    begun = await world.edge.call(factors.BEGIN_TOTP, factors.OfPerson(user_id=ada.user_id))
    secret, codes = await set_up_totp(world, ada)

    kept = repr(
        [
            await world.rows(f"SELECT each::text FROM auth.{table} AS each")
            for table in ("totp", "recovery_code", "ticket")
        ]
    )
    for text in (begun.secret, secret, *codes, *(code.replace("-", "") for code in codes)):
        assert text not in kept
        assert text.encode().hex() not in kept


async def test_an_operator_helps_whoever_has_lost_all_factors(world: World) -> None:
    """What was opened with one ends, too."""
    ada = await sign_up(world)
    await set_up_totp(world, ada)
    await add_passkey(world, ada, Device())
    shown = await ticket(world)
    session = await world.rows("SELECT count(*) FROM auth.session WHERE ended_at IS NULL")
    assert session == [(1,)]

    removed = await world.operator.call(
        factors.REMOVE_FACTORS, factors.RemoveFactors(email="ADA@example.com")
    )

    assert removed == factors.RemovedFactors(had_totp=True, passkeys=1, recovery_codes=10)
    assert await world.rows("SELECT count(*) FROM auth.session WHERE ended_at IS NULL") == [(0,)]
    with pytest.raises(InvalidRequest, match="Begin again"):
        await show_code(world, shown, "123456")
    assert (await sign_in(world)).state == "signed_in"
    with pytest.raises(NotFound):
        await world.operator.call(factors.REMOVE_FACTORS, factors.RemoveFactors(email="nobody@example.com"))


async def test_a_session_that_has_ended_is_not_confirmed(world: World) -> None:
    """A code does not revive it."""
    ada = await sign_up(world)
    secret, _ = await set_up_totp(world, ada)
    await world.edge.call(people.END_SESSIONS, people.EndSessions(user_id=ada.user_id))
    ask = people.ConfirmSession(
        user_id=ada.user_id, session_id=ada.session_id, factor="totp", secret=code_of(secret), client=CLIENT
    )
    with pytest.raises(Unauthenticated):
        await world.edge.call(people.CONFIRM_SESSION, ask)
