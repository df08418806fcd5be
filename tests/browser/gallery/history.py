"""Lets what happens now have happened on another day, in a database that is thrown away afterwards.

Every call is really made and really charged. Then the moments between two marks are moved back by the same span in all columns of
all tables, and with them the moments that stand in request ids (RFC 9562, UUID version 7). So durations, order and sums stay as
they were, the audit holds, and the counts by the hour are counted again by the ledger's own function.
"""

import datetime

from shared.db import Connection

# What is about this moment, whenever the rest took place.
_OF_NOW = (
    ("auth", "session"),
    ("auth", "ticket"),
    ("auth", "attempt"),
    ("auth", "mail"),
    ("billing", "lease"),
    ("billing", "meter"),
    ("billing", "outbox"),
    ("billing", "audit_result"),
    ("billing", "traffic"),
    ("billing", "timing"),
)
_COLUMNS = """
    SELECT c.table_schema, c.table_name, c.column_name, c.data_type
    FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
    WHERE t.table_type = 'BASE TABLE' AND c.table_schema IN ('auth', 'billing')
        AND c.data_type IN ('timestamp with time zone', 'uuid')
    ORDER BY c.table_schema, c.table_name, c.column_name"""
_RENAMED = """
    CREATE TEMPORARY TABLE renamed ON COMMIT DROP AS
    WITH written AS (SELECT h.id, replace(h.id::text, '-', '') AS digits FROM billing.hold AS h),
    read AS (SELECT w.id, w.digits, ('x' || left(w.digits, 12))::bit(48)::bigint AS unix_ms FROM written AS w)
    SELECT r.id AS old_id, (
        lpad(to_hex(r.unix_ms - (extract(epoch FROM m.back) * 1000)::bigint), 12, '0') || substr(r.digits, 13)
    )::uuid AS new_id
    FROM read AS r JOIN moved AS m ON to_timestamp(r.unix_ms / 1000.0) >= m.began AND to_timestamp(r.unix_ms / 1000.0) < m.ended"""
_COUNT_AGAIN = """
    SELECT billing.count_facts(array_agg(f.request_id), array_agg(f.is_late)) FROM billing.fact AS f
    WHERE NOT EXISTS (SELECT FROM billing.outbox AS o WHERE o.request_id = f.request_id AND o.is_late = f.is_late)"""


class History:
    """Spans of real time, and when each of them is to have been. They follow each other, and so must what they show."""

    def __init__(self) -> None:
        self._spans: list[tuple[datetime.datetime, datetime.datetime]] = []

    def mark(self, shown: datetime.datetime) -> None:
        """Let what happens from now on, until the next mark, have begun at `shown`. Nothing may be under way now."""
        self._spans.append((datetime.datetime.now(datetime.UTC), shown))

    async def move(self, database: Connection) -> None:
        """Move all that has happened since the first mark. Nothing may be under way, nor wait in the outbox."""
        ends = [began for began, _ in self._spans[1:]] + [datetime.datetime.now(datetime.UTC)]
        rows = [
            (began, ended, began - shown) for (began, shown), ended in zip(self._spans, ends, strict=True)
        ]
        async with database.transaction():
            # Rows are append-only, and say so by triggers; only who owns the whole database may do this.
            await database.execute("SET LOCAL session_replication_role = replica")
            await database.execute(
                "CREATE TEMPORARY TABLE moved (began timestamptz, ended timestamptz, back interval) ON COMMIT DROP"
            )
            await database.executemany("INSERT INTO moved VALUES ($1, $2, $3)", rows)
            await database.execute(_RENAMED)
            for column in await database.fetch(_COLUMNS):
                if (column["table_schema"], column["table_name"]) not in _OF_NOW:
                    await database.execute(_change(*column))
            await database.execute("TRUNCATE billing.traffic, billing.timing")
            await database.execute(_COUNT_AGAIN)


def _change(schema: str, table: str, column: str, kind: str) -> str:
    """Return the statement for one column. Names are those of the database's own catalogue."""
    if kind == "uuid":
        return f"UPDATE {schema}.{table} AS t SET {column} = r.new_id FROM renamed AS r WHERE t.{column} = r.old_id"
    return (
        f"UPDATE {schema}.{table} AS t SET {column} = t.{column} - m.back FROM moved AS m "
        f"WHERE t.{column} >= m.began AND t.{column} < m.ended"
    )
