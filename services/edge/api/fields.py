"""Fields of the JSON API and what they are inside: money, prices, limits, moments, ids. Pure."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from services.edge.api.shapes import wallet
from services.edge.api.shapes.site import Figures
from shared.contracts import accounts, billing
from shared.errors import InvalidRequest, NotFound, RelayError
from shared.money import (
    nano_from_usd,
    pico_from_usd_per_million,
    usd_from_nano,
    usd_per_million_from_pico,
)

NAME_CHARACTERS_MAX = 100
_DECIMAL = re.compile(
    r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?"
)  # Decimal itself also reads 1_0, 1e3 and digits of other scripts
_COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
_SPENDS = ("spend_day", "spend_month", "spend_total")


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Let an error that names the field of a message name the field of the API instead, given as `theirs=ours`."""
    try:
        yield
    except RelayError as error:
        error.param = names.get(error.param or "", error.param)
        raise


def nano_of(param: str, text: str) -> int:
    """Return an amount of USD in nano-USD. Raises: InvalidRequest for `param`."""
    return _decimal(param, text, is_price=False)


def pico_of(param: str, text: str) -> int:
    """Return a price in USD per million tokens as pico-USD for one. Raises: InvalidRequest for `param`."""
    return _decimal(param, text, is_price=True)


def id_of(what: str, text: str) -> str:
    """Return an id in its normal form. Raises: NotFound when it is none, since then nothing has it."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise NotFound("not_found", what=what) from error


def cursor_of(text: str | None) -> str | None:
    """Return where a list of things with ids goes on. Raises: InvalidRequest for what no page has given."""
    try:
        return None if text is None else str(uuid.UUID(text))
    except ValueError as error:
        raise InvalidRequest("invalid_value", param="cursor", problem="no page gave this cursor") from error


def name_of(what: str, text: str) -> str:
    """Return a name from a path. Raises: NotFound when nothing can be called so."""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
        raise NotFound("not_found", what=what)
    return text


def seconds_of(unix: float) -> int:
    """Return a moment in whole seconds."""
    return int(unix)


def seconds_or_none(unix: float | None) -> int | None:
    """Return a moment in whole seconds, None for none."""
    return None if unix is None else int(unix)


def limits_shown(limits: accounts.Limits) -> wallet.Limits:
    """Return limits as the API has them."""
    given: dict[str, int | str | None] = {name: getattr(limits, name) for name in _COUNTS}
    for name in _SPENDS:
        most = getattr(limits, f"{name}_nano_usd")
        given[f"{name}_usd"] = None if most is None else usd_from_nano(most)
    return msgspec.convert(given, wallet.Limits)


def limits_asked(limits: wallet.Limits) -> accounts.Limits:
    """Return limits as billing has them. Raises: InvalidRequest for one that is not above zero."""
    given: dict[str, int | None] = {name: getattr(limits, name) for name in _COUNTS}
    for name in _SPENDS:
        text = getattr(limits, f"{name}_usd")
        given[f"{name}_nano_usd"] = None if text is None else nano_of(f"{name}_usd", text)
    for name, most in given.items():
        if most is not None and most < 1:
            param = name.replace("_nano_usd", "_usd")
            raise InvalidRequest(
                "invalid_value", param=param, problem=f"{param} must be above 0, or null for no limit"
            )
    return accounts.Limits(**given)


def used_shown(state: accounts.LimitsInForce) -> wallet.Used:
    """Return how much of each limit is used; what is held counts as spent."""
    return wallet.Used(
        requests=state.requests,
        tokens=state.tokens,
        running=state.running,
        day_usd=usd_from_nano(state.day_nano_usd + state.held_nano_usd),
        month_usd=usd_from_nano(state.month_nano_usd + state.held_nano_usd),
        total_usd=usd_from_nano(state.total_nano_usd + state.held_nano_usd),
    )


def figures_shown(price: billing.Price | billing.SetPrice) -> tuple[Figures, ...]:
    """Return the prices for every length, and then those of each tier."""
    steps: tuple[tuple[int, billing.Price | billing.SetPrice | billing.PriceTier], ...] = (
        (0, price),
        *((tier.above_input_tokens, tier) for tier in price.tiers),
    )
    return tuple(
        Figures(
            above_input_tokens=above,
            input=usd_per_million_from_pico(step.input_pico_usd),
            output=usd_per_million_from_pico(step.output_pico_usd),
            cache_read=usd_per_million_from_pico(step.cache_read_pico_usd),
            cache_write=usd_per_million_from_pico(step.cache_write_pico_usd),
        )
        for above, step in steps
    )


def tier_of(figures: Figures) -> billing.PriceTier:
    """Return one set of prices as billing has it. Raises: InvalidRequest for what is no price."""
    return billing.PriceTier(
        above_input_tokens=figures.above_input_tokens,
        input_pico_usd=pico_of("figures", figures.input),
        output_pico_usd=pico_of("figures", figures.output),
        cache_read_pico_usd=pico_of("figures", figures.cache_read),
        cache_write_pico_usd=pico_of("figures", figures.cache_write),
    )


def _decimal(param: str, text: str, *, is_price: bool) -> int:
    if not _DECIMAL.fullmatch(text):
        problem = f"{text[:40]!r} is not a decimal number such as 12.50"
        raise InvalidRequest("invalid_value", param=param, problem=problem)
    try:
        return pico_from_usd_per_million(text) if is_price else nano_from_usd(text)
    except InvalidRequest as error:
        error.param = param
        raise
