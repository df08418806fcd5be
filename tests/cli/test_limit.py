"""`relay limit` and `relay group`, against running services."""

import msgspec

from shared.contracts import accounts, auth
from tests.cli.conftest import Relay
from tests.cli.test_account import user_of


def _state(running: Relay, *arguments: str) -> accounts.LimitsInForce:
    return msgspec.json.decode(running.text(*arguments, "--json"), type=accounts.LimitsInForce)


def test_limits_are_set_one_by_one(running: Relay) -> None:
    """What is not named stays, and `none` takes a limit away."""
    user_of(running, "pia@example.com")
    target = ("--account", "pia@example.com")

    _state(running, "limit", "set", *target, "--requests-per-minute", "60", "--spend-day", "2.50")
    second = _state(running, "limit", "set", *target, "--spend-day", "none", "--concurrent-requests", "4")
    shown = running.text("limit", "show", *target)

    assert second.limits == accounts.Limits(requests_per_minute=60, concurrent_requests=4)
    rows = {line[:28].strip(): line[28:].split() for line in shown.splitlines()}
    assert rows["requests per minute"] == ["60", "0"]
    assert rows["USD in a day"] == ["none", "0.00"]


def test_a_key_has_limits_of_its_own(running: Relay) -> None:
    """Named by its id; an account or a key, never both."""
    user_of(running, "quentin@example.com")
    text = running.text("key", "create", "--account", "quentin@example.com", "--name", "x", "--json")
    key = msgspec.json.decode(text, type=auth.CreatedKey).key

    state = _state(running, "limit", "set", "--key", key.id, "--tokens-per-minute", "1000")

    assert state.limits == accounts.Limits(tokens_per_minute=1000)
    assert _state(running, "limit", "show", "--account", "quentin@example.com").limits == accounts.Limits()
    assert running.refusal("limit", "show", "--key", "0" * 12) == "There is no such key."
    for wrong in ((), ("--key", key.id, "--account", "quentin@example.com")):
        assert running.run("limit", "show", *wrong).exit_code == 2
    assert running.run("limit", "set", "--key", key.id).exit_code == 2
    for value in ("0", "-1", "many"):
        assert running.run("limit", "set", "--key", key.id, "--requests-per-minute", value).exit_code == 2


def test_a_group_is_made_changed_and_used(running: Relay) -> None:
    """Its price, its models and its limits show at the accounts in it."""
    user_of(running, "rosa@example.com")
    running.text("group", "set", "gold", "--multiplier", "0.8", "--model", "m", "--requests-per-minute", "9")
    changed = running.text("group", "set", "gold", "--spend-month", "100")
    state = _state(running, "group", "add", "gold", "rosa@example.com")
    own = _state(running, "limit", "set", "--account", "rosa@example.com", "--concurrent-requests", "1")

    assert changed.splitlines()[1].split() == [
        "gold",
        "×",
        "0.80",
        "m",
        "9",
        "none",
        "none",
        "none",
        "100.00",
        "none",
    ]
    assert (state.group_name, state.limits.requests_per_minute, state.own_limits) == (
        "gold",
        9,
        accounts.Limits(),
    )
    assert own.own_limits == accounts.Limits(concurrent_requests=1)
    assert own.limits.requests_per_minute == 9
    assert "in this group" in running.refusal("group", "delete", "gold")
    assert _state(running, "group", "remove", "rosa@example.com").group_name is None
    assert running.text("group", "delete", "gold") == "Group gold is deleted.\n"
    assert running.refusal("group", "add", "none", "rosa@example.com") == "There is no such group."
