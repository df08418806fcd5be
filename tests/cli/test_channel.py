"""`relay channel`, against running services."""

import msgspec
import pytest

from shared.contracts import dispatcher
from tests.cli.conftest import Relay

CREDENTIAL = "sk-upstream-0123456789"
URL = "https://upstream.example/v1"


def _channel(running: Relay, name: str, *arguments: str) -> dispatcher.ChannelInfo:
    created = running.text(
        "channel", "create", name, "--base-url", URL, "--credential-stdin", *arguments, "--json", given=CREDENTIAL + "\n"
    )  # fmt: skip
    assert CREDENTIAL not in created
    return msgspec.json.decode(created, type=dispatcher.ChannelInfo)


def test_a_channel_is_made_with_what_is_said(running: Relay) -> None:
    """The rest has the contract's defaults; our name of a model is the upstream's unless it is given."""
    made = _channel(running, "one", "--model", "m", "--model", "ours=theirs", "--weight", "3")

    assert made.models == {"m": "m", "ours": "theirs"}
    assert (made.weight, made.priority, made.abort_policy) == (3, 0, "estimate")
    assert made.output_parameter == "max_tokens"
    row = next(line for line in running.text("channel", "list").splitlines() if line.startswith("one "))
    assert "m, ours=theirs" in row
    assert CREDENTIAL not in running.text("channel", "list", "--json")


def test_a_channel_changes_in_what_is_given(running: Relay) -> None:
    """And in nothing else; a name taken from the environment stands for the credential."""
    made = _channel(running, "two", "--model", "m")

    text = running.text(
        "channel", "update", "two", "--priority", "7", "--credential-env", "FRESH", "--json", FRESH="sk-fresh"
    )
    changed = msgspec.json.decode(text, type=dispatcher.ChannelInfo)

    assert changed == msgspec.structs.replace(made, priority=7, version=2)
    assert "sk-fresh" not in text


def test_a_channel_is_drained_turned_off_and_on_and_deleted(running: Relay) -> None:
    """Each with one sentence."""
    _channel(running, "three", "--model", "m")

    for command, state in (("drain", "draining"), ("off", "off"), ("on", "on")):
        assert running.text("channel", command, "three") == f"Channel three is {state}.\n"
        rows = [line.split()[:2] for line in running.text("channel", "list").splitlines()]
        assert ["three", state] in rows
    assert running.text("channel", "delete", "three") == "Channel three is deleted.\n"
    assert running.refusal("channel", "delete", "three") == "There is no such channel."
    assert running.refusal("channel", "on", "three") == "There is no such channel."


def test_what_the_dispatcher_refuses_is_one_sentence(running: Relay) -> None:
    """A name that is taken, a URL that is none."""
    _channel(running, "four", "--model", "m")
    create = ("channel", "create", "four", "--model", "m", "--credential-stdin")

    assert "exists already" in running.refusal(*create, "--base-url", URL, given=CREDENTIAL)
    assert "the base URL is http:// or https://" in running.refusal(
        *create, "--base-url", "x", given=CREDENTIAL
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "There is no terminal to type the credential on; use --credential-stdin or --credential-env."),
        (("--credential-env", "ABSENT"), "The environment variable ABSENT is not set."),
        (("--credential-stdin", "--credential-env", "X"), "Use only one of "),
        (("--credential-stdin",), "Standard input is empty"),
        (("--credential-stdin", "--model", "m"), "'m' is given twice."),
    ],
)
def test_a_channel_that_is_not_said_well_is_a_wrong_call(
    running: Relay, arguments: tuple[str, ...], problem: str
) -> None:
    """Exit status 2, and no channel."""
    create = ("channel", "create", "five", "--base-url", URL, "--model", "m")

    assert problem in running.refusal(*create, *arguments, status=2)
    assert "five" not in running.text("channel", "list")


def test_a_change_of_nothing_is_a_wrong_call(running: Relay) -> None:
    """It is more likely a forgotten option."""
    assert "nothing to change" in running.refusal("channel", "update", "any", status=2)


