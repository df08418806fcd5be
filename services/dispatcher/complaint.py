"""What a provider says about an error, found in whatever shape it says it.

A `Complaint` holds a provider's own words. It stays within `upstream_error`, which decides what they mean.
"""

import re
from collections.abc import Iterable

import msgspec

from services.dispatcher.usage import Json

_Members = dict[str, Json]

_MESSAGES = ("message", "msg", "error_msg", "err_msg", "errmsg", "error_message", "err", "detail", "Message")
_CODES = ("code", "error_code", "err_code", "errcode", "errorCode", "Code", "status_code")
_TYPES = ("type", "__type", "Type")
# Members that make an object without any other sign an error: a code alone, or a message alone, may be anything.
_SIGNS = (*_MESSAGES, "error_code", "err_code", "errcode", "errorCode", "__type")

_AMOUNT = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_UNIT = r"ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d"
_TERM = rf"{_AMOUNT}\s*(?:(?:{_UNIT})(?![a-z])|(?!\s*[a-z]|\.?[0-9]))"
_TERMS = re.compile(rf"({_AMOUNT})\s*({_UNIT})?(?![a-z])", re.IGNORECASE)
_DURATION = re.compile(rf"\s*((?:{_TERM}\s*){{1,4}})", re.IGNORECASE)
_WAIT_IN_TEXT = re.compile(rf"(?:retry|again|wait|resets?)\s+(?:in|after|for)\s+(?={_AMOUNT})", re.IGNORECASE)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SEARCHED_CHARACTERS = 4096


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """An error in a provider's words. Empty text and None mean that it does not say."""

    code: str = ""
    type: str = ""  # or the reason in Azure's and Google's details
    status_word: str = ""  # Google's, such as RESOURCE_EXHAUSTED
    param: str = ""
    text: str = ""
    retry_after_seconds: float | None = None
    is_minimax: bool = False  # its codes are numbers of its own
    is_validation: bool = False  # a list of what is wrong with the request


def complaint_in(document: Json, *, is_error: bool = False) -> Complaint | None:
    """Return what a document complains of, None when it does not look like an error at all.

    Where it is known that it `is_error`, because of its status, it need not look like one.
    """
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return Complaint(text=document, retry_after_seconds=_wait_in_text(document)) if document else None
    if not isinstance(document, dict):
        return None
    found = next((found for probe in _PROBES if (found := probe(document)) is not None), None)
    return _of_members(document) if found is None and is_error else found


def explicit_complaint_in(document: Json) -> Complaint | None:
    """Return what an answer complains of that has the members of an answer: only its `error` or MiniMax's status counts."""
    if not isinstance(document, dict):
        return None
    return _nested(document) or _minimax(document)


def _nested(document: _Members) -> Complaint | None:
    """OpenAI, Azure, vLLM, Zhipu, Google, Anthropic, OpenRouter: `error` is an object; xAI, Ollama: it is a text."""
    error = document.get("error")
    if not error:
        return None
    if isinstance(error, dict):
        return _of_members(error)
    text = error if isinstance(error, str) else ""
    return _of_members({**document, "error": None, "message": text})


def _minimax(document: _Members) -> Complaint | None:
    """MiniMax: `base_resp` with a status that is not zero."""
    status = document.get("base_resp")
    if not isinstance(status, dict) or status.get("status_code") in (None, 0, "0"):
        return None
    return Complaint(
        code=_word(status.get("status_code")), text=_word(status.get("status_msg")), is_minimax=True
    )


def _inside(document: _Members) -> Complaint | None:
    """Gateways: the error stands in `header`, or first in `errors`."""
    inside = document.get("header") or document.get("errors")
    if isinstance(inside, list) and inside:
        inside = inside[0]
    if isinstance(inside, str):
        return Complaint(text=inside)
    if isinstance(inside, dict) and any(inside.get(name) for name in _SIGNS):
        return _of_members(inside)
    return None


def _validation(document: _Members) -> Complaint | None:
    """FastAPI, Mistral: `detail` is a list of what is wrong with the request."""
    detail = document.get("detail")
    if not isinstance(detail, list):
        return None
    first = detail[0] if detail else None
    place = first.get("loc") if isinstance(first, dict) else None
    steps = [str(step) for step in place if isinstance(step, str | int)] if isinstance(place, list) else []
    return Complaint(
        code=_first(document, _CODES), param=".".join(steps[1:] or steps), text=_word(document.get("message")),
        is_validation=True,
    )  # fmt: skip


def _flat(document: _Members) -> Complaint | None:
    """DashScope, SiliconFlow, AWS, old vLLM and many more: message and code beside each other."""
    is_named = document.get("object") == "error" or document.get("type") == "error"
    if not is_named and not any(document.get(name) for name in _SIGNS):
        return None
    return _of_members(document)


_PROBES = (_nested, _minimax, _inside, _validation, _flat)


def _of_members(error: _Members) -> Complaint:
    text = _first(error, _MESSAGES)
    details = error.get("details")
    inner = [error.get("innererror"), *(details if isinstance(details, list) else [])]
    reasons = [_first(each, ("code", "reason")) for each in inner if isinstance(each, dict)]
    return Complaint(
        code=_first(error, _CODES),
        type=_first(error, _TYPES) or next(filter(None, reasons), ""),
        status_word=_word(error.get("status")),
        param=_word(error.get("param")),
        text=text,
        retry_after_seconds=_wait_in_members(error, text),
    )


def _first(members: _Members, names: Iterable[str]) -> str:
    return next((word for name in names if (word := _word(members.get(name)))), "")


def _word(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return str(value)
    return value if isinstance(value, str) else ""


def _wait_in_members(error: _Members, text: str) -> float | None:
    """Return the wait that Google's RetryInfo asks for, or a member of its own, or the text."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (seconds := _duration_at(delay)) is not None:
            return seconds
    for name, unit in (("retry_after_ms", 0.001), ("retry_after", 1.0), ("retry_after_seconds", 1.0)):
        given = error.get(name)
        if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < 10**9:
            return given * unit
    return _wait_in_text(text)


def _wait_in_text(text: str) -> float | None:
    found = _WAIT_IN_TEXT.search(text, 0, _SEARCHED_CHARACTERS)
    return _duration_at(text, found.end()) if found else None


def _duration_at(text: str, start: int = 0) -> float | None:
    """Return the seconds of `37.2s`, `6m0s`, `1h 2 minutes`, `250ms` or a bare number at `start`; None when it is none."""
    found = _DURATION.match(text, start)
    if found is None:
        return None
    seconds = 0.0
    for amount, unit in _TERMS.findall(found.group(1)):
        word = unit.lower()
        seconds += float(amount) * (0.001 if word.startswith(("ms", "milli")) else _UNITS.get(word[:1], 1.0))
    return seconds
