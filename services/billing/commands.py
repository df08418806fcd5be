"""What billing's calls mean to `billing.execute`, and what its answers mean to the callers. Pure.

A `Command` is one element of the JSON array that the function takes; an `Answer` is one of its rows, columns in order.
"""

from uuid import UUID

import msgspec

from services.billing.charging import AbortPolicy, Evidence, Outcome, decide
from services.billing.pricing import Units
from shared.contracts import billing
from shared.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    Internal,
    InvalidRequest,
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
TOKENS_MAX = 2_000_000_000
DEADLINE_SECONDS_MAX = 86_400
ATTEMPT_MAX = 65_535  # what a frame can name


class Command(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One command of a batch; a field that is None is left out. Fields as in `billing.command` (0002_execute.sql).

    The lane writes `ord`, the place in the batch.
    """

    ord: int = -1
    op: str
    id: str
    account_id: str
    key_id: str | None = None
    lease_id: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    deadline_seconds: int | None = None
    choices: int | None = None
    output_tokens_wanted: int | None = None
    input_tokens_bound: int | None = None
    output_tokens_bound: int | None = None
    attempt: int | None = None
    rule: str | None = None
    outcome: str | None = None
    is_estimated: bool | None = None
    is_upstream_accepted: bool | None = None
    is_charged: bool | None = None
    writeoff_cause: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    channel: str | None = None
    witness: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None


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


def reserve(request: billing.Reserve) -> Command:
    """Return the command of a reserve. Raises: InvalidRequest for bounds that no request can have."""
    _check("input_tokens_bound", request.input_tokens_bound, 0, TOKENS_MAX)
    _check("choices", request.choices, 1, 128)
    _check("deadline_seconds", request.deadline_seconds, 1, DEADLINE_SECONDS_MAX)
    if request.output_tokens_wanted is not None:
        _check("max_tokens", request.output_tokens_wanted, 0, TOKENS_MAX // request.choices)
    return Command(
        op="reserve",
        id=request.request_id,
        account_id=request.account_id,
        key_id=request.key_id,
        lease_id=request.lease_id,
        model=request.model,
        fingerprint=request.fingerprint,
        deadline_seconds=int(request.deadline_seconds),
        choices=request.choices,
        output_tokens_wanted=request.output_tokens_wanted,
        input_tokens_bound=request.input_tokens_bound,
        idempotency_key=request.idempotency_key,
    )


def reserved(request: billing.Reserve, answer: Answer) -> billing.Hold:
    """Return the hold, or raise the refusal with its reason."""
    if answer.result != "ok":
        raise _refusal(request, answer)
    assert answer.amount_nano_usd is not None
    assert answer.output_tokens_bound is not None
    assert answer.price_id is not None
    return billing.Hold(
        request_id=request.request_id,
        amount_nano_usd=answer.amount_nano_usd,
        output_tokens_granted=answer.output_tokens_bound // request.choices,
        price_id=answer.price_id,
    )


def extend(request: billing.Extend) -> Command:
    """Return the command of an extension. Raises: InvalidRequest for bounds that no request can have."""
    _check("output_tokens_bound", request.output_tokens_bound, 0, TOKENS_MAX)
    return Command(
        op="extend",
        id=request.request_id,
        account_id=request.account_id,
        attempt=request.attempt,
        output_tokens_bound=request.output_tokens_bound,
    )


def extended(request: billing.Extend, answer: Answer) -> billing.Extended:
    """Return how far the hold reaches now, or raise the reason why it could not grow."""
    match answer.result:
        case "ok":
            assert answer.amount_nano_usd is not None
            assert answer.output_tokens_bound is not None
            return billing.Extended(
                amount_nano_usd=answer.amount_nano_usd, output_tokens_bound=answer.output_tokens_bound
            )
        case "insufficient" | "held":
            raise _lack_of_money(answer, 1)
        case "closed" | "stale_attempt" | "unknown" | "conflict":
            raise Conflict("id_conflict", id=request.request_id)
        case _:
            raise _unexpected(answer)


def fence(request: billing.Fence) -> Command:
    """Return the command of a fence: an extension that asks for nothing. Raises: InvalidRequest for a number that is none."""
    _check("attempt", request.attempt, 0, ATTEMPT_MAX)
    return Command(op="extend", id=request.request_id, account_id=request.account_id, attempt=request.attempt)


def fenced(request: billing.Fence, answer: Answer) -> billing.Fenced:
    """Return whether the fence stands. Raises: Conflict for an id of another account, or a later attempt's fence."""
    match answer.result:
        case "ok":
            return billing.Fenced(is_held=True)
        case "closed" | "unknown":
            return billing.Fenced(is_held=False)
        case "stale_attempt" | "conflict":
            raise Conflict("id_conflict", id=request.request_id)
        case _:
            raise _unexpected(answer)


def settle(request: billing.Settle) -> Command:
    """Return the command of a settlement: what is charged follows from the evidence by the table C1…C9."""
    charge = decide(
        Evidence(
            outcome=Outcome(request.outcome),
            is_upstream_accepted=request.is_upstream_accepted,
            reported=None if request.usage is None else _units(request.usage),
            is_reported_doubtful=request.is_usage_doubtful,
            delivered=_units(request.delivered),
            abort_policy=AbortPolicy(request.abort_policy),
            input_tokens_bound=request.input_tokens_bound,
            output_tokens_bound=request.output_tokens_bound,
        )
    )
    return Command(
        op="settle",
        id=request.request_id,
        account_id=request.account_id,
        attempt=request.attempt,
        rule=charge.rule.value,
        outcome=request.outcome,
        is_estimated=charge.is_estimated,
        is_upstream_accepted=request.is_upstream_accepted,
        is_charged=charge.is_charged,
        writeoff_cause=charge.writeoff_cause,
        input_tokens=charge.units.input_tokens,
        cache_read_tokens=charge.units.cache_read_tokens,
        cache_write_tokens=charge.units.cache_write_tokens,
        output_tokens=charge.units.output_tokens,
        reasoning_tokens=charge.units.reasoning_tokens,
        channel=request.channel,
        witness=request.witness,
    )


def void(request: billing.Void) -> Command:
    """Return the command of a void. Raises: InvalidRequest for an attempt that is none."""
    _check("attempt", request.attempt, 0, ATTEMPT_MAX)
    return Command(
        op="void",
        id=request.request_id,
        account_id=request.account_id,
        attempt=request.attempt,
        reason=request.reason,
    )


def ended(request_id: str, answer: Answer) -> billing.Ended:
    """Return how the hold ended, now or before. Raises: Conflict for an id of another account or a fenced attempt."""
    match answer.result:
        case "ok" | "late" | "already":
            return billing.Ended(
                state=answer.state or "VOIDED", charged_nano_usd=answer.charged_nano_usd or 0
            )
        case "unknown" | "stale_attempt" | "conflict":
            raise Conflict("id_conflict", id=request_id)
        case _:
            raise _unexpected(answer)


def _refusal(request: billing.Reserve, answer: Answer) -> RelayError:  # noqa: C901 - one row for each result
    match answer.result:
        case "insufficient" | "held":
            return _lack_of_money(answer, request.choices)
        case "account_suspended":
            return Forbidden("account_suspended")
        case "account_unknown" | "key_unknown":
            return Unauthenticated("invalid_api_key")
        case "key_revoked":
            return Unauthenticated("revoked_api_key")
        case "key_expired":
            return Unauthenticated("expired_api_key")
        case "model_unpriced":
            return NotFound("model_not_found", param="model", model=request.model)
        case "lease_ended":
            return Unavailable("lease_ended", retry_after_seconds=LEASE_RETRY_SECONDS)
        case "repeated":
            return Repeated("idempotency_key_in_use", id=str(answer.former_id))
        case "key_reused":
            return KeyReused("idempotency_key_reused")
        case "conflict" | "settled" | "voided" | "expired":
            return Conflict("id_conflict", id=request.request_id)
        case _:
            return _unexpected(answer)


def _lack_of_money(answer: Answer, choices: int) -> RelayError:
    if answer.result == "held":
        return RateLimited("balance_held", retry_after_seconds=HELD_RETRY_SECONDS)
    needed_usd = usd_from_nano(answer.needed_nano_usd or 0)
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


def _unexpected(answer: Answer) -> RelayError:
    if answer.result == "busy":
        return Unavailable("service_unavailable", retry_after_seconds=1, part="billing")
    return Internal("internal_error")


def _check(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequest("invalid_value", param=name, problem=f"{name} must be from {least} to {most}")


def _units(usage: billing.Usage) -> Units:
    return Units(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
