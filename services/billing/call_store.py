"""Billing's SQL about the past, row by row: calls, transfers, claimed codes. One function per statement.

A call's id is a UUIDv7, whose order is that in which calls came; a span of time is a span of ids. Without filters a page is read
from an index in that order. With filters SCANNED_MAX calls are looked at, whatever is found among them, and the next page goes on
there: no filter makes a look cost more than another, and none needs an index that every request would pay for.
"""

import datetime
import uuid

import msgspec

from shared.contracts import records
from shared.contracts.billing import Usage
from shared.db import Connection

SCANNED_MAX = 20_000
STATEMENT_MILLISECONDS = 4_000
FIRST_ID = str(uuid.UUID(int=0))
LAST_ID = str(uuid.UUID(int=2**128 - 1))
SKEW = datetime.timedelta(minutes=1)  # by which the time of a transfer can differ from the order of its id
_UNIX_MS_MAX = 2**48 - 1
_UNITS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")

# A plan that reads a table from end to end looks cheap to a planner that knows nothing of the order of what is asked.
_BOUNDED = f"""SELECT set_config('statement_timeout', '{STATEMENT_MILLISECONDS}', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"""

# An account is "between itself and itself", and not equal to itself, where only the index by account has the order that is
# asked for: or the planner would hope to meet it soon on its way back through everybody's rows, which it may have left long ago.

# $1 the account, $2 the id that all are below, $3 the least id, $4 how many.
_IDS_OF_ALL = """
    SELECT h.id FROM billing.hold AS h
    WHERE $1::uuid IS NULL AND h.price_id IS NOT NULL AND h.id < $2::uuid AND h.id >= $3::uuid
    ORDER BY h.id DESC LIMIT $4"""
_IDS_OF_ACCOUNT = """
    SELECT e.id FROM (
        (SELECT u.request_id AS id FROM billing.usage AS u
            WHERE u.account_id BETWEEN $1::uuid AND $1::uuid AND u.request_id < $2::uuid AND u.request_id >= $3::uuid
                AND NOT u.is_late
            ORDER BY u.account_id DESC, u.request_id DESC LIMIT $4)
        UNION ALL (SELECT h.id FROM billing.hold AS h
            WHERE h.account_id = $1::uuid AND h.id < $2::uuid AND h.id >= $3::uuid
                AND h.state = 'VOIDED' AND num_nulls(h.price_id) = 0
            ORDER BY h.id DESC LIMIT $4)
        UNION ALL (SELECT r.id FROM (
            -- What runs is few, and has an index of its own.
            SELECT h.id FROM billing.hold AS h WHERE h.state = 'HELD' AND h.account_id = $1::uuid OFFSET 0
        ) AS r WHERE r.id < $2::uuid AND r.id >= $3::uuid ORDER BY r.id DESC LIMIT $4)
    ) AS e ORDER BY e.id DESC LIMIT $4"""
_CALLS = """
    SELECT c.id::text AS request_id, c.account_id::text, c.key_id, c.model, c.state, nullif(c.error, '') AS error,
        coalesce(c.outcome, '') AS outcome, coalesce(u.rule, '') AS rule, c.is_stream,
        coalesce(u.channel, c.channel, '') AS channel,
        u.input_tokens, u.cache_read_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens,
        coalesce(u.is_estimated, false) AS is_estimated, u.cost_nano_usd, u.charged_nano_usd, u.writeoff_nano_usd,
        c.first_output_ms, c.took_ms, extract(epoch FROM c.created_at)::float8 AS created_unix
    FROM ({ids}) AS n JOIN billing.call AS c ON c.id = n.id
    CROSS JOIN LATERAL (
        -- Two rows, if it was settled late: then the first has no tokens and no charge.
        SELECT (array_agg(u.rule::text ORDER BY u.is_late DESC))[1] AS rule, max(u.channel) AS channel,
            bool_or(u.is_estimated) AS is_estimated,
            coalesce(sum(u.input_tokens), 0)::bigint AS input_tokens,
            coalesce(sum(u.cache_read_tokens), 0)::bigint AS cache_read_tokens,
            coalesce(sum(u.cache_write_tokens), 0)::bigint AS cache_write_tokens,
            coalesce(sum(u.output_tokens), 0)::bigint AS output_tokens,
            coalesce(sum(u.reasoning_tokens), 0)::bigint AS reasoning_tokens,
            coalesce(sum(u.cost_nano_usd), 0)::bigint AS cost_nano_usd,
            coalesce(sum(u.charged_nano_usd), 0)::bigint AS charged_nano_usd,
            coalesce(sum(u.writeoff_nano_usd), 0)::bigint AS writeoff_nano_usd
        FROM billing.usage AS u WHERE u.request_id = c.id
    ) AS u
    WHERE ($5::text IS NULL OR c.model = $5) AND ($6::text IS NULL OR c.key_id = $6) AND ($7::text IS NULL OR c.state = $7)
        AND ($8::text IS NULL OR coalesce(u.channel, c.channel, '') = $8) AND ($9::text IS NULL OR c.error = $9)
    ORDER BY n.id DESC LIMIT $10"""
