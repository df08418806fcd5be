"""Sign-in by others: only in the browser that set out, once, by whoever the issuer proves, and never into another's account."""

import pytest
from joserfc.jwk import OctKey, RSAKey

from services.auth.settings import AuthSettings
from shared.contracts import auth, people, site
from shared.contracts.call import Empty
from shared.errors import Forbidden, InvalidRequest, NotFound, RelayError, Unavailable, UpstreamFailed
from tests.auth.conftest import World
from tests.auth.issuers import CLIENT_ID, CLIENT_SECRET, Liar
from tests.auth.oidc import (
    EMAIL,
    agree,
    by_liar,
    come_back,
    let_sign_up,
    query_of,
    start,
    with_issuers,
    with_query,
)
from tests.auth.people import PASSWORD, find_session, set_up_totp, sign_up

pytestmark = pytest.mark.filterwarnings(
    "ignore::authlib.deprecate.AuthlibDeprecationWarning"
)  # in the issuer


@pytest.fixture
def settings(settings: AuthSettings, issuer: str, false_issuer: Liar) -> AuthSettings:
    """With issuers."""
    return with_issuers(settings, issuer, false_issuer)


async def test_the_question_has_what_the_protocol_asks_for(world: World, issuer: str) -> None:
    """Code flow, PKCE with SHA-256, a state and a nonce that nobody can guess, and our own address to come back to."""
    asked, other = query_of(await start(world)), query_of(await start(world))

    assert asked["redirect_uri"] == "https://relay.example/api/oidc/honest/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert (asked["client_id"], asked["scope"]) == (CLIENT_ID, "openid email profile")
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 43
        assert asked[name] != other[name]


async def test_somebody_new_comes_in(world: World, issuer: str) -> None:
    """With an account that billing knows and a confirmed address; the second time it is the same person."""
    await let_sign_up(world, "open")
    signed = await come_back(world, await agree(await start(world), issuer))
    assert signed.session_token is not None
    session = await find_session(world, signed.session_token)
    assert session.email == EMAIL
    person = await world.edge.call(people.GET_PERSON, people.GetPerson(user_id=session.user_id))
    assert (person.has_password, person.is_confirmed) == (False, True)
    assert [put.account_id for put in world.billing.accounts] == [session.account_id]

    again = await come_back(world, await agree(await start(world), issuer, email="new@example.com"))
    assert again.session_token is not None
    assert (await find_session(world, again.session_token)).user_id == session.user_id


async def test_a_confirmed_address_here_and_there_is_one_person(world: World, issuer: str) -> None:
    """Who has an account with that address comes into it."""
    ada = await sign_up(world)
    signed = await come_back(world, await agree(await start(world), issuer, email="Ada@Example.com"))
    assert signed.session_token is not None
    assert (await find_session(world, signed.session_token)).user_id == ada.user_id


async def test_an_address_that_is_not_confirmed_here_is_not_joined(world: World, issuer: str) -> None:
    """Somebody else may have made that account, and waits for its owner to come."""
    await sign_up(world)
    await world.execute("UPDATE auth.app_user SET email_confirmed_at = NULL")
    with pytest.raises(Forbidden) as caught:
        await come_back(world, await agree(await start(world), issuer))
    assert caught.value.code == "email_not_confirmed"
    assert await world.rows("SELECT count(*) FROM auth.identity") == [(0,)]


@pytest.mark.parametrize("is_verified", [False, None, "false", 1])
async def test_an_address_that_the_issuer_has_not_verified_opens_nothing(
    world: World, issuer: str, is_verified: object
) -> None:
    """Neither an account of that address nor a new one."""
    await let_sign_up(world, "open")
    await sign_up(world)
    with pytest.raises(RelayError) as caught:
        await come_back(world, await agree(await start(world), issuer, is_verified=is_verified))
    assert caught.value.code in ("oidc_email_unverified", "issuer_refused")
    assert await world.rows("SELECT count(*) FROM auth.app_user") == [(1,)]


