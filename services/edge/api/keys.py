"""API keys as the people of an account manage them: who they are and what they may do is auth's, what they cost billing's."""

import time
from contextlib import AbstractContextManager

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import (
    limits_asked,
    limits_shown,
    renamed,
    seconds_of,
    seconds_or_none,
    used_shown,
)
from services.edge.api.shapes import wallet as shapes
from shared.contracts import accounts, auth
from shared.errors import NotFound
from shared.keys import hint_of
from shared.money import usd_from_nano


async def list_keys(context: Context, ask: Nothing, query: shapes.KeysQuery) -> shapes.Keys:
    """Return one page of the account's keys, newest first."""
    question = auth.SearchKeys(
        account_id=context.person.account_id,
        search=query.search,
        state=query.state,
        cursor=query.cursor,
        limit=query.limit,
    )
    page = await context.bus.call(auth.SEARCH_KEYS, question)
    return shapes.Keys(items=await _shown(context, page.items), next_cursor=page.next_cursor)


async def make_key(context: Context, ask: shapes.MakeKey, query: Nothing) -> shapes.MadeKey:
    """Make a key and show it, once."""
    limits = limits_asked(ask.limits)
    question = auth.CreateKey(
        account_id=context.person.account_id,
        name=ask.name,
        expires_unix=ask.expires,
        allowed_models=ask.allowed_models,
        allowed_addresses=ask.allowed_addresses,
        limits=None if limits == accounts.Limits() else limits,
    )
    with _spends_renamed():
        made = await context.bus.call(auth.CREATE_KEY, question)
    return shapes.MadeKey(key=await _one(context, made.key), secret=made.secret)


async def get_key(context: Context, ask: Nothing, query: Nothing) -> shapes.Key:
    """Return one key of the account."""
    question = auth.GetKey(account_id=context.person.account_id, key_id=context.path["key_id"])
    return await _one(context, await context.bus.call(auth.GET_KEY, question))


async def update_key(context: Context, ask: shapes.UpdateKey, query: Nothing) -> shapes.Key:
    """Change what is given of a key."""
    question = auth.UpdateKey(
        account_id=context.person.account_id,
        key_id=context.path["key_id"],
        name=ask.name,
        expires_unix=ask.expires,
        allowed_models=ask.allowed_models,
        allowed_addresses=ask.allowed_addresses,
        limits=msgspec.UNSET if ask.limits is msgspec.UNSET else limits_asked(ask.limits),
    )
    with _spends_renamed():
        changed = await context.bus.call(auth.UPDATE_KEY, question)
    return await _one(context, changed)


async def rotate_key(context: Context, ask: Nothing, query: Nothing) -> shapes.MadeKey:
    """Make a key like this one, which is revoked, and show it, once."""
    question = auth.RotateKey(account_id=context.person.account_id, key_id=context.path["key_id"])
    made = await context.bus.call(auth.ROTATE_KEY, question)
    return shapes.MadeKey(key=await _one(context, made.key), secret=made.secret)


async def revoke_key(context: Context, ask: Nothing, query: Nothing) -> shapes.Key:
    """End a key for good: it spends nothing more."""
    question = auth.RevokeKey(account_id=context.person.account_id, key_id=context.path["key_id"])
    return await _one(context, await context.bus.call(auth.REVOKE_KEY, question))


async def _one(context: Context, key: auth.Key) -> shapes.Key:
    (shown,) = await _shown(context, (key,))
    return shown


async def _shown(context: Context, keys: tuple[auth.Key, ...]) -> tuple[shapes.Key, ...]:
    """Return keys with what they cost and count, which one call to billing tells of all of them."""
    if not keys:
        return ()
    question = accounts.GetKeys(account_id=context.person.account_id, key_ids=tuple(key.id for key in keys))
    found = await context.bus.call(accounts.GET_KEYS, question)
    costs = {each.key_id: each for each in found.items}
    return tuple(_view(key, costs.get(key.id)) for key in keys)


def _view(key: auth.Key, cost: accounts.KeyInForce | None) -> shapes.Key:
    if cost is None:  # auth tells nobody of a key that billing does not hold
        raise NotFound("not_found", what="key")
    return shapes.Key(
        id=key.id,
        name=key.name,
        hint=hint_of(key.id),
        state=_state(key),
        allowed_models=key.allowed_models,
        allowed_addresses=key.allowed_addresses,
        limits=limits_shown(cost.in_force.own_limits),
        used=used_shown(cost.in_force),
        spent_usd=usd_from_nano(cost.spent_nano_usd),
        created=seconds_of(key.created_unix),
        expires=seconds_or_none(key.expires_unix),
        last_used=seconds_or_none(key.last_used_unix),
    )


def _state(key: auth.Key) -> auth.KeyState:
    if key.revoked_unix is not None:
        return "revoked"
    return "expired" if key.expires_unix is not None and key.expires_unix <= time.time() else "active"


def _spends_renamed() -> AbstractContextManager[None]:
    return renamed(**{f"spend_{span}_nano_usd": f"spend_{span}_usd" for span in ("day", "month", "total")})


HANDLERS: dict[Endpoint, Handler] = {
    table.KEYS: list_keys,
    table.MAKE_KEY: make_key,
    table.KEY: get_key,
    table.UPDATE_KEY: update_key,
    table.ROTATE_KEY: rotate_key,
    table.REVOKE_KEY: revoke_key,
}
