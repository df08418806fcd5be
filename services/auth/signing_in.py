"""How a sign-in ends: with a session, or with a ticket for the second factor."""

from uuid import UUID

from services.auth import tickets
from services.auth.factors import factors_of
from services.auth.sessions import Sessions
from shared.contracts.people import Client, SignedIn
from shared.db import Connection

FACTOR_SECONDS = 600.0  # to find the telephone


async def signed_in(connection: Connection, kept: Sessions, user_id: UUID, client: Client) -> SignedIn:
    """Return what whoever has shown one factor gets: a session if that is enough, else a ticket."""
    asked = await factors_of(connection, user_id)
    if not asked:
        return SignedIn(state="signed_in", session_token=await kept.begin(connection, user_id, client))
    ticket = await tickets.make(connection, "second_factor", lifetime_seconds=FACTOR_SECONDS, user_id=user_id)
    return SignedIn(state="second_factor", ticket=ticket, factors=asked)
