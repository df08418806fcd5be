"""Billing's SQL about the past, added up: the views of 0013_traffic.sql have what was counted and what still waits for it."""

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from services.billing.percentiles import MEDIAN, percentile, rounded
from shared.contracts import records
from shared.db import Connection

STATEMENT_MILLISECONDS = 4_000
SITE = "00000000-0000-0000-0000-000000000000"
DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600
_BOUNDED = f"SELECT set_config('statement_timeout', '{STATEMENT_MILLISECONDS}', true)"
_SUMS = """sum(requests)::bigint AS requests, sum(failed)::bigint AS failed, sum(faults)::bigint AS faults,
    sum(input_tokens)::bigint AS input_tokens, sum(cached_tokens)::bigint AS cached_tokens,
    sum(output_tokens)::bigint AS output_tokens, sum(cost_nano_usd)::bigint AS cost_nano_usd,
    sum(charged_nano_usd)::bigint AS charged_nano_usd, sum(writeoff_nano_usd)::bigint AS writeoff_nano_usd"""

# $1 the scope, $2 the account, $3 and $4 the span, $5 the seconds of a step, $6 the key, $7 the model.
_STEP = "date_bin(make_interval(secs => $5), began, $3)"
_WHERE = """WHERE scope = $1::billing.traffic_scope AND account_id = $2::uuid AND began >= $3 AND began < $4
        AND ($6::text IS NULL OR key_id = $6) AND ($7::text IS NULL OR model = $7)"""
_TRAFFIC = f"""
    SELECT {_STEP} AS step, model, key_id, channel, error, {_SUMS},
        grouping({_STEP}, model, key_id, channel, error) AS level
    FROM billing.traffic_now {_WHERE}
    GROUP BY GROUPING SETS ((), ({_STEP}), (model), (key_id), (channel), (error), ({_STEP}, model))"""  # noqa: S608 - constants
_TIMING = f"""
    SELECT {_STEP} AS step, model, key_id, bucket, measure::text, sum(calls)::bigint AS calls,
        grouping({_STEP}, model, key_id) AS level
    FROM billing.timing_now {_WHERE}
    GROUP BY GROUPING SETS ((bucket, measure), ({_STEP}, bucket, measure), (model, bucket, measure), (key_id, bucket, measure))"""  # noqa: S608 - constants

# What is left of a row when some of its columns are added up: PostgreSQL sets a bit for each column that is.
ALL, BY_STEP, BY_MODEL, BY_KEY, BY_CHANNEL, BY_ERROR, BY_STEP_AND_MODEL = (
    0b11111, 0b01111, 0b10111, 0b11011, 0b11101, 0b11110, 0b00111,
)  # fmt: skip
_TIMED_LEVELS = {0b111: ALL, 0b011: BY_STEP, 0b101: BY_MODEL, 0b110: BY_KEY}
_COLUMNS = {BY_STEP: "step", BY_MODEL: "model", BY_KEY: "key_id", BY_CHANNEL: "channel", BY_ERROR: "error"}

Place = tuple[int, str | datetime.datetime]  # a level, and what it is about
Buckets = Mapping[int, int]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """So many steps of the same length, from `first` on."""

    first: datetime.datetime
    steps: int
    step_seconds: int

    @property
    def end(self) -> datetime.datetime:
        """The moment after it."""
        return self.first + datetime.timedelta(seconds=self.steps * self.step_seconds)

    @property
    def former(self) -> "Span":
        """The same span before this one."""
        length = datetime.timedelta(seconds=self.steps * self.step_seconds)
        return Span(first=self.first - length, steps=self.steps, step_seconds=self.step_seconds)

    @property
    def begins(self) -> list[datetime.datetime]:
        """When each step begins."""
        step = datetime.timedelta(seconds=self.step_seconds)
        return [self.first + number * step for number in range(self.steps)]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in a span, for every level at once."""

    figures: dict[Place, records.Figures]
    charged: dict[str, dict[datetime.datetime, int]]  # by model and step

    def of(self, level: int, what: str | datetime.datetime = "") -> records.Figures:
        """Return the figures of one place; zeros where nothing happened."""
        return self.figures.get((level, what), records.Figures())

    def parts(self, level: int) -> tuple[records.Part, ...]:
        """Return what each model, key, channel or error has of it: the dearest first, then the busiest."""
        parts = [
            records.Part(id=str(what), figures=figures)
            for (at, what), figures in self.figures.items()
            if at == level
        ]
        return tuple(
            sorted(parts, key=lambda each: (-each.figures.charged_nano_usd, -each.figures.requests, each.id))
        )


async def bound(connection: Connection) -> datetime.datetime:
    """Let no statement of this transaction take long, and return when it began by PostgreSQL's clock."""
    await connection.execute(_BOUNDED)
    now: datetime.datetime = await connection.fetchval("SELECT transaction_timestamp()")
    return now


