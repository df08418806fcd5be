"""`relay key`, against running services."""

import time

import msgspec

from shared import keys
from shared.contracts import auth
from tests.cli.conftest import Relay
from tests.cli.test_account import user_of


def test_a_key_is_shown_once(running: Relay) -> None:
    """When it is made, whole; never again in any list."""
    user_of(running, "gina@example.com")

    text = running.text("key", "create", "--account", "gina@example.com", "--name", "laptop")

    secret = text.split()[-1]
    parsed = keys.parse(secret)
    assert parsed is not None
    assert text.count(secret) == 1
    listed = running.text("key", "list", "--account", "gina@example.com")
    listed += running.text("key", "list", "--account", "gina@example.com", "--json")
    assert parsed.id in listed
    assert secret[-20:] not in listed


def test_a_key_can_be_limited(running: Relay) -> None:
    """In time, to models and to addresses."""
    user_of(running, "hugo@example.com")
    arguments = [
        "--name",
        "ci",
        "--expires",
        "12h",
        "--model",
        "m1",
        "--model",
        "m2",
        "--address",
        "192.0.2.1",
    ]

    text = running.text("key", "create", "--account", "hugo@example.com", *arguments, "--json")

    key = msgspec.json.decode(text, type=auth.CreatedKey).key
    assert key.expires_unix is not None
    assert 11 * 3600 < key.expires_unix - time.time() < 13 * 3600
    assert (key.allowed_models, key.allowed_addresses) == (("m1", "m2"), ("192.0.2.1/32",))
    row = running.text("key", "list", "--account", key.account_id).splitlines()[1]
    assert row.startswith(f"{key.id}  ci ")
    assert row.rstrip().endswith("m1, m2  192.0.2.1/32")


def test_a_revoked_key_says_so(running: Relay) -> None:
    """It stays in the list, and can be revoked again for nothing."""
    user_of(running, "ida@example.com")
    text = running.text("key", "create", "--account", "ida@example.com", "--name", "old", "--json")
    key_id = msgspec.json.decode(text, type=auth.CreatedKey).key.id

    assert running.text("key", "revoke", key_id) == f"Key {key_id} (old) is revoked.\n"
    assert running.text("key", "revoke", key_id) == f"Key {key_id} (old) is revoked.\n"

    assert " revoked " in running.text("key", "list", "--account", "ida@example.com")
    assert running.refusal("key", "revoke", "abcdefghijkl") == "There is no such key."


def test_a_secret_in_the_place_of_an_id_is_not_repeated(running: Relay) -> None:
    """The message may end in a log."""
    secret = keys.mint()

    result = running.run("key", "revoke", secret)

    assert result.exit_code == 2
    assert secret not in result.output


def test_a_wrong_network_is_refused(running: Relay) -> None:
    """The service's own sentence reaches the operator."""
    user_of(running, "jan@example.com")

    refusal = running.refusal(
        "key", "create", "--account", "jan@example.com", "--name", "x", "--address", "here"
    )

    assert "'here' is not an IP address or network" in refusal
