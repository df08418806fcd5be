"""Tokens that prove something to whoever gets them, such as a session or a link in a message: 256 random bits.

Only the SHA-256 of a token is kept, and only it travels when a token is looked for. It needs no slower hash: there is nothing to
guess in 256 random bits.
"""

import hashlib
import secrets

BYTES = 32


def mint() -> str:
    """Return a new token: 43 characters that are safe in a URL."""
    return secrets.token_urlsafe(BYTES)


def sha256_of(token: str) -> bytes:
    """Return the SHA-256 that stands for `token`, whatever was entered."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
