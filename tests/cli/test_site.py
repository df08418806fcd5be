"""`relay site`, `relay invitation` and `relay user`: people, as an operator meets them on the command line."""

import msgspec

from shared.contracts import auth, site
from shared.ids import uuid7
from tests.cli.conftest import Relay

PASSWORD = "correct horse battery"


def settings_of(running: Relay, *arguments: str) -> site.SiteSettings:
    """Return the settings that a command answers with."""
    return msgspec.json.decode(running.json(*arguments)["settings"], type=site.SiteSettings)


def address() -> str:
    """Return an address that no other test uses."""
    return f"ada-{uuid7().hex}@example.com"


def test_the_site_is_shown_and_changed(running: Relay) -> None:
    """What is given changes, and the rest stays."""
    before = settings_of(running, "site", "show")
    after = settings_of(
        running, "site", "set", "--name", "Acme AI", "--sign-up", "open", "--sign-up-credit", "1.50",
        "--notice-zh", "你好", "--contact", "help@acme.example",
    )  # fmt: skip
    assert after == msgspec.structs.replace(
        before,
        version=before.version + 1,
        name="Acme AI",
        sign_up="open",
        sign_up_credit_nano_usd=1_500_000_000,
        notice=site.Text(en=before.notice.en, zh="你好"),
        contact="help@acme.example",
    )
    assert "sign-up credit" in running.text("site", "show")
    assert settings_of(running, "site", "set", "--sign-up-credit", "none").sign_up_credit_nano_usd == 0
    text = running.text("site", "set", "--notice-zh", "", "--sign-up", "off")
    assert "1.50 USD" not in text
    assert "off" in text


def test_what_a_site_cannot_be_is_one_sentence(running: Relay) -> None:
    """The refusal of the service, or of the command itself."""
    assert "a name has 1 to 100" in running.refusal("site", "set", "--name", " ")
    assert "not one of" in running.refusal("site", "set", "--sign-up", "perhaps", status=2)
    assert "negative" in running.refusal("site", "set", "--sign-up-credit", "-1", status=2)


def test_an_invitation_is_made_listed_and_taken_back(running: Relay) -> None:
    """Its link is shown once."""
    made = running.json("invitation", "create", "--email", "Bob@example.com", "--expires", "12h")
    invitation = msgspec.json.decode(made["invitation"], type=site.Invitation)
    url = msgspec.json.decode(made["url"], type=str)
    assert invitation.email == "bob@example.com"
    assert url.startswith("https://relay.example/sign-up#invitation=")
    assert round(invitation.expires_unix - invitation.created_unix) == 12 * 3600
    listed = running.text("invitation", "list")
    assert invitation.id in listed
    assert url.partition("=")[2] not in listed

    assert invitation.id in running.text("invitation", "revoke", invitation.id)

    found = msgspec.json.decode(running.json("invitation", "list")["items"], type=list[site.Invitation])
    assert next(each for each in found if each.id == invitation.id).revoked_unix is not None
    assert running.refusal("invitation", "revoke", str(uuid7())) == "There is no such invitation."
    assert running.refusal("invitation", "revoke", "x") == "There is no such invitation."
    assert "shown only now" in running.text("invitation", "create")


def test_who_is_locked_out_gets_a_new_password(running: Relay) -> None:
    """One that is given, or one that is made and shown once."""
    email = address()
    running.text("user", "create", email, "--password-stdin", given=PASSWORD)
    given = running.json("user", "password", email, "--password-stdin", given="another password")
    assert msgspec.json.decode(given["user"], type=auth.User).email == email
    assert "password" not in given
    made = running.json("user", "password", email)
    assert len(msgspec.json.decode(made["password"], type=str)) == 20
    assert "shown only now" in running.text("user", "password", email)
    assert running.refusal("user", "password", address()) == "There is no such user."
    assert "leak most often" in running.refusal(
        "user", "password", email, "--password-stdin", given="password1"
    )


def test_an_address_is_confirmed_by_hand(running: Relay) -> None:
    """Of somebody who is there; nobody else is made."""
    email = address()
    running.text("user", "create", email, "--password-stdin", given=PASSWORD)
    assert email in running.text("user", "confirm", email.upper())
    assert running.refusal("user", "confirm", address()) == "There is no such user."
