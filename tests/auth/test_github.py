"""Sign-in by GitHub, which has no ID token: its API is asked who came."""

import pytest

from services.auth.settings import AuthSettings
from shared.errors import Forbidden, UpstreamFailed
from tests.auth.conftest import World
from tests.auth.issuers import Liar
from tests.auth.oidc import EMAIL, come_back, query_of, start, with_issuers
from tests.auth.people import find_session, sign_up

pytestmark = pytest.mark.filterwarnings(
    "ignore::authlib.deprecate.AuthlibDeprecationWarning"
)  # in the issuer


@pytest.fixture
def settings(settings: AuthSettings, issuer: str, false_issuer: Liar) -> AuthSettings:
    """With issuers."""
    return with_issuers(settings, issuer, false_issuer)


async def test_github_tells_the_first_verified_address(world: World, false_issuer: Liar) -> None:
    """The primary one; it has no ID token, so its API is asked, with the token that the code was worth."""
    ada = await sign_up(world)
    false_issuer.answers |= {
        "/login/oauth/access_token": {
            "access_token": "gho_token",
            "token_type": "bearer",
            "scope": "user:email",
        },
        "/api/v3/user": {"id": 583231, "login": "ada", "email": "public@example.com"},
        "/api/v3/user/emails": [
            {"email": "other@example.com", "primary": False, "verified": True, "visibility": None},
            {"email": EMAIL, "primary": True, "verified": True, "visibility": "private"},
        ],
    }
    asked = query_of(await start(world, "hub"))
    assert (asked["scope"], asked["code_challenge_method"], "nonce" in asked) == (
        "read:user user:email",
        "S256",
        False,
    )
    signed = await come_back(world, {"state": asked["state"], "code": "a code"}, "hub")

    assert signed.session_token is not None
    assert (await find_session(world, signed.session_token)).user_id == ada.user_id
    assert await world.rows("SELECT issuer, subject FROM auth.identity") == [(false_issuer.url, "583231")]
    assert [each[2] for each in false_issuer.asked[-2:]] == ["Bearer gho_token"] * 2


@pytest.mark.parametrize(
    ("token", "emails"),
    [
        ({"error": "bad_verification_code"}, []),
        ({"access_token": "t"}, [{"email": EMAIL, "primary": True, "verified": False}]),
        ({"access_token": "t"}, [{"email": EMAIL, "primary": False, "verified": True}]),
    ],
)
async def test_github_that_proves_no_address(
    world: World, false_issuer: Liar, token: dict[str, str], emails: list[dict[str, object]]
) -> None:
    """A used code, which GitHub answers with 200; an address that is not verified, or not the primary one."""
    await sign_up(world)
    false_issuer.answers |= {
        "/login/oauth/access_token": token, "/api/v3/user": {"id": 1}, "/api/v3/user/emails": emails,
    }  # fmt: skip
    asked = query_of(await start(world, "hub"))
    with pytest.raises((Forbidden, UpstreamFailed)):
        await come_back(world, {"state": asked["state"], "code": "a code"}, "hub")
