"""How a person comes in: an account, the person, and what the site gives to newcomers.

All of it happens in the transaction of whoever proved the address, in the order of `handlers.py`: our rows, then billing, then the
commit. The account's id is decided before the first try and its gift with it, so whoever repeats after a lost answer gets the same
account, and billing credits it once.
"""

from uuid import UUID

from services.auth import people_store, store
from services.auth.people_store import Newcomer
from shared.bus import Bus
from shared.contracts import billing
from shared.db import Connection
from shared.ids import uuid7

BILLING_SECONDS = 3.0  # below the caller's own deadline, so that it hears who did not answer


async def join(connection: Connection, bus: Bus, newcomer: Newcomer, *, credit_nano_usd: int) -> UUID:
    """Return the id of the new person, whose account billing knows, with `credit_nano_usd` on it.

    Raises: InvalidRequest when the address is taken; Unavailable when billing does not answer. Nothing is stored then.
    """
    user_id = uuid7()
    stored = await store.insert_account(connection, newcomer.account_id, newcomer.email)
    await people_store.insert(connection, user_id, newcomer)
    account_id = stored.account.id
    await bus.call(
        billing.PUT_ACCOUNT,
        billing.PutAccount(account_id=account_id, status=stored.account.status, version=stored.version),
        timeout_seconds=BILLING_SECONDS,
    )
    if credit_nano_usd > 0:
        gift = billing.Credit(
            account_id=account_id,
            amount_nano_usd=credit_nano_usd,
            idempotency_key=f"sign-up:{account_id}",
            reason="sign-up",
        )
        await bus.call(billing.CREDIT, gift, timeout_seconds=BILLING_SECONDS)
    return user_id
