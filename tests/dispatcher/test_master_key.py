"""Master keys: which open what, and which are refused."""

import secrets

import pytest

from services.dispatcher.master_key import FIRST_KEY_ID, sealer
from shared.sealing import CannotOpen, Sealer, key_id
from shared.settings import Secret, SettingsError

OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
NONE = Secret("")
ROW = {"purpose": "test", "row_id": "1"}


def test_what_the_previous_key_has_sealed_opens_until_it_is_sealed_anew() -> None:
    """And then without the previous key."""
    sealed = sealer(Secret(OLD), NONE).seal(b"secret", **ROW)
    both = sealer(Secret(NEW), Secret(OLD))

    assert both.open(sealed, **ROW) == b"secret"
    assert not both.is_current(sealed)
    anew = both.rewrap(sealed, **ROW)
    assert both.is_current(anew)
    assert sealer(Secret(NEW), NONE).open(anew, **ROW) == b"secret"
    with pytest.raises(CannotOpen):
        sealer(Secret(NEW), NONE).open(sealed, **ROW)


@pytest.mark.parametrize(("current", "previous"), [(OLD, ""), (NEW, OLD)], ids=["the same", "another"])
def test_what_was_sealed_before_keys_had_names_opens(current: str, previous: str) -> None:
    """With the only key, or with the previous one, which it must have been."""
    sealed = Sealer({FIRST_KEY_ID: bytes.fromhex(OLD)}, FIRST_KEY_ID).seal(b"secret", **ROW)
    keys = sealer(Secret(current), Secret(previous))

    assert keys.open(sealed, **ROW) == b"secret"
    assert keys.is_current(keys.rewrap(sealed, **ROW))


def test_the_name_of_a_key_is_its_own() -> None:
    """The same each time, and nothing of the key in it."""
    old, new = bytes.fromhex(OLD), bytes.fromhex(NEW)

    assert key_id(old) == key_id(old) != key_id(new)
    assert key_id(old) not in OLD


@pytest.mark.parametrize("text", ["", "00" * 32, "ab" * 31, "not hexadecimal"])
def test_a_key_that_is_none_is_refused_by_its_name(text: str) -> None:
    """Without the value."""
    with pytest.raises(SettingsError, match="RELAY_MASTER_KEY is not usable"):
        sealer(Secret(text), NONE)
    if text:
        with pytest.raises(SettingsError, match="RELAY_MASTER_KEY_PREVIOUS is not usable"):
            sealer(Secret(NEW), Secret(text))
