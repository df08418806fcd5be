"""A page of many calls costs what a page of ten costs: it comes by an index, and little else is read."""

import datetime
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from services.billing import call_store
from shared.contracts import records
from tests.billing.bookkeeping import Ledger, migrated

MANY = 1_000_000
ACCOUNTS = 20
PAGE = 50
# An id is a time in milliseconds and the number of the call; every tenth call is void, one in a thousand runs.
_FILL = f"""
    SET session_replication_role = replica;
    SET work_mem = '256MB';
    CREATE TEMP TABLE made AS
        SELECT n, (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
            ('00000000-0000-0000-0000-' || lpad(to_hex(4096 + n % {ACCOUNTS}), 12, '0'))::uuid AS account_id,
            CASE WHEN n % 1000 = 999 THEN 'HELD' WHEN n % 10 = 9 THEN 'VOIDED' ELSE 'SETTLED' END AS state,
            to_timestamp(1700000000 + n) AS at
        FROM generate_series(1, {MANY}) AS n;
    INSERT INTO billing.hold (id, account_id, key_id, model, price_id, amount_nano_usd, state, settled_nano_usd, outcome,
            created_at, closed_at)
        SELECT id, account_id, 'key', 'm' || n % 7, 1, 100, state::billing.hold_state,
            CASE WHEN state = 'SETTLED' THEN 100 END,
            CASE state WHEN 'SETTLED' THEN 'completed' WHEN 'VOIDED' THEN 'refused' END,
            at, CASE WHEN state <> 'HELD' THEN at END
        FROM made ORDER BY n;
    INSERT INTO billing.usage (request_id, account_id, key_id, model, price_id, rule, outcome, is_estimated, is_upstream_accepted,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nano_usd,
            charged_nano_usd, writeoff_nano_usd, attempt, witness, created_at)
        SELECT id, account_id, 'key', 'm' || n % 7, 1, 'C1', 'completed', false, true, 10, 0, 0, 10, 0, 100, 100, 0, 1,
            'dispatcher', at
        FROM made WHERE state = 'SETTLED' ORDER BY n;
    INSERT INTO billing.transfer (kind, debit_account, credit_account, amount_nano_usd, hold_id, account_version_after,
            posted_after_nano_usd, created_at)
        SELECT 'usage', account_id, '00000000-0000-0000-0000-000000000001', 100, id, n, n, at
        FROM made WHERE state = 'SETTLED' ORDER BY n;
    RESET session_replication_role;
    ANALYZE billing.hold, billing.usage, billing.transfer;"""
_ACCOUNT = str(UUID(int=4097))
_FILTERS = (None, None, None, None, None)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(postgres_url: str) -> AsyncIterator[Ledger]:
    """A ledger with many calls of twenty accounts."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE DATABASE many_calls TEMPLATE template0")
    url = postgres_url.rpartition("/")[0] + "/many_calls"
    inner = await asyncpg.connect(url)
    await migrated(inner)
    await inner.execute(_FILL)
    yield Ledger(inner, url)
    await inner.close()
    await connection.execute("DROP DATABASE many_calls WITH (FORCE)")
    await connection.close()


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a plan's nodes."""
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]


async def rows_read(ledger: Ledger, query: str, *arguments: object) -> float:
    """Run a query and return how many rows its scans have read; none of them may read a table from end to end."""
    async with ledger.connection.transaction():
        await ledger.connection.execute(call_store._BOUNDED)
        text = await ledger.connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
    found = nodes(json.loads(text)[0]["Plan"])
    assert not [node["Node Type"] for node in found if node["Node Type"] == "Seq Scan"]
    return float(
        sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in found
            if "Scan" in node["Node Type"]
        )
    )


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("place", [MANY, MANY // 2, 100], ids=["newest", "middle", "oldest"])
@pytest.mark.parametrize("account", [_ACCOUNT, None], ids=["account", "all"])
async def test_a_page_of_calls_comes_by_an_index(full: Ledger, account: str | None, place: int) -> None:
    """Wherever it is. What runs is read whole, and is few."""
    query = call_store.CALLS_OF_ALL if account is None else call_store.CALLS_OF_ACCOUNT
    before = call_store.id_at(1_700_000_000 + place + 1)
    running = MANY // 1000
    read = await rows_read(full, query, account, before, call_store.FIRST_ID, PAGE + 1, *_FILTERS, PAGE + 1)
    assert read <= 12 * PAGE + 2 * running


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("account", [_ACCOUNT, None], ids=["account", "all"])
async def test_a_search_reads_no_more_than_it_may(full: Ledger, account: str | None) -> None:
    """Also one that finds nothing: it stops, and the next page goes on."""
    query = call_store.CALLS_OF_ALL if account is None else call_store.CALLS_OF_ACCOUNT
    filters = ("nothing", None, None, None, None)
    scanned = 2_000
    read = await rows_read(
        full, query, account, call_store.LAST_ID, call_store.FIRST_ID, scanned, *filters, PAGE + 1
    )
    assert read <= 12 * scanned + 2 * MANY // 1000


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("kind", call_store.TRANSFERS)
async def test_a_page_of_transfers_comes_by_an_index(full: Ledger, kind: str) -> None:
    """Of a month long ago as well."""
    query = call_store.TRANSFERS[kind]
    read = await rows_read(full, query, _ACCOUNT, 2**63 - 1, 0, None, None, PAGE + 1)
    assert read <= 12 * PAGE


@pytest.mark.asyncio(loop_scope="session")
async def test_a_moment_is_found_among_transfers(full: Ledger) -> None:
    """No transfer before the id is as late as the moment."""
    moment = datetime.datetime.fromtimestamp(1_700_000_000 + MANY // 2, datetime.UTC)
    first = await full.connection.fetchval(
        "SELECT min(id) FROM billing.transfer WHERE created_at >= $1", moment
    )
    assert await full.connection.fetchval("SELECT billing.transfer_id_at($1)", moment) == first


@pytest.mark.asyncio(loop_scope="session")
async def test_what_was_shown_is_what_there_is(full: Ledger) -> None:
    """A page from the middle has the calls that a table read from end to end has there."""
    before = call_store.id_at(1_700_000_000 + MANY // 2)
    async with full.connection.transaction():
        page = await call_store.calls(
            full.connection, records.ListCalls(account_id=_ACCOUNT, before=before, limit=PAGE)
        )
    expected = await full.connection.fetch(
        "SELECT id::text FROM billing.hold WHERE account_id = $1::uuid AND id < $2::uuid ORDER BY id DESC LIMIT $3",
        _ACCOUNT,
        before,
        PAGE,
    )
    assert [each.request_id for each in page.items] == [row["id"] for row in expected]
    assert page.next_before == page.items[-1].request_id
