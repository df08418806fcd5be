"""The invariants of the ledger as queries that find no row, for tests and as an alarm in production.

The numbers are stable: alarms and documents quote them. What a CHECK, a trigger or a right enforces already is
asked again here all the same: the audit also runs on restored backups and replicas, where nothing was enforced. Invariants
that no query over one database can see (answers to repeats, the order of acknowledgements) are property tests.

The queries read whole tables. Run them on a standby, or at a quiet time: a long snapshot on the primary keeps dead versions
of hot accounts alive.
"""

import asyncpg
import msgspec

from services.billing.pricing import Price, Tier, Units, cost_nano_usd
from shared.db import Connection

ROWS_SHOWN = 20
GRACE_SECONDS = 120
_PREFETCH_ROWS = 1000
_decode_tiers = msgspec.json.Decoder(tuple[Tier, ...]).decode


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """A statement about the whole ledger, and the query for rows that break it; each row is one text column."""

    number: str
    sentence: str
    query: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A broken invariant with up to `ROWS_SHOWN` rows that break it."""

    number: str
    sentence: str
    rows: tuple[str, ...]


INVARIANTS = (
    Invariant(
        number="I1",
        sentence="What an account has posted is the sum of its credits less the sum of its debits.",
        query="""
            WITH entry AS (
                SELECT credit_account AS account_id, amount_nano_usd AS amount FROM billing.transfer
                UNION ALL SELECT debit_account, -amount_nano_usd FROM billing.transfer
            ), total AS (SELECT account_id, sum(amount) AS amount FROM entry GROUP BY account_id)
            SELECT format('account %s: posted %s, transfers %s', account_id, a.posted_nano_usd, t.amount)
            FROM (SELECT id AS account_id, posted_nano_usd FROM billing.account) AS a
            FULL JOIN (
                SELECT account_id, amount FROM total
                WHERE account_id NOT IN (SELECT id FROM billing.platform_account)
            ) AS t USING (account_id)
            WHERE coalesce(a.posted_nano_usd, -1) <> coalesce(t.amount, 0)""",
    ),
    Invariant(
        number="I2",
        sentence="What an account has held is the sum of its live holds.",
        query="""
            WITH live AS (
                SELECT account_id, sum(amount_nano_usd) AS amount FROM billing.hold WHERE state = 'HELD'
                GROUP BY account_id
            )
            SELECT format('account %s: held %s, holds %s', account_id, a.held_nano_usd, l.amount)
            FROM (SELECT id AS account_id, held_nano_usd FROM billing.account) AS a
            FULL JOIN live AS l USING (account_id)
            WHERE coalesce(a.held_nano_usd, -1) <> coalesce(l.amount, 0)""",
    ),
    Invariant(
        number="I3",
        sentence="What an account has available is never negative, now or after any of its transfers.",
        query="""
            SELECT format('account %s: posted %s, held %s', id, posted_nano_usd, held_nano_usd)
            FROM billing.account WHERE held_nano_usd < 0 OR posted_nano_usd < held_nano_usd
            UNION ALL
            SELECT format('transfer %s: posted after %s', id, posted_after_nano_usd)
            FROM billing.transfer WHERE posted_after_nano_usd < 0""",
    ),
    Invariant(
        number="I4",
        sentence="A hold is live without an end or closed with one, and only a settled hold was settled.",
        query="""
            SELECT format('hold %s: %s, closed at %s, outcome %s', id, state, closed_at, outcome)
            FROM billing.hold
            WHERE (state = 'HELD') <> (closed_at IS NULL) OR state = 'HELD' AND outcome IS NOT NULL
                OR closed_at < created_at""",
    ),
    Invariant(
        number="I5",
        sentence="A hold settles between zero and its amount, and nothing unless it is SETTLED.",
        query="""
            SELECT format('hold %s: %s, settled %s of %s', id, state, settled_nano_usd, amount_nano_usd)
            FROM billing.hold
            WHERE (state = 'SETTLED') <> (settled_nano_usd IS NOT NULL) OR amount_nano_usd < 0
                OR settled_nano_usd NOT BETWEEN 0 AND amount_nano_usd""",
    ),
    Invariant(
        number="I6",
        sentence="A hold has one usage transfer of what it settled, or none if that is nothing; "
        "what else was taken for it fits its state.",
        query="""
            SELECT format('hold %s: %s, settled %s, %s transfer of %s', coalesce(h.id, t.hold_id), h.state,
                h.settled_nano_usd, t.kind, t.amount_nano_usd)
            FROM billing.hold AS h FULL JOIN (
                SELECT hold_id, kind, amount_nano_usd FROM billing.transfer WHERE kind = 'usage'
            ) AS t ON t.hold_id = h.id
            WHERE coalesce(h.settled_nano_usd, 0) <> coalesce(t.amount_nano_usd, 0)
            UNION ALL
            SELECT format('transfer %s: %s of a hold that is %s', t.id, t.kind, coalesce(h.state::text, 'missing'))
            FROM billing.transfer AS t LEFT JOIN billing.hold AS h ON h.id = t.hold_id
            WHERE t.hold_id IS NOT NULL AND NOT CASE t.kind
                WHEN 'late' THEN h.state = 'EXPIRED'
                WHEN 'over' THEN h.state = 'SETTLED' AND h.settled_nano_usd = h.amount_nano_usd
                ELSE h.state IN ('SETTLED', 'EXPIRED') END IS TRUE
            UNION ALL
            SELECT format('transfer %s: twice %s for hold %s', max(id), kind, hold_id)
            FROM billing.transfer WHERE hold_id IS NOT NULL GROUP BY kind, hold_id HAVING count(*) > 1""",
    ),
    Invariant(
        number="I9",
        sentence="No hold lives on after its lease ended or its deadline passed, but for a time of grace.",
        query="""
            SELECT format('hold %s: deadline %s, lease %s', h.id, h.deadline, h.lease_id)
            FROM billing.hold AS h LEFT JOIN billing.lease AS l ON l.id = h.lease_id
            CROSS JOIN (
                SELECT make_interval(secs => current_setting('relay.audit_grace_seconds')::integer) AS period
            ) AS grace
            WHERE h.state = 'HELD' AND pg_postmaster_start_time() < now() - grace.period
                AND (h.deadline < now() - grace.period OR l.expires_at < now() - grace.period OR l.id IS NULL)""",
    ),
    Invariant(
        number="I10",
        sentence="A settled or expired hold has one usage row, a live or voided one has none, "
        "and only an expired one has a late row beside it.",
        query="""
            SELECT format('request %s: hold %s, usage row %s', coalesce(h.id, u.request_id), h.state, u.rule)
            FROM (SELECT id, state FROM billing.hold) AS h FULL JOIN (
                SELECT request_id, rule FROM billing.usage WHERE NOT is_late
            ) AS u ON u.request_id = h.id
            WHERE (h.state IS NOT NULL AND h.state IN ('SETTLED', 'EXPIRED')) <> (u.request_id IS NOT NULL)
                OR (h.state = 'EXPIRED') <> (u.rule = 'C9')
            UNION ALL
            SELECT format('request %s: late, hold %s', u.request_id, h.state)
            FROM billing.usage AS u LEFT JOIN billing.hold AS h ON h.id = u.request_id
            WHERE u.is_late AND h.state IS DISTINCT FROM 'EXPIRED'""",
    ),
    Invariant(
        number="I11",
        sentence="Nothing is charged that no upstream accepted.",
        query="""
            SELECT format('request %s: charged %s', request_id, charged_nano_usd)
            FROM billing.usage WHERE charged_nano_usd > 0 AND NOT is_upstream_accepted""",
    ),
    Invariant(
        number="I13",
        sentence="Tokens are not negative, cached ones are part of the input, reasoning ones part of the output.",
        query="""
            SELECT format('request %s: input %s, read %s, written %s, output %s, reasoning %s', request_id, input_tokens,
                cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens)
            FROM billing.usage
            WHERE least(cache_read_tokens, cache_write_tokens, reasoning_tokens) < 0
                OR cache_read_tokens + cache_write_tokens > input_tokens OR reasoning_tokens > output_tokens""",
    ),
    Invariant(
        number="I15",
        sentence="A cost is charged or written off to the last nano-USD, and a usage row's charge is what was transferred.",
        query="""
            WITH taken AS (
                SELECT hold_id AS request_id, bool_or(kind = 'late') AS is_late,
                    sum(amount_nano_usd) AS amount
                FROM billing.transfer WHERE kind IN ('usage', 'over', 'late') GROUP BY hold_id
            )
            SELECT format('request %s: cost %s, charged %s, written off %s, transferred %s', coalesce(u.request_id,
                t.request_id), u.cost_nano_usd, u.charged_nano_usd, u.writeoff_nano_usd, t.amount)
            FROM billing.usage AS u
            FULL JOIN taken AS t ON t.request_id = u.request_id AND t.is_late = u.is_late
            WHERE u.charged_nano_usd + u.writeoff_nano_usd IS DISTINCT FROM u.cost_nano_usd
                OR least(u.charged_nano_usd, u.writeoff_nano_usd) < 0
                OR coalesce(t.amount, 0) <> coalesce(u.charged_nano_usd, 0)""",
    ),
    Invariant(
        number="I21",
        sentence="The transfers of an account count its versions without gap or repeat, and their balances chain.",
        query="""
            WITH entry AS (
                SELECT id, CASE WHEN kind = 'credit' THEN credit_account ELSE debit_account END AS account_id,
                    CASE WHEN kind = 'credit' THEN amount_nano_usd ELSE -amount_nano_usd END AS amount,
                    account_version_after, posted_after_nano_usd
                FROM billing.transfer WHERE kind <> 'write_off'
            ), chain AS (
                SELECT id, account_id, account_version_after, posted_after_nano_usd,
                    row_number() OVER each_account AS version, sum(amount) OVER each_account AS posted
                FROM entry WINDOW each_account AS (PARTITION BY account_id ORDER BY id)
            )
            SELECT format('transfer %s of %s: version %s for %s, posted %s for %s', id, account_id, account_version_after,
                version, posted_after_nano_usd, posted)
            FROM chain
            WHERE account_version_after IS DISTINCT FROM version OR posted_after_nano_usd IS DISTINCT FROM posted
            UNION ALL
            SELECT format('account %s: version %s, transfers %s', a.id, a.version, count(e.id))
            FROM billing.account AS a LEFT JOIN entry AS e ON e.account_id = a.id
            GROUP BY a.id, a.version HAVING a.version <> count(e.id)""",
    ),
    Invariant(
        number="I22",
        sentence="No money change waits twice in the outbox, and none waits there that did not happen.",
        query="""
            SELECT format('outbox %s: %s of nothing', o.id, o.subject)
            FROM billing.outbox AS o
            LEFT JOIN billing.usage AS u ON u.request_id = o.request_id AND u.is_late = o.is_late
            LEFT JOIN billing.transfer AS t ON t.id = o.transfer_id
            LEFT JOIN billing.hold AS h ON o.subject = '' AND h.id = o.request_id AND h.state = 'VOIDED'
            WHERE num_nonnulls(u.request_id, t.id, h.id) <> 1
            UNION ALL
            SELECT format('outbox %s: %s again', max(id), subject) FROM billing.outbox
            GROUP BY subject, request_id, is_late, transfer_id HAVING count(*) > 1""",
    ),
    Invariant(
        number="I29",
        sentence="What a meter counts as running and held is the live holds of its key or account.",
        query="""
            WITH live AS (
                SELECT id, count(*) AS holds, sum(amount) AS amount FROM (
                    SELECT key_id AS id, amount_nano_usd AS amount FROM billing.hold WHERE state = 'HELD'
                    UNION ALL SELECT account_id::text, amount_nano_usd FROM billing.hold WHERE state = 'HELD'
                ) AS each GROUP BY id
            )
            SELECT format('meter %s: %s running with %s, holds %s with %s', m.id, m.running, m.held_nano_usd, l.holds, l.amount)
            FROM billing.meter AS m LEFT JOIN live AS l ON l.id = m.id
            WHERE m.running <> coalesce(l.holds, 0) OR m.held_nano_usd <> coalesce(l.amount, 0)""",
    ),
    Invariant(
        number="I30",
        sentence="What a meter counts as spent is what its key or account was charged.",
        query="""
            WITH charged AS (
                SELECT id, sum(amount) AS amount FROM (
                    SELECT key_id AS id, charged_nano_usd AS amount FROM billing.usage
                    UNION ALL SELECT account_id::text, charged_nano_usd FROM billing.usage
                ) AS each GROUP BY id
            )
            SELECT format('meter %s: total %s, charged %s', m.id, m.total_nano_usd, c.amount)
            FROM billing.meter AS m LEFT JOIN charged AS c ON c.id = m.id
            WHERE m.total_nano_usd <> coalesce(c.amount, 0) OR m.day_nano_usd > m.month_nano_usd
                OR m.month_nano_usd > m.total_nano_usd""",
    ),
    Invariant(
        number="I31",
        sentence="What is counted by the hour is what the rows say, but for those that still wait in the outbox; "
        "what is listed as done by hand is what was.",
        query="""
            WITH waiting AS (SELECT request_id, is_late FROM billing.outbox WHERE request_id IS NOT NULL),
            done AS (
                SELECT scope, account_id, began, key_id, model, channel, error, sum(requests) AS requests, sum(failed) AS failed,
                    sum(faults) AS faults, sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens,
                    sum(output_tokens) AS output_tokens, sum(cost_nano_usd) AS cost_nano_usd,
                    sum(charged_nano_usd) AS charged_nano_usd, sum(writeoff_nano_usd) AS writeoff_nano_usd
                FROM billing.tally LEFT JOIN waiting AS w USING (request_id, is_late) WHERE w.request_id IS NULL
                GROUP BY scope, account_id, began, key_id, model, channel, error
            ), timed AS (
                SELECT scope, account_id, began, key_id, model, measure, bucket, count(*) AS calls
                FROM billing.timed LEFT JOIN waiting AS w USING (request_id, is_late) WHERE w.request_id IS NULL
                GROUP BY scope, account_id, began, key_id, model, measure, bucket
            )
            SELECT format('%s %s from %s, %s: %s requests for %s, charged %s for %s', scope, account_id, began, model,
                c.requests, d.requests, c.charged_nano_usd, d.charged_nano_usd)
            FROM billing.traffic AS c
            FULL JOIN done AS d USING (scope, account_id, began, key_id, model, channel, error)
            WHERE (c.requests, c.failed, c.faults, c.input_tokens, c.cached_tokens, c.output_tokens, c.cost_nano_usd,
                    c.charged_nano_usd, c.writeoff_nano_usd)
                IS DISTINCT FROM (d.requests, d.failed, d.faults, d.input_tokens, d.cached_tokens, d.output_tokens,
                    d.cost_nano_usd, d.charged_nano_usd, d.writeoff_nano_usd)
            UNION ALL
            SELECT format('%s %s from %s, %s: %s %s in bucket %s for %s', scope, account_id, began, model, c.calls, measure,
                bucket, d.calls)
            FROM billing.timing AS c FULL JOIN timed AS d USING (scope, account_id, began, key_id, model, measure, bucket)
            WHERE c.calls IS DISTINCT FROM d.calls
            UNION ALL
            SELECT format('transfer %s by hand: listed for %s', coalesce(t.id, m.transfer_id), m.account_id)
            FROM billing.by_hand AS m FULL JOIN (
                SELECT id, CASE WHEN kind = 'credit' THEN credit_account ELSE debit_account END AS account_id
                FROM billing.transfer WHERE hold_id IS NULL
            ) AS t ON t.id = m.transfer_id
            WHERE m.account_id IS DISTINCT FROM t.account_id""",
    ),
    Invariant(
        number="I28",
        sentence="Every write-off has a cause, and a transfer of the same amount.",
        query="""
            WITH written_off AS (
                SELECT hold_id, sum(amount_nano_usd) AS amount FROM billing.transfer WHERE kind = 'write_off'
                GROUP BY hold_id
            ), declared AS (
                SELECT request_id, sum(writeoff_nano_usd) AS amount,
                    bool_and((writeoff_nano_usd > 0) = (writeoff_cause IS NOT NULL)) AS has_cause
                FROM billing.usage GROUP BY request_id
            )
            SELECT format('request %s: written off %s, transferred %s', coalesce(d.request_id, w.hold_id), d.amount, w.amount)
            FROM declared AS d FULL JOIN written_off AS w ON w.hold_id = d.request_id
            WHERE coalesce(d.amount, 0) <> coalesce(w.amount, 0) OR NOT d.has_cause""",
    ),
)

_RECOMPUTED = "Every cost can be computed again from the stored tokens and the stored price."

# What an audit looks at, by number: the queries above, and the one that Python computes.
SENTENCES = {each.number: each.sentence for each in INVARIANTS} | {"I12": _RECOMPUTED}
_COSTS = """
    SELECT u.request_id, u.cost_nano_usd,
        u.input_tokens, u.cache_read_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens,
        p.input_pico_usd, p.output_pico_usd, p.cache_read_pico_usd, p.cache_write_pico_usd, p.tiers::text AS tiers, h.multiplier_ppm
    FROM billing.usage AS u LEFT JOIN billing.price AS p ON p.id = u.price_id LEFT JOIN billing.hold AS h ON h.id = u.request_id"""


async def audit(connection: Connection, *, grace_seconds: int = GRACE_SECONDS) -> list[Finding]:
    """Return the invariants that are broken, all seen in one snapshot; none is good.

    `grace_seconds` is how long a hold may outlive its lease or deadline. Needs SELECT on the schema, and no open transaction.
    """
    findings = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(
            "SELECT set_config('relay.audit_grace_seconds', $1, true)", str(grace_seconds)
        )
        for invariant in INVARIANTS:
            violations = await connection.cursor(invariant.query)
            rows = tuple([row[0] for row in await violations.fetch(ROWS_SHOWN)])
            if rows:
                findings.append(Finding(number=invariant.number, sentence=invariant.sentence, rows=rows))
        rows = await _wrong_costs(connection)
        if rows:
            findings.append(Finding(number="I12", sentence=_RECOMPUTED, rows=rows))
    return findings


async def _wrong_costs(connection: Connection) -> tuple[str, ...]:
    wrong: list[str] = []
    async for row in connection.cursor(_COSTS, prefetch=_PREFETCH_ROWS):
        cost = _recomputed(row)
        if cost != row["cost_nano_usd"]:
            wrong.append(f"request {row['request_id']}: cost {row['cost_nano_usd']}, recomputed {cost}")
            if len(wrong) == ROWS_SHOWN:
                break
    return tuple(wrong)


def _recomputed(row: asyncpg.Record) -> int | None:
    if row["input_pico_usd"] is None or row["multiplier_ppm"] is None:
        return None  # the price or the hold is missing, which no cost equals
    units = Units(**{name: row[name] for name in Units.__struct_fields__})
    fields = {name: row[name] for name in Price.__struct_fields__ if name != "tiers"}
    price = Price(**fields, tiers=_decode_tiers(row["tiers"]))
    return cost_nano_usd(units, price, row["multiplier_ppm"])
