"""What callers may say: each function raises InvalidRequest for a value that is none of its kind. Pure."""

import re

from shared.errors import InvalidRequest

LATEST_UNIX = 253_402_300_799  # the last second of the year 9999
LIFETIME_SECONDS_MAX = 100 * 365 * 86_400.0
_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def identify(name: str, text: str) -> None:
    """Take a UUID in its usual form only."""
    if _ID.fullmatch(text) is None:
        raise InvalidRequest("invalid_value", param=name, problem=f"{name} is not an id")


def check_text(name: str, text: str, *, most: int) -> None:
    """Take 1 to `most` printable characters only."""
    if not 1 <= len(text) <= most or not text.isprintable():
        raise InvalidRequest(
            "invalid_value", param=name, problem=f"{name} must have 1 to {most} printable characters"
        )


def check_moment(name: str, unix: float | None) -> None:
    """Take a time between 1970 and the year 9999, or none."""
    if unix is not None and not 0 <= unix <= LATEST_UNIX:
        raise InvalidRequest("invalid_value", param=name, problem="the time is out of range")
