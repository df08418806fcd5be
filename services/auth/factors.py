"""Which second factors a person has, and whether one of them was shown."""

from uuid import UUID

import msgspec

from shared.contracts.people import CodeFactor, Factor
from shared.db import Connection


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The second factors of a person, as they see them."""

    has_totp: bool = False
    passkeys: int = 0
    recovery_codes_left: int = 0


async def held_by(connection: Connection, user_id: UUID) -> Held:
    """Return what second factors a person has."""
    return Held()


async def factors_of(connection: Connection, user_id: UUID) -> tuple[Factor, ...]:
    """Return the second factors that a person must choose from; none are needed when there are none."""
    return ()


async def is_shown(connection: Connection, user_id: UUID, factor: CodeFactor, secret: str) -> bool:
    """Tell whether `secret` is a code of that factor of the person, and use it up: nobody has one yet."""
    return False