def span_of(now: datetime.datetime, days: int) -> Span:
    """Return the last days up to now: one day as 24 hours, more as days of UTC."""
    now = now.astimezone(datetime.UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    if days == 1:
        return Span(first=hour - datetime.timedelta(hours=23), steps=24, step_seconds=HOUR_SECONDS)
    today = hour.replace(hour=0)
    return Span(first=today - datetime.timedelta(days=days - 1), steps=days, step_seconds=DAY_SECONDS)


async def counts(
    connection: Connection,
    account_id: str | None,
    span: Span,
    key_id: str | None = None,
    model: str | None = None,
) -> Counts:
    """Return what an account did, or with None the whole site."""
    scope = "site" if account_id is None else "account"
    arguments = (scope, account_id or SITE, span.first, span.end, span.step_seconds, key_id, model)
    buckets: dict[Place, dict[int, int]] = defaultdict(dict)
    for row in await connection.fetch(_TIMING, *arguments):
        if row["measure"] == "first_output_ms":
            buckets[_place(_TIMED_LEVELS[row["level"]], row)][row["bucket"]] = row["calls"]
    figures: dict[Place, records.Figures] = {}
    charged: dict[str, dict[datetime.datetime, int]] = defaultdict(dict)
    for row in await connection.fetch(_TRAFFIC, *arguments):
        if row["level"] == BY_STEP_AND_MODEL:
            charged[row["model"]][row["step"]] = row["charged_nano_usd"]
        elif row["requests"] is not None:  # the sum of nothing is a row too
            place = _place(row["level"], row)
            figures[place] = _figures(row, buckets.get(place, {}))
    return Counts(figures=figures, charged=charged)


async def slices(
    connection: Connection, span: Span
) -> tuple[dict[str, dict[datetime.datetime, tuple[int, int]]], dict[tuple[str, str], Buckets]]:
    """Return requests and faults by model and slice, and how its streams were timed by model and measure."""
    arguments = ("status", SITE, span.first, span.end, span.step_seconds, None, None)
    by_model: dict[str, dict[datetime.datetime, tuple[int, int]]] = defaultdict(dict)
    for row in await connection.fetch(_TRAFFIC, *arguments):
        if row["level"] == BY_STEP_AND_MODEL:
            by_model[row["model"]][row["step"]] = (row["requests"], row["faults"])
    timed: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in await connection.fetch(_TIMING, *arguments):
        if _TIMED_LEVELS[row["level"]] == BY_MODEL:
            timed[row["model"], row["measure"]][row["bucket"]] = row["calls"]
    return by_model, dict(timed)


async def standing(connection: Connection) -> dict[str, int]:
    """Return what all accounts have and hold now, how many there are, and how many requests run."""
    record = await connection.fetchrow(
        """SELECT a.accounts, a.owed_nano_usd, h.running, h.held_nano_usd FROM
            (SELECT count(*) AS accounts, coalesce(sum(posted_nano_usd), 0)::bigint AS owed_nano_usd FROM billing.account) AS a,
            (SELECT count(*) AS running, coalesce(sum(amount_nano_usd), 0)::bigint AS held_nano_usd FROM billing.hold
                WHERE state = 'HELD') AS h"""
    )
    return dict(record)


async def credited(connection: Connection, span: Span) -> int:
    """Return what came in, less what was taken back by hand."""
    return int(
        await connection.fetchval(
            """SELECT coalesce(sum(CASE WHEN kind = 'credit' THEN amount_nano_usd ELSE -amount_nano_usd END), 0)::bigint
               FROM billing.by_hand AS m JOIN billing.transfer AS t ON t.id = m.transfer_id
               WHERE m.created_at >= $1 AND m.created_at < $2""",
            span.first,
            span.end,
        )
    )


async def spending(connection: Connection, account_id: str, key_ids: Sequence[str]) -> dict[str, int]:
    """Return what each of these keys of the account was charged, ever."""
    rows = await connection.fetch(
        """SELECT key_id, sum(charged_nano_usd)::bigint FROM billing.traffic_now
           WHERE scope = 'account' AND account_id = $1::uuid AND key_id = ANY ($2::text[]) GROUP BY key_id""",
        account_id,
        list(key_ids),
    )
    return dict(rows)


async def audited(connection: Connection) -> records.Audited | None:
    """Return the last audit, None before the first one."""
    record = await connection.fetchrow(
        """SELECT extract(epoch FROM ran_at)::float8 AS ran_unix, took_ms, invariants, findings FROM billing.audit_result"""
    )
    return None if record is None else msgspec.convert(dict(record), records.Audited)


async def note_audit(connection: Connection, *, took_ms: int, invariants: int, findings: int) -> None:
    """Keep what the last audit found."""
    await connection.fetchval("SELECT billing.note_audit($1, $2, $3)", took_ms, invariants, findings)


def _place(level: int, row: Mapping[str, str]) -> Place:
    return level, "" if level == ALL else row[_COLUMNS[level]]


def _figures(row: Mapping[str, int], buckets: Buckets) -> records.Figures:
    names = records.Figures.__struct_fields__
    fields = {name: row[name] for name in names if name != "first_output_ms"}
    return records.Figures(**fields, first_output_ms=rounded(percentile(buckets, MEDIAN)))
