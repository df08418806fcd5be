"""What callers may say: each function raises InvalidRequest for a value that is none of its kind. Pure."""

import re
from collections.abc import Iterable

from shared.contracts.billing import SetPrice
from shared.errors import InvalidRequest
from shared.money import LARGEST_PICO_PRICE

LATEST_UNIX = 253_402_300_799  # the last second of the year 9999
LIFETIME_SECONDS_MAX = 100 * 365 * 86_400.0
MODEL_CHARACTERS_MAX = 200
SOURCE_CHARACTERS_MAX = 500
CAPABILITIES_MAX = 50
CAPABILITY_CHARACTERS_MAX = 100
OUTPUT_TOKENS_MAX = 10_000_000
CONTEXT_TOKENS_MAX = 100_000_000
FIGURES = ("input_pico_usd", "output_pico_usd", "cache_read_pico_usd", "cache_write_pico_usd")
_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def identify(name: str, text: str) -> None:
    """Take a UUID in its usual form only."""
    if _ID.fullmatch(text) is None:
        raise InvalidRequest("invalid_value", param=name, problem=f"{name} is not an id")


def check_text(name: str, text: str, *, most: int) -> None:
    """Take 1 to `most` printable characters only."""
    if not is_text(text, most=most):
        raise InvalidRequest(
            "invalid_value", param=name, problem=f"{name} must have 1 to {most} printable characters"
        )


def is_text(text: str, *, most: int) -> bool:
    """Tell whether this is a text of 1 to `most` printable characters: others are nobody's name."""
    return 1 <= len(text) <= most and text.isprintable()


def check_moment(name: str, unix: float | None) -> None:
    """Take a time between 1970 and the year 9999, or none."""
    if unix is not None and not 0 <= unix <= LATEST_UNIX:
        raise InvalidRequest("invalid_value", param=name, problem="the time is out of range")


def check_price(ask: SetPrice) -> None:
    """Take a price version that can be stored; of its tiers only the ranges are looked at here."""
    check_text("model", ask.model, most=MODEL_CHARACTERS_MAX)
    if ask.source:
        check_text("source", ask.source, most=SOURCE_CHARACTERS_MAX)
    for capability in ask.capabilities:
        check_text("capabilities", capability, most=CAPABILITY_CHARACTERS_MAX)
    for name in FIGURES:
        _check_range(name, (getattr(each, name) for each in (ask, *ask.tiers)), 0, LARGEST_PICO_PRICE)
    if len(ask.capabilities) > CAPABILITIES_MAX:
        problem = f"a model has at most {CAPABILITIES_MAX} capabilities"
        raise InvalidRequest("invalid_value", param="capabilities", problem=problem)
    _check_range("tiers", (tier.above_input_tokens for tier in ask.tiers), 1, CONTEXT_TOKENS_MAX)
    _check_range("max_output_tokens", [ask.max_output_tokens], 1, OUTPUT_TOKENS_MAX)
    _check_range(
        "context_tokens", [1 if ask.context_tokens is None else ask.context_tokens], 1, CONTEXT_TOKENS_MAX
    )
    check_moment("effective_unix", ask.effective_unix)


def _check_range(name: str, values: Iterable[int], least: int, most: int) -> None:
    for value in values:
        if not least <= value <= most:
            raise InvalidRequest(
                "invalid_value", param=name, problem=f"{name} must be from {least} to {most}"
            )
