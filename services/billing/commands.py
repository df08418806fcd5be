"""What billing's calls mean to `billing.execute`, and what its answers mean to the callers. Pure.

A `Command` is one element of the JSON array that the function takes; `answers.py` has what comes back.
"""

import msgspec

from services.billing.answers import Answer, decode_left, lack_of_money, refusal, unexpected
from services.billing.charging import AbortPolicy, Charge, Evidence, Outcome, decide
from services.billing.pricing import Units
from shared.contracts import billing
from shared.errors import Conflict, InvalidRequest

TOKENS_MAX = 2_000_000_000
DEADLINE_SECONDS_MAX = 86_400
ATTEMPT_MAX = 65_535  # what a frame can name
CODE_CHARACTERS_MAX = 100
MILLISECONDS_MAX = 7 * 86_400_000


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
    is_stream: bool | None = None
    slice_tokens: int | None = None
    is_partial: bool | None = None
    attempts: tuple[billing.UpstreamAttempt, ...] | None = None
    source: str | None = None
    error: str | None = None
    first_output_ms: int | None = None
    took_ms: int | None = None


def reserve(request: billing.Reserve, slice_tokens: int) -> Command:
    """Return the command of a reserve, whose hold covers `slice_tokens` for each choice of a stream at first.

    Raises: InvalidRequest for bounds that no request can have.
    """
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
        is_stream=request.is_stream or None,
        slice_tokens=slice_tokens,
    )


def reserved(request: billing.Reserve, answer: Answer) -> billing.Hold:
    """Return the hold, or raise the refusal with its reason."""
    if answer.result != "ok":
        raise refusal(request, answer)
    assert answer.amount_nano_usd is not None
    assert answer.output_tokens_bound is not None
    assert answer.output_tokens_granted is not None
    assert answer.price_id is not None
    return billing.Hold(
        request_id=request.request_id,
        amount_nano_usd=answer.amount_nano_usd,
        output_tokens_granted=answer.output_tokens_granted // request.choices,
        output_tokens_held=answer.output_tokens_bound,
        price_id=answer.price_id,
        standing=_standing(answer),
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
        is_partial=request.is_partial or None,
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
            raise lack_of_money(answer, 1)
        case "closed" | "stale_attempt" | "unknown" | "conflict":
            raise Conflict("id_conflict", id=request.request_id)
        case _:
            raise unexpected(answer)


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
            raise unexpected(answer)


def settle(request: billing.Settle) -> Command:
    """Return the command of a settlement: what is charged follows from the evidence by the table C1…C10."""
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
        attempts=request.attempts or None,
        source=_source(request, charge),
        error=_code(request.error),
        first_output_ms=_milliseconds(request.first_output_ms),
        took_ms=_milliseconds(request.took_ms),
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
        attempts=request.attempts or None,
        channel=request.channel or None,
        error=_code(request.error),
        first_output_ms=_milliseconds(request.first_output_ms),
        took_ms=_milliseconds(request.took_ms),
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
            raise unexpected(answer)


def _standing(answer: Answer) -> billing.Standing | None:
    if answer.limits is None:
        return None
    left = decode_left(answer.limits)
    requests, tokens = left.requests or (None, None), left.tokens or (None, None)
    return billing.Standing(
        requests_limit=requests[0],
        requests_remaining=requests[1],
        tokens_limit=tokens[0],
        tokens_remaining=tokens[1],
    )


def _source(request: billing.Settle, charge: Charge) -> str:
    """Return where the units come from: `upstream`, `upstream_clamped`, or what counted them here."""
    if request.usage is None:
        return request.counted_by
    return "upstream_clamped" if charge.is_estimated else "upstream"


def _code(error: str | None) -> str | None:
    """Return the code as it is kept. Nothing is refused for it: it says nothing of money."""
    return (
        None if error is None else "".join(each for each in error if each.isprintable())[:CODE_CHARACTERS_MAX]
    )


def _milliseconds(value: int | None) -> int | None:
    return None if value is None else max(0, min(value, MILLISECONDS_MAX))


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
