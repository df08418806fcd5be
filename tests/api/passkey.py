"""Between the JSON of a browser's passkeys and the bytes that `soft_webauthn`, a device without hardware, speaks in."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from soft_webauthn import SoftWebauthnDevice

Json = dict[str, object]


def created(device: SoftWebauthnDevice, options: msgspec.Raw, origin: str) -> Json:
    """Return the answer of `navigator.credentials.create` for a site at `origin`. Source: Web Authentication, `toJSON`."""
    public_key = _public_key(options)
    user = msgspec.convert(public_key["user"], Json)
    public_key["user"] = user | {"id": _bytes(str(user["id"]))}
    answer = device.create({"publicKey": public_key}, origin)
    return _credential(answer["rawId"], answer["response"])


def shown(device: SoftWebauthnDevice, options: msgspec.Raw, origin: str) -> Json:
    """Return the answer of `navigator.credentials.get` of a device that has made its passkey."""
    answer = device.get({"publicKey": _public_key(options)}, origin)
    return _credential(answer["rawId"], answer["response"])


def _public_key(options: msgspec.Raw) -> Json:
    asked = msgspec.json.decode(options, type=Json)
    public_key = msgspec.convert(asked.get("publicKey", asked), Json)
    return public_key | {"challenge": _bytes(str(public_key["challenge"]))}


def _credential(raw_id: bytes, response: dict[str, bytes]) -> Json:
    return {
        "id": _text(raw_id),
        "rawId": _text(raw_id),
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {name: _text(value) for name, value in response.items()},
    }


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
