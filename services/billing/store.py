"""Billing's SQL beside the hot path: one function per statement. Everything that writes is a function of the ledger."""

import datetime

import asyncpg
import msgspec

from shared.contracts import billing
from shared.contracts.records import GetUsage, UsageRecord
from shared.db import Connection
from shared.errors import Conflict, InvalidRequest

PRICE_COLUMNS = (
    "id, model, input_pico_usd, output_pico_usd, cache_read_pico_usd, cache_write_pico_usd, max_output_tokens,"
    " extract(epoch FROM effective_at)::float8 AS effective_unix, tiers::text AS tiers, context_tokens, capabilities, source"
)
_PRICES = f"SELECT {PRICE_COLUMNS} FROM billing.price"  # noqa: S608 - a constant
_CURRENT_PRICES = (
    f"SELECT DISTINCT ON (model) {PRICE_COLUMNS} FROM billing.price"  # noqa: S608 - a constant
    " WHERE effective_at <= clock_timestamp() ORDER BY model, effective_at DESC, id DESC"
)
_UNITS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox; `body` is the row that it names as JSON, `null` if there is none."""

    id: int
    subject: str
    body: str


async def renew_lease(connection: Connection, lease_id: str, lease_seconds: int) -> float | None:
    """Start or renew a lease, also one that has lapsed; return its remaining seconds, None when it has ended."""
    remaining = await connection.fetchval("SELECT billing.renew_lease($1, $2)", lease_id, lease_seconds)
    return None if remaining is None else float(remaining)


async def end_lease(connection: Connection, lease_id: str) -> None:
    """End a lease at once."""
    await connection.fetchval("SELECT billing.end_lease($1)", lease_id)


async def moment(connection: Connection) -> datetime.datetime:
    """Return when this transaction began, by PostgreSQL's clock."""
    began: datetime.datetime = await connection.fetchval("SELECT transaction_timestamp()")
    return began


async def expire(connection: Connection, *, batch: int, grace_seconds: int, uptime_seconds: int) -> int:
    """Expire holds whose lease or deadline had passed before this transaction's `moment`; return how many there were."""
    return int(
        await connection.fetchval("SELECT billing.expire($1, $2, $3)", batch, grace_seconds, uptime_seconds)
    )


async def prune_tombstones(connection: Connection, *, age_seconds: int) -> None:
    """Forget the tombstones of voids that came before their reserve, once no such reserve can still come."""
    await connection.fetchval("SELECT billing.prune_tombstones($1)", age_seconds)


async def prune_idempotency(connection: Connection, *, age_seconds: int) -> None:
    """Forget the idempotency keys that clients named so long ago."""
    await connection.fetchval("SELECT billing.prune_idempotency($1)", age_seconds)


async def put_account(connection: Connection, request: billing.PutAccount) -> None:
    """Store an account's status unless a newer version is here already."""
    await connection.fetchval(
        "SELECT billing.put_account($1::uuid, $2, $3)", request.account_id, request.status, request.version
    )


async def put_key(connection: Connection, request: billing.PutKey) -> str:
    """Store a key's status unless a newer version is here already; return what was done."""
    expires = (
        None
        if request.expires_unix is None
        else datetime.datetime.fromtimestamp(request.expires_unix, datetime.UTC)
    )
    return str(
        await connection.fetchval(
            "SELECT billing.put_key($1, $2::uuid, $3, $4, $5)",
            request.key_id,
            request.account_id,
            request.status,
            expires,
            request.version,
        )
    )


