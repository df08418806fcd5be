"""What is stored in place of the secret of an API key: a keyed hash. No I/O.

A key's secret has 190 random bits, so one HMAC is enough and fast; the pepper is kept outside the database, so that a
stolen dump cannot even be tested against. Passwords are another matter (`passwords.py`).
"""

import base64
import hashlib
import hmac
import secrets

import msgspec

PEPPER_VERSION = 1


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

    def derive(self, purpose: str, name: str) -> str:
        """Return a secret text of 256 bits that belongs to `name` for ever, and that nobody finds without the pepper."""
        digest = hmac.digest(self._pepper, f"{purpose}\0{name}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
