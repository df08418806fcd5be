"""The SQL of the site's settings, and of the log of what operators did."""

from uuid import UUID

import asyncpg

from shared.contracts.site import Action, BeginAction, EndAction, ListActions, SiteSettings, Text
from shared.db import Connection
from shared.errors import InvalidRequest, NotFound

UNKNOWN = "unknown"  # the result of an action after which nothing was written


async def get(connection: Connection) -> SiteSettings:
    """Return the settings."""
    record = await connection.fetchrow(
        """SELECT version, name, sign_up, sign_up_credit_nano_usd, notice_en, notice_zh, about_en, about_zh, contact
           FROM auth.site"""
    )
    return _settings(record)


async def put(connection: Connection, settings: SiteSettings) -> SiteSettings:
    """Return the settings, which are these under the next version.

    Raises: InvalidRequest when they were changed since `settings.version` was read.
    """
    record = await connection.fetchrow(
        """UPDATE auth.site SET version = version + 1, name = $2, sign_up = $3, sign_up_credit_nano_usd = $4,
               notice_en = $5, notice_zh = $6, about_en = $7, about_zh = $8, contact = $9
           WHERE version = $1
           RETURNING version, name, sign_up, sign_up_credit_nano_usd, notice_en, notice_zh, about_en, about_zh, contact""",
        settings.version,
        settings.name,
        settings.sign_up,
        settings.sign_up_credit_nano_usd,
        settings.notice.en,
        settings.notice.zh,
        settings.about.en,
        settings.about.zh,
        settings.contact,
    )
    if record is None:
        raise InvalidRequest("site_changed", param="version")
    return _settings(record)


async def begin_action(connection: Connection, ask: BeginAction) -> int:
    """Store what somebody is about to do, and return its number."""
    number: int = await connection.fetchval(
        """INSERT INTO auth.action (user_id, email, through, address, action, object, asked)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
        None if ask.user_id is None else UUID(ask.user_id),
        ask.email,
        ask.through,
        ask.address,
        ask.action,
        ask.object,
        ask.asked,
    )
    return number


async def end_action(connection: Connection, ask: EndAction) -> None:
    """Store how an action ended; what was stored first stays. Raises: NotFound."""
    try:
        await connection.execute(
            """INSERT INTO auth.action_result (action_id, result, before, after, object) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (action_id) DO NOTHING""",
            ask.id,
            ask.result,
            ask.before,
            ask.after,
            ask.object,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("not_found", what="action") from error


async def list_actions(connection: Connection, ask: ListActions) -> list[Action]:
    """Return actions, newest first, one more than the limit if there are more."""
    records = await connection.fetch(
        """SELECT a.id, a.user_id::text, a.email, a.through, a.address, a.action,
               coalesce(r.object, a.object) AS object,
               coalesce(r.before, 'null')::text AS before, coalesce(r.after, a.asked)::text AS after,
               coalesce(r.result, $5) AS result, extract(epoch FROM a.created_at)::float8 AS created_unix
           FROM auth.action AS a LEFT JOIN auth.action_result AS r ON r.action_id = a.id
           WHERE ($1::bigint IS NULL OR a.id < $1) AND ($2::text IS NULL OR a.action = $2)
               AND ($3::text IS NULL OR position(lower($3) IN lower(coalesce(r.object, a.object))) > 0
                   OR position(lower($3) IN lower(a.email)) > 0)
           ORDER BY a.id DESC LIMIT $4 + 1""",
        ask.before_id,
        ask.action,
        ask.search,
        ask.limit,
        UNKNOWN,
    )
    return [Action(**dict(record)) for record in records]


def _settings(record: asyncpg.Record) -> SiteSettings:
    return SiteSettings(
        version=record["version"],
        name=record["name"],
        sign_up=record["sign_up"],
        sign_up_credit_nano_usd=record["sign_up_credit_nano_usd"],
        notice=Text(en=record["notice_en"], zh=record["notice_zh"]),
        about=Text(en=record["about_en"], zh=record["about_zh"]),
        contact=record["contact"],
    )
