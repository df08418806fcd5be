"""What `billing.execute` answers, and what its refusals mean to the callers. Pure."""

import math
from uuid import UUID

import msgspec

from shared.contracts import billing
from shared.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    Internal,
    KeyReused,
    NotFound,
    RateLimited,
    RelayError,
    Repeated,
    Unauthenticated,
    Unavailable,
)
from shared.money import usd_from_nano

HELD_RETRY_SECONDS = 2.0
LEASE_RETRY_SECONDS = 1.0


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that refused: `value` and `left` are nano-USD for limits of money. `retry_seconds` None: waiting does not help."""

    name: str
    scope: str
    value: int = 0
    left: int = 0
    retry_seconds: float | None = None
    needed: int = 0


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What limits per minute leave to an admitted request, as (limit, remaining)."""

    requests: tuple[int, int] | None = None
    tokens: tuple[int, int] | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One row of the function's answer; columns in the order of `billing.answer` (0002_execute.sql)."""

    ord: int
    result: str
    state: str | None = None
    amount_nano_usd: int | None = None
    input_tokens_bound: int | None = None
    output_tokens_bound: int | None = None
    price_id: int | None = None
    attempt: int | None = None
    deadline_seconds: float | None = None
    charged_nano_usd: int | None = None
    needed_nano_usd: int | None = None
    affordable_output_tokens: int | None = None
    posted_nano_usd: int | None = None
    held_nano_usd: int | None = None
    version: int | None = None
    former_id: UUID | None = None
    output_tokens_granted: int | None = None
    limits: str | None = None  # JSON: a Limit for a refusal, else Left


_decode_limit = msgspec.json.Decoder(Limit).decode
decode_left = msgspec.json.Decoder(Left).decode


def refusal(request: billing.Reserve, answer: Answer) -> RelayError:  # noqa: C901 - one row for each result
    """Return the error that a reserve which is not `ok` means to its caller."""
    match answer.result:
        case "insufficient" | "held":
            return lack_of_money(answer, request.choices)
        case "limited":
            return _limit_reached(answer)
        case "account_suspended":
            return Forbidden("account_suspended")
        case "model_not_allowed":
            return Forbidden("model_not_allowed", param="model", model=request.model)
        case "model_unpriced":
            return NotFound("model_not_found", param="model", model=request.model)
        case "account_unknown" | "key_unknown" | "key_revoked" | "key_expired":
            return Unauthenticated(_KEY_CODES.get(answer.result, "invalid_api_key"))
        case "lease_ended":
            return Unavailable("lease_ended", retry_after_seconds=LEASE_RETRY_SECONDS)
        case "repeated":
            return Repeated("idempotency_key_in_use", id=str(answer.former_id))
        case "key_reused":
            return KeyReused("idempotency_key_reused")
        case "conflict" | "settled" | "voided" | "expired":
            return Conflict("id_conflict", id=request.request_id)
        case _:
            return unexpected(answer)


_KEY_CODES = {"key_revoked": "revoked_api_key", "key_expired": "expired_api_key"}


def lack_of_money(answer: Answer, choices: int) -> RelayError:
    """Return the error of a balance or a limit of money that does not reach for a request of so many choices.

    What is only held by other requests comes back: 429. What is used up does not: 402.
    """
    limit = None if answer.limits is None else _decode_limit(answer.limits)
    if answer.result == "held":
        if limit is None:
            return RateLimited("balance_held", retry_after_seconds=HELD_RETRY_SECONDS)
        return RateLimited("spend_limit_held", retry_after_seconds=HELD_RETRY_SECONDS, scope=limit.scope)
    needed_usd = usd_from_nano(answer.needed_nano_usd or 0)
    if limit is not None:
        return InsufficientFunds(
            "spend_limit_reached",
            wording=f"{limit.name}_reached",
            scope=limit.scope,
            limit_name=limit.name,
            limit_usd=usd_from_nano(limit.value),
            left_usd=usd_from_nano(limit.left),
            needed_usd=needed_usd,
        )
    available_usd = usd_from_nano((answer.posted_nano_usd or 0) - (answer.held_nano_usd or 0))
    affordable = (answer.affordable_output_tokens or 0) // choices  # a client names its bound for one choice
    if not affordable:
        return InsufficientFunds("insufficient_balance", needed_usd=needed_usd, available_usd=available_usd)
    return InsufficientFunds(
        "request_too_expensive",
        affordable_output_tokens=affordable,
        needed_usd=needed_usd,
        available_usd=available_usd,
    )


def unexpected(answer: Answer) -> RelayError:
    """Return the error of an answer that no caller can do anything about."""
    if answer.result == "busy":
        return Unavailable("service_unavailable", retry_after_seconds=1, part="billing")
    return Internal("internal_error")


def _limit_reached(answer: Answer) -> RelayError:
    assert answer.limits is not None
    limit = _decode_limit(answer.limits)
    return RateLimited(
        f"{limit.name}_exceeded",
        retry_after_seconds=limit.retry_seconds,
        wording="request_exceeds_limit" if limit.retry_seconds is None else None,
        scope=limit.scope,
        limit_name=limit.name,
        limit=limit.value,
        remaining=limit.left,
        needed=limit.needed,
        retry_seconds=math.ceil(limit.retry_seconds or 0),
    )
