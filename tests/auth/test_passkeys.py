"""Passkeys: alone or as second factor, each challenge once, here alone, by a verified person, and no copy of one."""

import contextlib
import json
import uuid
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import passkeys
from shared.bearer import sha256_of
from shared.contracts import auth, factors, people
from shared.errors import Forbidden, InvalidRequest, NotFound
from tests.auth.conftest import World
from tests.auth.device import BACKED_UP, BACKUP_ELIGIBLE, USER_VERIFIED, Device
from tests.auth.people import (
    CLIENT,
    SignedPerson,
    add_passkey,
    find_session,
    show_passkey,
    sign_in,
    sign_up,
    start_passkey,
)

SITE = passkeys.Site(host="localhost", origin="http://localhost:8080", name="Relay")


async def confirm(
    world: World, person: SignedPerson, begun: factors.PasskeyOptions, credential: str
) -> people.NewToken:
    """Show a passkey again."""
    ask = factors.ConfirmPasskey(
        user_id=person.user_id, session_id=person.session_id, challenge_sha256=sha256_of(begun.challenge_id),
        credential=credential, client=CLIENT,
    )  # fmt: skip
    return await world.edge.call(factors.CONFIRM_PASSKEY, ask)


async def test_a_passkey_alone_signs_in(world: World) -> None:
    """Whoever has it need not even say who they are."""
    ada = await sign_up(world)
    device = Device()
    made = await add_passkey(world, ada, device, "  telephone ")
    assert made.name == "telephone"
    begun = await start_passkey(world)
    asked = json.loads(begun.options)
    assert (asked["rpId"], asked["userVerification"], asked["allowCredentials"]) == (
        "localhost",
        "required",
        [],
    )

    signed = await show_passkey(world, begun, device.show(begun.options))

    assert signed.session_token is not None
    assert (await find_session(world, signed.session_token)).user_id == ada.user_id
    (listed,) = (await world.edge.call(factors.LIST_PASSKEYS, factors.OfPerson(user_id=ada.user_id))).items
    assert (listed.id, listed.used_unix is not None, made.used_unix) == (made.id, True, None)


async def test_a_passkey_is_asked_for_after_the_password(world: World) -> None:
    """One of this person's."""
    ada = await sign_up(world)
    device = Device()
    await add_passkey(world, ada, device)
    first = await sign_in(world)
    assert (first.state, first.factors) == ("second_factor", ("passkey",))

    begun = await start_passkey(world, first.ticket)
    assert len(json.loads(begun.options)["allowCredentials"]) == 1
    signed = await show_passkey(world, begun, device.show(begun.options), first.ticket)

    assert signed.session_token is not None
    with pytest.raises(InvalidRequest, match="Begin again"):
        await start_passkey(world, first.ticket)


async def test_a_passkey_of_somebody_else_is_no_second_factor(world: World) -> None:
    """Also one that is good by itself."""
    ada, eve = await sign_up(world), await sign_up(world, "eve@example.com")
    await add_passkey(world, ada, Device())
    foreign = Device()
    await add_passkey(world, eve, foreign)
    first = await sign_in(world)
    begun = await start_passkey(world, first.ticket)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, begun, foreign.show(begun.options), first.ticket)


async def test_a_challenge_is_answered_once(world: World) -> None:
    """A good answer that is shown again is worth nothing, and neither is one after a bad answer."""
    ada = await sign_up(world)
    device = Device()
    await add_passkey(world, ada, device)
    begun = await start_passkey(world)
    answer = device.show(begun.options)
    await show_passkey(world, begun, answer)
    with pytest.raises(InvalidRequest, match="shown before"):
        await show_passkey(world, begun, answer)

    begun = await start_passkey(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, begun, device.show(begun.options, "https://relay.evil"))
    with pytest.raises(InvalidRequest, match="shown before"):
        await show_passkey(world, begun, device.show(begun.options))