async def credit(connection: Connection, request: billing.Credit) -> str:
    """Add to a balance; return `ok`, `already`, or why not. Raises: Conflict when another account has just used the key."""
    try:
        result = await connection.fetchval(
            "SELECT result FROM billing.credit($1::uuid, $2, $3, $4)",
            request.account_id,
            request.amount_nano_usd,
            request.idempotency_key,
            request.reason,
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict("id_conflict", id=request.idempotency_key) from error
    return str(result)


async def balance(connection: Connection, account_id: str) -> billing.Balance | None:
    """Return what an account has, None when there is no such account."""
    record = await connection.fetchrow(
        "SELECT posted_nano_usd, held_nano_usd FROM billing.account WHERE id = $1::uuid", account_id
    )
    if record is None:
        return None
    return billing.Balance(
        account_id=account_id,
        posted_nano_usd=record["posted_nano_usd"],
        held_nano_usd=record["held_nano_usd"],
    )


async def set_price(connection: Connection, request: billing.SetPrice) -> billing.Price:
    """Add a price version.

    Raises: InvalidRequest for a time in the past, and for tiers that do not go upwards in length and price.
    """
    effective = None
    if request.effective_unix is not None:
        effective = datetime.datetime.fromtimestamp(request.effective_unix, datetime.UTC)
    try:
        price_id = await connection.fetchval(
            "SELECT billing.set_price($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11)",
            request.model,
            request.input_pico_usd,
            request.output_pico_usd,
            request.cache_read_pico_usd,
            request.cache_write_pico_usd,
            request.max_output_tokens,
            effective,
            msgspec.json.encode(request.tiers).decode(),
            request.context_tokens,
            list(request.capabilities),
            request.source,
        )
    except asyncpg.InvalidParameterValueError as error:
        raise InvalidRequest(
            "invalid_value", param="effective_unix", problem="a price cannot become effective in the past"
        ) from error
    except asyncpg.CheckViolationError as error:
        raise InvalidRequest(
            "invalid_value",
            param="tiers",
            problem="each of at most 8 tiers must be longer than the one before it and nowhere cheaper",
        ) from error
    record = await connection.fetchrow(_PRICES + " WHERE id = $1", price_id)
    return price_of(dict(record))


async def current_prices(connection: Connection) -> tuple[billing.Price, ...]:
    """Return the price in force of every model, by name."""
    records = await connection.fetch(_CURRENT_PRICES)
    return tuple(price_of(dict(record)) for record in records)


async def prices_of(connection: Connection, model: str) -> tuple[billing.Price, ...]:
    """Return every price version of a model, newest first."""
    records = await connection.fetch(_PRICES + " WHERE model = $1 ORDER BY effective_at DESC, id DESC", model)
    return tuple(price_of(dict(record)) for record in records)


async def scheduled_prices(connection: Connection, model: str | None) -> tuple[billing.Price, ...]:
    """Return the versions that are not effective yet, of one model or of all, the next first."""
    records = await connection.fetch(
        _PRICES + " WHERE effective_at > clock_timestamp() AND ($1::text IS NULL OR model = $1)"
        " ORDER BY effective_at, id",
        model,
    )
    return tuple(price_of(dict(record)) for record in records)


def price_of(fields: dict[str, object]) -> billing.Price:
    """Return the price that a row of PRICE_COLUMNS is."""
    fields["tiers"] = msgspec.json.decode(str(fields["tiers"]))
    return msgspec.convert(fields, billing.Price)


async def usage(connection: Connection, request: GetUsage) -> tuple[UsageRecord, ...]:
    """Return usage records, newest first."""
    records = await connection.fetch(
        """SELECT request_id::text, account_id::text, key_id, model, price_id, rule::text, outcome::text, is_estimated,
                input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
                cost_nano_usd, charged_nano_usd, writeoff_nano_usd, coalesce(channel, '') AS channel,
                extract(epoch FROM created_at)::float8 AS created_unix
           FROM billing.usage
           WHERE ($1::uuid IS NULL OR account_id = $1::uuid) AND ($2::uuid IS NULL OR request_id = $2::uuid)
           ORDER BY request_id DESC, created_at DESC LIMIT $3""",
        request.account_id,
        request.request_id,
        max(1, min(request.limit, 1000)),
    )
    return tuple(_usage_record(dict(record)) for record in records)


async def lead_outbox(connection: Connection) -> bool:
    """Whether this connection is the publisher from now until it ends."""
    return bool(await connection.fetchval("SELECT billing.lead_outbox()"))


async def outbox(connection: Connection, limit: int) -> list[Event]:
    """Return the oldest events that are not published yet."""
    records = await connection.fetch(
        "SELECT id, subject, body::text AS body FROM billing.outbox_batch($1)", limit
    )
    return [
        Event(id=record["id"], subject=record["subject"], body=record["body"] or "null") for record in records
    ]


async def outbox_published(connection: Connection, ids: list[int]) -> None:
    """Forget events that were published, and count what happened."""
    await connection.fetchval("SELECT billing.outbox_published($1)", ids)


async def count_untold(connection: Connection, limit: int) -> int:
    """Count what nobody is told of; return how much it was."""
    return int(await connection.fetchval("SELECT billing.count_untold($1)", limit))


def _usage_record(fields: dict[str, object]) -> UsageRecord:
    units = {name: fields.pop(name) for name in _UNITS}
    return msgspec.convert({**fields, "usage": units}, UsageRecord)