async def test_the_site_decides_who_signs_up(world: World, issuer: str) -> None:
    """As for everybody else; an invitation is used up."""
    with pytest.raises(Forbidden, match="sign up"):
        await come_back(world, await agree(await start(world), issuer))
    await let_sign_up(world, "invitation")
    with pytest.raises(Forbidden) as caught:
        await come_back(world, await agree(await start(world), issuer))
    assert caught.value.code == "invitation_needed"

    invited = await world.operator.call(site.INVITE, site.Invite(email=EMAIL))
    token = invited.url.partition("=")[2]
    back = await agree(await start(world, invitation=token), issuer)
    assert (await come_back(world, back)).session_token is not None
    assert await world.rows("SELECT count(*) FROM auth.invitation WHERE used_at IS NOT NULL") == [(1,)]


async def test_the_second_factor_is_asked_for_here(world: World, issuer: str) -> None:
    """An issuer proves an address, not that nobody else has it."""
    await set_up_totp(world, await sign_up(world))
    signed = await come_back(world, await agree(await start(world), issuer))
    assert (signed.state, signed.session_token, signed.factors) == (
        "second_factor",
        None,
        ("totp", "recovery_code"),
    )


async def test_a_state_is_good_once_and_in_its_browser(world: World, issuer: str) -> None:
    """Neither made up, nor shown again, nor in the browser of somebody who was sent a link, nor at another provider."""
    await sign_up(world)
    back = await agree(await start(world), issuer)
    with pytest.raises(InvalidRequest) as caught:
        await come_back(world, {**back, "state": back["state"][:-1] + "x"})
    assert caught.value.code == "oidc_state_invalid"
    await come_back(world, back)
    with pytest.raises(InvalidRequest, match="Begin again"):
        await come_back(world, back)

    back = await agree(await start(world), issuer)
    with pytest.raises(InvalidRequest, match="Begin again"):
        await come_back(world, back, browser="another browser")
    with pytest.raises(InvalidRequest, match="Begin again"):
        await come_back(world, back)
    with pytest.raises(InvalidRequest, match="Begin again"):
        await come_back(world, await agree(await start(world), issuer), provider="liar")
    mixed = {**await agree(await start(world), issuer), "iss": "https://other.example"}
    with pytest.raises(InvalidRequest, match="Begin again"):
        await come_back(world, mixed)


async def test_a_code_that_was_used_is_refused(world: World, issuer: str) -> None:
    """By the issuer, with a new state."""
    await sign_up(world)
    used = await agree(await start(world), issuer)
    await come_back(world, used)
    fresh = await agree(await start(world), issuer)
    with pytest.raises(UpstreamFailed):
        await come_back(world, {**fresh, "code": used["code"]})


async def test_a_token_of_another_sign_in_is_refused(world: World, issuer: str) -> None:
    """Its nonce is not the one that this browser left with."""
    await sign_up(world)
    url = with_query(await start(world), nonce="of somebody else")
    with pytest.raises(UpstreamFailed) as caught:
        await come_back(world, await agree(url, issuer))
    assert caught.value.code == "issuer_refused"


async def test_somebody_who_does_not_agree_is_led_back(world: World) -> None:
    """With a code that says so."""
    back = query_of(await start(world))
    with pytest.raises(Forbidden) as caught:
        await come_back(world, {"state": back["state"], "error": "access_denied"})
    assert caught.value.code == "oidc_cancelled"


async def test_an_issuer_that_is_away(world: World) -> None:
    """Is told as that, and soon."""
    with pytest.raises(Unavailable) as caught:
        await start(world, "away")
    assert caught.value.code == "issuer_unreachable"


async def test_a_provider_that_there_is_not(world: World) -> None:
    """Whatever it is called."""
    for name in ("nobody", "", "../honest"):
        with pytest.raises(NotFound):
            await start(world, name)


async def test_the_site_tells_its_providers(world: World) -> None:
    """By name, and nothing of their secrets."""
    told = await world.edge.call(site.GET_SITE, Empty())
    assert [(each.id, each.name) for each in told.providers][:2] == [("honest", "Honest"), ("liar", "Liar")]
    assert CLIENT_SECRET not in repr(told)


