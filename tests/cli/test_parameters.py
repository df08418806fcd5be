"""What may be written as an argument."""

from collections.abc import Callable

import click
import pytest

from services.cli import parameters
from shared.contracts import billing

ID = "0191f5c0-0000-7000-8000-000000000001"


def _tier(given: int, produced: int, read: int, write: int) -> billing.PriceTier:
    return billing.PriceTier(
        above_input_tokens=200_000,
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=read,
        cache_write_pico_usd=write,
    )


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (parameters.account, ID.upper(), ID),
        (parameters.account, " Anna@Example.COM", "anna@example.com"),
        (parameters.account_id, ID.replace("-", ""), ID),
        (parameters.key_id, "Ab0123456789", "Ab0123456789"),
        (parameters.duration, "90s", 90.0),
        (parameters.duration, "30m", 1800.0),
        (parameters.duration, "12h", 43_200.0),
        (parameters.duration, "30d", 2_592_000.0),
        (parameters.duration, "2w", 1_209_600.0),
        (parameters.amount, "12.50", 12_500_000_000),
        (parameters.amount, "-0.000000001", -1),
        (parameters.price, "0.15", 150_000),
        (parameters.price, "0", 0),
        (parameters.moment, "2027-01-01", 1_798_761_600.0),
        (parameters.moment, "2027-01-01T08:00+08:00", 1_798_761_600.0),
        (parameters.moment, "2027-01-01T00:00:01Z", 1_798_761_601.0),
        (parameters.tier, "200000:2.5:15", _tier(2_500_000, 15_000_000, 2_500_000, 2_500_000)),
        (parameters.tier, "200000:2.5:15:0.25", _tier(2_500_000, 15_000_000, 250_000, 2_500_000)),
        (parameters.tier, "200000:2.5:15:0.25:3", _tier(2_500_000, 15_000_000, 250_000, 3_000_000)),
        (parameters.served_model, "m", ("m", "m")),
        (parameters.served_model, "a/b=c=d", ("a/b", "c=d")),
    ],
)
def test_a_good_text_has_its_value(convert: Callable[[str], object], text: str, value: object) -> None:
    """Exactly, and in a normal form."""
    assert convert(text) == value


@pytest.mark.parametrize(
    ("convert", "texts"),
    [
        (parameters.account, ["", "acme", ID[:-1]]),
        (parameters.account_id, ["anna@example.com"]),
        (parameters.request_id, ["x", "req_1"]),
        (parameters.key_id, ["", "Ab012345678", "Ab012345678!", "Ab01234567899"]),
        (parameters.duration, ["", "0d", "d", "30", "-1d", "1.5h", "1y", "1d1h", "٣d"]),
        (
            parameters.amount,
            ["", "0", "-0.0", "1e5", "1e999999", "NaN", "1,5", "0.0000000001", "٣", "1" * 16, "$1"],
        ),
        (parameters.price, ["-1", "0.0000001", "100001", " 1"]),
        (parameters.moment, ["", "tomorrow", "2027-13-01", "1798761600", "2027-01-01T25:00", "+7d"]),
        (
            parameters.tier,
            ["", "1:2", "1", "0:1:2", "-1:1:2", "x:1:2", "1:2:3:4:5:6", "1:-2:3", "1:2:", "100000000:1:2"],
        ),
        (parameters.served_model, ["", "=", "=m", "m="]),
    ],
)
def test_a_bad_text_is_a_wrong_call(convert: Callable[[str], object], texts: list[str]) -> None:
    """With a sentence."""
    for text in texts:
        with pytest.raises(click.BadParameter, match=r"\.$"):
            convert(text)
