"""Money as integers."""

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.money import (
    LARGEST_NANO_USD,
    LARGEST_PICO_PRICE,
    nano_from_usd,
    pico_from_usd_per_million,
    usd_from_nano,
    usd_per_million_from_pico,
)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("12.50", 12_500_000_000),
        ("0", 0),
        ("-0.000000001", -1),
        ("1e3", 1_000_000_000_000),
        ("1000000000", LARGEST_NANO_USD),
        (" 7 ", 7_000_000_000),
    ],
)
def test_an_amount_is_read_exactly(text: str, nano: int) -> None:
    """Down to a nano-USD, up to a billion USD."""
    assert nano_from_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "1,5",
        "$5",
        "0x10",
        "NaN",
        "sNaN",
        "-Infinity",
        "1e999980",
        "1e999999",
        "1e9999999",
        "1e-9999999",
        "1e99999999999999999999",
        "0.0000000001",
        "1000000000.000000001",
        "0.1000000000000000000000000000000000001",
    ],
)
def test_what_cannot_be_booked_exactly_is_refused(text: str) -> None:
    """Never rounded, never a crash: one sentence that quotes the beginning of it."""
    with pytest.raises(InvalidRequest, match="Invalid value: ") as caught:
        nano_from_usd(text)
    assert caught.value.code == "invalid_value"


@pytest.mark.parametrize(
    ("text", "pico"), [("0.15", 150_000), ("0", 0), ("0.000001", 1), ("100000", LARGEST_PICO_PRICE)]
)
def test_a_price_is_read_exactly(text: str, pico: int) -> None:
    """USD for a million units is pico-USD for one, times a million."""
    assert pico_from_usd_per_million(text) == pico


@pytest.mark.parametrize("text", ["-0.15", "0.0000001", "100000.000001", "free"])
def test_a_price_that_is_negative_too_fine_or_too_large_is_refused(text: str) -> None:
    """No price pays its user."""
    with pytest.raises(InvalidRequest):
        pico_from_usd_per_million(text)


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (12_500_000_000, "12.50"),
        (100_000_000_000, "100.00"),
        (LARGEST_NANO_USD, "1000000000.00"),
    ],
)
def test_an_amount_is_shown_with_all_its_digits(nano: int, text: str) -> None:
    """At least two decimals, never an exponent."""
    assert usd_from_nano(nano) == text


@given(st.integers(min_value=-LARGEST_NANO_USD, max_value=LARGEST_NANO_USD))
def test_what_is_shown_reads_back_as_the_same_amount(nano: int) -> None:
    """Text and integer are one to one."""
    assert nano_from_usd(usd_from_nano(nano)) == nano


@given(st.integers(min_value=0, max_value=LARGEST_PICO_PRICE))
def test_what_is_shown_reads_back_as_the_same_price(pico: int) -> None:
    """Text and integer are one to one."""
    assert pico_from_usd_per_million(usd_per_million_from_pico(pico)) == pico


@given(st.text(max_size=60))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    """There is no third outcome."""
    try:
        amount = nano_from_usd(text)
    except InvalidRequest:
        return
    assert abs(amount) <= LARGEST_NANO_USD


@given(
    st.integers(min_value=-LARGEST_NANO_USD, max_value=LARGEST_NANO_USD),
    st.integers(min_value=1, max_value=10),
)
def test_the_precision_of_the_thread_changes_nothing(nano: int, precision: int) -> None:
    """Another library's decimal context cannot make us round."""
    with decimal.localcontext(prec=precision):
        assert nano_from_usd(usd_from_nano(nano)) == nano
