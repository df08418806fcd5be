"""`relay credit`, against running services."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from starlette.applications import Starlette

from services.cli.credit import Credited
from services.devstack.nats import EmbeddedNats
from shared.contracts.nats_config import nats_config
from shared.ids import uuid7
from tests.cli.conftest import Relay, Services
from tests.cli.test_account import user_of


def _credit(running: Relay, *arguments: str) -> Credited:
    text = running.text("credit", *arguments, "--reason", "test", "--json")
    return msgspec.json.decode(text, type=Credited)


def test_money_is_added_and_taken_back(running: Relay) -> None:
    """A negative amount needs nothing more than its sign, and `--` does no harm."""
    user_of(running, "kai@example.com")

    assert _credit(running, "kai@example.com", "10.50").balance.posted_nano_usd == 10_500_000_000
    assert _credit(running, "kai@example.com", "-0.25").balance.posted_nano_usd == 10_250_000_000
    text = running.text("credit", "--reason", "test", "--", "kai@example.com", "-10.25")

    assert text.startswith("-10.25 USD are booked, under the id ")
    assert " has 0.00 USD available" in text


def test_one_id_books_once(running: Relay) -> None:
    """A repeat changes nothing, and other arguments under the same id are refused."""
    user_of(running, "lea@example.com")

    first = _credit(running, "lea@example.com", "5", "--id", "invoice-7")
    second = _credit(running, "lea@example.com", "5", "--id", "invoice-7")

    assert first == second
    assert first.idempotency_key == "invoice-7"
    assert "was used before" in running.refusal(
        "credit", "lea@example.com", "6", "--id", "invoice-7", "--reason", "test"
    )


def test_without_an_id_every_credit_counts(running: Relay) -> None:
    """The id that was made is told."""
    user_of(running, "mia@example.com")

    first, second = (_credit(running, "mia@example.com", "1") for _ in range(2))

    assert first.idempotency_key != second.idempotency_key
    assert second.balance.posted_nano_usd == 2_000_000_000


def test_more_than_there_is_is_not_taken(running: Relay) -> None:
    """Nothing is taken then."""
    user_of(running, "nils@example.com")
    _credit(running, "nils@example.com", "1")

    assert "1.00 USD are available" in running.refusal("credit", "nils@example.com", "-2", "--reason", "test")
    assert running.refusal("credit", str(uuid7()), "1", "--reason", "test") == "There is no such account."


class WithoutBilling(Services):
    """Auth alone, which keeps the log of actions."""

    def _apps(self) -> Iterator[Starlette]:
        _, auth, _ = super()._apps()
        yield auth


def test_an_unknown_outcome_tells_how_to_repeat(running: Relay, tmp_path: Path) -> None:
    """When billing does not answer, the id is what makes a repeat safe."""
    arguments = ("credit", str(uuid7()), "1", "--reason", "test", "--id", "invoice-8")
    with EmbeddedNats(tmp_path, nats_config(running.passwords)) as nats:
        other = Relay(nats.url, running.database_url, running.passwords)
        with WithoutBilling(other):
            refusal = other.refusal(*arguments)

    assert "(billing) does not answer" in refusal
    assert refusal.endswith("repeat it with --id invoice-8, which books it once.")
