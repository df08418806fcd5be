"""New identifiers. Everything that names something in Relay is made here."""

import secrets
import time
import uuid

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def uuid7(unix_ms: int | None = None) -> uuid.UUID:
    """Return a new UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits.

    Ids made later sort later to the millisecond, which keeps the ledger's indexes dense.
    """
    if unix_ms is None:
        unix_ms = time.time_ns() // 1_000_000
    value = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def process_id() -> str:
    """Return a new name for a running process: 96 random bits, safe as one token of a subject."""
    return secrets.token_hex(12)


def base62(length: int) -> str:
    """Return `length` random base-62 characters, 5.95 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
