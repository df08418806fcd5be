"""The SQL of sessions: who has signed in where, for how long, and how lately they have shown who they are.

A session has two ends: one that each use moves on, and one that nothing moves. Its token changes when the person shows again who
they are, and a token that was changed is as good as none (OWASP ASVS 5.0, 7.2.4); the session keeps its id and its last end.
"""

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from shared import bearer
from shared.contracts.people import Client, Session, SessionPerson
from shared.db import Connection
from shared.errors import Unauthenticated
from shared.ids import uuid7

if TYPE_CHECKING:
    from services.auth.settings import AuthSettings

SEEN_SECONDS = 60.0  # how exactly it is known when a session was last seen
AGENT_CHARACTERS_MAX = 100


class KnownSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is live, and what `find` must know beside whose it is."""

    person: SessionPerson
    is_suspended: bool
    is_stale: bool


class Sessions:
    """Sessions with the lifetimes of the settings. Each method works in the transaction of its connection."""

    def __init__(self, settings: "AuthSettings") -> None:
        self._idle_seconds = settings.session_idle_seconds
        self._seconds_max = settings.session_seconds_max
        self._fresh_seconds = settings.fresh_seconds

    async def begin(self, connection: Connection, user_id: UUID, client: Client) -> str:
        """Return the token of a new session, which is fresh; the one that the browser had ends."""
        if client.session_id is not None:
            await connection.execute(
                "UPDATE auth.session SET ended_at = now() WHERE id = $1 AND ended_at IS NULL",
                UUID(client.session_id),
            )
        token = bearer.mint()
        await connection.execute(
            """INSERT INTO auth.session (id, user_id, token_sha256, agent, address, expires_at, ends_at)
               VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => least($6::float8, $7)),
                   now() + make_interval(secs => $7::float8))""",
            uuid7(),
            user_id,
            bearer.sha256_of(token),
            client.agent[:AGENT_CHARACTERS_MAX],
            client.address,
            self._idle_seconds,
            self._seconds_max,
        )
        return token

    async def find(self, connection: Connection, token_sha256: bytes) -> KnownSession | None:
        """Return the live session of this token, None for any other token."""
        record = await connection.fetchrow(
            """SELECT s.id::text AS session_id, u.id::text AS user_id, u.account_id::text, u.email, u.role, u.language,
                    s.fresh_at > now() - make_interval(secs => $2) AS is_fresh,
                    s.seen_at < now() - make_interval(secs => $3) AS is_stale,
                    a.status <> 'active' AS is_suspended
               FROM auth.session AS s JOIN auth.app_user AS u ON u.id = s.user_id JOIN auth.account AS a ON a.id = u.account_id
               WHERE s.token_sha256 = $1 AND s.ended_at IS NULL AND s.expires_at > now() AND s.ends_at > now()""",
            token_sha256,
            self._fresh_seconds,
            SEEN_SECONDS,
        )
        if record is None:
            return None
        fields = dict(record)
        is_stale, is_suspended = fields.pop("is_stale"), fields.pop("is_suspended")
        person = msgspec.convert(fields, SessionPerson)
        return KnownSession(person=person, is_stale=is_stale, is_suspended=is_suspended)

    async def touch(self, connection: Connection, session_id: UUID, client: Client) -> None:
        """Note that a session was used just now, and from where; its idle time begins anew."""
        await connection.execute(
            """UPDATE auth.session SET seen_at = now(), agent = $2, address = $3,
                   expires_at = least(ends_at, now() + make_interval(secs => $4))
               WHERE id = $1 AND ended_at IS NULL AND expires_at > now()""",
            session_id,
            client.agent[:AGENT_CHARACTERS_MAX],
            client.address,
            self._idle_seconds,
        )

    async def renew(self, connection: Connection, user_id: UUID, session_id: UUID) -> str:
        """Return a new token for a live session, which is fresh from now on. Raises: Unauthenticated when it has ended."""
        token = bearer.mint()
        renewed = await connection.fetchval(
            """UPDATE auth.session SET token_sha256 = $3, fresh_at = now(), seen_at = now(),
                   expires_at = least(ends_at, now() + make_interval(secs => $4))
               WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now()
               RETURNING true""",
            session_id,
            user_id,
            bearer.sha256_of(token),
            self._idle_seconds,
        )
        if not renewed:
            raise Unauthenticated("session_ended")
        return token

    async def is_fresh(self, connection: Connection, user_id: UUID, session_id: UUID) -> bool:
        """Tell whether password or second factor were shown in this live session a moment ago."""
        return bool(
            await connection.fetchval(
                """SELECT true FROM auth.session
                   WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now()
                       AND fresh_at > now() - make_interval(secs => $3)""",
                session_id,
                user_id,
                self._fresh_seconds,
            )
        )


async def end(connection: Connection, user_id: UUID, session_id: UUID) -> bool:
    """End one live session of a person; False when they have no such session."""
    return bool(
        await connection.fetchval(
            """UPDATE auth.session SET ended_at = now()
               WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now() RETURNING true""",
            session_id,
            user_id,
        )
    )


async def end_all(connection: Connection, user_id: UUID, *, but: UUID | None = None) -> None:
    """End every session of a person, but the one that is named."""
    await connection.execute(
        """UPDATE auth.session SET ended_at = now()
           WHERE user_id = $1 AND ended_at IS NULL AND ($2::uuid IS NULL OR id <> $2)""",
        user_id,
        but,
    )


async def list_live(connection: Connection, user_id: UUID) -> tuple[Session, ...]:
    """Return the live sessions of a person, the latest seen first, at most a hundred."""
    records = await connection.fetch(
        """SELECT id::text, agent, address, extract(epoch FROM created_at)::float8 AS created_unix,
                extract(epoch FROM seen_at)::float8 AS seen_unix
           FROM auth.session WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now()
           ORDER BY seen_at DESC, id DESC LIMIT 100""",
        user_id,
    )
    return tuple(msgspec.convert(dict(record), Session) for record in records)


async def has_been_at(connection: Connection, user_id: UUID, address: str) -> bool:
    """Tell whether a person has signed in from this address lately, also where the session has ended since."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM auth.session WHERE user_id = $1 AND address = $2 LIMIT 1", user_id, address
        )
    )
