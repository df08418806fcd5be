"""What operators did, for operators to read."""

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import seconds_of
from services.edge.api.pages import number_of
from services.edge.api.shapes import operator as shapes
from shared.contracts import site


async def list_actions(context: Context, ask: Nothing, query: shapes.ActionsQuery) -> shapes.Actions:
    """Return one page of the log, newest first."""
    request = site.ListActions(
        before_id=number_of(query.cursor), limit=query.limit, action=query.action, search=query.search
    )
    actions = await context.bus.call(site.LIST_ACTIONS, request)
    return shapes.Actions(
        items=tuple(_shown(each) for each in actions.items),
        next_cursor=str(actions.items[-1].id) if actions.has_more else None,
    )


def _shown(action: site.Action) -> shapes.Action:
    return shapes.Action(
        id=action.id,
        user_id=action.user_id,
        email=action.email,
        through=action.through,
        address=action.address,
        action=action.action,
        object=action.object,
        before=msgspec.Raw(action.before.encode()),
        after=msgspec.Raw(action.after.encode()),
        result=action.result,
        created=seconds_of(action.created_unix),
    )


HANDLERS: dict[Endpoint, Handler] = {table.ACTIONS: list_actions}
