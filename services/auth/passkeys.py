"""The rules of passkeys: what a browser is asked, and whether its answer proves anything (Web Authentication Level 3). Pure.

Each passkey lies in its authenticator with the name of its person (discoverable) and asks for a finger, a face or a PIN (user
verification), so that it can stand for password and second factor together. Who makes the authenticator is not asked for: nothing
here would follow from it.
"""

from uuid import UUID

import msgspec
import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from shared.errors import InvalidRequest

TIMEOUT_MS = 300_000  # as long as the challenge lives
CREDENTIAL_CHARACTERS_MAX = 32_768
# What the library and the decoders below it raise for an answer that somebody made up.
_UNREADABLE = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RecursionError,
)
_TRANSPORTS = frozenset(each.value for each in AuthenticatorTransport)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where passkeys are good: the host of the console's address, and that address itself."""

    host: str
    origin: str
    name: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is asked for."""

    credential_id: bytes
    transports: tuple[str, ...]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that has proved itself for the first time."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool
    transports: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a passkey told when it was shown."""

    sign_count: int
    is_backed_up: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Of a browser's answer what must be known before it is checked: which credential, and whose."""

    credential_id: bytes
    user_handle: bytes | None


class _Response(msgspec.Struct, rename="camel"):
    user_handle: str | None = None
    transports: tuple[str, ...] = ()


class _Credential(msgspec.Struct, rename="camel"):
    id: str
    response: _Response


def ask_to_make(site: Site, *, challenge: bytes, user_id: UUID, email: str, known: tuple[Known, ...]) -> str:
    """Return the options of `navigator.credentials.create`; an authenticator that holds one of `known` refuses."""
    return options_to_json(
        webauthn.generate_registration_options(
            rp_id=site.host,
            rp_name=site.name,
            user_id=user_id.bytes,
            user_name=email,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(known),
        )
    )


def ask_to_show(site: Site, *, challenge: bytes, known: tuple[Known, ...]) -> str:
    """Return the options of `navigator.credentials.get`: one of `known`, or whichever the person chooses when there are none."""
    return options_to_json(
        webauthn.generate_authentication_options(
            rp_id=site.host,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            allow_credentials=_descriptors(known),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def read(credential: str) -> Answer:
    """Return which credential a browser's answer is about. Raises: InvalidRequest for what is no answer."""
    parsed = _parsed(credential)
    handle = parsed.response.user_handle
    try:
        return Answer(
            credential_id=base64url_to_bytes(parsed.id),
            user_handle=None if handle is None else base64url_to_bytes(handle),
        )
    except ValueError as error:
        raise InvalidRequest("passkey_refused", param="credential") from error


def made(site: Site, credential: str, *, challenge: bytes) -> Registered:
    """Return the new credential. Raises: InvalidRequest unless it was made here, now, for this challenge, by a verified person."""
    transports = tuple(each for each in _parsed(credential).response.transports if each in _TRANSPORTS)
    try:
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise InvalidRequest("passkey_refused", param="credential") from error
    return Registered(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        is_backup_eligible=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        is_backed_up=verified.credential_backed_up,
        transports=transports,
    )


def shown(site: Site, credential: str, *, challenge: bytes, public_key: bytes, sign_count: int) -> Shown:
    """Return what the passkey told. Raises: InvalidRequest unless it was shown here, now, for this challenge, by a verified person.

    A count that does not rise is refused: somebody else has a copy of the passkey.
    """
    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise InvalidRequest("passkey_refused", param="credential") from error
    return Shown(sign_count=verified.new_sign_count, is_backed_up=verified.credential_backed_up)


def _parsed(credential: str) -> _Credential:
    if len(credential) > CREDENTIAL_CHARACTERS_MAX:
        raise InvalidRequest("passkey_refused", param="credential")
    try:
        return msgspec.json.decode(credential, type=_Credential)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidRequest("passkey_refused", param="credential") from error


def _descriptors(known: tuple[Known, ...]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential_id,
            transports=[AuthenticatorTransport(name) for name in each.transports] or None,
        )
        for each in known
    ]
