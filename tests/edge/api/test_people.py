"""Signing up and in over HTTP: what a browser is told, what its cookie carries, and when that is worth nothing."""

import asyncio

import asyncpg
import msgspec

from shared.ids import uuid7
from tests.cli.conftest import Relay
from tests.edge.api.browser import NEW, PASSWORD, Browser, address
from tests.edge.api.conftest import member, open_sign_up, signed_in


async def test_from_the_form_to_the_first_page(browser: Browser, running: Relay) -> None:
    """Sign up, follow the link, be signed in, sign out: what a newcomer does."""
    await open_sign_up(running)
    email = address()
    assert await browser.ask("POST", "/sign-up", email=email, password=PASSWORD, language="zh") == {}
    assert browser.cookie is None
    token = await browser.token(email)

    answer = await browser.ask("POST", "/sign-up/confirm", token=token)

    assert answer == {"state": "signed_in", "ticket": None, "factors": []}
    kept = browser.cookie or ""
    assert len(kept) == 43
    assert kept not in browser.last.text
    me = await browser.ask("GET", "/me")
    assert (me["email"], me["role"], me["language"], me["has_password"], me["is_fresh"]) == (
        email, "member", "zh", True, True,
    )  # fmt: skip
    assert await browser.ask("POST", "/sign-out") == {}
    assert browser.cookie is None
    assert await browser.refused("GET", "/me", 401) == ("sign_in_needed", None)
    browser.http.cookies.set("relay-session", kept)
    assert (await browser.refused("GET", "/me", 401))[0] == "session_ended"
    assert await browser.refused("POST", "/sign-up/confirm", 400, token=token) == ("link_not_valid", "token")


async def test_the_form_tells_what_is_wrong_with_what_was_entered(browser: Browser, running: Relay) -> None:
    """By its field; who has an account is told to nobody."""
    await open_sign_up(running)
    known = address()
    await member(running, known)
    assert await browser.ask("POST", "/sign-up", email=known, password=NEW) == {}
    assert "already has an account" in await browser.message(known)
    assert await browser.refused("POST", "/sign-up", 400, email="ada", password=NEW) == (
        "invalid_value", "email",
    )  # fmt: skip
    assert await browser.refused("POST", "/sign-up", 400, email=address(), password="short") == (
        "password_length", "password",
    )  # fmt: skip
    assert await browser.refused("POST", "/sign-up", 400, email=address(), password="iloveyou1") == (
        "password_too_common", "password",
    )  # fmt: skip
    assert (await browser.refused("POST", "/sign-up", 400, email=address(), password=NEW, role="admin"))[
        0
    ] == "invalid_value"
    assert await browser.refused("POST", "/sign-up/confirm", 400, token="x" * 1000) == (
        "link_not_valid", "token",
    )  # fmt: skip


async def test_a_site_that_is_closed_says_so(browser: Browser, running: Relay) -> None:
    """And one by invitation says what is needed."""
    await open_sign_up(running, "off")
    assert (await browser.refused("POST", "/sign-up", 403, email=address(), password=NEW))[0] == "sign_up_off"
    await open_sign_up(running, "invitation")
    assert await browser.refused("POST", "/sign-up", 403, email=address(), password=NEW) == (
        "invitation_needed", "invitation",
    )  # fmt: skip
    assert await browser.refused("POST", "/sign-up", 403, email=address(), password=NEW, invitation="x") == (
        "invitation_not_valid",
        "invitation",
    )


async def test_signing_in_replaces_the_session_of_the_browser(browser: Browser, running: Relay) -> None:
    """A session that somebody planted there ends; what is wrong is told alike for everybody."""
    await signed_in(browser, running)
    planted = browser.cookie
    email = await signed_in(browser, running)
    assert browser.cookie != planted
    assert (await browser.ask("GET", "/me"))["email"] == email
    browser.http.cookies.set("relay-session", planted or "")
    assert (await browser.refused("GET", "/me", 401))[0] == "session_ended"
    for who in (email, address("nobody"), "nobody"):
        assert await browser.refused("POST", "/sign-in", 401, email=who, password=NEW) == (
            "wrong_credentials", None,
        )  # fmt: skip


async def test_a_suspended_person_sees_what_anybody_sees(browser: Browser, running: Relay) -> None:
    """Their session is refused where somebody is needed, and hinders nobody from signing in with that browser."""
    await signed_in(browser, running)
    account_id = (await browser.ask("GET", "/me"))["account_id"]
    await asyncio.to_thread(running.text, "account", "suspend", str(account_id))
    assert (await browser.refused("GET", "/me", 403))[0] == "account_suspended"
    assert (await browser.ask("GET", "/site"))["sign_up"] in ("open", "invitation", "off")
    other = await signed_in(browser, running)
    assert (await browser.ask("GET", "/me"))["email"] == other


async def test_who_guesses_is_told_how_long_to_wait(browser: Browser, running: Relay) -> None:
    """With a true hint for the next try."""
    email = address("nobody")
    for _ in range(5):
        await browser.refused("POST", "/sign-in", 401, email=email, password=NEW)
    await execute(running, "UPDATE auth.attempt SET blocked_until = blocked_until + interval '50 s'")
    assert await browser.refused("POST", "/sign-in", 429, email=email, password=NEW) == (
        "too_many_attempts", None,
    )  # fmt: skip
    assert 0 < int(browser.last.headers["retry-after"]) <= 60


