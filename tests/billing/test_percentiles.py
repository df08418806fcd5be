"""Percentiles from buckets: never further from the truth than half a bucket."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.percentiles import BUCKETS_PER_DOUBLING, MEDIAN, P95, middle, percentile, rounded


def bucket_of(value: float) -> int:
    """The bucket of a value, as `billing.fact` says."""
    return math.floor(BUCKETS_PER_DOUBLING * math.log2(max(value, 1)))


@given(values=st.lists(st.integers(1, 10**7), min_size=1), share=st.sampled_from((MEDIAN, P95)))
def test_a_percentile_is_right_to_within_half_a_bucket(values: list[int], share: float) -> None:
    """By the nearest rank, for any values."""
    buckets: dict[int, int] = {}
    for value in values:
        buckets[bucket_of(value)] = buckets.get(bucket_of(value), 0) + 1
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]

    found = percentile(buckets, share)

    assert found is not None
    assert abs(math.log2(found / exact)) <= 0.5 / BUCKETS_PER_DOUBLING + 1e-9


@pytest.mark.parametrize(("buckets", "share"), [({}, MEDIAN), ({3: 0}, P95)])
def test_nothing_has_no_percentile(buckets: dict[int, int], share: float) -> None:
    """No figure is made up."""
    assert percentile(buckets, share) is None
    assert rounded(None) is None


def test_the_rank_decides() -> None:
    """Of two values the median is the lower one, and 95 % are reached with the upper one."""
    assert percentile({0: 1, 80: 1}, MEDIAN) == middle(0)
    assert percentile({0: 1, 80: 1}, P95) == middle(80)
    assert percentile({0: 95, 80: 5}, P95) == middle(0)
