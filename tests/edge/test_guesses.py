"""F97: how many wrong keys there may be, as a rule without a clock."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.addresses import Address
from services.edge.guesses import ALL, ONE, Guesses, Leaks, Pace
from shared.errors import RateLimited

HOME = IPv4Address("192.0.2.1")
TIMES = st.lists(st.floats(0, 1_000), max_size=200).map(sorted)


def is_free(guesses: Guesses, address: Address | None = HOME, key_id: str = "k", now: float = 0.0) -> bool:
    """Return whether another key may be tried."""
    try:
        guesses.check(address, key_id, now)
    except RateLimited:
        return False
    return True


def test_an_address_that_was_wrong_too_often_waits() -> None:
    """F97: for so long as it is told, whatever keys it tries; other addresses do not."""
    guesses = Guesses()
    for number in range(ONE.burst):
        assert is_free(guesses)
        guesses.add(HOME, str(number), 0.0)

    with pytest.raises(RateLimited) as caught:
        guesses.check(HOME, "another", 0.0)
    assert caught.value.retry_after_seconds == pytest.approx(1.0 / ONE.per_second)
    assert is_free(guesses, ip_address("192.0.2.2"))
    assert is_free(guesses, now=1.0 / ONE.per_second)


def test_a_key_id_that_was_wrong_too_often_waits_everywhere() -> None:
    """F97: guesses for one key do not get further from many addresses."""
    guesses = Guesses()
    for number in range(ONE.burst):
        guesses.add(IPv4Address(number), "k", 0.0)

    assert not is_free(guesses)
    assert is_free(guesses, key_id="another")


def test_many_addresses_and_keys_are_bounded_together() -> None:
    """F97: what remains is a pace that the database does not feel."""
    guesses = Guesses()
    for number in range(ALL.burst):
        guesses.add(IPv4Address(number), str(number), 0.0)

    assert not is_free(guesses)
    assert is_free(guesses, now=1.0)


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_ipv6_subscriber_is_one_address(one: str, other: str, is_shared: bool) -> None:
    """F97: it has 2^64 of them for nothing."""
    guesses = Guesses()
    for number in range(ONE.burst):
        guesses.add(ip_address(one), str(number), 0.0)

    assert is_free(guesses, ip_address(other)) != is_shared


def test_a_peer_without_an_address_counts_too() -> None:
    """F97: all of them as one."""
    guesses = Guesses()
    for number in range(ONE.burst):
        guesses.add(None, str(number), 0.0)

    assert not is_free(guesses, None)


@given(times=TIMES)
def test_no_window_holds_more_than_burst_and_pace(times: list[float]) -> None:
    """F97: whoever asks before each guess is let through `burst` times, and then as often as the count leaks away."""
    pace = Pace(burst=3, per_second=0.5)
    leaks, passed = Leaks(pace), []
    for now in times:
        if leaks.wait_seconds("a", now) <= 0:
            leaks.add("a", now)
            passed.append(now)

    for first, start in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= pace.burst + (end - start) * pace.per_second + 1e-6


@given(times=TIMES)
def test_a_wait_is_long_enough(times: list[float]) -> None:
    """F97: and never for ever, however many were wrong at once."""
    pace = Pace(burst=3, per_second=0.5)
    leaks = Leaks(pace)
    for now in times:
        leaks.add("a", now)
        wait_seconds = leaks.wait_seconds("a", now)
        assert wait_seconds <= (pace.burst + 1) / pace.per_second
        assert leaks.wait_seconds("a", now + max(0.0, wait_seconds)) <= 1e-6


def test_few_names_are_kept() -> None:
    """F97: the memory is bounded; what was raised last stays."""
    leaks = Leaks(Pace(burst=1, per_second=0.001), entries_max=10)
    for number in range(1_000):
        leaks.add(str(number), 0.0)

    kept = [number for number in range(1_000) if leaks.wait_seconds(str(number), 0.0) > 0]
    assert kept == list(range(990, 1_000))
