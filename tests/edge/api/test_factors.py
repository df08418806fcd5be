"""Second factors, passkeys and management keys over HTTP, as a browser and a script meet them."""

import json
from typing import Any

import pytest

from tests.auth.device import Device
from tests.auth.people import code_of
from tests.cli.conftest import Relay
from tests.edge.api.browser import PASSWORD, Browser
from tests.edge.api.conftest import signed_in


async def set_up_totp(browser: Browser) -> tuple[str, list[str]]:
    """Return the secret of an authenticator that is in force, and recovery codes."""
    begun = await browser.ask("POST", "/me/totp")
    made = await browser.ask("POST", "/me/totp/confirm", code=code_of(str(begun["secret"])))
    return str(begun["secret"]), [str(code) for code in _list(made["codes"])]


async def first_step(browser: Browser, email: str) -> dict[str, object]:
    """Sign out, show the password, and return what comes then."""
    await browser.ask("POST", "/sign-out")
    answer = await browser.ask("POST", "/sign-in", email=email, password=PASSWORD)
    assert (answer["state"], browser.cookie) == ("second_factor", None)
    return answer


async def test_signing_in_with_a_recovery_code(browser: Browser, running: Relay) -> None:
    """There is no session before it was shown; `Me` tells how many are left."""
    email = await signed_in(browser, running)
    _, codes = await set_up_totp(browser)
    first = await first_step(browser, email)
    assert first["factors"] == ["totp", "recovery_code"]
    wrong = {"ticket": first["ticket"], "factor": "totp", "code": "x"}
    assert await browser.refused("POST", "/sign-in/factor", 400, **wrong) == ("wrong_code", "code")
    assert browser.cookie is None

    shown = {"ticket": first["ticket"], "factor": "recovery_code", "code": codes[0]}
    assert (await browser.ask("POST", "/sign-in/factor", **shown))["state"] == "signed_in"
    me = await browser.ask("GET", "/me")
    assert (me["has_totp"], me["recovery_codes_left"], me["is_fresh"]) == (True, 9, True)
    assert (await browser.refused("POST", "/sign-in/factor", 400, **shown))[0] == "sign_in_expired"


async def test_a_picture_for_the_authenticator(browser: Browser, running: Relay) -> None:
    """The same secret as text, as URI and as SVG."""
    email = await signed_in(browser, running)
    begun = await browser.ask("POST", "/me/totp")
    assert str(begun["secret"]) in str(begun["uri"])
    assert email.replace("@", "%40") in str(begun["uri"])
    assert str(begun["svg"]).startswith("<svg")


async def test_a_passkey_from_its_making_to_its_end(browser: Browser, running: Relay) -> None:
    """Made, shown instead of a password, shown again before what is dangerous, and removed."""
    email = await signed_in(browser, running)
    device, origin = Device(), "https://relay.example"
    begun = await browser.ask("POST", "/me/passkeys/start")
    credential = json.loads(device.make(json.dumps(begun["options"]), origin))
    body: dict[str, Any] = {
        "challenge_id": begun["challenge_id"],
        "credential": credential,
        "name": "telephone",
    }
    passkey = await browser.ask("POST", "/me/passkeys", **body)
    assert (passkey["name"], passkey["used"]) == ("telephone", None)
    assert (await browser.refused("POST", "/me/passkeys", 400, **body))[0] == "challenge_used"

    await browser.ask("POST", "/sign-out")
    asked = await browser.ask("POST", "/sign-in/passkey/start")
    shown = json.loads(device.show(json.dumps(asked["options"]), origin))
    answer = await browser.ask(
        "POST", "/sign-in/passkey", challenge_id=asked["challenge_id"], credential=shown
    )
    assert answer["state"] == "signed_in"
    me = await browser.ask("GET", "/me")
    assert (me["email"], me["passkeys"]) == (email, 1)

    before = browser.cookie
    again = await browser.ask("POST", "/me/confirm/passkey/start")
    shown = json.loads(device.show(json.dumps(again["options"]), origin))
    confirmed = await browser.ask(
        "POST", "/me/confirm/passkey", challenge_id=again["challenge_id"], credential=shown
    )
    assert confirmed["is_fresh"]
    assert browser.cookie not in (before, None)

    (listed,) = _list((await browser.ask("GET", "/me/passkeys"))["items"])
    assert listed["id"] == passkey["id"]
    await browser.ask("DELETE", f"/me/passkeys/{passkey['id']}")
    assert await browser.refused("DELETE", f"/me/passkeys/{passkey['id']}", 404) == ("not_found", None)


