"""`relay code`, against running services."""

import msgspec

from shared.contracts import accounts
from tests.cli.conftest import Relay
from tests.cli.test_account import user_of


def test_codes_are_made_claimed_and_ended(running: Relay) -> None:
    """Each credits one account once; what is left of a batch can be ended."""
    user_of(running, "sam@example.com")
    user_of(running, "tom@example.com")
    first, second = running.text("code", "make", "may", "--amount", "5", "--count", "2").split()

    claimed = running.text("code", "claim", "sam@example.com", "--code-stdin", given=first.lower() + "\n")
    again = running.text("code", "claim", "sam@example.com", "--code-stdin", given=first + "\n")
    used = running.refusal("code", "claim", "tom@example.com", "--code-stdin", given=first + "\n")
    ended = running.text("code", "revoke", "may")
    late = running.refusal("code", "claim", "tom@example.com", "--code-stdin", given=second + "\n")

    assert claimed.startswith("5.00 USD are credited.")
    assert " has 5.00 USD available" in claimed
    assert again.startswith("The account has redeemed this code before; nothing was added.")
    assert " has 5.00 USD available" in again
    assert used == "The code was used by another account."
    assert ended == "1 codes of may are ended; 1 had been claimed.\n"
    assert late == "The code is no longer valid."
    batches = msgspec.json.decode(running.text("code", "list", "--json"), type=accounts.CodeBatches).items
    assert [(each.name, each.codes, each.claimed) for each in batches] == [("may", 2, 1)]
    assert "revoked" in running.text("code", "list")
    assert "exists already" in running.refusal("code", "make", "may", "--amount", "1")
    assert running.refusal("code", "revoke", "june") == "There is no such batch."