CALLS_OF_ALL = _CALLS.format(ids=_IDS_OF_ALL)
CALLS_OF_ACCOUNT = _CALLS.format(ids=_IDS_OF_ACCOUNT)

# $1 the account, $2 the id that all are below, $3 the least id, $4 and $5 the times, $6 how many.
_BY_HAND = """(SELECT m.transfer_id AS id FROM billing.by_hand AS m
    WHERE m.account_id = $1::uuid AND m.transfer_id < $2 AND m.transfer_id >= $3
        AND ($4::timestamptz IS NULL OR m.created_at >= $4) AND ($5::timestamptz IS NULL OR m.created_at < $5)
    ORDER BY m.transfer_id DESC LIMIT $6)"""
_USED = """(SELECT t.id FROM billing.transfer AS t
    WHERE t.debit_account BETWEEN $1::uuid AND $1::uuid AND t.id < $2 AND t.id >= $3 AND t.kind <> 'adjustment'
        AND ($4::timestamptz IS NULL OR t.created_at >= $4) AND ($5::timestamptz IS NULL OR t.created_at < $5)
    ORDER BY t.debit_account DESC, t.id DESC LIMIT $6)"""
_TRANSFERS = """
    SELECT t.id, CASE
            WHEN t.kind = 'adjustment' THEN 'debit'
            WHEN t.kind <> 'credit' THEN t.kind::text
            WHEN c.batch IS NOT NULL THEN 'code'
            ELSE 'credit'
        END AS kind,
        CASE WHEN t.kind = 'credit' THEN t.amount_nano_usd ELSE -t.amount_nano_usd END AS amount_nano_usd,
        t.posted_after_nano_usd AS balance_nano_usd, coalesce(c.batch, t.reason, '') AS reason, t.hold_id::text AS request_id,
        h.model, extract(epoch FROM t.created_at)::float8 AS created_unix
    FROM (SELECT e.id FROM ({ids}) AS e ORDER BY e.id DESC LIMIT $6) AS n JOIN billing.transfer AS t ON t.id = n.id
    LEFT JOIN billing.hold AS h ON h.id = t.hold_id
    LEFT JOIN billing.code AS c ON c.hash = CASE
        WHEN t.idempotency_key ~ '^code:[0-9a-f]{{64}}$' THEN decode(substr(t.idempotency_key, 6), 'hex')
    END
    ORDER BY n.id DESC"""
TRANSFERS = {
    "all": _TRANSFERS.format(ids=f"{_BY_HAND} UNION ALL {_USED}"),
    "money": _TRANSFERS.format(ids=_BY_HAND),
    "usage": _TRANSFERS.format(ids=_USED),
}


