"""`relay price` and `relay model`: what can be called, and what it costs."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, Table, moment, table
from services.cli.session import over_the_bus
from shared.contracts import billing, dispatcher
from shared.errors import NotFound
from shared.money import usd_per_million_from_pico

if TYPE_CHECKING:
    from shared.bus import Bus

MAX_OUTPUT_TOKENS = 16_384  # for a new model of which nothing else is said
PRICE_COLUMNS = "INPUT|OUTPUT|CACHE READ|CACHE WRITE|MAX OUTPUT"


class PricedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be called, with the price that is in force."""

    id: str
    created_unix: int
    price: billing.Price


class PricedModels(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that can be called, by name."""

    items: tuple[PricedModel, ...]


@click.group()
def price() -> None:
    """Prices of the models, in USD per million tokens."""


@click.group()
def model() -> None:
    """Models that can be called."""


@price.command("set")
@click.argument("model")
@click.option("--input", "given", type=parameters.price, required=True, metavar="USD", help="For the input.")
@click.option(
    "--output", "produced", type=parameters.price, required=True, metavar="USD", help="For the output."
)
@click.option(
    "--cache-read",
    type=parameters.price,
    metavar="USD",
    help="For input read from a cache. The input's by default.",
)
@click.option(
    "--cache-write",
    type=parameters.price,
    metavar="USD",
    help="For input written to a cache. The input's by default.",
)
@click.option(
    "--max-output-tokens", type=click.IntRange(min=1), metavar="N",
    help=f"The model's own limit. As it was by default, {MAX_OUTPUT_TOKENS} for a new model.",
)  # fmt: skip
@click.option(
    "--context-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="How long a prompt may be, for people to read.",
)
@click.option(
    "--tier", "tiers", type=parameters.tier, multiple=True, metavar="ABOVE:INPUT:OUTPUT[:READ[:WRITE]]",
    help="Prices of a request whose whole prompt is longer than ABOVE tokens. Repeatable.",
)  # fmt: skip
@click.option(
    "--effective", type=parameters.moment, metavar="WHEN",
    help="From this day or time on, such as 2027-01-01, in UTC. From now on by default.",
)  # fmt: skip
@over_the_bus
async def set_price(
    bus: "Bus",
    model: str,
    given: int,
    produced: int,
    cache_read: int | None,
    cache_write: int | None,
    max_output_tokens: int | None,
    context_tokens: int | None,
    tiers: tuple[billing.PriceTier, ...],
    effective: float | None,
) -> Answer:
    """Give a model a price, or a new one. Prices are in USD per million tokens.

    What was said of the model before and is not said now, its limits and capabilities, stays; its tiers do not.
    """
    versions = await bus.call(billing.LIST_PRICES, billing.ListPrices(model=model))
    known = versions.items[0] if versions.items else None
    request = billing.SetPrice(
        model=model,
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=given if cache_read is None else cache_read,
        cache_write_pico_usd=given if cache_write is None else cache_write,
        max_output_tokens=max_output_tokens or (known.max_output_tokens if known else MAX_OUTPUT_TOKENS),
        tiers=tuple(sorted(tiers, key=lambda tier: tier.above_input_tokens)),
        effective_unix=effective,
        context_tokens=context_tokens or (known.context_tokens if known else None),
        capabilities=known.capabilities if known else (),
        source="operator",
    )
    made = await bus.call(billing.SET_PRICE, request)
    return Answer(document=made, text=_table([made]))


@price.command("list")
@click.option("--model", help="Every version of this model's price, newest first.")
@click.option(
    "--scheduled", "is_scheduled", is_flag=True, help="Those that are not effective yet, the next first."
)
@over_the_bus
async def list_prices(bus: "Bus", model: str | None, is_scheduled: bool) -> Answer:
    """List the prices in force, in USD per million tokens."""
    prices = await bus.call(billing.LIST_PRICES, billing.ListPrices(model=model, is_scheduled=is_scheduled))
    return Answer(document=prices, text=_table(prices.items))


@price.command("show")
@click.argument("model")
@over_the_bus
async def show_price(bus: "Bus", model: str) -> Answer:
    """Show a model's price in force, its limits, and where it comes from."""
    prices = await bus.call(billing.LIST_PRICES, billing.ListPrices())
    found = next((each for each in prices.items if each.model == model), None)
    if found is None:
        raise NotFound("not_found", what="price")
    return Answer(document=found, text=table("FIELD|VALUE", _sheet(found)))


@model.command("list")
@over_the_bus
async def list_models(bus: "Bus") -> Answer:
    """List the models that have a channel and a price.

    It is what /v1/models shows. Prices are in USD per million tokens.
    """
    offered, prices = await asyncio.gather(
        bus.call(dispatcher.LIST_MODELS, dispatcher.ListModels()),
        bus.call(billing.LIST_PRICES, billing.ListPrices()),
    )
    priced = {each.model: each for each in prices.items}
    items = tuple(
        PricedModel(id=each.id, created_unix=each.created_unix, price=priced[each.id])
        for each in offered.items
        if each.id in priced
    )
    rows = [(each.id, *_figures(each.price)) for each in items]
    return Answer(document=PricedModels(items=items), text=table(f"MODEL|{PRICE_COLUMNS}", rows))


def _table(prices: Iterable[billing.Price]) -> Table:
    """Return prices in their order, each with its tiers below it."""
    return table(f"MODEL|{PRICE_COLUMNS}|SINCE|ID", (row for each in prices for row in _rows(each)))


def _rows(each: billing.Price) -> Iterator[tuple[str, ...]]:
    yield each.model, *_figures(each), moment(each.effective_unix), str(each.id)
    for tier in each.tiers:
        yield f"  above {tier.above_input_tokens}", *_prices(tier), "", "", ""


def _figures(each: billing.Price) -> tuple[str, ...]:
    return *_prices(each), str(each.max_output_tokens)


def _sheet(each: billing.Price) -> Iterator[tuple[str, str]]:
    steps: list[tuple[str, billing.Price | billing.PriceTier]] = [("", each)]
    steps += [(f" above {tier.above_input_tokens}", tier) for tier in each.tiers]
    yield "model", each.model
    for condition, figures in steps:
        for name, text in zip(
            ("input", "output", "cache read", "cache write"), _prices(figures), strict=True
        ):
            yield f"{name}{condition}", f"{text} USD per million tokens"
    yield "context tokens", str(each.context_tokens or "")
    yield "output tokens", f"{each.max_output_tokens} at most"
    yield "capabilities", ", ".join(each.capabilities)
    yield "source", each.source
    yield "since", moment(each.effective_unix)
    yield "price id", str(each.id)


def _prices(each: billing.Price | billing.PriceTier) -> tuple[str, ...]:
    return (
        usd_per_million_from_pico(each.input_pico_usd),
        usd_per_million_from_pico(each.output_pico_usd),
        usd_per_million_from_pico(each.cache_read_pico_usd),
        usd_per_million_from_pico(each.cache_write_pico_usd),
    )
