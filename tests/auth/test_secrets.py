"""What is stored in place of a secret."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from services.auth.secrets import PEPPER_VERSION, Pepper, StoredSecret

SHA256 = hashlib.sha256(b"secret").digest()


@given(st.binary(), st.binary())
def test_what_is_stored_matches_its_secret_alone(secret: bytes, other: bytes) -> None:
    """A match means the same secret."""
    pepper = Pepper(bytes(32))
    assert pepper.is_match(secret, pepper.store(secret))
    assert pepper.is_match(other, pepper.store(secret)) == (other == secret)


def test_the_stored_hash_depends_on_the_pepper() -> None:
    """Without the pepper a stolen row proves nothing."""
    first, second = Pepper(b"1" * 32), Pepper(b"2" * 32)
    assert first.store(SHA256) != second.store(SHA256)
    assert not second.is_match(SHA256, first.store(SHA256))


def test_the_stored_hash_is_the_documented_one() -> None:
    """Rows written today are readable for ever: HMAC-SHA256(pepper, version byte + SHA-256 of the secret)."""
    assert Pepper(bytes(32)).store(bytes(32)) == StoredSecret(
        hmac=bytes.fromhex("239a7d0d3f1bbe3a98aede01e2ad818c2db60b7177c02e2f015035b2b5b7dbca"),
        pepper_version=PEPPER_VERSION,
    )


def test_nothing_matches_an_unknown_key_or_another_pepper() -> None:
    """Neither does the hash itself under another version."""
    pepper = Pepper(bytes(32))
    stored = pepper.store(SHA256)
    assert not pepper.is_match(SHA256, None)
    assert not pepper.is_match(SHA256, StoredSecret(hmac=stored.hmac, pepper_version=PEPPER_VERSION + 1))