async def calls(connection: Connection, request: records.ListCalls) -> records.CallPage:
    """Return a page of calls. The connection is in a transaction, which is bounded by this."""
    before, first = _ids_between(request)
    account, limit = request.account_id, request.limit
    is_filtered = any(
        each is not None
        for each in (request.model, request.key_id, request.state, request.channel, request.error)
    )
    scanned = SCANNED_MAX if is_filtered else limit + 1
    await connection.execute(_BOUNDED)
    found = await connection.fetch(
        CALLS_OF_ALL if account is None else CALLS_OF_ACCOUNT,
        account, before, first, scanned,
        request.model, request.key_id, request.state, request.channel, request.error, limit + 1,
    )  # fmt: skip
    next_before = found[limit - 1]["request_id"] if len(found) > limit else None
    if next_before is None and is_filtered:
        ids = _IDS_OF_ALL if account is None else _IDS_OF_ACCOUNT
        next_before = await connection.fetchval(
            f"SELECT n.id::text FROM ({ids}) AS n OFFSET $4 - 1",  # noqa: S608 - a constant
            account, before, first, scanned,
        )  # fmt: skip
    return records.CallPage(items=tuple(_call(dict(each)) for each in found[:limit]), next_before=next_before)


async def transfers(connection: Connection, request: records.ListTransfers) -> records.TransferPage:
    """Return a page of transfers. The connection is in a transaction, which is bounded by this."""
    await connection.execute(_BOUNDED)
    first, end = _moment(request.first_unix), _moment(request.end_unix)
    least, most = 0, 2**63 - 1
    if first is not None:
        least = await connection.fetchval("SELECT billing.transfer_id_at($1)", first - SKEW)
    if end is not None:
        most = await connection.fetchval("SELECT billing.transfer_id_at($1)", end + SKEW)
    before = most if request.before is None else min(most, request.before)
    limit = request.limit
    found = await connection.fetch(
        TRANSFERS[request.kind], request.account_id, before, least, first, end, limit + 1
    )
    return records.TransferPage(
        items=tuple(msgspec.convert(dict(each), records.TransferRecord) for each in found[:limit]),
        next_before=found[limit - 1]["id"] if len(found) > limit else None,
    )


async def claims(
    connection: Connection, batch: str, before: tuple[datetime.datetime, str] | None, limit: int
) -> list[tuple[datetime.datetime, str]]:
    """Return when the codes of a batch were claimed and by whom, newest first. A batch is small enough to be sorted."""
    at, by = before or (None, None)
    found = await connection.fetch(
        """SELECT c.claimed_at, c.claimed_by::text FROM billing.code AS c
           WHERE c.batch = $1 AND c.claimed_at IS NOT NULL
               AND ($2::timestamptz IS NULL OR (c.claimed_at, c.claimed_by) < ($2, $3::uuid))
           ORDER BY c.claimed_at DESC, c.claimed_by DESC LIMIT $4""",
        batch,
        at,
        by,
        limit,
    )
    return [(each["claimed_at"], each["claimed_by"]) for each in found]


async def has_batch(connection: Connection, batch: str) -> bool:
    """Tell whether there is a batch of this name."""
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM billing.code_batch WHERE name = $1)", batch)
    )


def id_at(unix: float) -> str:
    """Return the least id that a call of this moment, or later, can have."""
    return str(uuid.UUID(int=max(0, min(round(unix * 1000), _UNIX_MS_MAX)) << 80))


def _ids_between(request: records.ListCalls) -> tuple[str, str]:
    """Return the id that all are below, and the least id."""
    ends = [LAST_ID if request.end_unix is None else id_at(request.end_unix)]
    begins = [FIRST_ID if request.first_unix is None else id_at(request.first_unix)]
    if request.before is not None:
        ends.append(str(uuid.UUID(request.before)))
    if request.request_id is not None:
        exact = uuid.UUID(request.request_id)
        begins.append(str(exact))
        ends.append(str(uuid.UUID(int=min(exact.int + 1, 2**128 - 1))))
    return min(ends), max(begins)


def _moment(unix: float | None) -> datetime.datetime | None:
    return None if unix is None else datetime.datetime.fromtimestamp(unix, datetime.UTC)


def _call(fields: dict[str, object]) -> records.CallRecord:
    usage = msgspec.convert({name: fields.pop(name) for name in _UNITS}, Usage)
    return msgspec.convert({**fields, "usage": usage}, records.CallRecord)