async def test_a_challenge_is_good_for_what_it_was_made_for(world: World) -> None:
    """Neither for another purpose, nor for another person."""
    ada, eve = await sign_up(world), await sign_up(world, "eve@example.com")
    device = Device()
    await add_passkey(world, ada, device)

    begun = await start_passkey(world)
    with pytest.raises(InvalidRequest, match="shown before"):
        await confirm(world, ada, begun, device.show(begun.options))
    of_ada = await world.edge.call(factors.BEGIN_CONFIRM_PASSKEY, factors.OfPerson(user_id=ada.user_id))
    with pytest.raises(InvalidRequest, match="shown before"):
        await show_passkey(world, of_ada, device.show(of_ada.options))
    of_ada = await world.edge.call(factors.BEGIN_CONFIRM_PASSKEY, factors.OfPerson(user_id=ada.user_id))
    with pytest.raises(InvalidRequest, match="shown before"):
        await confirm(world, eve, of_ada, device.show(of_ada.options))


async def test_an_answer_to_another_challenge_is_refused(world: World) -> None:
    """What was signed is what was asked."""
    ada = await sign_up(world)
    device = Device()
    await add_passkey(world, ada, device)
    before, now = await start_passkey(world), await start_passkey(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, now, device.show(before.options))


@pytest.mark.parametrize(
    "origin", ["https://localhost:8080", "http://localhost", "http://localhost:8080.evil", "null"]
)
async def test_another_origin_is_refused(world: World, origin: str) -> None:
    """For a new passkey as for one that is shown."""
    ada = await sign_up(world)
    device = Device()
    begun = await world.edge.call(factors.BEGIN_PASSKEY, factors.OfPerson(user_id=ada.user_id))
    ask = factors.AddPasskey(
        user_id=ada.user_id,
        challenge_sha256=sha256_of(begun.challenge_id),
        credential=device.make(begun.options, origin),
    )
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await world.edge.call(factors.ADD_PASSKEY, ask)

    await add_passkey(world, ada, device)
    shown = await start_passkey(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, shown, device.show(shown.options, origin))


async def test_a_count_that_does_not_rise_is_refused(world: World) -> None:
    """Somebody else has a copy of it; an authenticator that counts nothing says zero each time."""
    ada = await sign_up(world)
    device = Device()
    await add_passkey(world, ada, device)
    for count, is_good in ((0, True), (7, True), (7, False), (6, False), (0, False), (8, True)):
        begun = await start_passkey(world)
        answer = device.show(begun.options, count=count)
        if is_good:
            assert (await show_passkey(world, begun, answer)).session_token
        else:
            with pytest.raises(InvalidRequest, match="could not be verified"):
                await show_passkey(world, begun, answer)
    assert await world.rows("SELECT sign_count FROM auth.passkey") == [(8,)]


