"""Billing's SQL about accounts: limits, groups, codes, receipts. One function per statement."""

import datetime

import msgspec

from services.billing.store import PRICE_COLUMNS, price_of
from shared.contracts import accounts
from shared.contracts.billing import UpstreamAttempt, Usage
from shared.db import Connection

_UNITS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"  # above every id
_SHEETS = """WITH asked AS (SELECT unnest($1::uuid[]) AS id),
    live AS (
        SELECT h.account_id, count(*) AS running FROM billing.hold AS h
        WHERE h.state = 'HELD' AND h.account_id = ANY($1::uuid[]) GROUP BY h.account_id),
    by_hand AS (
        SELECT m.account_id AS id, sum(CASE WHEN t.kind = 'credit' THEN t.amount_nano_usd ELSE -t.amount_nano_usd END) AS amount
        FROM billing.by_hand AS m JOIN billing.transfer AS t ON t.id = m.transfer_id
        WHERE m.account_id = ANY($1::uuid[]) GROUP BY m.account_id)
    SELECT a.id::text AS account_id, a.posted_nano_usd, a.held_nano_usd, a.group_name,
        (coalesce(by_hand.amount, 0) - a.posted_nano_usd)::bigint AS spent_nano_usd,
        coalesce(live.running, 0) AS running
    FROM asked JOIN billing.account AS a ON a.id = asked.id
        LEFT JOIN live ON live.account_id = a.id LEFT JOIN by_hand ON by_hand.id = a.id
    ORDER BY a.id"""
_BATCHES = """SELECT b.name, b.amount_nano_usd, count(c.hash) AS codes, count(c.claimed_by) AS claimed,
        extract(epoch FROM b.created_at)::float8 AS created_unix, extract(epoch FROM b.expires_at)::float8 AS expires_unix,
        extract(epoch FROM b.revoked_at)::float8 AS revoked_unix
    FROM billing.code_batch AS b LEFT JOIN billing.code AS c ON c.batch = b.name"""


async def set_limits(connection: Connection, request: accounts.SetLimits) -> str:
    """Store limits; return `ok`, `account_unknown` or `key_unknown`."""
    return str(
        await connection.fetchval(
            "SELECT billing.set_limits($1::uuid, $2, $3::jsonb)",
            request.account_id,
            request.key_id,
            msgspec.json.encode(request.limits).decode(),
        )
    )


async def limits(
    connection: Connection, account_id: str, key_id: str | None
) -> accounts.LimitsInForce | None:
    """Return the limits in force, None for an account that does not exist."""
    text = await connection.fetchval("SELECT billing.limits_of($1::uuid, $2)::text", account_id, key_id)
    return None if text is None else msgspec.json.decode(text, type=accounts.LimitsInForce)


