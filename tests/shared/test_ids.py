"""Identifiers."""

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import ALPHABET, base62, process_id, uuid7


@given(st.integers(min_value=0, max_value=2**48 - 1))
def test_a_uuid7_carries_its_milliseconds_version_and_variant(unix_ms: int) -> None:
    """As RFC 9562 §5.7 lays it out."""
    value = uuid7(unix_ms)
    assert value.int >> 80 == unix_ms
    assert value.version == 7
    assert value.variant == uuid.RFC_4122


def test_later_ids_sort_later() -> None:
    """To the millisecond."""
    values = [uuid7(moment) for moment in range(1000)]
    assert sorted(values) == values


def test_an_id_without_a_time_is_of_now() -> None:
    """The clock of this machine, not of boot."""
    before = time.time_ns() // 1_000_000
    moment = uuid7().int >> 80
    assert before <= moment <= time.time_ns() // 1_000_000


def test_ids_of_one_millisecond_differ() -> None:
    """All 74 other bits are random: every one of them is seen as 0 and as 1."""
    values = [uuid7(0).int for _ in range(2000)]
    assert len(set(values)) == 2000
    ones = zeros = 0
    for value in values:
        ones |= value
        zeros |= ~value
    fixed = 0xFFFF_FFFF_FFFF << 80 | 0xF << 76 | 0x3 << 62
    assert ones | fixed == 2**128 - 1
    assert (zeros | fixed) & (2**128 - 1) == 2**128 - 1


def test_a_process_id_is_one_token_of_a_subject() -> None:
    """96 bits as hexadecimal digits."""
    ids = {process_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 24 and int(each, 16) >= 0 for each in ids)


def test_base62_has_the_asked_length_and_letters() -> None:
    """And uses all of them."""
    assert base62(0) == ""
    assert set(base62(5000)) == set(ALPHABET)
    assert len(set(ALPHABET)) == 62
