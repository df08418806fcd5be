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


def test_a_channel_is_disabled_enabled_and_deleted(running: Relay) -> None:
    """Each with one sentence."""
    _channel(running, "three", "--model", "m")

    assert running.text("channel", "disable", "three") == "Channel three is disabled.\n"
    assert ["three", "disabled"] in [
        line.split()[:2] for line in running.text("channel", "list").splitlines()
    ]
    assert running.text("channel", "enable", "three") == "Channel three is enabled.\n"
    assert running.text("channel", "delete", "three") == "Channel three is deleted.\n"
    assert running.refusal("channel", "delete", "three") == "There is no such channel."
    assert running.refusal("channel", "enable", "three") == "There is no such channel."


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
