"""Sealing: what was sealed opens in its place, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sealing import CannotOpen, Sealer

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
SEALER = Sealer({"old": OLD, "new": NEW}, "new")
SECRET = b"sk-upstream-secret"


@given(plaintext=st.binary(max_size=300), purpose=st.text(max_size=20), row_id=st.text(max_size=20))
def test_what_was_sealed_opens(plaintext: bytes, purpose: str, row_id: str) -> None:
    """Any plaintext, of any purpose and row, comes back unchanged."""
    sealed = SEALER.seal(plaintext, purpose=purpose, row_id=row_id)
    assert SEALER.open(sealed, purpose=purpose, row_id=row_id) == plaintext


@given(
    place=st.tuples(st.text(max_size=8), st.text(max_size=8)),
    other=st.tuples(st.text(max_size=8), st.text(max_size=8)),
)
def test_it_opens_in_no_other_place(place: tuple[str, str], other: tuple[str, str]) -> None:
    """A sealed secret moved to another row or used for another purpose does not open, nor can it be rewrapped."""
    sealed = SEALER.seal(SECRET, purpose=place[0], row_id=place[1])
    if place != other:
        with pytest.raises(CannotOpen):
            SEALER.open(sealed, purpose=other[0], row_id=other[1])
        with pytest.raises(CannotOpen):
            SEALER.rewrap(sealed, purpose=other[0], row_id=other[1])


def test_purpose_and_row_do_not_run_together() -> None:
    """Texts that are equal when joined are different places."""
    sealed = SEALER.seal(SECRET, purpose="ab", row_id="c")
    with pytest.raises(CannotOpen):
        SEALER.open(sealed, purpose="a", row_id="bc")


def test_no_changed_byte_is_accepted() -> None:
    """A change of any one byte, and any cut, is noticed."""
    sealed = SEALER.seal(SECRET, purpose="credential", row_id="1")
    changed = [
        sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :] for place in range(len(sealed))
    ]
    cut = [sealed[:size] for size in range(len(sealed))]
    for broken in (*changed, *cut, sealed + b"x"):
        with pytest.raises(CannotOpen):
            SEALER.open(broken, purpose="credential", row_id="1")


@given(noise=st.binary(max_size=200))
def test_noise_does_not_open(noise: bytes) -> None:
    """Any other bytes are refused in the same way."""
    with pytest.raises(CannotOpen):
        SEALER.open(noise, purpose="credential", row_id="1")


def test_two_halves_of_different_secrets_do_not_fit() -> None:
    """The data key of one row does not open the ciphertext of another, even for the same place."""
    first = SEALER.seal(b"one", purpose="credential", row_id="1")
    second = SEALER.seal(b"two", purpose="credential", row_id="1")
    box = 12 + 3 + 16
    with pytest.raises(CannotOpen):
        SEALER.open(first[:-box] + second[-box:], purpose="credential", row_id="1")


def test_the_key_can_be_changed() -> None:
    """After `rewrap` a secret needs only the new key, and its ciphertext is the old one."""
    sealed = Sealer({"old": OLD}, "old").seal(SECRET, purpose="credential", row_id="1")
    assert not SEALER.is_current(sealed)
    rewrapped = SEALER.rewrap(sealed, purpose="credential", row_id="1")
    assert SEALER.is_current(rewrapped)
    assert Sealer({"new": NEW}, "new").open(rewrapped, purpose="credential", row_id="1") == SECRET
    assert rewrapped[-len(SECRET) - 28 :] == sealed[-len(SECRET) - 28 :]
    with pytest.raises(CannotOpen):
        Sealer({"old": OLD}, "old").open(rewrapped, purpose="credential", row_id="1")


def test_another_key_of_the_same_name_does_not_open() -> None:
    """A key id is a hint, not a proof."""
    sealed = SEALER.seal(SECRET, purpose="credential", row_id="1")
    with pytest.raises(CannotOpen):
        Sealer({"new": OLD}, "new").open(sealed, purpose="credential", row_id="1")


def test_sealing_twice_gives_different_bytes_without_the_secret() -> None:
    """Equal secrets look different at rest, and none shows."""
    sealed = {SEALER.seal(SECRET, purpose="credential", row_id="1") for _ in range(20)}
    assert len(sealed) == 20
    assert not any(SECRET in each for each in sealed)


@pytest.mark.parametrize(
    ("keys", "current"),
    [({}, "a"), ({"a": OLD}, "b"), ({"a": OLD[:31]}, "a"), ({"": OLD}, ""), ({"é" * 33: OLD}, "é" * 33)],
)
def test_unusable_keys_are_refused_at_once(keys: dict[str, bytes], current: str) -> None:
    """A key of another length, a missing current key or an id that does not fit is no sealer."""
    with pytest.raises(ValueError, match="key"):
        Sealer(keys, current)
