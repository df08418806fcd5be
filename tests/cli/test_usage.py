"""`relay usage` and `relay audit` on a ledger with requests in it."""

import asyncio

import msgspec
import pytest

from services.cli.database import Audited
from shared.bus import Bus
from shared.contracts import accounts, auth, billing, records
from shared.contracts.call import EDGE
from shared.ids import process_id, uuid7
from shared.settings import Settings, load
from tests.cli.conftest import Relay
from tests.cli.test_account import user_of


async def _spend(settings: Settings, key: auth.Key, model: str) -> str:
    """Run one request of 100 input and 20 output tokens through the ledger, as an edge does; return its id."""
    request_id = str(uuid7())
    lease = billing.Lease(lease_id=process_id())
    reserve = billing.Reserve(
        request_id=request_id, account_id=key.account_id, key_id=key.id, lease_id=lease.lease_id, model=model,
        input_tokens_bound=100, output_tokens_wanted=50, choices=1, deadline_seconds=60, fingerprint="f",
    )  # fmt: skip
    settle = billing.Settle(
        request_id=request_id, account_id=key.account_id, attempt=0, outcome="completed", is_upstream_accepted=True,
        input_tokens_bound=100, output_tokens_bound=50, channel="demo", witness="edge",
        usage=billing.Usage(input_tokens=100, output_tokens=20),
    )  # fmt: skip
    async with Bus(settings, party=EDGE) as bus:
        await bus.call(billing.RENEW_LEASE, lease)
        await bus.call(billing.RESERVE, reserve)
        await bus.call(billing.SETTLE, settle)
    return request_id


@pytest.fixture(scope="module")
def spent(running: Relay) -> str:
    """The id of a request of olga@example.com that cost 0.00014 USD."""
    user_of(running, "olga@example.com")
    running.text("credit", "olga@example.com", "1", "--reason", "test")
    running.text("price", "set", "u", "--input", "1", "--output", "2")
    text = running.text("key", "create", "--account", "olga@example.com", "--name", "x", "--json")
    key = msgspec.json.decode(text, type=auth.CreatedKey).key
    return asyncio.run(_spend(load(Settings, running.variables_of(EDGE)), key, "u"))


def test_usage_is_listed(running: Relay, spent: str) -> None:
    """For one account or all, newest first, at most as many as wanted."""
    mine = running.text("usage", "list", "--account", "olga@example.com")
    all_of_them = running.text("usage", "list", "--limit", "1000", "--json")

    row = mine.splitlines()[1].split()
    assert (row[0], row[3:]) == (spent, ["u", "100", "20", "0.00014", "complete", "C1", "demo"])
    listed = msgspec.json.decode(all_of_them, type=records.CallPage).items
    assert spent in [each.request_id for each in listed]


def test_usage_is_filtered(running: Relay, spent: str) -> None:
    """By what the console filters by; what is given must all hold, and what finds nothing lists nothing."""
    good = (
        "--model",
        "u",
        "--state",
        "complete",
        "--channel",
        "demo",
        "--since",
        "2020-01-01",
        "--request",
        spent,
    )
    assert spent in running.text("usage", "list", *good)
    for other in (
        ("--model", "v"), ("--state", "failed"), ("--channel", "other"), ("--error", "upstream_error"), ("--until", "2020-01-01"),
        ("--request", str(uuid7())), ("--before", spent), ("--key", "A" * 12),
    ):  # fmt: skip
        assert spent not in running.text("usage", "list", "--account", "olga@example.com", *other)
    page = running.text("usage", "list", "--model", "u", "--limit", "1")
    assert spent in page


def test_one_request_has_a_receipt(running: Relay, spent: str) -> None:
    """With its price, units, rule and charge to the last digit, which come out when they are computed again."""
    sheet = running.text("receipt", spent, "--verify")
    found = msgspec.json.decode(running.text("receipt", spent, "--json"), type=accounts.Receipt)

    assert [each.charged_nano_usd for each in found.charges] == [140_000]
    for line in (
        "charged            0.00014 USD",
        "rule               C1: Complete; charged for what the provider reported.",
        "price of tokens    input 1.00, output 2.00, cache read 1.00, cache write 1.00",
        "tokens counted by  upstream",
        "verified           every figure comes out as it is stored",
    ):
        assert line in sheet
    assert running.refusal("receipt", str(uuid7())) == "There is no such request."


def test_a_request_tells_what_was_tried(running: Relay, spent: str) -> None:
    """Each channel with what came of it; here nobody said."""
    sheet = running.text("request", spent)
    assert "attempts      none was reported" in sheet
    assert "witness       the edge said how it ended" in sheet


def test_a_sound_ledger_passes_the_audit(running: Relay, spent: str) -> None:
    """Every invariant is named, with ok."""
    text = running.text("audit")
    audited = msgspec.json.decode(running.text("audit", "--json"), type=Audited)

    assert audited.is_sound
    assert [line.split()[:2] for line in text.splitlines()] == [
        [each.number, "ok"] for each in audited.invariants
    ]
    assert not any(each.rows for each in audited.invariants)
