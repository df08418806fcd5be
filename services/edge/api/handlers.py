"""Every handler of the JSON API, by its endpoint; a test sees to it that none is missing."""

from services.edge.api import (
    accounts,
    actions,
    calls,
    channels,
    codes,
    factors,
    groups,
    keys,
    overview,
    people,
    prices,
    site,
    wallet,
)
from services.edge.api.context import Handler
from services.edge.api.endpoint import Endpoint

HANDLERS: dict[Endpoint, Handler] = {
    **site.HANDLERS,
    **people.HANDLERS,
    **factors.HANDLERS,
    **keys.HANDLERS,
    **overview.HANDLERS,
    **wallet.HANDLERS,
    **calls.HANDLERS,
    **channels.HANDLERS,
    **prices.HANDLERS,
    **accounts.HANDLERS,
    **groups.HANDLERS,
    **codes.HANDLERS,
    **actions.HANDLERS,
}
