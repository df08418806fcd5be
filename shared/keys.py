"""API keys as text: `sk-relay-` + public id (12) + secret (32) + checksum (6), all base-62.

The id is a public handle to look the key up by. The secret has 190 random bits. The checksum is CRC-32 over all before it, so that
a typo is refused without asking anybody, as GitHub's token format does
(https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
"""

import hashlib
import zlib

import msgspec

from shared.ids import ALPHABET, base62

PREFIX = "sk-relay-"
ID_CHARACTERS = 12
SECRET_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
_LENGTH = len(PREFIX) + ID_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
_ALLOWED = frozenset(ALPHABET)


class ParsedKey(msgspec.Struct, frozen=True):
    """A key of the right form: whether it exists is for `auth` to say. `secret_sha256` stands for the secret on the bus."""

    id: str
    secret_sha256: bytes


def mint() -> str:
    """Return the text of a new key."""
    body = PREFIX + base62(ID_CHARACTERS) + base62(SECRET_CHARACTERS)
    return body + _checksum(body)


def parse(text: str) -> ParsedKey | None:
    """Return the id and the hashed secret of a well-formed key, None for anything else."""
    if len(text) != _LENGTH or not text.startswith(PREFIX) or not _ALLOWED.issuperset(text[len(PREFIX) :]):
        return None
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    if _checksum(body) != checksum:
        return None
    start = len(PREFIX) + ID_CHARACTERS
    secret = body[start:]
    return ParsedKey(body[len(PREFIX) : start], hashlib.sha256(secret.encode()).digest())


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
