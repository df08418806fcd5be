"""What people may write as an argument: each function returns the value of one kind of text, or says what is wrong with it."""

import datetime
import json
import re
import uuid
from collections.abc import Callable, Iterable

import click

from shared.contracts import billing
from shared.errors import InvalidRequest
from shared.ids import ALPHABET
from shared.keys import ID_CHARACTERS
from shared.money import nano_from_usd, pico_from_usd_per_million

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_TOKENS = re.compile(r"[1-9][0-9]{0,7}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,12})?")


def account(text: str) -> str:
    """Return the id of an account in its normal form, or the e-mail address of one of its users in lower case."""
    if "@" in text:
        return text.strip().lower()
    return _uuid(text, "an account's id, nor a user's e-mail address")


def account_id(text: str) -> str:
    """Return the id of an account in its normal form."""
    return _uuid(text, "an account's id")


def request_id(text: str) -> str:
    """Return the id of a request in its normal form."""
    return _uuid(text, "a request's id, as in the header x-request-id")


def key_id(text: str) -> str:
    """Return the public id of a key. Does not repeat what was given: it may be the secret."""
    if len(text) != ID_CHARACTERS or not set(text) <= set(ALPHABET):
        raise click.BadParameter(f"a key's id has {ID_CHARACTERS} letters and digits; see `relay key list`.")
    return text


def duration(text: str) -> float:
    """Return the seconds of a time such as `30d` or `12h`."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m, 12h, 30d or 4w.")
    return float(int(match[1]) * _SECONDS[match[2]])


def moment(text: str) -> float:
    """Return a day such as `2027-01-01`, from 00:00 UTC, or a time such as `2027-01-01T08:00+08:00`, as seconds since 1970."""
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text[:40]!r} is neither a day such as 2027-01-01 nor a time such as 2027-01-01T08:00Z."
        ) from error
    return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def tier(text: str) -> billing.PriceTier:
    """Return the prices above a length of the prompt, written `ABOVE:INPUT:OUTPUT[:READ[:WRITE]]`."""
    above, *prices = text.split(":")
    if not _TOKENS.fullmatch(above) or not 2 <= len(prices) <= 4:
        raise click.BadParameter(
            f"{text[:80]!r} is not a tier such as 200000:2.50:15 or 200000:2.50:15:0.25:2.50."
        )
    given, produced, *cached = (price(each) for each in prices)
    read, write = (*cached, given, given)[:2] if len(cached) != 1 else (cached[0], given)
    return billing.PriceTier(
        above_input_tokens=int(above),
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=read,
        cache_write_pico_usd=write,
    )


def amount(text: str) -> int:
    """Return an amount of USD in nano-USD; it is not zero, and may be negative."""
    nano_usd = _decimal(text, nano_from_usd)
    if nano_usd == 0:
        raise click.BadParameter("the amount is zero.")
    return nano_usd


def count_or_none(text: str) -> int | str:
    """Return a whole number above zero, or the word `none`."""
    if text == "none":
        return text
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) == 0:
        raise click.BadParameter(f"{text[:40]!r} is not a whole number above 0, nor `none`.")
    return int(text)


def amount_or_none(text: str) -> int | str:
    """Return an amount of USD above zero in nano-USD, or the word `none`."""
    if text == "none":
        return text
    nano_usd = amount(text)
    if nano_usd < 0:
        raise click.BadParameter("the amount is negative.")
    return nano_usd


def multiplier(text: str) -> int:
    """Return a factor such as 1.2 in parts per million."""
    return _decimal(text, pico_from_usd_per_million)


def price(text: str) -> int:
    """Return a price in USD per million tokens as pico-USD for one token."""
    return _decimal(text, pico_from_usd_per_million)


def served_model(text: str) -> tuple[str, str]:
    """Return our name and the upstream's name of a model, written `OURS=THEIRS`, or once when they are the same."""
    ours, _, theirs = text.partition("=")
    if not ours or text.endswith("="):
        raise click.BadParameter(f"{text!r} is not a model's name, nor two as OURS=THEIRS.")
    return ours, theirs or ours


def served_models(pairs: Iterable[tuple[str, str]], option: str = "--model") -> dict[str, str]:
    """Return the upstream's name for each of our names. Raises: BadParameter for a name that comes twice."""
    models: dict[str, str] = {}
    for ours, theirs in pairs:
        if ours in models:
            raise click.BadParameter(f"{ours!r} is given twice.", param_hint=option)
        models[ours] = theirs
    return models


def header(text: str) -> tuple[str, str]:
    """Return name, in lower case, and value of a header, written `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{name[:40]!r} is not a header as NAME=VALUE.")
    return name.strip().lower(), value.strip()


def member(text: str) -> tuple[str, str]:
    """Return name and value, as JSON, of a member of a request, written `NAME=VALUE`; a value that is no JSON is a text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{name[:40]!r} is not a parameter as NAME=VALUE.")
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        value = json.dumps(value)
    return name, value


def by_name(
    context: click.Context, option: click.Parameter, pairs: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Return the pairs of an option as one mapping. Raises: BadParameter for a name that comes twice."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise click.BadParameter(f"{name!r} is given twice.")
        values[name] = value
    return values


def _uuid(text: str, what: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not {what}.") from error


def _decimal(text: str, convert: Callable[[str], int]) -> int:
    if not _DECIMAL.fullmatch(text):
        raise click.BadParameter(f"{text[:40]!r} is not a decimal number such as 12.50.")
    try:
        return convert(text)
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.details['problem']}.") from error
