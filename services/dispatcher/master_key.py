"""The operator's master keys as what seals and opens: the current one, and the one before it while credentials are sealed anew."""

import hashlib

from services.dispatcher.sealing import KEY_BYTES, Sealer
from shared.settings import Secret, SettingsError

FIRST_KEY_ID = "k1"  # what every key was called before keys had names of their own
DIFFERENT_BYTES_MIN = 8  # fewer are no random key


def sealer(master_key: Secret, previous: Secret) -> Sealer:
    """Return what seals with the master key, and also opens what the previous one has sealed, if there is one.

    Raises: SettingsError for a key that is no random 32 bytes.
    """
    current = _key("RELAY_MASTER_KEY", master_key)
    keys = {key_id(current): current, FIRST_KEY_ID: current}
    if previous.reveal():
        before = _key("RELAY_MASTER_KEY_PREVIOUS", previous)
        keys |= {key_id(before): before, FIRST_KEY_ID: before}
    return Sealer(keys, key_id(current))


def key_id(key: bytes) -> str:
    """Return the name of a master key: the same for the same key, and of no use to find it."""
    return hashlib.sha256(b"relay master key" + key).hexdigest()[:16]


def _key(variable: str, secret: Secret) -> bytes:
    try:
        key = bytes.fromhex(secret.reveal())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(set(key)) < DIFFERENT_BYTES_MIN:
        raise SettingsError(f"{variable} is not usable: it must be 64 random hexadecimal digits (32 bytes).")
    return key
