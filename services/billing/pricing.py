"""What a request costs: the rule in Python, independent of the one in SQL that books it.

The audit recomputes every stored cost with these functions, so the two must agree to the nano-USD.
"""

import msgspec

from shared.money import PICO_PER_NANO


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A price version: pico-USD for one token of each kind."""

    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_pico_usd: int


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request. `input_tokens` is the whole prompt, with what was read from and written to the cache.

    In a plausible count the cached tokens are part of the input and the reasoning tokens part of the output.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def cost_nano_usd(units: Units, price: Price) -> int:
    """Return the cost of plausible `units` in nano-USD, rounded up once."""
    uncached_tokens = units.input_tokens - units.cache_read_tokens - units.cache_write_tokens
    return _nano_from_pico(
        uncached_tokens * price.input_pico_usd
        + units.cache_read_tokens * price.cache_read_pico_usd
        + units.cache_write_tokens * price.cache_write_pico_usd
        + units.output_tokens * price.output_pico_usd
    )


def hold_nano_usd(input_tokens_bound: int, output_tokens_bound: int, price: Price) -> int:
    """Return the least amount in nano-USD that covers every cost within the bounds.

    Nobody knows before the call what the cache will do, so the input is held at its dearest.
    """
    dearest_input_pico_usd = max(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd)
    return _nano_from_pico(
        input_tokens_bound * dearest_input_pico_usd + output_tokens_bound * price.output_pico_usd
    )


def _nano_from_pico(amount_pico_usd: int) -> int:
    return -(-amount_pico_usd // PICO_PER_NANO)
