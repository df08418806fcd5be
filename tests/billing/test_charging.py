"""The declared table from evidence to charge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.charging import AbortPolicy, Charge, Evidence, Outcome, Rule, decide, is_plausible
from services.billing.pricing import Units

REPORTED = Units(input_tokens=90, cache_read_tokens=40, output_tokens=30, reasoning_tokens=10)
DELIVERED = Units(input_tokens=80, output_tokens=20)
ANY_COUNT = st.integers(-(2**70), 2**70) | st.integers(-3, 300)
ANY_UNITS = st.builds(Units, **{name: ANY_COUNT for name in Units.__struct_fields__})


def evidence(
    outcome: Outcome,
    reported: Units | None = REPORTED,
    *,
    is_upstream_accepted: bool = True,
    abort_policy: AbortPolicy = AbortPolicy.ESTIMATE,
    is_reported_doubtful: bool = False,
) -> Evidence:
    """Evidence of a request whose hold is bounded by 100 input and 50 output tokens."""
    return Evidence(
        outcome=outcome,
        is_upstream_accepted=is_upstream_accepted,
        reported=reported,
        delivered=DELIVERED,
        abort_policy=abort_policy,
        input_tokens_bound=100,
        output_tokens_bound=50,
        is_reported_doubtful=is_reported_doubtful,
    )


@pytest.mark.parametrize(
    ("known", "rule", "units", "is_estimated", "writeoff_cause"),
    [
        (evidence(Outcome.COMPLETED), "C1", REPORTED, False, None),
        (evidence(Outcome.COMPLETED, None), "C2", DELIVERED, True, None),
        (evidence(Outcome.COMPLETED, Units()), "C3", Units(), False, None),
        (
            evidence(Outcome.COMPLETED, Units(input_tokens=-5, cache_read_tokens=9, output_tokens=10**6)),
            "C4", Units(output_tokens=50), True, None,
        ),
        (
            evidence(Outcome.COMPLETED, Units(input_tokens=60, cache_read_tokens=50, cache_write_tokens=50)),
            "C4", Units(input_tokens=60, cache_read_tokens=50, cache_write_tokens=10), True, None,
        ),
        (
            evidence(Outcome.COMPLETED, Units(input_tokens=60, cache_read_tokens=-9, reasoning_tokens=-1)),
            "C4", Units(input_tokens=60), True, None,
        ),
        (evidence(Outcome.COMPLETED, is_reported_doubtful=True), "C4", REPORTED, True, None),
        (evidence(Outcome.COMPLETED, Units(), is_reported_doubtful=True), "C4", Units(), True, None),
        (evidence(Outcome.COMPLETED, is_upstream_accepted=False), "C5", Units(), False, "completed"),
        (evidence(Outcome.REFUSED), "C5", Units(), False, "refused"),
        (evidence(Outcome.UPSTREAM_FAILED, is_upstream_accepted=False), "C5", Units(), False, "upstream_failed"),
        (evidence(Outcome.CLIENT_GONE), "C6", REPORTED, False, None),
        (evidence(Outcome.CLIENT_GONE, None), "C6", DELIVERED, True, None),
        (
            evidence(Outcome.CLIENT_GONE, None, abort_policy=AbortPolicy.NO_BILL),
            "C6", DELIVERED, True, "client_gone",
        ),
        (evidence(Outcome.UPSTREAM_FAILED), "C7", REPORTED, False, "upstream_failed"),
        (evidence(Outcome.PLATFORM_FAILED, None), "C8", DELIVERED, True, "platform_failed"),
        (evidence(Outcome.UNFUNDED), "C10", REPORTED, False, None),
        (evidence(Outcome.UNFUNDED, None), "C10", DELIVERED, True, None),
    ],
)  # fmt: skip
def test_table(
    known: Evidence, rule: str, units: Units, is_estimated: bool, writeoff_cause: str | None
) -> None:
    """Each row of the table gives its rule, its tokens, and who bears the cost."""
    assert decide(known) == Charge(
        rule=Rule(rule),
        units=units,
        is_estimated=is_estimated,
        is_charged=writeoff_cause is None,
        writeoff_cause=writeoff_cause,
    )


def test_usage_above_the_hold_is_believed_up_to_ten_times() -> None:
    """A bound that was somewhat low does not make a true report implausible; ten times as much does."""
    assert decide(evidence(Outcome.COMPLETED, Units(input_tokens=1000))).rule is Rule.C1
    assert decide(evidence(Outcome.COMPLETED, Units(input_tokens=1001))).rule is Rule.C4
    assert decide(evidence(Outcome.COMPLETED, Units(output_tokens=500))).rule is Rule.C1
    assert decide(evidence(Outcome.COMPLETED, Units(output_tokens=501))).rule is Rule.C4


@given(
    st.sampled_from(Outcome), st.booleans(), st.none() | ANY_UNITS, ANY_UNITS, st.sampled_from(AbortPolicy),
    st.integers(0, 2**31), st.integers(0, 2**31),
)  # fmt: skip
def test_hostile_usage_never_breaks_the_rules(
    outcome: Outcome,
    is_upstream_accepted: bool,
    reported: Units | None,
    delivered: Units,
    abort_policy: AbortPolicy,
    input_tokens_bound: int,
    output_tokens_bound: int,
) -> None:
    """Whatever is reported: units are plausible, an estimate is within the bounds, and nothing unaccepted is charged."""
    charge = decide(
        Evidence(
            outcome=outcome,
            is_upstream_accepted=is_upstream_accepted,
            reported=reported,
            delivered=delivered,
            abort_policy=abort_policy,
            input_tokens_bound=input_tokens_bound,
            output_tokens_bound=output_tokens_bound,
        )
    )
    assert is_plausible(charge.units, input_tokens_bound, output_tokens_bound)
    assert is_upstream_accepted or not charge.is_charged
    assert charge.is_charged == (charge.writeoff_cause is None)
    if charge.is_estimated:
        assert charge.units.input_tokens <= input_tokens_bound
        assert charge.units.output_tokens <= output_tokens_bound
