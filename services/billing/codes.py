"""Codes that credit an account once: how they look, and what is kept of them. Pure but for the randomness of a new one.

A code is `RELAY-` and five groups of five letters and digits, 125 bits: nobody guesses one. Letters that are easily taken for
others (I, L, O, U) are not used, and an entered code may be in lower case and without its dashes.
"""

import hashlib
import hmac
import secrets

PREFIX = "RELAY"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
GROUPS = 5
GROUP_CHARACTERS = 5


def mint() -> str:
    """Return a new code."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARACTERS)) for _ in range(GROUPS))
    return "-".join((PREFIX, *groups))


def kept(pepper: bytes, code_sha256: bytes) -> bytes:
    """Return what the database keeps of a code, given its SHA-256: a keyed hash of 32 bytes."""
    return hmac.digest(pepper, code_sha256, hashlib.sha256)