async def has_key(connection: Connection, account_id: str, key_id: str) -> bool:
    """Tell whether the key is one of the account."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM billing.api_key WHERE id = $1 AND account_id = $2::uuid)",
            key_id,
            account_id,
        )
    )


async def keys_in_force(
    connection: Connection, account_id: str, key_ids: tuple[str, ...]
) -> tuple[accounts.KeyInForce, ...]:
    """Return limits and charges of those keys that the account has. What a metered key was charged its meter knows (I30)."""
    records = await connection.fetch(
        """SELECT k.id, billing.limits_of(k.account_id, k.id)::text AS in_force,
                coalesce(m.total_nano_usd, (
                    SELECT sum(u.charged_nano_usd) FROM billing.usage AS u
                    WHERE u.account_id = k.account_id AND u.key_id = k.id
                ), 0)::bigint AS spent_nano_usd
           FROM billing.api_key AS k LEFT JOIN billing.meter AS m ON m.id = k.id AND k.is_metered
           WHERE k.account_id = $1::uuid AND k.id = ANY ($2)""",
        account_id,
        list(key_ids),
    )
    return tuple(
        accounts.KeyInForce(
            key_id=record["id"],
            in_force=msgspec.json.decode(record["in_force"], type=accounts.LimitsInForce),
            spent_nano_usd=record["spent_nano_usd"],
        )
        for record in records
    )


async def put_group(connection: Connection, group: accounts.Group) -> None:
    """Store a group in place of the one of this name."""
    await connection.fetchval(
        "SELECT billing.put_group($1, $2::jsonb, $3, $4)",
        group.name,
        msgspec.json.encode(group.limits).decode(),
        list(group.allowed_models),
        group.multiplier_ppm,
    )


async def groups(connection: Connection) -> tuple[accounts.Group, ...]:
    """Return every group, by name."""
    records = await connection.fetch(
        """SELECT name, jsonb_strip_nulls(to_jsonb(limits))::text AS limits, allowed_models, multiplier_ppm
           FROM billing.account_group ORDER BY name"""
    )
    return tuple(
        accounts.Group(
            name=record["name"],
            limits=msgspec.json.decode(record["limits"], type=accounts.Limits),
            allowed_models=tuple(record["allowed_models"]),
            multiplier_ppm=record["multiplier_ppm"],
        )
        for record in records
    )


async def members(connection: Connection, request: accounts.ListMembers) -> tuple[str, ...]:
    """Return the ids of accounts in a group, newest first."""
    records = await connection.fetch(
        """SELECT id::text FROM billing.account WHERE group_name = $1 AND id < $2::uuid ORDER BY account.id DESC LIMIT $3""",
        request.group_name,
        request.before_id or _LAST_ID,
        request.limit,
    )
    return tuple(record["id"] for record in records)


async def sheets(connection: Connection, account_ids: tuple[str, ...]) -> tuple[accounts.AccountSheet, ...]:
    """Return what there is of these accounts at a glance, by id, all read at one moment."""
    records = await connection.fetch(_SHEETS, sorted(set(account_ids)))
    return tuple(msgspec.convert(dict(record), accounts.AccountSheet) for record in records)


async def delete_group(connection: Connection, name: str) -> str:
    """Remove a group; return `ok`, `unknown` or `in_use`."""
    return str(await connection.fetchval("SELECT billing.delete_group($1)", name))


async def set_group(connection: Connection, request: accounts.SetGroup) -> str:
    """Put an account into a group or out of it; return `ok`, `account_unknown` or `group_unknown`."""
    return str(
        await connection.fetchval(
            "SELECT billing.set_group($1::uuid, $2)", request.account_id, request.group_name
        )
    )


async def make_codes(
    connection: Connection, request: accounts.MakeCodes, hashes: list[bytes]
) -> accounts.CodeBatch | None:
    """Store a new batch with the hashes of its codes and return it, None when the name is taken."""
    result = await connection.fetchval(
        "SELECT billing.make_codes($1, $2, $3, $4)",
        request.batch,
        request.amount_nano_usd,
        request.lifetime_seconds,
        hashes,
    )
    return await batch(connection, request.batch) if result == "ok" else None


async def claim_code(connection: Connection, account_id: str, code_hash: bytes) -> tuple[str, int]:
    """Credit a code; return `ok`, `already` or why not, and what it is worth."""
    record = await connection.fetchrow(
        "SELECT result, amount_nano_usd FROM billing.claim_code($1::uuid, $2)", account_id, code_hash
    )
    return record["result"], record["amount_nano_usd"] or 0


async def batches(connection: Connection) -> tuple[accounts.CodeBatch, ...]:
    """Return every batch of codes, newest first."""
    records = await connection.fetch(_BATCHES + " GROUP BY b.name ORDER BY b.created_at DESC, b.name")
    return tuple(msgspec.convert(dict(record), accounts.CodeBatch) for record in records)


async def batch(connection: Connection, name: str) -> accounts.CodeBatch | None:
    """Return the batch of this name, if there is one."""
    record = await connection.fetchrow(_BATCHES + " WHERE b.name = $1 GROUP BY b.name", name)
    return None if record is None else msgspec.convert(dict(record), accounts.CodeBatch)


async def revoke_codes(connection: Connection, name: str) -> accounts.CodeBatch | None:
    """End the unclaimed codes of a batch and return it, None when there is none of this name."""
    if not await connection.fetchval("SELECT billing.revoke_codes($1)", name):
        return None
    return await batch(connection, name)


async def receipt(connection: Connection, request: accounts.GetReceipt) -> accounts.Receipt | None:
    """Return the receipt of a request, None when there is none, or none of this key or account."""
    record = await connection.fetchrow(
        """SELECT id::text AS request_id, account_id::text, key_id, model, state::text, outcome, price_id,
                extract(epoch FROM created_at)::float8 AS created_unix, extract(epoch FROM closed_at)::float8 AS closed_unix,
                multiplier_ppm, input_tokens_bound, output_tokens_bound,
                coalesce(first_nano_usd, amount_nano_usd) AS first_nano_usd, amount_nano_usd, extensions, settled_nano_usd,
                coalesce(attempts, '[]')::text AS attempts, is_stream, error, first_output_ms, took_ms
           FROM billing.hold WHERE id = $1::uuid AND price_id IS NOT NULL AND ($2::text IS NULL OR key_id = $2)
               AND ($3::uuid IS NULL OR account_id = $3::uuid)""",
        request.request_id,
        request.key_id,
        request.account_id,
    )
    if record is None:
        return None
    fields = dict(record)
    price = await connection.fetchrow(
        f"SELECT {PRICE_COLUMNS} FROM billing.price WHERE id = $1",  # noqa: S608 - a constant
        fields.pop("price_id"),
    )
    charges = await connection.fetch(
        """SELECT rule::text, outcome::text, source, is_estimated, is_late, cost_nano_usd, charged_nano_usd, writeoff_nano_usd,
                writeoff_cause, coalesce(channel, '') AS channel, witness::text,
                extract(epoch FROM created_at)::float8 AS created_unix,
                input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens
           FROM billing.usage WHERE request_id = $1::uuid ORDER BY is_late""",
        request.request_id,
    )
    fields["attempts"] = msgspec.json.decode(fields["attempts"], type=tuple[UpstreamAttempt, ...])
    fields["price"] = price_of(dict(price))
    fields["charges"] = tuple(_charge(dict(charge)) for charge in charges)
    return msgspec.convert(fields, accounts.Receipt)


async def spending(connection: Connection, request: accounts.GetSpending) -> tuple[accounts.DaySpending, ...]:
    """Return what a key spent, by day and model."""
    records = await connection.fetch(
        """SELECT (created_at AT TIME ZONE 'UTC')::date::text AS day, model, count(*) AS requests,
                sum(charged_nano_usd)::bigint AS charged_nano_usd
           FROM billing.usage
           WHERE account_id = $1::uuid AND key_id = $2
               AND created_at >= $3::date::timestamp AT TIME ZONE 'UTC' AND created_at < $4::date::timestamp AT TIME ZONE 'UTC'
           GROUP BY 1, 2 ORDER BY 1, 2""",
        request.account_id,
        request.key_id,
        datetime.date.fromisoformat(request.first_day),
        datetime.date.fromisoformat(request.end_day),
    )
    return tuple(msgspec.convert(dict(record), accounts.DaySpending) for record in records)


def _charge(fields: dict[str, object]) -> accounts.Charge:
    units = msgspec.convert({name: fields.pop(name) for name in _UNITS}, Usage)
    return msgspec.convert({**fields, "usage": units}, accounts.Charge)