async def test_a_passkey_as_second_factor(browser: Browser, running: Relay) -> None:
    """After the password, with its ticket."""
    email = await signed_in(browser, running)
    device, origin = Device(), "https://relay.example"
    begun = await browser.ask("POST", "/me/passkeys/start")
    credential = json.loads(device.make(json.dumps(begun["options"]), origin))
    await browser.ask("POST", "/me/passkeys", challenge_id=begun["challenge_id"], credential=credential)

    first = await first_step(browser, email)
    asked = await browser.ask("POST", "/sign-in/passkey/start", ticket=first["ticket"])
    shown = json.loads(device.show(json.dumps(asked["options"]), origin))
    body: dict[str, Any] = {
        "challenge_id": asked["challenge_id"],
        "credential": shown,
        "ticket": first["ticket"],
    }
    assert (await browser.ask("POST", "/sign-in/passkey", **body))["state"] == "signed_in"


@pytest.mark.parametrize("credential", [None, 1, "x", [], {}, {"id": "x"}, {"id": "é", "response": {}}])
async def test_an_answer_that_is_none_is_refused(browser: Browser, credential: object) -> None:
    """With a sentence, whatever a browser sends."""
    asked = await browser.ask("POST", "/sign-in/passkey/start")
    body = {"challenge_id": asked["challenge_id"], "credential": credential}
    assert await browser.refused("POST", "/sign-in/passkey", 400, **body) == ("passkey_refused", "credential")


async def test_a_management_key_scripts_the_console(browser: Browser, running: Relay) -> None:
    """Everything that its person may, but what is about sessions; and nothing at `/v1`."""
    await signed_in(browser, running)
    made = await browser.ask("POST", "/me/management-keys", name="script", lifetime_days=30)
    secret, key_id = str(made["secret"]), str(_dict(made["key"])["id"])
    assert secret.startswith("mk-relay-")
    bearer = {"authorization": f"Bearer {secret}"}
    browser.http.cookies.clear()

    async def status(method: str, path: str, **body: object) -> int:
        answer = await browser.http.request(method, path, headers=bearer, json=body or None)
        return answer.status_code

    assert await status("GET", "/api/me") == 200
    assert await status("POST", "/api/keys", name="by a script") == 200
    assert await status("POST", "/api/me/management-keys", name="more") == 403
    assert await status("GET", "/v1/key") == 401
    assert await status("GET", "/api/me/management-keys") == 200
    api_key = (await browser.http.post("/api/keys", headers=bearer, json={"name": "x"})).json()["secret"]
    wrong = await browser.http.get("/api/me", headers={"authorization": f"Bearer {api_key}"})
    assert wrong.status_code == 401

    assert await status("DELETE", f"/api/me/management-keys/{key_id}") == 200
    assert await status("GET", "/api/me") == 401


async def test_nobody_ends_the_management_key_of_another(browser: Browser, running: Relay, url: str) -> None:
    """Nor sees it."""
    await signed_in(browser, running)
    made = await browser.ask("POST", "/me/management-keys", name="mine")
    other = Browser(url)
    async with other.http:
        await signed_in(other, running)
        path = f"/me/management-keys/{_dict(made['key'])['id']}"
        assert await other.refused("DELETE", path, 404) == ("not_found", None)
        assert (await other.ask("GET", "/me/management-keys"))["items"] == []
    assert len(_list((await browser.ask("GET", "/me/management-keys"))["items"])) == 1


async def test_a_sign_in_elsewhere_that_fails_leads_back(browser: Browser) -> None:
    """To the sign-in page, which has a sentence for the code; never to an error page, and to no other site."""
    path = "/api/oidc/nobody/callback?state=x&code=y&session_state=theirs"
    answer = await browser.http.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in?error=not_found")


async def test_a_sign_in_elsewhere_begins_on_our_own_pages_alone(browser: Browser) -> None:
    """Another site's page sends nobody there, and a provider that is none is told where the button is."""
    path = "/api/oidc/nobody/start"
    elsewhere = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    assert (await browser.http.post(path, headers=elsewhere, json={})).json()["error"]["code"] == "other_site"
    assert (await browser.http.get(path)).status_code in (404, 405)
    assert await browser.refused("POST", "/oidc/nobody/start", 404) == ("not_found", None)


def _list(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def _dict(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
