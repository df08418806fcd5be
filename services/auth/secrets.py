"""What is stored in place of a secret: a keyed hash of an API key, a slow hash of a password. No I/O.

A key's secret has 190 random bits, so one HMAC is enough and fast; the pepper is kept outside the database, so that a
stolen dump cannot even be tested against. A password has few bits, so its hash is made slow and large (Argon2id with the
second recommended parameters of RFC 9106 §4, the defaults of argon2-cffi).
"""

import asyncio
import hashlib
import hmac
import secrets

import argon2
import msgspec

PEPPER_VERSION = 1
_password_hasher = argon2.PasswordHasher()


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What the database keeps of a key's secret, and the version of the pepper that made it."""

    hmac: bytes
    pepper_version: int


class Pepper:
    """The secret that keys are hashed with, of one version."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._unmatched = secrets.token_bytes(hashlib.sha256().digest_size)

    def store(self, secret_sha256: bytes) -> StoredSecret:
        """Return what to keep of a secret, given its SHA-256."""
        digest = hmac.digest(self._pepper, bytes([PEPPER_VERSION]) + secret_sha256, "sha256")
        return StoredSecret(hmac=digest, pepper_version=PEPPER_VERSION)

    def is_match(self, secret_sha256: bytes, stored: StoredSecret | None) -> bool:
        """Tell whether `secret_sha256` made `stored`, in the same time and by the same steps whether or not it did.

        For None (no such key) or another pepper the comparison is made too, against random bytes that nothing matches.
        """
        is_comparable = stored is not None and stored.pepper_version == PEPPER_VERSION
        expected = stored.hmac if stored is not None and is_comparable else self._unmatched
        return hmac.compare_digest(self.store(secret_sha256).hmac, expected)


async def hash_password(password: str) -> str:
    """Return the Argon2id hash in its text form. Takes 64 MiB and some 50 ms of a thread, not of the event loop."""
    return await asyncio.to_thread(_password_hasher.hash, password)
