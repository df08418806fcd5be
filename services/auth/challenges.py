"""Challenges for passkeys: each is asked once, of one person or of whoever comes, for one purpose.

A challenge is the SHA-256 of a ticket's token, which is what stands for the ticket anyway. The browser gets the token as the id of
the challenge and shows it with its answer; the ticket is used up by that, whether or not the answer is good.
"""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from services.auth import factor_store, tickets
from services.auth.database import Database
from services.auth.passkeys import Site
from shared import bearer
from shared.db import Connection
from shared.errors import InvalidRequest

LIFETIME_SECONDS = 300.0
Purpose = Literal["sign_in", "second_factor", "confirm", "register"]


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A new challenge: its id for the browser, and what the passkey must sign."""

    id: str
    expected: bytes


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    purpose: Purpose


class Challenges:
    """Makes and uses challenges for the site whose console is at `origin`."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self._origin = origin
        self._host = urlsplit(origin).hostname or ""

    async def site(self, connection: Connection) -> Site:
        """Return where passkeys are good. Raises: InvalidRequest for an address without a name, where no browser takes them."""
        if _is_address(self._host):
            raise InvalidRequest("passkeys_need_a_name")
        name = await factor_store.site_name(connection)
        return Site(host=self._host, origin=self._origin, name=name)

    async def make(self, connection: Connection, purpose: Purpose, user_id: UUID | None) -> Challenge:
        """Return a new challenge for five minutes."""
        token = await tickets.make(
            connection,
            "passkey",
            lifetime_seconds=LIFETIME_SECONDS,
            user_id=user_id,
            data=_Data(purpose=purpose),
        )
        return Challenge(id=token, expected=bearer.sha256_of(token))

    async def use(self, challenge_sha256: bytes, purpose: Purpose, user_id: UUID | None) -> None:
        """Use up a challenge, in a transaction of its own. Raises: InvalidRequest unless it was made for this and not used."""
        async with self._database.change() as connection:
            ticket = await tickets.use(connection, "passkey", challenge_sha256)
        if ticket is None or ticket.read(_Data).purpose != purpose or ticket.user_id != user_id:
            raise InvalidRequest("challenge_used")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
