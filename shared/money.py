"""Money as integers: the ledger counts nano-USD, a price is pico-USD for one unit. No float ever.

1 USD = 10^9 nano-USD = 10^12 pico-USD. A price of 1 USD per million tokens is 10^6 pico-USD per token.
"""

from decimal import Decimal, InvalidOperation

from shared.errors import InvalidRequest

NANO_PER_USD = 10**9
PICO_PER_NANO = 10**3
PICO_PER_USD_PER_MILLION = 10**6
LARGEST_NANO_USD = 10**18  # a billion dollars: far above any balance, far below the limit of BIGINT
LARGEST_PICO_PRICE = 10**11  # 100,000 USD for a million tokens


def nano_from_usd(text: str) -> int:
    """Return an amount of USD such as `12.50` in nano-USD, exactly.

    Raises: InvalidRequest when it is not a decimal number, is finer than a nano-USD or is out of range.
    """
    return _exact(text, NANO_PER_USD, LARGEST_NANO_USD)


def pico_from_usd_per_million(text: str) -> int:
    """Return a price in USD per million units such as `0.15` in pico-USD for one unit, exactly.

    Raises: InvalidRequest when it is not a decimal number ≥ 0, finer than a pico-USD or out of range.
    """
    price = _exact(text, PICO_PER_USD_PER_MILLION, LARGEST_PICO_PRICE)
    if price < 0:
        raise InvalidRequest("invalid_value", problem=f"a price cannot be negative, got {text!r}")
    return price


def usd_from_nano(amount_nano_usd: int) -> str:
    """Return nano-USD as USD with all significant digits and at least two decimals, such as `12.50`."""
    return _text(Decimal(amount_nano_usd).scaleb(-9))


def usd_per_million_from_pico(price_pico_usd: int) -> str:
    """Return a price in pico-USD for one unit as USD per million units."""
    return _text(Decimal(price_pico_usd).scaleb(-6))


def _exact(text: str, scale: int, largest: int) -> int:
    try:
        scaled = Decimal(text) * scale
        whole = int(scaled)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise InvalidRequest("invalid_value", problem=f"{text[:40]!r} is not a decimal number") from error
    if scaled != whole:
        raise InvalidRequest("invalid_value", problem=f"{text[:40]!r} is finer than can be booked")
    if abs(whole) > largest:
        raise InvalidRequest("invalid_value", problem=f"{text[:40]!r} is out of range")
    return whole


def _text(value: Decimal) -> str:
    digits = format(value.normalize(), "f")
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
