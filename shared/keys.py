"""Keys as text: `sk-relay-` + public id (12) + secret (32) + checksum (6), all base-62; `mk-relay-` for a management key.

An API key is good at `/v1` alone, a management key at `/api` alone: the prefix is part of the checksum, and what has the other's
prefix is not well-formed. The id is a public handle to look the key up by. The secret has 190 random bits. The checksum is CRC-32
over all before it, so that a typo is refused without asking anybody, as GitHub's token format does
(https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
"""

import hashlib
import zlib

import msgspec

from shared.ids import ALPHABET, base62

PREFIX = "sk-relay-"
MANAGEMENT_PREFIX = "mk-relay-"
ID_CHARACTERS = 12
SECRET_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
_CHARACTERS = ID_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
_ALLOWED = frozenset(ALPHABET)


class ParsedKey(msgspec.Struct, frozen=True):
    """A key of the right form: whether it exists is for `auth` to say. `secret_sha256` stands for the secret on the bus."""

    id: str
    secret_sha256: bytes


def mint(prefix: str = PREFIX) -> str:
    """Return the text of a new key."""
    body = prefix + base62(ID_CHARACTERS) + base62(SECRET_CHARACTERS)
    return body + _checksum(body)


def parse(text: str, prefix: str = PREFIX) -> ParsedKey | None:
    """Return the id and the hashed secret of a well-formed key with this prefix, None for anything else."""
    if len(text) != len(prefix) + _CHARACTERS or not text.startswith(prefix):
        return None
    if not _ALLOWED.issuperset(text[len(prefix) :]):
        return None
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    if _checksum(body) != checksum:
        return None
    start = len(prefix) + ID_CHARACTERS
    secret = body[start:]
    return ParsedKey(body[len(prefix) : start], hashlib.sha256(secret.encode()).digest())


def hint_of(key_id: str) -> str:
    """Return how the API key of this id begins; the id is no secret."""
    return PREFIX + key_id


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
