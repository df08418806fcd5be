"""Lists of the past: calls, transfers and claims, page by page, of whom they are and of nobody else."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from services.billing import call_store
from shared.contracts import records
from shared.ids import uuid7
from tests.billing.bookkeeping import Command, Ledger, expire, reserve, settle, void


@asynccontextmanager
async def looking(ledger: Ledger) -> AsyncIterator[Ledger]:
    """Act as the service, in a transaction as its handlers have one."""
    async with ledger.connection.transaction():
        await ledger.connection.execute("SET LOCAL ROLE relay_billing")
        yield ledger


async def calls(ledger: Ledger, **asked: object) -> records.CallPage:
    """Return a page of calls."""
    async with looking(ledger):
        return await call_store.calls(ledger.connection, msgspec.convert(asked, records.ListCalls))


async def transfers(ledger: Ledger, account_id: UUID, **asked: object) -> records.TransferPage:
    """Return a page of an account's transfers."""
    request = msgspec.convert({"account_id": str(account_id), **asked}, records.ListTransfers)
    async with looking(ledger):
        return await call_store.transfers(ledger.connection, request)


def ids_of(page: records.CallPage) -> list[str]:
    """The ids of its calls."""
    return [each.request_id for each in page.items]


async def every_call(ledger: Ledger, limit: int, **asked: object) -> list[str]:
    """Return the ids of all pages, which end, one after another."""
    found: list[str] = []
    before = None
    for _ in range(100):
        page = await calls(ledger, limit=limit, before=before, **asked)
        found += ids_of(page)
        before = page.next_before
        if before is None:
            return found
    raise AssertionError("the pages do not end")


@pytest.fixture
async def account(ledger: Ledger) -> UUID:
    """An account with money, and a price for the model `m`."""
    await ledger.set_price()
    return await ledger.open_account(10**9)


async def ended(ledger: Ledger, account: UUID, *ends: Command, **reserved: str | int | bool) -> None:
    """Reserve what each command ends, and end it."""
    for end in ends:
        await ledger.execute(reserve(UUID(str(end["id"])), account, **reserved), end)


async def test_every_call_is_listed_with_its_cause(ledger: Ledger, account: UUID) -> None:
    """Those that run, were answered, failed before or after they were accepted, were left, and those that nobody reported on."""
    await ledger.set_price(model="x")
    running, good, broken, refused, away, left, early, lost = (uuid7(unix_ms) for unix_ms in range(1, 9))
    await ledger.execute(reserve(running, account, is_stream=True))
    await ended(
        ledger, account,
        settle(good, account, first_output_ms=30, took_ms=1500, cache_read_tokens=10, reasoning_tokens=7),
        settle(broken, account, rule="C7", outcome="upstream_failed", error="upstream_disconnected", is_charged=False,
               writeoff_cause="upstream_failed"),
        void(refused, account, reason="refused", error="context_length_exceeded", channel="c", took_ms=5),
        void(away, account, reason="not_accepted_upstream", error="no_channel_available"),
        settle(left, account, rule="C6", outcome="client_gone"),
        void(early, account, reason="client_gone"),
        is_stream=True,
    )  # fmt: skip
    await ledger.call("renew_lease", "gone", 3600)
    await ledger.execute(reserve(lost, account, lease_id="gone", model="x"))
    await ledger.call("end_lease", "gone")
    await ledger.one(expire(lost, account))
    await ledger.one(settle(lost, account, output_tokens=4))
    await ledger.execute(void(uuid7(), account))  # a tombstone is no call

    found = {each.request_id: each for each in (await calls(ledger, account_id=str(account))).items}

    shown = [(each.state, each.error, each.charged_nano_usd, each.channel) for each in found.values()]
    assert list(found) == [str(each) for each in (lost, early, left, away, refused, broken, good, running)]
    assert shown == [
        ("failed", "lost", 108, "channel"), ("left", None, 0, ""), ("left", None, 200, "channel"),
        ("failed", "no_channel_available", 0, ""), ("failed", "context_length_exceeded", 0, "c"),
        ("failed", "upstream_disconnected", 0, "channel"), ("complete", None, 191, "channel"), ("running", None, 0, ""),
    ]  # fmt: skip
    one = found[str(good)]
    assert (one.first_output_ms, one.took_ms, one.is_stream, one.model) == (30, 1500, True, "m")
    assert (one.usage.cache_read_tokens, one.usage.output_tokens, one.usage.reasoning_tokens) == (10, 50, 7)
    assert (found[str(lost)].rule, found[str(lost)].usage.output_tokens, found[str(lost)].is_stream) == (
        "C1",
        4,
        False,
    )
    assert found[str(broken)].writeoff_nano_usd == 200
    assert await every_call(ledger, 3) == list(found), "an operator sees the same"