async def test_a_suspended_account_does_not_come_in(world: World, issuer: str) -> None:
    """By no issuer."""
    ada = await sign_up(world)
    suspend = auth.SetAccountStatus(account_id=ada.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    with pytest.raises(Forbidden, match="suspended"):
        await come_back(world, await agree(await start(world), issuer))


async def test_the_verifier_and_the_secret_go_to_the_issuer_alone(world: World, false_issuer: Liar) -> None:
    """The secret in the header, as the issuer says by default; the verifier is that of the challenge."""
    await sign_up(world)
    signed = await by_liar(world, false_issuer)
    assert signed.session_token is not None
    ((_, form, authorization),) = [each for each in false_issuer.asked if each[0] == "/token"]
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert authorization.startswith("Basic ")

    configuration = false_issuer.answer("/.well-known/openid-configuration")
    assert CLIENT_SECRET not in repr(configuration)
    assert PASSWORD not in repr(false_issuer.asked)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": None}, {"nonce": "another"}, {"iss": "https://evil.example"}, {"aud": "somebody else"},
        {"aud": [CLIENT_ID, "other"]}, {"exp": 1}, {"exp": None}, {"iat": None}, {"sub": None}, {"azp": "other"},
        {"at_hash": "of another token"}, {"email": 7},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_token_that_proves_nothing(
    world: World, false_issuer: Liar, claims: dict[str, object]
) -> None:
    """By OpenID Connect Core §3.1.3.7 it must be for us, of now, from this issuer, and of this sign-in."""
    await sign_up(world)
    with pytest.raises(UpstreamFailed):
        await by_liar(world, false_issuer, **claims)


async def test_a_signature_by_another_key_is_refused(world: World, false_issuer: Liar) -> None:
    """Also one with our own secret, which a client has, and none at all."""
    await sign_up(world)
    false_issuer.signed_by = RSAKey.generate_key(2048, {"kid": "first"})
    with pytest.raises(UpstreamFailed):
        await by_liar(world, false_issuer)
    false_issuer.signed_by = OctKey.import_key(CLIENT_SECRET * 2, {"kid": "first"})  # type: ignore[assignment]  # another kind
    false_issuer.header = {"alg": "HS256"}
    with pytest.raises(UpstreamFailed):
        await by_liar(world, false_issuer)
    false_issuer.is_signing = False
    with pytest.raises(UpstreamFailed):
        await by_liar(world, false_issuer)


async def test_new_keys_of_an_issuer_are_fetched(world: World, false_issuer: Liar) -> None:
    """When a token names one that is not known; and not each time that somebody makes one up."""
    await sign_up(world)
    await by_liar(world, false_issuer)
    assert false_issuer.times_asked("/keys") == 1
    false_issuer.signed_by = RSAKey.generate_key(2048, {"kid": "unknown"})
    for _ in range(3):
        with pytest.raises(UpstreamFailed):
            await by_liar(world, false_issuer)
    assert false_issuer.times_asked("/keys") == 1  # fetched less than a minute ago


async def test_an_address_from_the_userinfo_endpoint(world: World, false_issuer: Liar) -> None:
    """Where the token has none, and only of the same subject."""
    ada = await sign_up(world)
    false_issuer.answers["/userinfo"] = {"sub": "8", "email": EMAIL, "email_verified": True}
    with pytest.raises(UpstreamFailed):
        await by_liar(world, false_issuer, email=None)
    false_issuer.answers["/userinfo"] = {"sub": "7", "email": EMAIL, "email_verified": True}
    signed = await by_liar(world, false_issuer, email=None)
    assert signed.session_token is not None
    assert (await find_session(world, signed.session_token)).user_id == ada.user_id


@pytest.mark.parametrize(
    "published",
    [
        b"<html>", b"", b"[" * 100_000, b'{"issuer": "' + b"x" * 2_000_000 + b'"}', {}, {"issuer": "https://other.example"},
    ],
    ids=["html", "empty", "nested", "large", "nothing", "other"],
)  # fmt: skip
async def test_an_issuer_that_publishes_nonsense(world: World, false_issuer: Liar, published: object) -> None:
    """Is an error of theirs, never one of ours."""
    usual = false_issuer.answer("/.well-known/openid-configuration")
    false_issuer.answers["/.well-known/openid-configuration"] = (
        {**usual, **published} if isinstance(published, dict) and published else published
    )
    with pytest.raises((UpstreamFailed, Unavailable)):
        await start(world, "liar")
