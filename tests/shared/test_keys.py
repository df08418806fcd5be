"""API keys as text."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import keys
from shared.ids import ALPHABET


def test_a_new_key_is_parsed_into_its_id_and_hashed_secret() -> None:
    """The id is public; of the secret only the SHA-256 is handed on."""
    text = keys.mint()
    parsed = keys.parse(text)

    assert text.startswith("sk-relay-")
    assert parsed is not None
    assert text[9:21] == parsed.id
    assert parsed.secret_sha256 == hashlib.sha256(text[21:53].encode()).digest()
    assert len(text) == 9 + 12 + 32 + 6


def test_new_keys_differ_in_id_and_secret() -> None:
    """A thousand keys share nothing."""
    texts = [keys.mint() for _ in range(1000)]
    assert len({text[9:21] for text in texts}) == 1000
    assert len({text[21:53] for text in texts}) == 1000


def test_a_secret_has_at_least_160_random_bits() -> None:
    """32 characters out of 62 that all occur."""
    seen = {character for _ in range(200) for character in keys.mint()[21:53]}
    assert seen == set(ALPHABET)
    assert len(ALPHABET) ** keys.SECRET_CHARACTERS > 2**160


def test_a_key_of_today_is_read_for_ever() -> None:
    """The format is part of the interface: this key was made by the first release."""
    text = "sk-relay-" + "0123456789Ab" + "0123456789ABCDEFGHIJKLMNOPQRSTUV" + "4fVUaN"
    parsed = keys.parse(text)
    assert parsed is not None
    assert parsed.id == "0123456789Ab"


@given(st.integers(min_value=9, max_value=58), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    """CRC-32 finds every error in a single character."""
    text = keys.mint()
    changed = text[:position] + character + text[position + 1 :]
    assert (keys.parse(changed) is None) == (changed != text)


@given(st.integers(min_value=9, max_value=57))
def test_two_swapped_neighbours_are_noticed(position: int) -> None:
    """The usual slip of a typist."""
    text = keys.mint()
    swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    assert (keys.parse(swapped) is None) == (swapped != text)


@given(st.text(max_size=80))
def test_any_other_text_is_no_key(text: str) -> None:
    """Whatever comes in a header is answered without an exception."""
    assert keys.parse(text) is None
    assert keys.parse("sk-relay-" + text) is None


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda text: text + " ", lambda text: text[:-1]])
def test_a_key_is_taken_letter_by_letter(change: "type[str]") -> None:
    """Case counts, and nothing is trimmed."""
    assert keys.parse(change(keys.mint())) is None


def test_the_parsed_key_does_not_hold_the_secret() -> None:
    """A log that prints it shows nothing to steal."""
    text = keys.mint()
    assert text[21:53] not in repr(keys.parse(text))