async def test_pages_are_whole_and_nobody_elses(ledger: Ledger, account: UUID) -> None:
    """Each call once, newest first, whatever a page holds; the place where another account's page ended is only a place."""
    other = await ledger.open_account(10**9)
    mine = [uuid7(unix_ms) for unix_ms in range(2, 40, 2)]
    theirs = [uuid7(unix_ms) for unix_ms in range(1, 40, 2)]
    for number, (owner, request) in enumerate([*((account, i) for i in mine), *((other, i) for i in theirs)]):
        end = (settle(request, owner), void(request, owner), None)[number % 3]
        await ledger.execute(reserve(request, owner), *([] if end is None else [end]))

    newest = [str(each) for each in reversed(mine)]
    for limit in (1, 2, 7, 19, 200):
        assert await every_call(ledger, limit, account_id=str(account)) == newest
        assert await every_call(ledger, limit, account_id=str(account), model="m") == newest
    from_theirs = await calls(ledger, account_id=str(account), before=str(theirs[10]))
    assert ids_of(from_theirs) == [str(each) for each in reversed(mine[:10])]
    assert await every_call(ledger, 50) == sorted((str(each) for each in (*mine, *theirs)), reverse=True)
    assert ids_of(await calls(ledger, account_id=str(account), request_id=str(theirs[0]))) == []
    assert ids_of(await calls(ledger, account_id=str(account), request_id=str(mine[0]))) == [str(mine[0])]
    assert ids_of(await calls(ledger, account_id=str(uuid7()))) == []


