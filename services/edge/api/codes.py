"""Codes to top up with, as operators make and end them. A code is shown once, when it is made."""

import time

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import name_of, nano_of, renamed, seconds_of, seconds_or_none
from services.edge.api.shapes import operator as shapes
from shared.contracts import accounts
from shared.contracts.call import Empty
from shared.errors import InvalidRequest
from shared.money import usd_from_nano


async def list_batches(context: Context, ask: Nothing, query: Nothing) -> shapes.CodeBatches:
    """Return every batch, newest first, without its codes."""
    batches = await context.bus.call(accounts.LIST_CODES, Empty())
    return shapes.CodeBatches(items=tuple(_shown(each) for each in batches.items))


async def make_codes(context: Context, ask: shapes.MakeCodes, query: Nothing) -> shapes.MadeCodes:
    """Make a batch, and show its codes."""
    amount = nano_of("amount_usd", ask.amount_usd)
    lifetime = None if ask.expires is None else ask.expires - time.time()
    if lifetime is not None and lifetime <= 0:
        raise InvalidRequest("invalid_value", param="expires", problem="the time is past")
    request = accounts.MakeCodes(
        batch=ask.batch, count=ask.count, amount_nano_usd=amount, lifetime_seconds=lifetime
    )
    with renamed(amount="amount_usd", lifetime_seconds="expires"):
        made = await context.bus.call(accounts.MAKE_CODES, request)
    batch = accounts.CodeBatch(
        name=made.batch,
        amount_nano_usd=amount,
        codes=len(made.codes),
        claimed=0,
        created_unix=made.created_unix,
        expires_unix=made.expires_unix,
    )
    return shapes.MadeCodes(batch=_shown(batch), codes=made.codes)


async def revoke_codes(context: Context, ask: Nothing, query: Nothing) -> shapes.CodeBatch:
    """End what nobody has claimed of a batch."""
    request = accounts.BatchName(name=name_of("batch", context.path["batch"]))
    return _shown(await context.bus.call(accounts.REVOKE_CODES, request))


def _shown(batch: accounts.CodeBatch) -> shapes.CodeBatch:
    return shapes.CodeBatch(
        name=batch.name,
        amount_usd=usd_from_nano(batch.amount_nano_usd),
        codes=batch.codes,
        claimed=batch.claimed,
        created=seconds_of(batch.created_unix),
        expires=seconds_or_none(batch.expires_unix),
        revoked=seconds_or_none(batch.revoked_unix),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.CODE_BATCHES: list_batches,
    table.MAKE_CODES: make_codes,
    table.REVOKE_CODES: revoke_codes,
}
