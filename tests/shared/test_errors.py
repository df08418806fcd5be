"""The family of errors, and its way across the bus."""

import msgspec
import pytest

from shared.errors import FAMILY, ErrorBody, Internal, RateLimited, RelayError, from_body


@pytest.mark.parametrize("family", FAMILY.values(), ids=FAMILY)
def test_an_error_comes_back_as_itself(family: type[RelayError]) -> None:
    """Class, code and every field survive the encoding."""
    error = family(
        "upstream_code", param="model", retry_after_seconds=1.5, wording="not_found", what="key", count=3
    )
    body = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_body()), type=ErrorBody)

    restored = from_body(body)

    assert type(restored) is family
    assert restored.to_body() == error.to_body()
    assert str(restored) == str(error) == "There is no such key."


def test_every_class_of_the_family_has_its_own_kind() -> None:
    """Or two of them would come back as one."""
    direct = {cls for cls in RelayError.__subclasses__() if cls.__module__ == "shared.errors"}
    assert direct == set(FAMILY.values())
    assert all(cls.kind == kind for kind, cls in FAMILY.items())


def test_a_kind_of_a_later_release_is_an_internal_error() -> None:
    """An older process does not fail over what it does not know, and shows nothing of it."""
    error = from_body(ErrorBody(kind="teapot", code="short_and_stout", details={"secret": "x"}))
    assert (type(error), error.code, error.details) == (Internal, "internal_error", {})


def test_no_detail_can_break_the_restoring() -> None:
    """Details are data: not even the names of our own arguments are special among them."""
    names = ("code", "param", "self", "wording", "retry_after_seconds", "not a name")
    body = ErrorBody(kind="not_found", code="not_found", details={name: "x" for name in names})
    assert from_body(body).to_body() == body


def test_an_error_without_a_wait_says_that_waiting_does_not_help() -> None:
    """None, not zero."""
    assert RateLimited("balance_held").retry_after_seconds is None


def test_an_error_speaks_the_language_it_is_asked_for() -> None:
    """English for one that we do not have."""
    error = RelayError("account_suspended")
    assert error.message("zh") == "账户已被停用。"
    assert error.message("fr") == error.message("en") == str(error) == "The account is suspended."
