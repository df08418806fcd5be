"""The one family of errors that Relay raises on purpose.

    RelayError                    HTTP   raised when
    ├─ InvalidRequest             400    the caller's input is malformed or out of range
    ├─ Unauthenticated            401    the key is missing, malformed, unknown, expired or revoked
    ├─ InsufficientFunds          402    the balance cannot pay for this request, now or ever
    ├─ Forbidden                  403    the key is good, but this model, address or account is not allowed
    ├─ NotFound                   404    the model, route or object does not exist
    ├─ MethodNotAllowed           405    the route exists, the method does not
    ├─ Repeated                   409    a request with this idempotency key runs, or was answered
    ├─ TooLarge                   413    the body exceeds a stated limit
    ├─ UnsupportedMedia           415    the body has a content type or encoding we do not read
    ├─ KeyReused                  422    the idempotency key was used for another request
    ├─ RateLimited                429    a limit is reached for the moment; waiting helps
    ├─ Internal                   500    a fault of ours; the detail is in the log, never here
    ├─ UpstreamFailed             502    every upstream attempt failed
    ├─ Unavailable                503    a part of Relay, or every channel of a model, is away
    ├─ UpstreamTimeout            504    the upstream was silent past its limit
    └─ Conflict                   –      an id was used again with other arguments; our own callers only

An error carries a stable `code` and the details its sentence needs; the sentences themselves, in each language, stand in
`shared.messages`. The edge owns the table from class to HTTP status (`services.edge.errors`).
"""

from typing import ClassVar

import msgspec

from shared.messages import render

Detail = str | int


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it crosses the bus: all of a `RelayError`, nothing of its traceback."""

    kind: str
    code: str
    param: str | None = None
    retry_after_seconds: float | None = None
    details: dict[str, Detail] = {}
    wording: str | None = None


class RelayError(Exception):
    """A refusal or failure with a stable code; `str()` is its English sentence.

    `retry_after_seconds` is how long to wait before a repeat can succeed; None means that waiting does not help.
    `param` names the offending request field. `details` fill the sentence and never hold secrets. `wording` is the code
    whose sentence is used, where `code` itself comes from an upstream and has none.
    """

    kind: ClassVar[str] = "relay_error"

    def __init__(
        self,
        code: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        wording: str | None = None,
        **details: Detail,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.wording = wording
        self.details = details

    def __str__(self) -> str:
        return self.message("en")

    def message(self, language: str) -> str:
        """Return the sentence for people in `language` (`en` or `zh`)."""
        return render(self.wording or self.code, language, self.details)

    def to_body(self) -> ErrorBody:
        """Return the form that crosses the bus; `from_body` restores the same class."""
        return ErrorBody(
            kind=self.kind,
            code=self.code,
            param=self.param,
            retry_after_seconds=self.retry_after_seconds,
            details=self.details,
            wording=self.wording,
        )


class InvalidRequest(RelayError):
    """The caller's input is malformed or out of range."""

    kind = "invalid_request"


class Unauthenticated(RelayError):
    """The key is missing, malformed, unknown, expired or revoked."""

    kind = "unauthenticated"


class InsufficientFunds(RelayError):
    """The balance cannot pay for this request."""

    kind = "insufficient_funds"


class Forbidden(RelayError):
    """The key is good, but what it asks for is not allowed to it."""

    kind = "forbidden"


class NotFound(RelayError):
    """The model, route or object does not exist."""

    kind = "not_found"


class MethodNotAllowed(RelayError):
    """The route exists, but not with this method."""

    kind = "method_not_allowed"


class TooLarge(RelayError):
    """The body exceeds a stated limit."""

    kind = "too_large"


class UnsupportedMedia(RelayError):
    """The body has a content type or encoding that this route does not read."""

    kind = "unsupported_media"


class RateLimited(RelayError):
    """A limit is reached for the moment; `retry_after_seconds` says when to come back."""

    kind = "rate_limited"


class Internal(RelayError):
    """A fault of ours. The caller learns nothing but that."""

    kind = "internal"


class UpstreamFailed(RelayError):
    """Every upstream attempt failed."""

    kind = "upstream_failed"


class Unavailable(RelayError):
    """A part of Relay, or every channel of the model, is away."""

    kind = "unavailable"


class UpstreamTimeout(RelayError):
    """The upstream was silent past its limit."""

    kind = "upstream_timeout"


class Repeated(RelayError):
    """A request with this idempotency key runs, or was answered; it is not run again."""

    kind = "repeated"


class KeyReused(RelayError):
    """The idempotency key was used for another request."""

    kind = "key_reused"


class Conflict(RelayError):
    """An id was used again with other arguments; nothing was changed."""

    kind = "conflict"


FAMILY: dict[str, type[RelayError]] = {
    cls.kind: cls
    for cls in (
        InvalidRequest, Unauthenticated, InsufficientFunds, Forbidden, NotFound, MethodNotAllowed,
        TooLarge, UnsupportedMedia, RateLimited, Internal, UpstreamFailed, Unavailable,
        UpstreamTimeout, Repeated, KeyReused, Conflict,
    )
}  # fmt: skip


def from_body(body: ErrorBody) -> RelayError:
    """Return the error of `body` as the class that was raised; an unknown kind is `Internal`."""
    family = FAMILY.get(body.kind)
    if family is None:
        return Internal("internal_error")
    error = family(
        body.code, param=body.param, retry_after_seconds=body.retry_after_seconds, wording=body.wording
    )
    error.details.update(body.details)
    return error
