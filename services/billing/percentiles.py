"""Percentiles from counts in buckets, of which there are eight for each doubling (`billing.fact` in 0013_traffic.sql). Pure."""

import math
from collections.abc import Mapping

BUCKETS_PER_DOUBLING = 8
MEDIAN = 0.5
P95 = 0.95


def percentile(calls_by_bucket: Mapping[int, int], share: float) -> float | None:
    """Return the value that `share` of the calls do not exceed, by the nearest rank, right to within 4.5 %; None for no calls."""
    total = sum(calls_by_bucket.values())
    if total == 0:
        return None
    left = max(1, math.ceil(share * total))
    for bucket in sorted(calls_by_bucket):
        left -= calls_by_bucket[bucket]
        if left <= 0:
            break
    return middle(bucket)


def middle(bucket: int) -> float:
    """Return the value that stands for a bucket: no value in it is further away than by a factor of 2^(1/16)."""
    return float(2 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING))


def rounded(value: float | None) -> int | None:
    """Return a figure as a whole number."""
    return None if value is None else round(value)