def test_what_a_channel_overrides_is_said_and_cleared(running: Relay) -> None:
    """Values are JSON, or else texts; what is not named stays."""
    made = _channel(
        running, "six", "--model", "m", "--header", "X-Team=blue", "--set", "service_tier=flex", "--set", "top_k=4",
        "--default", 'stop=["a"]', "--drop", "seed", "--drop", "user", "--auth-header", "api-key", "--slow-seconds", "5",
    )  # fmt: skip

    assert made.headers == {"x-team": "blue"}
    assert made.set_parameters == {"service_tier": '"flex"', "top_k": "4"}
    assert (made.default_parameters, made.drop_parameters) == ({"stop": '["a"]'}, ("seed", "user"))
    assert (made.auth_header, made.slow_seconds) == ("api-key", 5.0)
    row = next(line for line in running.text("channel", "list").splitlines() if line.startswith("six "))
    assert "auth-header=api-key, header x-team=blue, set top_k=4" in row

    text = running.text(
        "channel", "update", "six", "--clear", "set", "--clear", "drop", "--slow-seconds", "0", "--json"
    )
    changed = msgspec.json.decode(text, type=dispatcher.ChannelInfo)
    assert (changed.set_parameters, changed.drop_parameters, changed.slow_seconds) == ({}, (), None)
    assert (changed.headers, changed.default_parameters) == (made.headers, made.default_parameters)


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("--set", "n=2"), 1, "'n' is Relay's own to set"),
        (("--drop", "model"), 1, "'model' is needed by every request"),
        (("--header", "Authorization=x"), 1, "a key is added with its own command"),
        (("--header", "x-team"), 2, "is not a header as NAME=VALUE"),
        (("--set", "=1"), 2, "is not a parameter as NAME=VALUE"),
        (("--set", "a=1", "--set", "a=2"), 2, "'a' is given twice"),
        (("--set", "a=1", "--clear", "set"), 2, "Use only one of --set and --clear set."),
    ],
)
def test_an_override_that_cannot_work_is_refused(
    running: Relay, arguments: tuple[str, ...], status: int, problem: str
) -> None:
    """By one sentence that says why."""
    if "seven" not in running.text("channel", "list"):
        _channel(running, "seven", "--model", "m")
    assert problem in running.refusal("channel", "update", "seven", *arguments, status=status)


def test_keys_are_added_listed_and_removed(running: Relay) -> None:
    """And never shown."""
    _channel(running, "eight", "--model", "m")

    added = running.text("channel", "key", "add", "eight", "spare", "--credential-stdin", given="sk-spare\n")
    listed = running.text("channel", "key", "list", "eight")
    as_json = running.text("channel", "key", "list", "eight", "--json")

    assert added == "Channel eight has the key spare; it has 2 in all.\n"
    assert [line.split() for line in listed.splitlines()[1:]] == [["default", "good"], ["spare", "good"]]
    assert "sk-" not in added + listed + as_json
    assert "default, spare" in running.text("channel", "list")
    assert running.text("channel", "key", "remove", "eight", "default") == (
        "Channel eight has no key default any more; it has 1 left.\n"
    )
    assert "at least one key" in running.refusal("channel", "key", "remove", "eight", "spare")
    assert running.refusal("channel", "key", "list", "nobody") == "There is no such channel."


def test_a_channel_is_tested(running: Relay) -> None:
    """Each key in a row; one that does not pass makes the command fail."""
    _channel(running, "nine", "--model", "m")
    running.text("channel", "update", "nine", "--base-url", "http://127.0.0.1:1/v1")

    failed = running.run("channel", "test", "nine")

    assert (failed.exit_code, failed.stderr) == (1, "Error: 1 of 1 keys did not pass with m.\n")
    assert failed.stdout.splitlines()[1].split()[:4] == ["default", "refused", "-", "-"]
    assert running.refusal("channel", "test", "nobody") == "There is no such channel."
    assert "does not serve this model" in running.refusal("channel", "test", "nine", "--model", "x")
    assert running.refusal("channel", "test", "nine", "--key", "x") == "There is no such key."
