"""What a request is charged: one table from the evidence of how it ended to the tokens that are billed, and to whom.

    C1  complete, usage plausible              charged    the reported usage
    C2  complete, no usage                     charged    our estimate of what was delivered
    C3  complete, usage explicitly zero        charged    nothing: a true zero is not replaced by an estimate
    C4  complete, usage implausible            charged    the reported usage, each figure clamped to the hold's bounds
    C5  never accepted by the upstream         free       nothing was used
    C6  client left after acceptance           charged    what is known to be used, or free by the channel's policy
    C7  upstream broke after acceptance        free       what is known to be used is written off
    C8  Relay broke after acceptance           free       what is known to be used is written off
    C9  nobody reported                        free       the reaper's rule, in SQL (`billing.expire`)
    C10 the wallet could not pay for more      charged    what is known to be used until it was ended

Acceptance is a good answer that has begun: a stream's first event, or a whole plain answer; without it nothing is ever
charged. What is known to be used is the reported usage, clamped if it is implausible or its reader doubts it, or else our
estimate. Both of the latter count as estimates and stay within the bounds of the hold: no guess ever costs more than was held
for it. (The ledger sees to that once more.)
"""

from enum import StrEnum

import msgspec

from services.billing.pricing import Units

IMPLAUSIBLE_FACTOR = 10  # a count above ten times its bound is a fault of the reporter, not of the bound
TOKENS_MAX = 2_000_000_000  # what the ledger takes; see 0001_tables.sql


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    CLIENT_GONE = "client_gone"
    UPSTREAM_FAILED = "upstream_failed"
    REFUSED = "refused"
    PLATFORM_FAILED = "platform_failed"
    UNFUNDED = "unfunded"


class AbortPolicy(StrEnum):
    """What a channel charges when the client left: it knows whether its provider bills an aborted answer."""

    ESTIMATE = "estimate"
    NO_BILL = "no_bill"


class Rule(StrEnum):
    """The row of the table that decided."""

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    C8 = "C8"
    C10 = "C10"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request that ended.

    `reported` is the upstream's usage, hostile values included, or None; whoever read it and found figures that are no counts
    sets `is_reported_doubtful`. `delivered` is our own estimate. The bounds are those of the hold when the request ended, over
    all choices.
    """

    outcome: Outcome
    is_upstream_accepted: bool
    reported: Units | None
    delivered: Units
    abort_policy: AbortPolicy
    input_tokens_bound: int
    output_tokens_bound: int
    is_reported_doubtful: bool = False


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What to settle: plausible `units`, whose cost is charged, or written off for `writeoff_cause`."""

    rule: Rule
    units: Units
    is_estimated: bool
    is_charged: bool
    writeoff_cause: str | None


def decide(evidence: Evidence) -> Charge:
    """Return the charge that the table declares for `evidence`, whatever an upstream put into its usage."""
    if not evidence.is_upstream_accepted or evidence.outcome is Outcome.REFUSED:
        return _free(Rule.C5, Units(), evidence, is_estimated=False)
    units, is_estimated = _known_units(evidence)
    match evidence.outcome:
        case Outcome.COMPLETED:
            return _charged(_rule_of_completed(evidence), units, is_estimated=is_estimated)
        case Outcome.CLIENT_GONE:
            if evidence.abort_policy is AbortPolicy.ESTIMATE:
                return _charged(Rule.C6, units, is_estimated=is_estimated)
            return _free(Rule.C6, units, evidence, is_estimated=is_estimated)
        case Outcome.UPSTREAM_FAILED:
            return _free(Rule.C7, units, evidence, is_estimated=is_estimated)
        case Outcome.PLATFORM_FAILED:
            return _free(Rule.C8, units, evidence, is_estimated=is_estimated)
        case Outcome.UNFUNDED:
            return _charged(Rule.C10, units, is_estimated=is_estimated)


def is_plausible(units: Units, input_tokens_bound: int, output_tokens_bound: int) -> bool:
    """Return whether a reported usage contradicts neither itself nor the bounds of its request."""
    return (
        min(units.cache_read_tokens, units.cache_write_tokens, units.reasoning_tokens) >= 0
        and units.cache_read_tokens + units.cache_write_tokens <= units.input_tokens
        and units.reasoning_tokens <= units.output_tokens
        and units.input_tokens <= min(IMPLAUSIBLE_FACTOR * input_tokens_bound, TOKENS_MAX)
        and units.output_tokens <= min(IMPLAUSIBLE_FACTOR * output_tokens_bound, TOKENS_MAX)
    )


def _rule_of_completed(evidence: Evidence) -> Rule:
    reported = evidence.reported
    if reported is None:
        return Rule.C2
    if not _is_believed(reported, evidence):
        return Rule.C4
    return Rule.C3 if reported == Units() else Rule.C1


def _known_units(evidence: Evidence) -> tuple[Units, bool]:
    """Return the units that are known to be used, and whether they are an estimate."""
    if evidence.reported is None:
        return _clamped(evidence.delivered, evidence), True
    if _is_believed(evidence.reported, evidence):
        return evidence.reported, False
    return _clamped(evidence.reported, evidence), True


def _is_believed(reported: Units, evidence: Evidence) -> bool:
    return not evidence.is_reported_doubtful and is_plausible(
        reported, evidence.input_tokens_bound, evidence.output_tokens_bound
    )


def _clamped(units: Units, evidence: Evidence) -> Units:
    input_tokens = _between_zero_and(min(evidence.input_tokens_bound, TOKENS_MAX), units.input_tokens)
    output_tokens = _between_zero_and(min(evidence.output_tokens_bound, TOKENS_MAX), units.output_tokens)
    cache_read_tokens = _between_zero_and(input_tokens, units.cache_read_tokens)
    return Units(
        input_tokens=input_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=_between_zero_and(input_tokens - cache_read_tokens, units.cache_write_tokens),
        output_tokens=output_tokens,
        reasoning_tokens=_between_zero_and(output_tokens, units.reasoning_tokens),
    )


def _between_zero_and(limit: int, value: int) -> int:
    return max(0, min(limit, value))


def _charged(rule: Rule, units: Units, *, is_estimated: bool) -> Charge:
    return Charge(rule=rule, units=units, is_estimated=is_estimated, is_charged=True, writeoff_cause=None)


def _free(rule: Rule, units: Units, evidence: Evidence, *, is_estimated: bool) -> Charge:
    return Charge(
        rule=rule,
        units=units,
        is_estimated=is_estimated,
        is_charged=False,
        writeoff_cause=evidence.outcome.value,
    )
