"""Groups of accounts: limits, models and a price multiplier that they share."""

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import limits_asked, limits_shown, name_of, pico_of, renamed
from services.edge.api.shapes import operator as shapes
from shared.contracts import accounts
from shared.contracts.call import Empty
from shared.money import usd_per_million_from_pico


async def list_groups(context: Context, ask: Nothing, query: Nothing) -> shapes.Groups:
    """Return every group, by name."""
    groups = await context.bus.call(accounts.LIST_GROUPS, Empty())
    return shapes.Groups(items=tuple(_shown(each) for each in groups.items))


async def put_group(context: Context, ask: shapes.Group, query: Nothing) -> shapes.Group:
    """Make a group, or replace what it says; from then on requests of its accounts meet it."""
    request = accounts.Group(
        name=ask.name,
        limits=limits_asked(ask.limits),
        allowed_models=ask.allowed_models,
        multiplier_ppm=pico_of(
            "price_multiplier", ask.price_multiplier
        ),  # 1 is a million parts, as a USD is of micro-USD
    )
    context.before = await _known(context, ask.name)
    with renamed(multiplier_ppm="price_multiplier"):
        return _shown(await context.bus.call(accounts.PUT_GROUP, request))


async def delete_group(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """Remove a group that no account is in."""
    name = name_of("group", context.path["name"])
    context.before = await _known(context, name)
    await context.bus.call(accounts.DELETE_GROUP, accounts.GroupName(name=name))
    return Nothing()


async def _known(context: Context, name: str) -> shapes.Group | None:
    groups = await list_groups(context, Nothing(), Nothing())
    return next((each for each in groups.items if each.name == name), None)


def _shown(group: accounts.Group) -> shapes.Group:
    return shapes.Group(
        name=group.name,
        limits=limits_shown(group.limits),
        allowed_models=group.allowed_models,
        price_multiplier=usd_per_million_from_pico(group.multiplier_ppm),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.GROUPS: list_groups,
    table.PUT_GROUP: put_group,
    table.DELETE_GROUP: delete_group,
}