async def test_a_forgotten_password_is_set_anew(browser: Browser, url: str, running: Relay) -> None:
    """By the link of the message, once; every session of the person ends, and nobody is signed in by it."""
    email = await signed_in(browser, running)
    other = Browser(url)
    async with other.http:
        assert await other.ask("POST", "/password/forgot", email=email) == {}
        assert await other.ask("POST", "/password/forgot", email=address("nobody")) == {}
        token = await other.token(email)
        assert await other.refused("POST", "/password/reset", 400, token=token, password="short") == (
            "password_length", "password",
        )  # fmt: skip
        assert await other.ask("POST", "/password/reset", token=token, password=NEW) == {}
        assert other.cookie is None
        assert await other.refused("POST", "/password/reset", 400, token=token, password=PASSWORD) == (
            "link_not_valid", "token",
        )  # fmt: skip
        await other.ask("POST", "/sign-in", email=email, password=NEW)
    assert (await browser.refused("GET", "/me", 401))[0] == "session_ended"


async def test_a_password_is_changed_under_a_new_cookie(browser: Browser, url: str, running: Relay) -> None:
    """The browser stays signed in, and every other place is not."""
    email = await signed_in(browser, running)
    before = browser.cookie
    other = Browser(url)
    async with other.http:
        await other.ask("POST", "/sign-in", email=email, password=PASSWORD)
        assert await browser.refused("POST", "/me/password", 400, current=NEW, password=NEW) == (
            "wrong_password", "current",
        )  # fmt: skip
        assert await browser.ask("POST", "/me/password", current=PASSWORD, password=NEW) == {}
        assert browser.cookie != before
        assert (await browser.ask("GET", "/me"))["email"] == email
        assert (await other.refused("GET", "/me", 401))[0] == "session_ended"


async def test_showing_the_password_again_makes_the_session_fresh(browser: Browser, running: Relay) -> None:
    """What is dangerous works then; the cookie is a new one."""
    email = await signed_in(browser, running, "admin")
    before = browser.cookie
    await execute(
        running,
        f"""UPDATE auth.session SET fresh_at = now() - interval '1 hour' WHERE user_id =
        (SELECT id FROM auth.app_user WHERE email = '{email}')""",
    )
    assert (await browser.ask("GET", "/me"))["is_fresh"] is False
    settings = await browser.ask("GET", "/operator/settings")
    assert (await browser.refused("PUT", "/operator/settings", 403, **settings))[0] == "fresh_sign_in_needed"
    assert await browser.refused("POST", "/me/confirm", 400, factor="password", secret=NEW) == (
        "wrong_password", "secret",
    )  # fmt: skip

    me = await browser.ask("POST", "/me/confirm", factor="password", secret=PASSWORD)

    assert me["is_fresh"] is True
    assert browser.cookie != before
    await browser.ask("PUT", "/operator/settings", **settings)


async def test_people_see_and_end_where_they_are_signed_in(
    browser: Browser, url: str, running: Relay
) -> None:
    """One place, all others, or their own; another's place is not found."""
    email = await signed_in(browser, running)
    first, second, stranger = Browser(url), Browser(url), Browser(url)
    async with first.http, second.http, stranger.http:
        for each in (first, second):
            await each.ask("POST", "/sign-in", email=email, password=PASSWORD)
        await signed_in(stranger, running)
        listed = await browser.ask("GET", "/me/sessions")
        items = msgspec.convert(listed["items"], list[dict[str, object]])
        assert [item["is_current"] for item in items] == [False, False, True]
        assert {item["agent"] for item in items} == {"Firefox on Linux"}
        assert {item["address"] for item in items} == {"127.0.0.1"}
        for path in (f"/me/sessions/{items[0]['id']}", f"/me/sessions/{uuid7()}", "/me/sessions/x"):
            assert (await stranger.refused("DELETE", path, 404))[0] == "not_found"

        assert await browser.ask("DELETE", f"/me/sessions/{items[0]['id']}") == {}
        assert (await second.refused("GET", "/me", 401))[0] == "session_ended"
        assert await browser.ask("POST", "/me/sessions/end-others") == {}
        assert (await first.refused("GET", "/me", 401))[0] == "session_ended"
        assert (await stranger.ask("GET", "/me"))["role"] == "member"
        assert await browser.ask("DELETE", f"/me/sessions/{items[2]['id']}") == {}
        assert browser.cookie is None


async def test_people_choose_their_language(browser: Browser, running: Relay) -> None:
    """What is not given stays; nothing else can be set."""
    await signed_in(browser, running)
    assert (await browser.ask("PATCH", "/me", language="zh"))["language"] == "zh"
    assert (await browser.ask("PATCH", "/me"))["language"] == "zh"
    for change in ({"language": "fr"}, {"role": "admin"}, {"email": "root@example.com"}, {"account_id": "x"}):
        assert (await browser.refused("PATCH", "/me", 400, **change))[0] == "invalid_value"
    assert (await browser.ask("GET", "/me"))["role"] == "member"


async def execute(running: Relay, statement: str) -> None:
    """Change what the database holds."""
    connection = await asyncpg.connect(running.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_session_opens_nothing_else(browser: Browser, running: Relay) -> None:
    """Neither `/v1` by its cookie or token, nor this API as a key; another site's page does nothing with it."""
    await signed_in(browser, running)
    token = browser.cookie or ""
    assert (await browser.http.get("/v1/key")).status_code == 401
    assert (
        await browser.http.get("/v1/key", headers={"authorization": f"Bearer {token}"})
    ).status_code == 401
    stranger = {"authorization": f"Bearer {token}"}
    assert (await browser.http.get("/api/me", headers=stranger)).status_code == 401
    elsewhere = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await browser.http.post("/api/sign-out", headers=elsewhere)).status_code == 403
    assert (await browser.ask("GET", "/me"))["role"] == "member"
