"""Codes that credit an account, as text: what people enter, in the one form whose hash stands for it on the bus."""

import hashlib

_SAME = str.maketrans({"I": "1", "L": "1", "O": "0"})  # as Crockford's base 32 reads them


def sha256_of(entered: str) -> bytes:
    """Return the SHA-256 of a code as it was made, however it was entered: lower case, spaces and dashes do not matter."""
    letters = "".join(each for each in entered.upper() if each.isalnum())
    prefix, rest = letters[:5], letters[5:]
    return hashlib.sha256((prefix + rest.translate(_SAME)).encode()).digest()
