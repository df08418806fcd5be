"""Codes that each replace a second factor once: 50 random bits, in letters that nobody mistakes. Pure.

Fifty bits are far beyond what can be tried online, where tries are counted; a stolen dump is of no use without the pepper.
"""

import hashlib
import secrets
from uuid import UUID

from services.auth.secrets import Pepper

COUNT = 10
CHARACTERS = 10
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_SAME = str.maketrans({"i": "1", "l": "1", "o": "0"})


def mint() -> tuple[str, ...]:
    """Return ten new codes such as `4g7kq-x2m9p`."""
    made: set[str] = set()
    while len(made) < COUNT:
        letters = "".join(secrets.choice(ALPHABET) for _ in range(CHARACTERS))
        made.add(f"{letters[: CHARACTERS // 2]}-{letters[CHARACTERS // 2 :]}")
    return tuple(made)


def kept(pepper: Pepper, user_id: UUID, entered: str) -> bytes:
    """Return what is kept of a person's code, however it was entered: capitals, spaces and dashes do not matter."""
    letters = "".join(each for each in entered.lower() if each.isalnum()).translate(_SAME)
    digest = hashlib.sha256(b"recovery code" + user_id.bytes + letters.encode("utf-8", "replace"))
    return pepper.store(digest.digest()).hmac
