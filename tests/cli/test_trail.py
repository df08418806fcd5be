"""The command line in the log of operators' actions."""

import asyncio
import os
import pwd
import re

import pytest

from shared.bus import Bus
from shared.contracts import site
from shared.contracts.call import AUTH, OPERATOR, Call
from shared.settings import Secret, Settings
from tests.cli.conftest import Relay

CREDENTIAL = "sk-upstream-0123456789"
PASSWORD = "correct horse battery staple"
URL = "https://upstream.example/v1"


def log(running: Relay, limit: int = 50) -> list[site.Action]:
    """Return the newest entries of the log."""

    async def read() -> list[site.Action]:
        settings = Settings(
            nats_url=running.nats_url, nats_user=OPERATOR, nats_password=Secret(running.passwords[OPERATOR])
        )
        async with Bus(settings, party=OPERATOR) as bus:
            return list((await bus.call(site.LIST_ACTIONS, site.ListActions(limit=limit))).items)

    return asyncio.run(read())


def test_what_a_command_changes_is_in_the_log(running: Relay) -> None:
    """Under the name of the system's user, with what was asked for and how it ended."""
    running.text(
        "channel", "create", "logged", "--base-url", URL, "--model", "m", "--credential-stdin", given=CREDENTIAL + "\n"
    )  # fmt: skip
    running.refusal("channel", "off", "nobody's")

    failed, done = log(running, 2)

    assert (done.action, done.object, done.result) == ("make_channel", "channel logged", "done")
    assert (failed.action, failed.object, failed.result) == (
        "update_channel",
        "channel nobody's",
        "not_found",
    )
    assert (done.user_id, done.email, done.through) == (
        None,
        pwd.getpwuid(os.getuid()).pw_name,
        "command line",
    )
    assert done.address
    assert URL in done.after


def test_the_log_is_listed(running: Relay) -> None:
    """Newest first, those of one action, with a text in their object, before a number."""
    for name in ("listed one", "listed two", "listed three"):
        running.text("account", "create", name)
    arguments = ("action", "list", "--action", "make_account", "--search", "LISTED")

    shown = running.text(*arguments).splitlines()
    newest = log(running, 1)[0]
    older = running.text(*arguments, "--before", str(newest.id), "--limit", "1").splitlines()

    assert [re.split("  +", line)[6] for line in shown[1:]] == [
        "account listed three", "account listed two", "account listed one"
    ]  # fmt: skip
    assert "listed two" in older[1]
    assert len(older) == 2
    assert list(running.json(*arguments)) == ["items", "has_more"]


def test_what_only_reads_is_not_in_the_log(running: Relay) -> None:
    """However often it is called."""
    before = log(running, 1)
    for command in (
        ("account", "list"),
        ("channel", "list"),
        ("price", "list"),
        ("code", "list"),
        ("group", "list"),
    ):
        running.text(*command)

    assert log(running, 1) == before


def test_no_secret_of_a_command_is_in_the_log(running: Relay) -> None:
    """Neither credentials nor passwords, nor codes, nor values of headers."""
    running.text(
        "channel", "create", "secret", "--base-url", URL, "--model", "m", "--header", f"x-tenant={CREDENTIAL}",
        "--credential-stdin", given=CREDENTIAL + "\n",
    )  # fmt: skip
    running.text("channel", "update", "secret", "--credential-env", "FRESH", FRESH=CREDENTIAL)
    running.text("channel", "key", "add", "secret", "more", "--credential-stdin", given=CREDENTIAL)
    running.text("user", "create", "secret@example.com", "--password-stdin", given=PASSWORD)
    code = running.text("code", "make", "a secret batch", "--amount", "1").strip()
    running.text("code", "claim", "secret@example.com", "--code-stdin", given=code)

    actions = log(running, 6)

    assert [each.action for each in actions] == [
        "claim_code", "make_codes", "make_person", "add_upstream_key", "update_channel", "make_channel"
    ]  # fmt: skip
    text = "".join(each.before + each.after + each.object for each in actions)
    assert "x-tenant" in text
    for secret in (CREDENTIAL, PASSWORD, code, code.replace("-", "")):
        assert secret not in text


def test_without_the_log_nothing_is_changed(running: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so in one sentence."""
    nobody = Call("auth.action.nobody", site.BeginAction, site.BegunAction, owner=AUTH, callers=(OPERATOR,))
    running.text("account", "create", "here")
    monkeypatch.setattr(site, "BEGIN_ACTION", nobody)

    refusal = running.refusal("account", "create", "not here")

    assert refusal.startswith("Nothing was changed, since it cannot be written into the log of actions.")
    monkeypatch.undo()
    assert "not here" not in running.text("account", "list")


def test_a_user_without_a_name_has_a_number(running: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)

    running.text("account", "create", "numbered")

    assert log(running, 1)[0].email == "user 987654321"
