"""Models and their prices, as operators see and set them, and what the shipped catalogue knows of a model."""

import asyncio
import datetime
import time
from collections.abc import Iterable
from functools import cache

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import figures_shown, renamed, tier_of
from services.edge.api.shapes import channels as shapes
from shared.catalogue.catalogue import Catalogue, price_of, shipped
from shared.catalogue.difference import MAX_CHANGE_PERCENT, changed_facts, difference
from shared.contracts import billing, dispatcher
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound

CATALOGUE_MAX = 50
SEARCH_CHARACTERS_MAX = 200
OPERATOR = "operator"  # the source of a price that nobody names
UNKNOWN_LIMIT = 1  # of output, in a price of the catalogue that is only looked at


async def list_prices(context: Context, ask: Nothing, query: Nothing) -> shapes.PricedModels:
    """Return every model that has a price or a channel, by name."""
    prices, scheduled, channels = await asyncio.gather(
        context.bus.call(billing.LIST_PRICES, billing.ListPrices()),
        context.bus.call(billing.LIST_PRICES, billing.ListPrices(is_scheduled=True)),
        context.bus.call(dispatcher.LIST_CHANNELS, Empty()),
    )
    in_force = {price.model: price for price in prices.items}
    later: dict[str, list[billing.Price]] = {}
    for price in scheduled.items:
        later.setdefault(price.model, []).append(price)
    offering: dict[str, list[str]] = {}
    for channel in channels.items:
        for model in channel.models:
            offering.setdefault(model, []).append(channel.name)
    return shapes.PricedModels(
        items=tuple(
            shapes.PricedModel(
                model=model,
                price=_shown(in_force[model]) if model in in_force else None,
                scheduled=tuple(_shown(each) for each in later.get(model, ())),
                channels=tuple(offering.get(model, ())),
            )
            for model in sorted({*in_force, *later, *offering})
        )
    )


async def price_versions(context: Context, ask: Nothing, query: Nothing) -> shapes.PriceVersions:
    """Return every version of a model's price, newest first."""
    model = context.path["model"]
    if not 1 <= len(model) <= SEARCH_CHARACTERS_MAX or not model.isprintable():
        raise NotFound("not_found", what="price")
    versions = await _versions(context, model)
    if not versions:
        raise NotFound("not_found", what="price")
    return shapes.PriceVersions(items=tuple(_shown(each) for each in versions))


async def preview_price(context: Context, ask: shapes.SetPrice, query: Nothing) -> shapes.PricePreview:
    """Return what a new version would change of the price that it follows."""
    after = _asked(ask)
    before = _followed(await _versions(context, after.model), after.effective_unix)
    changed = None if before is None else difference(before, after, max_change_percent=MAX_CHANGE_PERCENT)
    if before is None or changed is None:
        return shapes.PricePreview(differences=())
    figures = [
        shapes.PriceDifference(
            what=each.name, before=each.before or "", after=each.after, is_large=bool(each.stopped)
        )
        for each in changed.figures
    ]
    facts = [
        shapes.PriceDifference(what=each.name, before=each.before, after=each.after, is_large=False)
        for each in changed_facts(before, after)
    ]
    return shapes.PricePreview(differences=(*figures, *facts))


async def set_price(context: Context, ask: shapes.SetPrice, query: Nothing) -> shapes.Price:
    """Make a new version, in force from its date on."""
    request = _asked(ask)
    before = _followed(await _versions(context, request.model), request.effective_unix)
    context.before = None if before is None else _shown(before)
    with renamed(effective_unix="effective", tiers="figures"):
        return _shown(await context.bus.call(billing.SET_PRICE, request))


async def search_catalogue(context: Context, ask: Nothing, query: shapes.CatalogueQuery) -> shapes.Catalogue:
    """Return what the shipped catalogue knows of models whose names fit, the best first."""
    catalogue = _catalogue()
    wanted = query.search.strip().lower()[:SEARCH_CHARACTERS_MAX]
    fitting = sorted((_distance(name, wanted), name) for name in catalogue.models if wanted in name.lower())
    now = datetime.datetime.now(datetime.UTC)
    return shapes.Catalogue(items=tuple(_entry(catalogue, name, now) for _, name in fitting[:CATALOGUE_MAX]))


@cache
def _catalogue() -> Catalogue:
    return shipped()


def _distance(name: str, wanted: str) -> int:
    """Return how far a name is from what was looked for: the same, begun with it, a maker's name before it, or anywhere."""
    given = name.lower()
    if given == wanted:
        return 0
    if given.startswith(wanted):
        return 1
    return 2 if f"/{wanted}" in given else 3


def _entry(catalogue: Catalogue, name: str, now: datetime.datetime) -> shapes.CatalogueEntry:
    price = price_of(catalogue, name, now, max_output_tokens=UNKNOWN_LIMIT)
    return shapes.CatalogueEntry(
        model=name,
        figures=figures_shown(price),
        max_output_tokens=catalogue.models[name].max_output_tokens,
        context_tokens=price.context_tokens,
        capabilities=price.capabilities,
        source=price.source,
    )


async def _versions(context: Context, model: str) -> tuple[billing.Price, ...]:
    return (await context.bus.call(billing.LIST_PRICES, billing.ListPrices(model=model))).items


def _followed(versions: Iterable[billing.Price], effective_unix: float | None) -> billing.Price | None:
    """Return the version that a new one replaces at its time; `versions` are newest first."""
    moment = time.time() if effective_unix is None else effective_unix
    return next((each for each in versions if each.effective_unix <= moment), None)


def _asked(ask: shapes.SetPrice) -> billing.SetPrice:
    if not ask.figures or ask.figures[0].above_input_tokens != 0:
        problem = "the first figures are for every length: above_input_tokens is 0"
        raise InvalidRequest("invalid_value", param="figures", problem=problem)
    base, *tiers = (tier_of(figures) for figures in ask.figures)
    figures = msgspec.structs.asdict(base)
    del figures["above_input_tokens"]
    return billing.SetPrice(
        model=ask.model,
        max_output_tokens=ask.max_output_tokens,
        tiers=tuple(tiers),
        effective_unix=ask.effective,
        context_tokens=ask.context_tokens,
        capabilities=ask.capabilities,
        source=ask.source or OPERATOR,
        **figures,
    )


def _shown(price: billing.Price) -> shapes.Price:
    return shapes.Price(
        version=price.id,
        model=price.model,
        figures=figures_shown(price),
        max_output_tokens=price.max_output_tokens,
        context_tokens=price.context_tokens,
        capabilities=price.capabilities,
        source=price.source,
        effective=int(price.effective_unix),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.PRICES: list_prices,
    table.PRICE_VERSIONS: price_versions,
    table.PREVIEW_PRICE: preview_price,
    table.SET_PRICE: set_price,
    table.CATALOGUE: search_catalogue,
}
