"""Codes of an authenticator, without anything around them."""

import xml.etree.ElementTree as ElementTree

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import totp

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B: the ASCII text 12345678901234567890


@pytest.mark.parametrize(
    ("unix", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
    ],
)
def test_codes_are_those_of_the_rfc(unix: int, code: str) -> None:
    """RFC 6238, appendix B, in six digits."""
    assert totp.step_of(SECRET, code, unix=unix, last_step=-1) == unix // 30


@given(st.integers(min_value=-4, max_value=4), st.integers(min_value=1000, max_value=2**33))
def test_a_code_is_good_for_one_step_before_and_after_its_own(steps: int, unix: int) -> None:
    """A telephone's clock may be off by half a minute, and no more."""
    code = pyotp.TOTP(SECRET).generate_otp(unix // 30 + steps)
    around = {pyotp.TOTP(SECRET).generate_otp(unix // 30 + each) for each in (-1, 0, 1)}
    assert (totp.step_of(SECRET, code, unix=unix, last_step=-1) is not None) == (code in around)


def test_a_step_that_is_not_after_the_last_is_refused() -> None:
    """Neither the same code again, nor one before it."""
    before, now = (pyotp.TOTP(SECRET).generate_otp(step) for step in (999, 1000))
    assert totp.step_of(SECRET, now, unix=30_000, last_step=999) == 1000
    assert totp.step_of(SECRET, now, unix=30_000, last_step=1000) is None
    assert totp.step_of(SECRET, before, unix=30_000, last_step=1000) is None


@pytest.mark.parametrize("code", ["", "28708", "2870822", "287 08", "٢٨٧٠٨٢", "28708\x00", "\ud800"])
def test_what_is_no_code_is_refused(code: str) -> None:
    """Also digits that are none of ours, and halves of characters."""
    assert totp.step_of(SECRET, code, unix=59, last_step=-1) is None


def test_spaces_in_a_code_do_not_matter() -> None:
    """Authenticators show it in two halves."""
    assert totp.step_of(SECRET, " 287 082 ", unix=59, last_step=-1) == 1


def test_a_new_secret_has_160_random_bits() -> None:
    """And is another each time."""
    made = {totp.mint() for _ in range(100)}
    assert len(made) == 100
    assert {len(each) * 5 for each in made} == {160}


def test_the_uri_says_who_and_where() -> None:
    """An authenticator shows both."""
    uri = pyotp.parse_uri(totp.uri_of(SECRET, person="ada@example.com", site="My Relay"))
    assert (uri.name, uri.issuer, uri.secret) == ("ada@example.com", "My Relay", SECRET)


def test_the_picture_is_svg_without_anything_that_runs() -> None:
    """A page may show it as it is."""
    picture = totp.picture_of(totp.uri_of(SECRET, person="ada@example.com", site="Relay"))
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "script" not in picture
    assert root.get("viewBox") is not None
