"""Which second factors a person has, and whether a code that is shown is one of theirs.

Whoever has a passkey or an authenticator is asked for one of them after the password; a recovery code stands for either.
"""

import logging
import time
from uuid import UUID

import msgspec

from services.auth import factor_store, recovery_codes, totp
from services.auth.secrets import Pepper
from shared.contracts.people import CodeFactor, Factor
from shared.db import Connection
from shared.errors import InvalidRequest
from shared.sealing import CannotOpen, Sealer

PURPOSE = "totp"  # what a secret is sealed for

log = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The second factors of a person, as they see them."""

    has_totp: bool = False
    passkeys: int = 0
    recovery_codes_left: int = 0


async def held_by(connection: Connection, user_id: UUID) -> Held:
    """Return what second factors a person has."""
    record = await connection.fetchrow(
        """SELECT EXISTS (SELECT FROM auth.totp WHERE user_id = $1) AS has_totp,
                (SELECT count(*) FROM auth.passkey WHERE user_id = $1) AS passkeys,
                (SELECT count(*) FROM auth.recovery_code WHERE user_id = $1) AS recovery_codes_left""",
        user_id,
    )
    return msgspec.convert(dict(record), Held)


async def factors_of(connection: Connection, user_id: UUID) -> tuple[Factor, ...]:
    """Return the second factors that a person must choose from; none are needed when there are none."""
    held = await held_by(connection, user_id)
    factors: list[Factor] = []
    if held.has_totp:
        factors.append("totp")
    if held.passkeys:
        factors.append("passkey")
    if factors and held.recovery_codes_left:
        factors.append("recovery_code")
    return tuple(factors)


class Codes:
    """Checks codes with the key that opens the secrets of authenticators, and the pepper of recovery codes."""

    def __init__(self, sealer: Sealer | None, pepper: Pepper) -> None:
        self._sealer = sealer
        self._pepper = pepper

    @property
    def sealer(self) -> Sealer:
        """What seals the secrets of authenticators. Raises: InvalidRequest when the operator has set no key for it."""
        if self._sealer is None:
            raise InvalidRequest("authenticators_not_set_up")
        return self._sealer

    def opened(self, sealed: bytes, user_id: UUID) -> str:
        """Return the secret of a person's authenticator. Raises: InvalidRequest when it was sealed with another key."""
        try:
            return self.sealer.open(sealed, purpose=PURPOSE, row_id=str(user_id)).decode()
        except CannotOpen as error:
            log.error("the secret of an authenticator does not open: was RELAY_FACTOR_KEY changed?")
            raise InvalidRequest("authenticators_not_set_up") from error

    async def is_shown(self, connection: Connection, user_id: UUID, factor: CodeFactor, secret: str) -> bool:
        """Tell whether `secret` is a code of that factor of the person, and use it up in this transaction."""
        if factor == "recovery_code":
            kept = recovery_codes.kept(self._pepper, user_id, secret)
            return await factor_store.use_recovery_code(connection, user_id, kept)
        known = await factor_store.totp_of(connection, user_id)
        if known is None:
            return False
        opened = self.opened(known.sealed, user_id)
        step = totp.step_of(opened, secret, unix=time.time(), last_step=known.last_step)
        return step is not None and await factor_store.use_step(connection, user_id, step)

    async def renew(self, connection: Connection, user_id: UUID) -> tuple[str, ...]:
        """Return ten new recovery codes of a person; all before them are void."""
        codes = recovery_codes.mint()
        kept = tuple(recovery_codes.kept(self._pepper, user_id, each) for each in codes)
        await factor_store.put_recovery_codes(connection, user_id, kept)
        return codes
