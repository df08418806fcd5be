"""Codes of an authenticator: six digits for each 30 seconds (RFC 6238, SHA-1, as every authenticator knows them). Pure."""

import hmac
import io

import pyotp
import segno

STEP_SECONDS = 30
WINDOW_STEPS = 1  # how far the clock of a telephone may be off, either way (RFC 6238 §5.2)
SECRET_CHARACTERS = 32  # of base 32: 160 bits (RFC 4226 §4, R6)


def mint() -> str:
    """Return a new secret in base 32, as it is typed into an authenticator that has no camera."""
    return pyotp.random_base32(SECRET_CHARACTERS)


def step_of(secret: str, code: str, *, unix: float, last_step: int) -> int | None:
    """Return the step that `code` belongs to, None when it is no code of now, or of a step that is not after `last_step`."""
    now = int(unix) // STEP_SECONDS
    given = code.strip().replace(" ", "")
    authenticator = pyotp.TOTP(secret)
    found = None
    for step in range(
        now - WINDOW_STEPS, now + WINDOW_STEPS + 1
    ):  # each is compared, so that time tells nothing
        is_match = hmac.compare_digest(
            authenticator.generate_otp(step).encode(), given.encode("utf-8", "replace")
        )
        if is_match and step > last_step:
            found = step
    return found


def uri_of(secret: str, *, person: str, site: str) -> str:
    """Return the `otpauth://` URI that an authenticator reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=person, issuer_name=site)


def picture_of(uri: str) -> str:
    """Return the QR code of `uri` as an SVG element, black on white in every theme, with the quiet zone of the standard."""
    picture = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        picture, kind="svg", xmldecl=False, nl=False, omitsize=True, border=4, dark="#000", light="#fff"
    )
    return picture.getvalue().decode()
