"""How long a try must wait, and what counts as one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import attempts
from services.auth.attempts import Limit, Subject, place_of, wait_seconds

LIMITS = [value for value in vars(attempts).values() if isinstance(value, Limit)]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_the_wait_grows_up_to_its_bound(limit: Limit) -> None:
    """Nothing while tries are free, then twice as long each time."""
    waits = [wait_seconds(limit, tries) for tries in range(limit.free + 40)]
    assert waits[: limit.free] == [0.0] * limit.free
    assert waits[limit.free : limit.free + 2] == [limit.first_seconds, limit.first_seconds * 2]
    assert waits[-1] == limit.longest_seconds
    assert waits == sorted(waits)


@given(st.integers(min_value=0, max_value=2**31 - 1))
def test_no_count_is_too_large(tries: int) -> None:
    """The longest wait is never exceeded."""
    assert 0 <= wait_seconds(attempts.CONFIRM, tries) <= attempts.CONFIRM.longest_seconds


def test_limits_do_not_share_their_counts() -> None:
    """The same value under two limits is two subjects; the name decides."""
    assert len({limit.name for limit in LIMITS}) == len(LIMITS)
    assert len({Subject(limit, "ada").digest for limit in LIMITS}) == len(LIMITS)
    assert Subject(attempts.CONFIRM, "\ud800").digest != Subject(attempts.CONFIRM, "ada").digest


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_place_is_what_one_subscriber_has(address: str, place: str) -> None:
    """One IPv4 address, or a /64; what is no address is its own place."""
    assert place_of(address) == place
