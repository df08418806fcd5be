"""Secrets at rest, sealed so that they open only in the row and for the purpose they were sealed for.

Envelope encryption (NIST SP 800-38D, SP 800-57): each secret has its own random data key, and a key-encryption key of
the operator wraps the data key. Changing the operator's key rewraps the data key and leaves the secret untouched.

    version 1 byte | key id length 1 | key id | wrapping nonce 12 | wrapped data key 48 | nonce 12 | ciphertext, tag 16

Both layers authenticate the purpose and the row id; the outer one also the version and the key id.
"""

import hashlib
import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import Internal
from shared.settings import Secret, SettingsError

KEY_BYTES = 32
LONGEST_KEY_ID = 64
DIFFERENT_BYTES_MIN = 8  # fewer are no random key

_VERSION = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_KEY_BYTES = KEY_BYTES + _TAG_BYTES


class CannotOpen(Internal):
    """A sealed secret does not open: another row, purpose or key, or changed bytes. Which of them is not told."""

    def __init__(self) -> None:
        super().__init__("internal_error")


class Sealer:
    """Seals with the current key and opens with any of `keys`, 32 bytes each, by key id."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        """Raises: ValueError when `current` is no key of `keys`, or a key or key id has not a length we use."""
        if current not in keys:
            raise ValueError("the current sealing key is not among the sealing keys")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError(f"a sealing key must have {KEY_BYTES} bytes")
        if any(not 1 <= len(key_id.encode()) <= LONGEST_KEY_ID for key_id in keys):
            raise ValueError(f"a sealing key id must have 1 to {LONGEST_KEY_ID} bytes")
        self._wrappers = {key_id.encode(): AESGCM(key) for key_id, key in keys.items()}
        self._current = current.encode()

    def seal(self, plaintext: bytes, *, purpose: str, row_id: str) -> bytes:
        """Return `plaintext` sealed for this purpose and row, with the current key; no two results are alike."""
        data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
        nonce = os.urandom(_NONCE_BYTES)
        box = nonce + AESGCM(data_key).encrypt(nonce, plaintext, _binding(purpose, row_id))
        return self._wrap(data_key, box, purpose, row_id)

    def open(self, sealed: bytes, *, purpose: str, row_id: str) -> bytes:
        """Return the plaintext of `sealed`.

        Raises: CannotOpen unless it was sealed with one of the keys, for this purpose and row, and is unchanged.
        """
        data_key, box = self._unwrap(sealed, purpose, row_id)
        return _decrypt(AESGCM(data_key), box, _binding(purpose, row_id))

    def rewrap(self, sealed: bytes, *, purpose: str, row_id: str) -> bytes:
        """Return `sealed` under the current key; its secret is not decrypted. Raises: CannotOpen as `open` does."""
        data_key, box = self._unwrap(sealed, purpose, row_id)
        return self._wrap(data_key, box, purpose, row_id)

    def is_current(self, sealed: bytes) -> bool:
        """Return whether `sealed` names the current key, so that it needs no `rewrap`."""
        return sealed.startswith(_header(self._current))

    def _wrap(self, data_key: bytes, box: bytes, purpose: str, row_id: str) -> bytes:
        header = _header(self._current)
        nonce = os.urandom(_NONCE_BYTES)
        wrapped = self._wrappers[self._current].encrypt(nonce, data_key, header + _binding(purpose, row_id))
        return header + nonce + wrapped + box

    def _unwrap(self, sealed: bytes, purpose: str, row_id: str) -> tuple[bytes, bytes]:
        header_bytes = 2 + sealed[1] if len(sealed) > 1 else 0
        header, rest = sealed[:header_bytes], sealed[header_bytes:]
        wrapper = self._wrappers.get(header[2:])
        if wrapper is None or header != _header(header[2:]):
            raise CannotOpen
        split = _NONCE_BYTES + _WRAPPED_KEY_BYTES
        return _decrypt(wrapper, rest[:split], header + _binding(purpose, row_id)), rest[split:]


def key_of(variable: str, secret: Secret) -> bytes:
    """Return the key that a setting holds. Raises: SettingsError, which names `variable`, for what is no random 32 bytes."""
    try:
        key = bytes.fromhex(secret.reveal())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(set(key)) < DIFFERENT_BYTES_MIN:
        raise SettingsError(f"{variable} is not usable: it must be 64 random hexadecimal digits (32 bytes).")
    return key


def key_id(key: bytes) -> str:
    """Return the name of a key: the same for the same key, and of no use to find it."""
    return hashlib.sha256(b"relay master key" + key).hexdigest()[:16]


def _header(key_id: bytes) -> bytes:
    return bytes((_VERSION, len(key_id))) + key_id


def _binding(purpose: str, row_id: str) -> bytes:
    """Return the associated data; as a msgpack array it reads back in one way only, whatever the texts contain."""
    return msgspec.msgpack.encode((purpose, row_id))


def _decrypt(cipher: AESGCM, box: bytes, binding: bytes) -> bytes:
    if len(box) < _NONCE_BYTES + _TAG_BYTES:
        raise CannotOpen
    try:
        return cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], binding)
    except InvalidTag as error:
        raise CannotOpen from error
