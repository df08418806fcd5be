"""The judgement of one generation of a soak: each of its requests, by the same rule as in a scenario, and nothing left over.

What the driver did to the cluster (`troubles.py`) may break the requests that it touched, visibly. All others must end as if
nothing had ever failed: a request that met no fault and whose client stayed is complete.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Mapping

import httpx
import msgspec

from services.simulator.journal import JournalEntry, LedgerEntry, Stats
from shared.contracts.billing import Usage
from shared.db import Connection
from shared.ids import uuid7
from tests.faults.load import Ended, Generation
from tests.faults.troubles import Troubles
from tests.faults.verdict import COMPLETE, Allowance, Evidence, Hold, UsageRow, problems

REST_SECONDS = 60.0
POLL_SECONDS = 0.2
MARGIN_SECONDS = 5.0  # between the clocks of the driver and of the edges, and then some
# An edge that dies between its last bytes and its last word: what is charged may have been lost, or the other way round.
TOUCHED = Allowance(rules=COMPLETE, may_be_lost=True, may_be_free=True, calls_max=3)
_MARKER = re.compile(r'"content":"([0-9a-f]{16}) ')


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What ledger and upstream know of one generation: holds by fingerprint, usage by request, calls by marker, bills by call."""

    holds: Mapping[str, list[Hold]]
    usage: Mapping[str, list[UsageRow]]
    calls: Mapping[str, list[JournalEntry]]
    bills: Mapping[int, LedgerEntry]


async def judge(
    generation: Generation, database: Connection, http: httpx.AsyncClient, troubles: Troubles
) -> list[str]:
    """Return what is wrong with a generation, as sentences, and let its upstream forget it.

    Waits for its requests to end and for its money to come to rest.
    """
    await generation.until_over()
    found = await _until_at_rest(generation, database, http)
    books = await _open_books(generation, database, http)
    for ended in generation.ended:
        found += _judge_one(ended, books, troubles)
        await asyncio.sleep(0)  # the load goes on meanwhile
    found += _strangers(generation, books)
    (await http.post(f"{generation.upstream.url}/_sim/reset")).raise_for_status()
    return found


def _judge_one(ended: Ended, books: Books, troubles: Troubles) -> list[str]:
    transcript = ended.transcript
    holds = books.holds.get(transcript.fingerprint, [])
    calls = books.calls.get(transcript.marker, [])
    evidence = Evidence(
        transcript=transcript,
        holds=tuple(holds),
        usage=tuple(row for hold in holds for row in books.usage.get(hold.id, [])),
        calls=tuple(calls),
        bills=tuple(books.bills[call.number] for call in calls if call.number in books.bills),
    )
    is_touched = troubles.have_touched(transcript.started_at, transcript.ended_at)
    found = problems(evidence, TOUCHED if is_touched else Allowance())
    if ended.visit.must_complete and not is_touched and transcript.verdict != "complete":
        found.append(
            f"{transcript.edge} {transcript.marker}: {transcript.verdict} ({transcript.status}, {transcript.end}, "
            f"{transcript.error}) though nothing had failed"
        )
    return found


def _strangers(generation: Generation, books: Books) -> list[str]:
    fingerprints = {ended.transcript.fingerprint for ended in generation.ended}
    markers = {ended.transcript.marker for ended in generation.ended}
    return [
        *(
            f"a hold for a request that nobody made: {books.holds[each]}"
            for each in books.holds.keys() - fingerprints
        ),
        *(f"the upstream was asked what nobody asked: {each}" for each in books.calls.keys() - markers),
    ]


async def _until_at_rest(generation: Generation, database: Connection, http: httpx.AsyncClient) -> list[str]:
    """Return once nothing of it is held or runs upstream; or what still is, after REST_SECONDS."""
    give_up = time.monotonic() + REST_SECONDS
    while True:
        held = await database.fetchval(
            "SELECT count(*) FROM billing.hold WHERE state = 'HELD' AND account_id = ANY($1::uuid[])",
            _accounts(generation),
        )
        answer = await http.get(f"{generation.upstream.url}/_sim/stats")
        running = msgspec.json.decode(answer.content, type=Stats).running
        if not held and not running:
            return []
        if time.monotonic() > give_up:
            return [f"after {REST_SECONDS:g} s {held} are held and {running} run upstream"]
        await asyncio.sleep(POLL_SECONDS)


async def _open_books(generation: Generation, database: Connection, http: httpx.AsyncClient) -> Books:
    since = str(uuid7(int((generation.began_unix - MARGIN_SECONDS) * 1000)))
    holds: defaultdict[str, list[Hold]] = defaultdict(list)
    for row in await database.fetch(
        """SELECT id::text, state::text, fingerprint FROM billing.hold
        WHERE id >= $1::uuid AND account_id = ANY($2::uuid[]) AND fingerprint IS NOT NULL ORDER BY id""",
        since,
        _accounts(generation),
    ):
        holds[row["fingerprint"]].append(Hold(id=row["id"], state=row["state"]))
    usage: defaultdict[str, list[UsageRow]] = defaultdict(list)
    for row in await database.fetch(
        """SELECT request_id::text, is_late, rule::text, witness::text, charged_nano_usd, input_tokens,
            cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens
        FROM billing.usage WHERE account_id = ANY($2::uuid[]) AND request_id >= $1::uuid ORDER BY is_late""",
        since,
        _accounts(generation),
    ):
        units = Usage(**{name: row[name] for name in Usage.__struct_fields__})
        known = {name: row[name] for name in UsageRow.__struct_fields__ if name != "usage"}
        usage[row["request_id"]].append(UsageRow(usage=units, **known))
    journal = await http.get(f"{generation.upstream.url}/_sim/requests")
    calls: defaultdict[str, list[JournalEntry]] = defaultdict(list)
    for entry in msgspec.json.decode(journal.content, type=list[JournalEntry]):
        match = _MARKER.search(entry.body)
        calls[match[1] if match else f"number {entry.number}"].append(entry)
    ledger = await http.get(f"{generation.upstream.url}/_sim/ledger")
    bills = {bill.number: bill for bill in msgspec.json.decode(ledger.content, type=list[LedgerEntry])}
    return Books(holds=holds, usage=usage, calls=calls, bills=bills)


def _accounts(generation: Generation) -> list[str]:
    return [tenant.account_id for tenant in generation.upstream.tenants]
