"""What a provider's error means: for the request, for the channel, and never in the provider's words.

Its text may hold keys, hosts, account names and prompts. All that goes on is a kind, and a code and a parameter name
where they are plain names.
"""

import email.utils
import json
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from services.dispatcher.usage import Json

FaultKind = Literal[
    "invalid_request",  # the provider refuses what the client sent
    "credential",  # our key is refused
    "billing",  # our account at the provider is used up
    "misconfigured",  # the provider knows no such model or path, or redirects
    "rate_limited",
    "overloaded",
    "timeout",
    "failed",  # any other failure that the provider reports
    "invalid",  # the answer cannot be understood
    "empty",  # the answer has nothing in it
]

LARGEST_ERROR_BYTES = 256 * 1024  # a longer body is not searched for a code
LONGEST_RETRY_SECONDS = 86_400.0

_KIND_OF_STATUS: dict[int, FaultKind] = {
    **dict.fromkeys((400, 413, 414, 415, 422), "invalid_request"),
    **dict.fromkeys((401, 403), "credential"),
    402: "billing",
    **dict.fromkeys((404, 405, 410), "misconfigured"),
    **dict.fromkeys((408, 504, 522, 524), "timeout"),
    429: "rate_limited",
    **dict.fromkeys((498, 503, 529), "overloaded"),
}  # fmt: skip

# Codes that say more than the status they come with: https://platform.openai.com/docs/guides/error-codes. A used-up
# account answers 429 there, and a wrong key or too many tokens a minute 400 or 413 at others.
_KIND_OF_CODE: dict[str, FaultKind] = {
    **dict.fromkeys(
        (
            "credit_balance_exhausted",
            "insufficient_balance",
            "insufficient_quota",
            "organization_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "project_spend_limit_exceeded",
        ),
        "billing",
    ),
    **dict.fromkeys(("rate_limit_exceeded", "slow_down"), "rate_limited"),
    **dict.fromkeys(("invalid_api_key", "account_deactivated"), "credential"),
    **dict.fromkeys(("model_not_found", "deployment_not_found"), "misconfigured"),
}  # fmt: skip

# What an error inside an answer goes by, which has no status of its own.
_KIND_OF_TYPE: dict[str, FaultKind] = {
    "authentication_error": "credential",
    "insufficient_quota": "billing",
    "invalid_request_error": "invalid_request",
    "overloaded_error": "overloaded",
    "permission_error": "credential",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
}

_PLAIN_NAME = re.compile(r"[a-z0-9_.\[\]]{1,64}")


class UpstreamError(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's error means; holds nothing of its text.

    `status` is the provider's, None for an error inside an answer that names none. `code` and `param` are plain names.
    `retry_after_seconds` is when the provider wants to be asked again, None when it does not say.
    """

    kind: FaultKind
    status: int | None = None
    code: str | None = None
    param: str | None = None
    retry_after_seconds: float | None = None

    @property
    def is_client_fault(self) -> bool:
        """Whether every channel would refuse the request, so that it goes back to the client as a 400."""
        return self.kind == "invalid_request"

    @property
    def is_channel_fault(self) -> bool:
        """Whether the channel serves nobody until an operator acts; if neither, another channel or moment may do."""
        return self.kind in ("credential", "billing", "misconfigured")


def classify_status(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Return what an answer with `status`, which is none of the 2xx, means. `headers` have lower-case names."""
    error = _error_in(body)
    kind: FaultKind = "misconfigured" if 300 <= status < 400 else _KIND_OF_STATUS.get(status, "failed")
    if 400 <= status < 500:
        kind = _KIND_OF_CODE.get(_name(error, "code") or "", kind)
        if _name(error, "type") == "insufficient_quota":
            kind = "billing"
    return UpstreamError(
        kind=kind,
        status=status,
        code=_name(error, "code"),
        param=_name(error, "param"),
        retry_after_seconds=_retry_after(headers),
    )


def classify_error(error: Json) -> UpstreamError:
    """Return what an error inside an answer means: the value of its `error` member, of any shape."""
    code = _name(error, "code")
    status = int(code) if code is not None and code.isdigit() and len(code) == 3 else None
    kind = _KIND_OF_CODE.get(code or "") or _KIND_OF_TYPE.get(_name(error, "type") or "")
    if kind is None:
        kind = _KIND_OF_STATUS.get(status or 0, "failed")
    return UpstreamError(kind=kind, status=status, code=code, param=_name(error, "param"))


def _error_in(body: bytes) -> Json:
    """Return the error object of an error's body, or as much of one as there is."""
    if len(body) > LARGEST_ERROR_BYTES:
        return None
    try:
        document: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None  # HTML, plain text, nothing: the status alone speaks
    if isinstance(document, list) and document:
        document = document[0]
    inner = document.get("error") if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else document


def _name(error: Json, member: str) -> str | None:
    """Return a member of `error` if it is a plain name, or a number as one; anything else may be text."""
    value = error.get(member) if isinstance(error, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        value = str(value)
    return value if isinstance(value, str) and _PLAIN_NAME.fullmatch(value) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that `retry-after-ms` or `retry-after` asks for; a date counts from the answer's own `date`."""
    seconds = _decimal(headers.get("retry-after-ms", ""))
    if seconds is not None:
        seconds /= 1000
    else:
        seconds = _decimal(headers.get("retry-after", ""))
    if seconds is None:
        try:
            until = email.utils.parsedate_to_datetime(headers["retry-after"])
            seconds = (until - email.utils.parsedate_to_datetime(headers["date"])).total_seconds()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_SECONDS)


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]{1,15})?\s*", text) else None
