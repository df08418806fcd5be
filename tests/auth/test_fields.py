"""The rules of what may be entered."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.auth import fields
from shared.errors import InvalidRequest, NotFound


@pytest.mark.parametrize(
    ("text", "name"), [("Acme", "Acme"), ("  Ümlaut 公司 ", "Ümlaut 公司"), ("x" * 100, "x" * 100)]
)
def test_a_name_is_kept_without_the_spaces_around_it(text: str, name: str) -> None:
    """Any printable characters, 1 to 100 of them."""
    assert fields.name_of(text) == name


@pytest.mark.parametrize("text", ["", "   ", "x" * 101, "a\nb", "a\x00b", "a\u202eb", "\ud800"])
def test_a_name_that_is_empty_long_or_unprintable_is_refused(text: str) -> None:
    """Control characters, also those that turn the direction of writing, never reach a terminal."""
    with pytest.raises(InvalidRequest):
        fields.name_of(text)


@pytest.mark.parametrize(
    ("text", "email"),
    [("Ada@Example.COM", "ada@example.com"), (" a@b ", "a@b"), (f"{'a' * 252}@b", f"{'a' * 252}@b")],
)
def test_an_email_address_is_kept_in_lower_case(text: str, email: str) -> None:
    """One person has one address, however it is written."""
    assert fields.email_of(text) == email


@pytest.mark.parametrize(
    "text", ["", "ada", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\r\nBcc: c@d", "a\x00@b", "a" * 253 + "@b"]
)
def test_what_cannot_be_an_email_address_is_refused(text: str) -> None:
    """One @ with something on both sides, no spaces, at most 254 characters."""
    with pytest.raises(InvalidRequest):
        fields.email_of(text)


@pytest.mark.parametrize("length", [8, 128])
def test_a_password_may_be_anything_of_8_to_128_characters(length: int) -> None:
    """It stays as it is."""
    assert fields.password_of(" " * length) == " " * length


@pytest.mark.parametrize("length", [0, 7, 129, 100_000])
def test_a_password_of_another_length_is_refused(length: int) -> None:
    """And does not show in the error."""
    with pytest.raises(InvalidRequest) as caught:
        fields.password_of("q" * length)
    assert "qq" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
    ],
)
def test_a_network_is_kept_in_its_normal_form(text: str, network: str) -> None:
    """A single address is a network of one."""
    assert fields.addresses_of((text,)) == (network,)


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2.7/24", "192.0.2.0/33", "fe80::1%eth0", "1", "192.0.2.1 "]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    """Also bits to the right of the mask, since they may mean either of two things."""
    with pytest.raises(InvalidRequest) as caught:
        fields.addresses_of((text,))
    assert caught.value.param == "allowed_addresses"


def test_lists_have_at_most_a_hundred_entries() -> None:
    """The limit is the same for models and addresses."""
    assert len(fields.models_of(("m" * 200,) * 100)) == 100
    for check, entry in ((fields.models_of, "m"), (fields.addresses_of, "192.0.2.1")):
        with pytest.raises(InvalidRequest):
            check((entry,) * 101)


@pytest.mark.parametrize("name", ["", "m" * 201, "a\nb"])
def test_a_model_name_that_is_empty_long_or_unprintable_is_refused(name: str) -> None:
    """Such a model cannot exist."""
    with pytest.raises(InvalidRequest):
        fields.models_of(("gpt-4o", name))


@pytest.mark.parametrize("seconds", [None, 0.001, 3600.0, fields.LIFETIME_SECONDS_MAX])
def test_a_lifetime_is_kept(seconds: float | None) -> None:
    """More than nothing, or without end."""
    assert fields.lifetime_of(seconds) == seconds


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e300])
def test_a_lifetime_of_nothing_or_beyond_reason_is_refused(seconds: float) -> None:
    """Also what is no number."""
    with pytest.raises(InvalidRequest):
        fields.lifetime_of(seconds)


@given(st.text())
@example("00000000-0000-0000-0000-00000000000")
@example("\x00")
def test_a_text_that_is_no_account_id_is_not_found(text: str) -> None:
    """There is no account of such a name."""
    with pytest.raises(NotFound) as caught:
        fields.account_id_of("no-" + text)
    assert caught.value.details == {"what": "account"}


@given(st.text(max_size=300))
def test_any_text_is_a_normal_email_address_or_refused(text: str) -> None:
    """The normal form is its own normal form."""
    try:
        email = fields.email_of(text)
    except InvalidRequest:
        return
    assert fields.email_of(email) == email
