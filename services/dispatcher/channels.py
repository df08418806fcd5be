"""The channels as this dispatcher knows them: read from PostgreSQL, again at each change, and again every few seconds."""

import asyncio
import contextlib
import logging
import time

import asyncpg
import msgspec

from services.dispatcher import store
from services.dispatcher.health import Health
from services.dispatcher.overrides import overrides_of
from services.dispatcher.routing import Credential, Route
from shared.contracts.dispatcher import ChannelChanged, OfferedModel
from shared.db import Pool, transaction
from shared.errors import Unavailable
from shared.sealing import CannotOpen, Sealer

CREDENTIAL = "channel.credential"

log = logging.getLogger(__name__)


class Channels:
    """`routes` are the channels that are on, `offered` the models that they serve; all are replaced, never changed.

    `known` are all that have a key which can be opened: they can be tested. What `health` remembers of any other is forgotten.
    """

    def __init__(self, pool: Pool, sealer: Sealer, health: Health, *, reread_seconds: float) -> None:
        self._health = health
        self._pool = pool
        self._sealer = sealer
        self._reread_seconds = reread_seconds
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()  # of two reads the later one must win
        self.routes: tuple[Route, ...] = ()
        self.known: tuple[Route, ...] = ()
        self.offered: tuple[OfferedModel, ...] = ()
        self.is_stale = True
        self.read_at = time.monotonic()

    async def on_changed(self, event: ChannelChanged) -> None:
        """Note that a channel changed somewhere."""
        self._changed.set()

    async def read(self) -> None:
        """Replace what is known by what is stored. Raises: Unavailable when PostgreSQL is away."""
        async with self._reading:
            async with transaction(self._pool) as connection:
                rows = await store.list_channels(connection)
            self._replace(rows)

    async def run(self) -> None:
        """Read again at each change and every `reread_seconds`, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):  # the periodic look is the safety net for a lost event
                async with asyncio.timeout(self._reread_seconds):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.read()
            except Unavailable as error:
                self.is_stale = True
                log.warning("channels could not be read again: %s", error)
            except (asyncpg.PostgresError, msgspec.MsgspecError):
                self.is_stale = (
                    True  # a row or a right that only a person can have changed: what is known stays
                )
                log.exception("channels could not be read again")

    def _replace(self, rows: list[store.Row]) -> None:
        routes: list[Route] = []
        known: list[Route] = []
        created: dict[str, int] = {}
        for row in rows:
            route = self._route(row)
            if route is None:
                continue
            known.append(route)
            if row.info.state != "on":
                continue
            routes.append(route)
            for model in route.models:
                created[model] = min(created.get(model, row.created_unix), row.created_unix)
        self.routes = tuple(routes)
        self.known = tuple(known)
        self._health.keep(known)
        self.offered = tuple(OfferedModel(id=model, created_unix=created[model]) for model in sorted(created))
        self.is_stale = False
        self.read_at = time.monotonic()

    def _route(self, row: store.Row) -> Route | None:
        info = row.info
        credentials = [credential for key in row.keys if (credential := self._credential(info.name, key))]
        if not credentials:
            return None
        return Route(
            id=info.id,
            name=info.name,
            base_url=info.base_url,
            credentials=tuple(credentials),
            models=info.models,
            priority=info.priority,
            weight=info.weight,
            abort_policy=info.abort_policy,
            output_parameter=info.output_parameter,
            version=info.version,
            auth_header=info.auth_header,
            headers=info.headers,
            overrides=overrides_of(info.set_parameters, info.default_parameters, info.drop_parameters),
            slow_seconds=info.slow_seconds,
        )

    def _credential(self, channel: str, key: store.KeyRow) -> Credential | None:
        try:
            secret = self._sealer.open(key.sealed, purpose=CREDENTIAL, row_id=key.id)
        except CannotOpen:
            log.error(
                "a key of a channel cannot be opened with this master key",
                extra={"channel": channel, "credential": key.name},
            )
            return None
        return Credential(
            id=key.id,
            name=key.name,
            secret=secret.decode(),
            version=key.version,
            is_refused=key.refused_as is not None,
        )
