"""The budget of further attempts."""

from hypothesis import given
from hypothesis import strategies as st

from shared.budget import Budget


def test_a_burst_is_followed_by_a_share() -> None:
    """What was saved up can go at once; after that every tenth request earns one further attempt."""
    budget = Budget(share=0.125, per_second=0.0, burst=3.0, now=0.0)
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]

    taken = 0
    for _ in range(80):
        budget.earn(0.0)
        taken += budget.take(0.0)

    assert taken == 10


def test_time_earns_as_well_up_to_the_burst() -> None:
    """So that a service with little traffic has its failover."""
    budget = Budget(share=0.0, per_second=2.0, burst=3.0, now=10.0)
    assert [budget.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(10.25)
    assert budget.take(10.5)
    assert [budget.take(1000.0) for _ in range(4)] == [True, True, True, False]


@given(
    steps=st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=200),
    share=st.sampled_from([0.0, 0.125, 1.0]),
    per_second=st.sampled_from([0.0, 0.5, 4.0]),
)
def test_never_more_than_was_earned(steps: list[tuple[float, bool]], share: float, per_second: float) -> None:
    """Whatever happens in whatever order."""
    budget = Budget(share=share, per_second=per_second, burst=5.0, now=0.0)
    now, requests, taken = 0.0, 0, 0
    for pause, is_request in steps:
        now += pause
        if is_request:
            budget.earn(now)
            requests += 1
        else:
            taken += budget.take(now)
        assert taken <= 5.0 + requests * share + now * per_second + 1e-6
