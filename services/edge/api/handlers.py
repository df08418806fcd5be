"""Every handler of the JSON API, by its endpoint; a test sees to it that none is missing."""

from services.edge.api import (
    accounts,
    actions,
    calls,
    channels,
    codes,
    groups,
    overview,
    people,
    prices,
    site,
    wallet,
)  # fmt: skip
from services.edge.api.context import Handler
from services.edge.api.endpoint import Endpoint

HANDLERS: dict[Endpoint, Handler] = {
    **site.HANDLERS,
    **people.HANDLERS,
    **channels.HANDLERS,
    **prices.HANDLERS,
    **accounts.HANDLERS,
    **groups.HANDLERS,
    **codes.HANDLERS,
    **actions.HANDLERS,
    **wallet.HANDLERS,
    **calls.HANDLERS,
    **overview.HANDLERS,
}