async def test_filters_must_all_hold(ledger: Ledger, account: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is found among those that were looked at, the next page goes on where the look has ended."""
    await ledger.set_price(model="n")
    day = 86_400_000
    for unix_ms, model in ((1, "m"), (day - 1, "n"), (day, "m"), (day + 1, "n"), (2 * day, "m")):
        await ended(ledger, account, settle(uuid7(unix_ms), account), model=model)
    rare = uuid7(2)
    await ended(ledger, account, void(rare, account, reason="refused", error="rare", channel="c"), model="m")
    mine = {"account_id": str(account)}

    async def count(**asked: object) -> int:
        return len(await every_call(ledger, 2, **mine, **asked))

    monkeypatch.setattr(call_store, "SCANNED_MAX", 3)
    assert await count(model="m") == 4
    assert await count(model="m", state="complete") == 3
    assert await count(model="n", state="failed") == 0
    assert await count(model="m", state="failed") == 1
    assert await count(key_id=f"key-{account}") == 6
    assert await count(key_id="other") == 0
    assert await count(first_unix=86_400, end_unix=172_800) == 2
    assert await every_call(ledger, 2, error="rare", channel="c", **mine) == [str(rare)]
    assert await every_call(ledger, 2, error="rare", channel="channel") == []


async def test_transfers_chain_and_name_their_reason(ledger: Ledger, account: UUID) -> None:
    """Newest first, each with the balance after it; a page begins where the one before ended."""
    other = await ledger.open_account(500)
    await ledger.call("make_codes", "summer", 700, None, [bytes([7] * 32)])
    await ledger.connection.fetchval("SELECT billing.claim_code($1, $2)", account, bytes([7] * 32))
    await ledger.call("credit", account, -100, "back", "a mistake")
    request = uuid7()
    await ended(ledger, account, settle(request, account, output_tokens=5_000))
    await ended(ledger, other, settle(uuid7(), other))

    page = await transfers(ledger, account)

    shown = [(each.kind, each.amount_nano_usd, each.reason, each.model) for each in page.items]
    assert shown == [
        ("over", -9_875, "", "m"), ("usage", -225, "", "m"), ("debit", -100, "a mistake", None), ("code", 700, "summer", None),
        ("credit", 10**9, "a gift", None),
    ]  # fmt: skip
    assert page.items[0].request_id == str(request)
    for newer, older in itertools.pairwise(page.items):
        assert newer.balance_nano_usd == older.balance_nano_usd + newer.amount_nano_usd
    singly: list[records.TransferRecord] = []
    before: int | None = None
    for _ in page.items:
        one = await transfers(ledger, account, limit=1, before=before)
        singly += one.items
        before = one.next_before
    assert tuple(singly) == page.items
    assert before is None
    kinds = {
        kind: [each.kind for each in (await transfers(ledger, account, kind=kind)).items]
        for kind in ("money", "usage")
    }
    assert kinds == {"money": ["debit", "code", "credit"], "usage": ["over", "usage"]}


async def test_transfers_of_days_are_found_by_their_ids(ledger: Ledger, account: UUID) -> None:
    """A day begins at a place in the order of the ids, wherever there are gaps, and ends before the next."""
    moment = "'2026-03-01 00:00Z'::timestamptz + n * interval '1 hour'"
    await ledger.connection.execute(
        f"""WITH made AS (
                INSERT INTO billing.transfer (id, kind, debit_account, credit_account, amount_nano_usd, idempotency_key, reason,
                    account_version_after, posted_after_nano_usd, created_at) OVERRIDING SYSTEM VALUE
                SELECT 1000 + 7 * n, 'credit', '00000000-0000-0000-0000-000000000002', $1, 1, 'k' || n, 'n' || n, n, n, {moment}
                FROM generate_series(0, 99) AS n RETURNING id, created_at
            ) INSERT INTO billing.by_hand (account_id, transfer_id, created_at) SELECT $1, id, created_at FROM made""",
        account,
    )

    async def between(first: str, end: str) -> list[str]:
        moments = [datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() for day in (first, end)]
        page = await transfers(ledger, account, first_unix=moments[0], end_unix=moments[1], limit=200)
        return [each.reason for each in page.items]

    assert await between("2026-03-02", "2026-03-03") == [f"n{n}" for n in range(47, 23, -1)]
    assert await between("2026-02-01", "2026-03-01T01:00:00") == ["n0"]
    assert await between("2025-01-01", "2026-01-01") == []
    assert len(await between("2026-03-01", "2026-03-06")) == 100


async def test_claims_of_a_batch(ledger: Ledger, account: UUID) -> None:
    """Newest first, none twice, and none of another batch."""
    await ledger.call("make_codes", "a", 1, None, [bytes([n] * 32) for n in range(5)])
    await ledger.call("make_codes", "b", 1, None, [bytes([99] * 32)])
    for n in (3, 1, 2, 99):
        await ledger.connection.fetchval("SELECT billing.claim_code($1, $2)", account, bytes([n] * 32))

    async with looking(ledger):
        assert await call_store.has_batch(ledger.connection, "a")
        assert not await call_store.has_batch(ledger.connection, "c")
        whole = await call_store.claims(ledger.connection, "a", None, 10)
        rest = await call_store.claims(ledger.connection, "a", whole[0], 10)
    assert [by for _, by in whole] == [str(account)] * 3
    assert whole == sorted(whole, reverse=True)
    assert rest == whole[1:]
