"""Money as integers: the ledger counts nano-USD, a price is pico-USD for one unit. No float ever.

1 USD = 10^9 nano-USD = 10^12 pico-USD. A price of 1 USD per million tokens is 10^6 pico-USD per token.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from shared.errors import InvalidRequest

NANO_PER_USD = 10**9
PICO_PER_NANO = 10**3
PICO_PER_USD_PER_MILLION = 10**6
LARGEST_NANO_USD = 10**18  # a billion dollars: far above any balance, far below the limit of BIGINT
LARGEST_PICO_PRICE = 10**11  # 100,000 USD for a million tokens

# Exact or refused, whatever the thread's own context is. 60 digits are more than any amount in range needs.
_EXACT = Context(prec=60, traps=[InvalidOperation, Overflow, Inexact])


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
    return _text(_EXACT.scaleb(Decimal(amount_nano_usd), -9))


def usd_per_million_from_pico(price_pico_usd: int) -> str:
    """Return a price in pico-USD for one unit as USD per million units."""
    return _text(_EXACT.scaleb(Decimal(price_pico_usd), -6))


def multiplied(price_usd: str, multiplier_ppm: int) -> str:
    """Return a price in USD times `multiplier_ppm` millionths, exactly."""
    return _text(_EXACT.multiply(Decimal(price_usd), _EXACT.scaleb(Decimal(multiplier_ppm), -6)))


def _exact(text: str, scale: int, largest: int) -> int:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise _invalid(text, "is not a decimal number") from error
    if not value.is_finite():
        raise _invalid(text, "is not a decimal number")
    if value.copy_abs() > largest:  # before any integer is made of it: 1e999999 would have a million digits
        raise _invalid(text, "is out of range")
    try:
        scaled = _EXACT.multiply(value, scale)
    except Inexact as error:
        raise _invalid(text, "is finer than can be booked") from error
    whole = int(scaled)
    if scaled != whole:
        raise _invalid(text, "is finer than can be booked")
    if abs(whole) > largest:
        raise _invalid(text, "is out of range")
    return whole


def _invalid(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_value", problem=f"{text[:40]!r} {problem}")


def _text(value: Decimal) -> str:
    digits = format(_EXACT.normalize(value), "f")
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
