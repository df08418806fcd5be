"""`relay account` and `relay user`, against running services."""

import msgspec

from services.cli.account import AccountBalance, AccountStatus
from services.cli.user import CreatedUser
from shared.contracts import auth
from shared.ids import uuid7
from tests.cli.conftest import Relay


def user_of(running: Relay, email: str, *arguments: str, given: str | None = None) -> CreatedUser:
    """Return a new user, as the command answered."""
    text = running.text("user", "create", email, *arguments, "--json", given=given)
    return msgspec.json.decode(text, type=CreatedUser)


def test_a_user_gets_an_account_and_a_password(running: Relay) -> None:
    """Without more, an account of the same name is made, and a password that is shown once."""
    made = user_of(running, "Anna@Example.com")

    assert made.user.email == "anna@example.com"
    assert made.password is not None
    assert len(made.password) == 20
    accounts = msgspec.json.decode(running.text("account", "list", "--json"), type=auth.Accounts)
    assert made.user.account_id in [each.id for each in accounts.items]
    assert made.password not in running.text("user", "list") + running.text("user", "list", "--json")


def test_a_given_password_is_not_shown(running: Relay) -> None:
    """It comes on standard input or in a variable, and goes nowhere else."""
    text = running.text("user", "create", "ben@example.com", "--password-stdin", given="correct horse\nrest")
    from_variable = running.text(
        "user", "create", "bea@example.com", "--password-env", "MINE", MINE="correct horse"
    )

    assert text.startswith("User ben@example.com is made, in account ")
    assert "password" not in text + from_variable
    assert "correct horse" not in text + from_variable


def test_a_user_can_join_an_account(running: Relay) -> None:
    """Then no account is made, and the list can be narrowed to it."""
    account = msgspec.json.decode(running.text("account", "create", "Acme", "--json"), type=auth.Account)

    made = user_of(running, "carl@example.com", "--account", account.id, "--role", "admin")

    assert (made.user.account_id, made.user.role) == (account.id, "admin")
    assert (
        running.text("user", "list", "--account", account.id).splitlines()[1].startswith("carl@example.com")
    )


def test_what_a_service_refuses_is_one_sentence(running: Relay) -> None:
    """On standard error, with exit status 1."""
    user_of(running, "dora@example.com")

    assert "exists already" in running.refusal("user", "create", "dora@example.com")
    assert "is not an e-mail address" in running.refusal("user", "create", "nobody")
    assert "A password has 8 to 128" in running.refusal(
        "user", "create", "dirk@example.com", "--password-stdin", given="short\n"
    )
    assert running.refusal("user", "list", "--account", str(uuid7())) == "There is no such account."


def test_an_account_is_suspended_and_activated(running: Relay) -> None:
    """By its id or by the e-mail address of one of its users, however that is written."""
    made = user_of(running, "emil@example.com")

    suspended = running.text("account", "suspend", "EMIL@example.com", "--json")
    assert msgspec.json.decode(suspended, type=AccountStatus).status == "suspended"
    assert f"{made.user.account_id}  emil@example.com  suspended" in running.text("account", "list")
    assert running.text("account", "activate", made.user.account_id).endswith(" is active.\n")
    assert running.refusal("account", "suspend", "nobody@example.com") == "There is no such user."
    assert running.refusal("account", "activate", str(uuid7())) == "There is no such account."


def test_a_balance_is_exact(running: Relay) -> None:
    """For people in USD, as JSON in nano-USD."""
    user_of(running, "fred@example.com")
    running.text("credit", "fred@example.com", "12.345678901", "--reason", "test")

    balance = msgspec.json.decode(
        running.text("account", "balance", "fred@example.com", "--json"), type=AccountBalance
    )

    assert (balance.posted_nano_usd, balance.held_nano_usd) == (12_345_678_901, 0)
    assert balance.available_nano_usd == 12_345_678_901
    assert "has 12.345678901 USD available" in running.text("account", "balance", "fred@example.com")
