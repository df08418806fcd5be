"""What the service's role can do, and what not even the owner can."""

import asyncpg
import pytest

from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, reserve, settle, void

TABLES = (
    "account", "account_group", "api_key", "audit_result", "by_hand", "code", "code_batch", "hold", "idempotency", "lease", "meter",
    "migration", "outbox", "platform_account", "price", "timing", "traffic", "transfer", "usage",
)  # fmt: skip


@pytest.fixture
async def service(ledger: Ledger) -> Ledger:
    """A ledger with one settled, one voided and one live hold and a tombstone, seen by the service's role."""
    await ledger.set_price()
    account, settled, voided = await ledger.open_account(10_000), uuid7(), uuid7()
    await ledger.execute(
        reserve(settled, account, idempotency_key="k", is_stream=True), settle(settled, account, first_output_ms=1, took_ms=2),
        reserve(voided, account), void(voided, account), reserve(uuid7(), account), void(uuid7(), account),
    )  # fmt: skip
    (first, *_) = await ledger.connection.fetch(
        "SELECT id FROM billing.outbox WHERE request_id = $1", settled
    )
    await ledger.call("outbox_published", [first["id"]])
    await ledger.call("note_audit", 1, 1, 0)
    await ledger.call("put_group", "group", "{}", [], 1_000_000)
    await ledger.call("set_group", account, "group")
    await ledger.call("make_codes", "batch", 1, None, [bytes(32)])
    await ledger.connection.execute("SET ROLE relay_billing")
    return ledger


@pytest.mark.parametrize("table", TABLES)
async def test_service_reads_but_never_writes_a_table(service: Ledger, table: str) -> None:
    """The role may SELECT; INSERT, UPDATE, DELETE and TRUNCATE are refused on every table."""
    assert await service.count(table) > 0
    (column,) = await service.connection.fetchrow(
        "SELECT attname FROM pg_attribute WHERE attrelid = format('billing.%I', $1::text)::regclass AND attnum = 2",
        table,
    )
    for statement in (
        f"INSERT INTO billing.{table} DEFAULT VALUES",
        f"UPDATE billing.{table} SET {column} = {column}",
        f"DELETE FROM billing.{table}",
        f"TRUNCATE billing.{table}",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.connection.execute(statement)


async def test_no_table_was_forgotten(service: Ledger) -> None:
    """The list above is all there is."""
    names = await service.connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'billing' ORDER BY 1"
    )
    assert tuple(row["tablename"] for row in names) == TABLES


async def test_service_runs_its_functions_and_no_inner_one(service: Ledger) -> None:
    """Just the functions that are meant for callers can be executed, and each runs with a fixed search path."""
    functions = await service.connection.fetch(
        """SELECT proname, has_function_privilege('relay_billing', oid, 'EXECUTE') AS is_granted, prosecdef,
               array_to_string(proconfig, ' ') AS settings, has_function_privilege('public', oid, 'EXECUTE') AS is_public
           FROM pg_proc WHERE pronamespace = 'billing'::regnamespace"""
    )
    granted = {row["proname"] for row in functions if row["is_granted"]}
    assert granted == {
        "claim_code", "count_untold", "credit", "delete_group", "end_lease", "execute", "expire", "lead_outbox", "limits_of",
        "make_codes", "note_audit", "outbox_batch", "outbox_published", "prune_idempotency", "prune_tombstones", "put_account",
        "put_group", "put_key", "renew_lease", "revoke_codes", "set_group", "set_limits", "set_price", "transfer_id_at",
    }  # fmt: skip
    for row in functions:
        assert not row["is_public"]
        assert row["prosecdef"] is row["is_granted"]
        assert not row["is_granted"] or "search_path=pg_catalog, pg_temp" in row["settings"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing.transfer SET reason = 'x'", "DELETE FROM billing.transfer", "TRUNCATE billing.transfer",
        "UPDATE billing.usage SET channel = 'x'", "DELETE FROM billing.usage", "TRUNCATE billing.usage",
        "UPDATE billing.price SET model = 'x'", "DELETE FROM billing.price", "TRUNCATE billing.price",
        "DELETE FROM billing.account", "TRUNCATE billing.account CASCADE", "DELETE FROM billing.platform_account",
        "UPDATE billing.hold SET outcome = 'x' WHERE state <> 'HELD'", "TRUNCATE billing.hold",
        "DELETE FROM billing.hold WHERE price_id IS NOT NULL",
    ],
)  # fmt: skip
async def test_owner_cannot_change_what_is_final(service: Ledger, statement: str) -> None:
    """Transfers, usage rows, prices, closed holds and accounts stay as they are, whoever asks."""
    await service.connection.execute("RESET ROLE")
    with pytest.raises(asyncpg.RestrictViolationError):
        await service.connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing.account SET posted_nano_usd = held_nano_usd - 1",
        "UPDATE billing.account SET held_nano_usd = -1",
        "UPDATE billing.hold SET state = 'SETTLED', closed_at = now(), settled_nano_usd = amount_nano_usd + 1 WHERE state = 'HELD'",
        "UPDATE billing.hold SET state = 'SETTLED' WHERE state = 'HELD'",
        "UPDATE billing.hold SET price_id = NULL WHERE state = 'HELD'",
    ],
)
async def test_constraints_hold_for_everybody(service: Ledger, statement: str) -> None:
    """What must be true of money is a constraint of the table, not the order of some code."""
    await service.connection.execute("RESET ROLE")
    with pytest.raises(asyncpg.CheckViolationError):
        await service.connection.execute(statement)
