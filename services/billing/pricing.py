"""What a request costs: the rule in Python, independent of the one in SQL that books it.

The audit recomputes every stored cost with these functions, so the two must agree to the nano-USD.
"""

import msgspec

from shared.money import PICO_PER_NANO

ONE_PPM = 10**6  # the multiplier of a price that is taken as it is
MULTIPLIER_PPM_MAX = 10 * ONE_PPM


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a request whose whole prompt is longer than `above_input_tokens`."""

    above_input_tokens: int
    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A price version: pico-USD for one token of each kind, and the tiers upwards from there, none cheaper than the one before."""

    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int
    tiers: tuple[Tier, ...] = ()

    def at_length(self, input_tokens: int) -> "Price | Tier":
        """Return the figures that hold for a prompt of so many tokens."""
        exceeded = [tier for tier in self.tiers if input_tokens > tier.above_input_tokens]
        return exceeded[-1] if exceeded else self


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request. `input_tokens` is the whole prompt, with what was read from and written to the cache.

    In a plausible count the cached tokens are part of the input and the reasoning tokens part of the output.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def cost_nano_usd(units: Units, price: Price, multiplier_ppm: int = ONE_PPM) -> int:
    """Return the cost of plausible `units` in nano-USD, rounded up once."""
    figures = price.at_length(units.input_tokens)
    uncached_tokens = units.input_tokens - units.cache_read_tokens - units.cache_write_tokens
    return _nano_from_pico(
        uncached_tokens * figures.input_pico_usd
        + units.cache_read_tokens * figures.cache_read_pico_usd
        + units.cache_write_tokens * figures.cache_write_pico_usd
        + units.output_tokens * figures.output_pico_usd,
        multiplier_ppm,
    )


def hold_nano_usd(
    input_tokens_bound: int, output_tokens_bound: int, price: Price, multiplier_ppm: int = ONE_PPM
) -> int:
    """Return the least amount in nano-USD that covers every cost within the bounds.

    Nobody knows before the call what the cache will do, so the input is held at its dearest. No tier is cheaper than the one
    before, so the one that the bound reaches is the dearest as well.
    """
    figures = price.at_length(input_tokens_bound)
    dearest_input_pico_usd = max(
        figures.input_pico_usd, figures.cache_read_pico_usd, figures.cache_write_pico_usd
    )
    return _nano_from_pico(
        input_tokens_bound * dearest_input_pico_usd + output_tokens_bound * figures.output_pico_usd,
        multiplier_ppm,
    )


def _nano_from_pico(amount_pico_usd: int, multiplier_ppm: int) -> int:
    return -(-amount_pico_usd * multiplier_ppm // (PICO_PER_NANO * ONE_PPM))
