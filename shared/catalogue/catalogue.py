"""A catalogue of models: the file's format, which an operator may write as well, and how it is read. See docs/prices.md."""

import datetime
from importlib import resources
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.contracts import billing
from shared.errors import InvalidRequest
from shared.money import pico_from_usd_per_million

FILE = "catalogue.json"
FORMAT = 1
TIERS_MAX = 8

Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]


class _Json(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One object of the file."""


class Figures(_Json, frozen=True, kw_only=True):
    """Prices in USD per million tokens, as decimal text. Cached tokens cost what the input costs, unless it is said."""

    input: str
    output: str
    cache_read: str | None = None
    cache_write: str | None = None


class Tier(Figures, frozen=True, kw_only=True):
    """The prices of a request whose whole prompt is longer than `above_input_tokens`."""

    above_input_tokens: Tokens


class Prices(Figures, frozen=True, kw_only=True):
    """Prices with their tiers, which go upwards."""

    tiers: tuple[Tier, ...] = ()


class Later(Prices, frozen=True, kw_only=True):
    """Prices that replace the former ones on a day, at 00:00 UTC."""

    since: Date


class Model(Prices, frozen=True, kw_only=True):
    """One model: its prices today and `later`, its limits, what it can do, and whose figures these are.

    `source` names one of the catalogue's sources. `differs` says what another source has instead, for people to read.
    """

    provider: str = ""
    later: tuple[Later, ...] = ()
    context_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    capabilities: tuple[str, ...] = ()
    source: str = ""
    differs: str = ""

    def prices_at(self, moment: datetime.datetime) -> Prices:
        """Return the prices that hold at `moment`."""
        day = moment.astimezone(datetime.UTC).date().isoformat()
        held = [each for each in self.later if each.since <= day]
        return max(held, key=lambda each: each.since) if held else self


class Source(_Json, frozen=True, kw_only=True):
    """Where figures come from: a published data set, under a licence, as of a day."""

    version: str
    licence: str
    date: Date
    url: str = ""


class Catalogue(_Json, frozen=True, kw_only=True):
    """Models by the name under which they are offered."""

    format: int
    note: str = ""
    sources: dict[str, Source] = {}
    models: dict[Annotated[str, Meta(min_length=1, max_length=200)], Model]

    def source_of(self, model: Model) -> str:
        """Return where the figures of `model` come from, as a price version keeps it."""
        source = self.sources.get(model.source)
        if source is None:
            return model.source
        return f"{model.source} {source.version} ({source.licence}, {source.date})"


def shipped() -> Catalogue:
    """Return the catalogue that comes with Relay."""
    return parse(resources.files("shared.catalogue").joinpath(FILE).read_bytes())


def parse(data: bytes) -> Catalogue:
    """Return a catalogue. Raises: InvalidRequest when it is none, or has a price that is none."""
    try:
        catalogue = msgspec.json.decode(data, type=Catalogue)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _invalid(f"the file is no catalogue of prices: {error}") from error
    if catalogue.format != FORMAT:
        raise _invalid(
            f"the catalogue has format {catalogue.format}, and this version of Relay reads {FORMAT}"
        )
    for name, model in catalogue.models.items():
        for prices in (model, *model.later):
            _check(name, prices)
    return catalogue


def price_of(
    catalogue: Catalogue, name: str, moment: datetime.datetime, *, max_output_tokens: int
) -> billing.SetPrice:
    """Return the price of a model of the catalogue that holds at `moment`; `max_output_tokens` is for one of unknown limit."""
    model = catalogue.models[name]
    prices = model.prices_at(moment)
    given, produced, read, write = _pico(prices)
    return billing.SetPrice(
        model=name,
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=read,
        cache_write_pico_usd=write,
        max_output_tokens=model.max_output_tokens or max_output_tokens,
        tiers=tuple(_tier(tier) for tier in prices.tiers),
        context_tokens=model.context_tokens,
        capabilities=model.capabilities,
        source=catalogue.source_of(model),
    )


def _tier(tier: Tier) -> billing.PriceTier:
    given, produced, read, write = _pico(tier)
    return billing.PriceTier(
        above_input_tokens=tier.above_input_tokens,
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=read,
        cache_write_pico_usd=write,
    )


def _pico(figures: Figures) -> tuple[int, int, int, int]:
    given = pico_from_usd_per_million(figures.input)
    read, write = (
        given if text is None else pico_from_usd_per_million(text)
        for text in (figures.cache_read, figures.cache_write)
    )
    return given, pico_from_usd_per_million(figures.output), read, write


def _check(name: str, prices: Prices) -> None:
    """Raise InvalidRequest for what billing would refuse, with the name of the model."""
    try:
        steps = [_pico(figures) for figures in (prices, *prices.tiers)]
    except InvalidRequest as error:
        raise _invalid(f"{name}: {error.details['problem']}") from error
    thresholds = [tier.above_input_tokens for tier in prices.tiers]
    if thresholds != sorted(set(thresholds)) or len(thresholds) > TIERS_MAX:
        raise _invalid(f"{name}: the tiers do not go upwards, or are more than {TIERS_MAX}")
    if any(high < low for before, after in pairwise(steps) for low, high in zip(before, after, strict=True)):
        raise _invalid(f"{name}: a longer prompt is cheaper than a shorter one")


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_value", problem=problem)
