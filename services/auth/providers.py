"""Whose sign-in this site takes besides its own: what the settings say, checked when the service starts. Pure."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from shared.settings import Secret, SettingsError

GOOGLE_ISSUER = "https://accounts.google.com"
GITHUB_ISSUER = "https://github.com"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. `github` is GitHub's OAuth 2, also of an Enterprise Server, which has no ID tokens; all others are `oidc`."""

    id: str
    name: str
    issuer: str
    client_id: str
    client_secret: Secret
    kind: Literal["oidc", "github"] = "oidc"
    scopes: str = "openid email profile"


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of RELAY_OIDC_PROVIDERS."""

    id: str
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    issuer: str
    client_id: Annotated[str, Meta(min_length=1)]
    client_secret: Annotated[str, Meta(min_length=1)]
    kind: Literal["oidc", "github"] = "oidc"
    scopes: str | None = None


def providers_of(
    listed: Secret, *, google: tuple[str, Secret], github: tuple[str, Secret]
) -> tuple[Provider, ...]:
    """Return the presets that have a client id, then what is listed as JSON. Raises: SettingsError, without a secret in it."""
    presets = []
    for preset, (client_id, client_secret), issuer in (
        ("google", google, GOOGLE_ISSUER),
        ("github", github, GITHUB_ISSUER),
    ):
        if not client_id:
            continue
        variable = f"RELAY_OIDC_{preset.upper()}_CLIENT_SECRET"
        if not client_secret.reveal():
            raise SettingsError(
                f"{variable} is not set. It must be: the secret that belongs to the client id."
            )
        name = "Google" if preset == "google" else "GitHub"
        entry = _Entry(
            id=preset, name=name, issuer=issuer, client_id=client_id, client_secret=client_secret.reveal(),
            kind="github" if preset == "github" else "oidc",
        )  # fmt: skip
        presets.append(_provider(entry))
    providers = (*presets, *(_provider(entry) for entry in _entries(listed)))
    ids = [provider.id for provider in providers]
    if len(set(ids)) < len(ids):
        raise _unusable("two providers have the same id")
    return providers


def _entries(listed: Secret) -> tuple[_Entry, ...]:
    text = listed.reveal()
    if not text:
        return ()
    try:
        return msgspec.json.decode(text, type=tuple[_Entry, ...])
    except msgspec.MsgspecError as error:
        raise _unusable(str(error)) from None  # the cause could quote a secret


def _provider(entry: _Entry) -> Provider:
    if not _ID.fullmatch(entry.id):
        raise _unusable("an id has 1 to 32 small letters, digits and dashes")
    parts = urlsplit(entry.issuer)
    is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if (parts.scheme != "https" and not is_local) or not parts.hostname or parts.query or parts.fragment:
        raise _unusable(f"the issuer of {entry.id} must be an https:// address")
    return Provider(
        id=entry.id,
        name=entry.name,
        issuer=entry.issuer,
        client_id=entry.client_id,
        client_secret=Secret(entry.client_secret),
        kind=entry.kind,
        scopes=entry.scopes or ("read:user user:email" if entry.kind == "github" else "openid email profile"),
    )


def _unusable(problem: str) -> SettingsError:
    return SettingsError(f"RELAY_OIDC_PROVIDERS is not usable: {problem}.")
