"""The audit finds what it is there to find: one deliberate fault for each invariant."""

import pytest

from services.billing.audit import SENTENCES, audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, expire, reserve, settle

FAULTS = {
    "I1": "UPDATE billing.account SET posted_nano_usd = posted_nano_usd + 1",
    "I2": "UPDATE billing.account SET held_nano_usd = held_nano_usd - 1",
    "I3": "ALTER TABLE billing.account DROP CONSTRAINT account_available_is_not_negative; "
    "UPDATE billing.account SET posted_nano_usd = 0",
    "I4": "UPDATE billing.hold SET outcome = 'completed' WHERE state = 'HELD'",
    "I5": "ALTER TABLE billing.hold DROP CONSTRAINT hold_settles_within_its_amount; "
    "UPDATE billing.hold SET settled_nano_usd = amount_nano_usd + 1 WHERE state = 'SETTLED'",
    "I6": "DELETE FROM billing.transfer WHERE kind = 'usage'",
    "I9": "UPDATE billing.lease SET expires_at = now() - interval '1 hour'",
    "I10": "DELETE FROM billing.usage WHERE rule = 'C9'",
    "I11": "ALTER TABLE billing.usage DROP CONSTRAINT usage_is_charged_after_acceptance_only; "
    "UPDATE billing.usage SET is_upstream_accepted = false",
    "I12": "UPDATE billing.usage SET output_tokens = output_tokens + 1 WHERE rule = 'C1'",
    "I13": "ALTER TABLE billing.usage DROP CONSTRAINT usage_reasoning_is_part_of_output; "
    "UPDATE billing.usage SET reasoning_tokens = output_tokens + 1",
    "I15": "ALTER TABLE billing.usage DROP CONSTRAINT usage_cost_is_charged_or_written_off; "
    "UPDATE billing.usage SET cost_nano_usd = cost_nano_usd + 1",
    "I21": "UPDATE billing.transfer SET account_version_after = 7 WHERE kind = 'usage'",
    "I22": "INSERT INTO billing.outbox (subject, transfer_id) VALUES ('billing.event.credited', 999)",
    "I29": "UPDATE billing.meter SET running = running + 1",
    "I30": "UPDATE billing.meter SET total_nano_usd = total_nano_usd + 1",
    "I31": "UPDATE billing.traffic SET requests = requests + 1 WHERE scope = 'status'",
    "I28": "DELETE FROM billing.transfer WHERE kind = 'write_off'",
}


@pytest.fixture
async def busy(ledger: Ledger) -> Ledger:
    """A ledger with a live, a settled, an overrun and an expired hold."""
    await ledger.set_price()
    account = await ledger.open_account(1000)
    await ledger.call("set_limits", account, None, '{"requests_per_minute": 100}')
    live, settled, overrun, lost = (uuid7() for _ in range(4))
    await ledger.call("renew_lease", "gone", 3600)
    await ledger.execute(
        *(reserve(request, account) for request in (live, settled, overrun)),
        reserve(lost, account, lease_id="gone"),
        settle(settled, account),
        settle(overrun, account, output_tokens=5000),
    )
    await ledger.call("end_lease", "gone")
    assert (await ledger.one(expire(lost, account)))["result"] == "ok"
    rows = await ledger.connection.fetch("SELECT id FROM billing.outbox ORDER BY id LIMIT 2")
    await ledger.call("outbox_published", [row["id"] for row in rows])
    return ledger


async def test_audit_of_a_sound_ledger_finds_nothing(busy: Ledger) -> None:
    """A ledger that only its functions wrote is sound, also to the service's own role."""
    await busy.connection.execute("SET ROLE relay_billing")
    assert await audit(busy.connection, grace_seconds=0) == []


@pytest.mark.parametrize("number", FAULTS)
async def test_audit_finds_the_fault(busy: Ledger, number: str) -> None:
    """A fault that was forced past triggers and constraints is named by its invariant, with the rows."""
    await busy.connection.execute(f"SET session_replication_role = replica; {FAULTS[number]}")
    findings = {finding.number: finding for finding in await audit(busy.connection, grace_seconds=0)}
    assert number in findings
    assert 1 <= len(findings[number].rows) <= 20
    assert all(findings[number].rows)


def test_every_invariant_has_a_fault() -> None:
    """No invariant of the list goes untested."""
    assert set(SENTENCES) == set(FAULTS)
