"""A passkey without a device: answers what a browser would, and lies where a test wants it to."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from soft_webauthn import SoftWebauthnDevice

ORIGIN = "https://relay.example"
FLAGS_AT = 32  # in the authenticator's data: behind the hash of the relying party's id
COUNT_AT = 33
USER_VERIFIED = 0x04
BACKUP_ELIGIBLE = 0x08
BACKED_UP = 0x10


class Device:
    """One authenticator with one credential. `flags` are set beside those of presence.

    `will_say` is the id that its next credential has, in place of a random one of 32 bytes.
    """

    def __init__(self, *, flags: int = USER_VERIFIED) -> None:
        self._device = SoftWebauthnDevice()
        self.flags = flags
        self.will_say: bytes | None = None

    @property
    def credential_id(self) -> bytes:
        """The id of the credential."""
        return bytes(self._device.credential_id)

    def make(self, options: str, origin: str = ORIGIN) -> str:
        """Return the answer of `navigator.credentials.create`."""
        asked = json.loads(options)
        asked["challenge"] = _bytes(asked["challenge"])
        asked["user"]["id"] = _bytes(asked["user"]["id"])
        answer = self._device.create({"publicKey": asked}, origin)
        attested = cbor.decode(answer["response"]["attestationObject"])
        data = self._flagged(attested["authData"])
        if self.will_say is not None:
            data = data.replace(self._device.credential_id, self.will_say)
            self._device.credential_id = self.will_say
        attested["authData"] = data
        return _json(
            self._device.credential_id,
            clientDataJSON=answer["response"]["clientDataJSON"],
            attestationObject=cbor.encode(attested),
        )

    def show(self, options: str, origin: str = ORIGIN, *, count: int | None = None) -> str:
        """Return the answer of `navigator.credentials.get`; with `count` the authenticator says that it was used so often."""
        asked = json.loads(options)
        asked["challenge"] = _bytes(asked["challenge"])
        answer = self._device.get({"publicKey": asked}, origin)["response"]
        data = self._flagged(answer["authenticatorData"])
        if count is not None:
            data = data[:COUNT_AT] + count.to_bytes(4, "big") + data[COUNT_AT + 4 :]
        digest = hashes.Hash(hashes.SHA256())
        digest.update(answer["clientDataJSON"])
        signature = self._device.private_key.sign(data + digest.finalize(), ec.ECDSA(hashes.SHA256()))
        return _json(
            self._device.credential_id,
            clientDataJSON=answer["clientDataJSON"],
            authenticatorData=data,
            signature=signature,
            userHandle=answer["userHandle"],
        )

    def _flagged(self, data: bytes) -> bytes:
        return data[:FLAGS_AT] + bytes([data[FLAGS_AT] | self.flags]) + data[FLAGS_AT + 1 :]


def _json(credential_id: bytes, **response: bytes) -> str:
    answer: dict[str, Any] = {
        "id": _text(credential_id),
        "rawId": _text(credential_id),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": {name: _text(value) for name, value in response.items()},
    }
    return json.dumps(answer)


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "===")
