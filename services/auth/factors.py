"""Which second factors a person has, and whether one of them was shown."""

from typing import Literal
from uuid import UUID

from shared.contracts.people import Factor
from shared.db import Connection


async def factors_of(connection: Connection, user_id: UUID) -> tuple[Factor, ...]:
    """Return the second factors that a person must choose from; none are needed when there are none."""
    return ()


async def is_shown(
    connection: Connection, user_id: UUID, factor: Literal["totp", "recovery_code"], secret: str
) -> bool:
    """Tell whether `secret` is a code of that factor of the person, and use it up: nobody has one yet."""
    return False
