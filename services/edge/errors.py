"""The one table from `RelayError` to HTTP, and an error's bytes in the OpenAI dialect.

The official SDKs obey `x-should-retry` before anything else and repeat 408, 409, 429 and every 5xx without it. So every error says
whether a repeat can help; 408 is never used, and 409 only for a repeat itself.
"""

import math
import re
from typing import Literal

import msgspec

from shared.errors import (
    Forbidden,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    KeyReused,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RelayError,
    Repeated,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UpstreamFailed,
    UpstreamTimeout,
)

Language = Literal["en", "zh"]
Headers = list[tuple[bytes, bytes]]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
LONGEST_RETRY_SECONDS = 60.0  # Node's SDK ignores a longer wait, Python's SDK gives up beyond 120 s
LONGEST_ACCEPT_LANGUAGE = 1_000
MINUTE_SECONDS = 60.0


class HttpError(msgspec.Struct, frozen=True, kw_only=True):
    """How one class of errors looks in HTTP; `is_retryable` is whether a repeat of the same request can succeed."""

    status: int
    type: str
    is_retryable: bool = False


TABLE: dict[type[RelayError], HttpError] = {
    InvalidRequest: HttpError(status=400, type="invalid_request_error"),
    Unauthenticated: HttpError(status=401, type="authentication_error"),
    InsufficientFunds: HttpError(status=402, type="insufficient_quota"),
    Forbidden: HttpError(status=403, type="permission_error"),
    NotFound: HttpError(status=404, type="invalid_request_error"),
    MethodNotAllowed: HttpError(status=405, type="invalid_request_error"),
    TooLarge: HttpError(status=413, type="invalid_request_error"),
    UnsupportedMedia: HttpError(status=415, type="invalid_request_error"),
    Repeated: HttpError(status=409, type="invalid_request_error"),
    KeyReused: HttpError(status=422, type="invalid_request_error"),
    RateLimited: HttpError(status=429, type="rate_limit_error", is_retryable=True),
    Internal: HttpError(status=500, type="server_error"),
    UpstreamFailed: HttpError(status=502, type="upstream_error"),
    Unavailable: HttpError(status=503, type="service_unavailable", is_retryable=True),
    UpstreamTimeout: HttpError(status=504, type="upstream_timeout"),
}

# These are raised while the body is still on its way: what is left of it must not be read as the next request.
_CLOSING_KINDS = (TooLarge, UnsupportedMedia)
_CLOSING_CODES = ("head_too_large", "invalid_http", "request_timeout")
_METERED = {"requests_per_minute": "requests", "tokens_per_minute": "tokens"}
_QUALITY = re.compile(r"\s*(?:q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?\s*", re.IGNORECASE)


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    message: str
    type: str
    param: str | None
    code: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    error: _Error


def render(
    error: RelayError, *, language: Language, request_id: str, should_retry: bool | None = None
) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of `error` as a complete HTTP response.

    `should_retry` None follows the table: true for 429 and 503, but for a limit that no waiting helps with. A caller says True for
    a 502 when no attempt can have been billed, and False for a 503 when one can. A retryable error tells a wait of at most 60 s, in
    whole seconds rounded up and in milliseconds; an error that leaves the body unread closes the connection. `request_id` is ours.
    """
    error, row = _row(error)
    is_retryable = _is_retryable(error, row) if should_retry is None else should_retry
    body = _envelope(error, row, language)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode("ascii")),
        (b"request-id", request_id.encode("ascii")),
        (b"x-should-retry", b"true" if is_retryable else b"false"),
    ]
    if is_retryable:
        headers += _waits(error.retry_after_seconds)
    headers += _particular(error)
    return row.status, headers, body


def event(error: RelayError, language: Language) -> bytes:
    """Return the last server-sent event of a stream that `error` broke; no `[DONE]` follows it.

    The SDKs raise for a `data:` event whose JSON has an `error` member, and do not repeat the request.
    """
    error, row = _row(error)
    return b"data: " + _envelope(error, row, language) + b"\n\n"


def ratelimit_headers(kind: str, most: int, left: int, reset_seconds: float = MINUTE_SECONDS) -> Headers:
    """Return what tells a client about its limit of `requests` or `tokens` per minute, in the form of OpenAI.

    `reset_seconds` is when there is room again, or for who has room when all of it is free. Source: "Rate limits in headers",
    https://platform.openai.com/docs/guides/rate-limits; durations as Go writes them.
    """
    name = kind.encode()
    minutes, seconds = divmod(math.ceil(reset_seconds), 60)
    reset = f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % most),
        (b"x-ratelimit-remaining-" + name, b"%d" % left),
        (b"x-ratelimit-reset-" + name, reset.encode()),
    ]


def language_of(accept_language: str, default: Language) -> Language:
    """Return the language that an `Accept-Language` value prefers, `default` when it names none of ours.

    Quality values as in RFC 9110 §12.5.4, matched by primary subtag; among equals the first one named wins. What is
    malformed is passed over.
    """
    weights: dict[str, float] = {}
    for part in accept_language[:LONGEST_ACCEPT_LANGUAGE].split(","):
        tag, _, parameters = part.partition(";")
        quality = _QUALITY.fullmatch(parameters)
        if quality is not None:
            name = tag.strip().lower().partition("-")[0]
            weights[name] = max(weights.get(name, 0.0), float(quality[1] or 1))

    def weight(language: Language) -> float:
        return weights.get(language, weights.get("*", 0.0))

    named = [language for name in weights for language in LANGUAGES if language == name]
    best = max((*named, default, *LANGUAGES), key=weight)
    return best if weight(best) > 0 else default


def _row(error: RelayError) -> tuple[RelayError, HttpError]:
    """Return the error to show and its row; one that HTTP callers must never meet shows as a fault of ours."""
    for family in type(error).__mro__:
        if family in TABLE:
            return error, TABLE[family]
    return Internal("internal_error"), TABLE[Internal]


def _envelope(error: RelayError, row: HttpError, language: Language) -> bytes:
    return msgspec.json.encode(
        _Envelope(
            error=_Error(
                message=_encodable(error.message(language)),
                type=row.type,
                param=None if error.param is None else _encodable(error.param),
                code=_encodable(error.code),
            )
        )
    )


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates: an error about a strange value must not fail on that value."""
    return text.encode("utf-8", "replace").decode()


def _is_retryable(error: RelayError, row: HttpError) -> bool:
    return row.is_retryable and not (isinstance(error, RateLimited) and error.retry_after_seconds is None)


def _waits(seconds: float | None) -> Headers:
    bounded = min(max(0.001, 1.0 if seconds is None else seconds), LONGEST_RETRY_SECONDS)
    return [
        (b"retry-after", b"%d" % math.ceil(bounded)),
        (b"retry-after-ms", b"%d" % math.ceil(bounded * 1_000)),
    ]


def _particular(error: RelayError) -> Headers:
    """Return the headers that RFC 9110 asks for with this very error."""
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b"Bearer")]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", str(error.details.get("allowed", "")).encode("ascii"))]
    kind = _METERED.get(str(error.details.get("limit_name")))
    if kind is not None and isinstance(error, RateLimited):
        most, left = int(error.details["limit"]), int(error.details["remaining"])
        return ratelimit_headers(kind, most, left, error.retry_after_seconds or MINUTE_SECONDS)
    if isinstance(error, _CLOSING_KINDS) or error.code in _CLOSING_CODES:
        return [(b"connection", b"close")]
    return []