async def test_a_person_who_was_not_verified_is_refused(world: World) -> None:
    """Presence alone, which a thief of the key has as well, is not enough."""
    ada = await sign_up(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await add_passkey(world, ada, Device(flags=0))

    device = Device()
    await add_passkey(world, ada, device)
    device.flags = 0
    begun = await start_passkey(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, begun, device.show(begun.options))


async def test_whether_a_passkey_is_backed_up_is_kept(world: World) -> None:
    """As it was told last."""
    ada = await sign_up(world)
    device = Device(flags=USER_VERIFIED | BACKUP_ELIGIBLE)
    await add_passkey(world, ada, device)
    rows = "SELECT is_backup_eligible, is_backed_up FROM auth.passkey"
    assert await world.rows(rows) == [(True, False)]

    device.flags |= BACKED_UP
    begun = await start_passkey(world)
    await show_passkey(world, begun, device.show(begun.options))
    assert await world.rows(rows) == [(True, True)]


async def test_a_session_is_confirmed_with_a_passkey(world: World) -> None:
    """Under a new token."""
    ada = await sign_up(world)
    device = Device()
    of_ada = factors.OfPerson(user_id=ada.user_id)
    with pytest.raises(InvalidRequest, match="no passkey"):
        await world.edge.call(factors.BEGIN_CONFIRM_PASSKEY, of_ada)
    await add_passkey(world, ada, device)
    await world.execute("UPDATE auth.session SET fresh_at = now() - interval '1 hour'")

    begun = await world.edge.call(factors.BEGIN_CONFIRM_PASSKEY, of_ada)
    token = (await confirm(world, ada, begun, device.show(begun.options))).session_token

    session = await find_session(world, token)
    assert (session.session_id, session.is_fresh) == (ada.session_id, True)


async def test_a_passkey_is_removed_by_its_owner_alone(world: World) -> None:
    """After which it is worth nothing."""
    ada, eve = await sign_up(world), await sign_up(world, "eve@example.com")
    device = Device()
    made = await add_passkey(world, ada, device)
    for passkey_id in (made.id, "none"):
        ask = factors.RemovePasskey(user_id=eve.user_id, passkey_id=passkey_id)
        with pytest.raises(NotFound):
            await world.edge.call(factors.REMOVE_PASSKEY, ask)

    await world.edge.call(
        factors.REMOVE_PASSKEY, factors.RemovePasskey(user_id=ada.user_id, passkey_id=made.id)
    )
    begun = await start_passkey(world)
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await show_passkey(world, begun, device.show(begun.options))
    assert (await sign_in(world)).state == "signed_in"


async def test_a_credential_belongs_to_one_person(world: World) -> None:
    """An authenticator that holds one already is told so; one that says the id of another's is refused."""
    ada, eve = await sign_up(world), await sign_up(world, "eve@example.com")
    device, copy = Device(), Device()
    await add_passkey(world, ada, device)
    begun = await world.edge.call(factors.BEGIN_PASSKEY, factors.OfPerson(user_id=ada.user_id))
    assert len(json.loads(begun.options)["excludeCredentials"]) == 1

    copy.will_say = device.credential_id
    with pytest.raises(InvalidRequest, match="could not be verified"):
        await add_passkey(world, eve, copy)
    assert await world.rows("SELECT user_id::text FROM auth.passkey") == [(ada.user_id,)]


async def test_a_suspended_account_does_not_sign_in_with_a_passkey(world: World) -> None:
    """As with no other proof."""
    ada = await sign_up(world)
    device = Device()
    await add_passkey(world, ada, device)
    suspend = auth.SetAccountStatus(account_id=ada.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    begun = await start_passkey(world)
    with pytest.raises(Forbidden, match="suspended"):
        await show_passkey(world, begun, device.show(begun.options))


CREATION = Device().make(
    passkeys.ask_to_make(SITE, challenge=b"c" * 32, user_id=uuid.UUID(int=7), email="a@b", known=())
)


@given(st.integers(min_value=0, max_value=len(CREATION) - 1), st.characters(codec="ascii"))
def test_a_damaged_answer_is_refused_or_read(place: int, character: str) -> None:
    """With our own error, whatever was damaged: nothing of it is a fault of ours."""
    damaged = CREATION[:place] + character + CREATION[place + 1 :]
    with contextlib.suppress(InvalidRequest):
        passkeys.made(SITE, damaged, challenge=b"c" * 32)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_as_an_answer_are_refused(data: bytes, more: bytes) -> None:
    """With our own error: no decoder of what was sent is trusted to raise only its own."""
    answer = json.loads(CREATION)
    answer["response"]["attestationObject"] = _text(data)
    with pytest.raises(InvalidRequest):
        passkeys.made(SITE, json.dumps(answer), challenge=b"c" * 32)
    shown = {"clientDataJSON": _text(more), "authenticatorData": _text(data), "signature": _text(more)}
    with pytest.raises(InvalidRequest):
        passkeys.shown(
            SITE,
            json.dumps({**answer, "response": shown}),
            challenge=b"c" * 32,
            public_key=data,
            sign_count=0,
        )


@pytest.mark.parametrize(
    "credential",
    ["", "null", "[]", "{}", '{"id": 1}', '{"id": "a", "response": {}}', "[" * 100_000, '{"id": "\\ud800"}'],
)
def test_what_is_no_answer_is_refused(credential: str) -> None:
    """Before anything of it is looked for."""
    with pytest.raises(InvalidRequest):
        passkeys.made(SITE, credential, challenge=b"c" * 32)


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
