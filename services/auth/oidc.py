"""Sign-in at an issuer: OpenID Connect Core with the code flow, PKCE (RFC 7636) and a nonce; and GitHub, which has OAuth 2 alone.

What an issuer publishes about itself is remembered for an hour; its keys are fetched anew when a token is signed with one that is
not known, at most once a minute.
"""

import logging
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from services.auth.outside import Outside
from services.auth.providers import GITHUB_ISSUER, Provider
from shared.errors import UpstreamFailed

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures by a key that the issuer alone has; none that a client could make."""
LEEWAY_SECONDS = 60  # that two clocks may differ
PUBLISHED_SECONDS = 3600.0
KEYS_SECONDS = 60.0

log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is elsewhere. `subject` never changes; `email` is None when the issuer tells none that it has verified."""

    issuer: str
    subject: str
    email: str | None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out with a browser and must fit what it comes back with."""

    redirect_uri: str
    nonce: str
    code_verifier: str


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    """OpenID Connect Discovery §3."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str
    access_token: str


class _UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    sub: str
    email: str | None = None
    email_verified: bool | str | None = None


class _GithubToken(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str


class _GithubUser(msgspec.Struct, frozen=True, kw_only=True):
    id: int


class _GithubEmail(msgspec.Struct, frozen=True, kw_only=True):
    email: str
    is_primary: bool = msgspec.field(name="primary")
    is_verified: bool = msgspec.field(name="verified")


class Issuers:
    """Speaks to every issuer, with a memory of what each publishes."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._published: dict[str, tuple[_Published, float]] = {}
        self._keys: dict[str, tuple[KeySet, float]] = {}

    async def url(self, provider: Provider, way: Way, state: str) -> str:
        """Return where a browser goes. Raises: Unavailable, UpstreamFailed."""
        challenge = create_s256_code_challenge(way.code_verifier)
        nonce = None
        if provider.kind == "github":
            endpoint = f"{provider.issuer}/login/oauth/authorize"
        else:
            endpoint, nonce = (await self._about(provider)).authorization_endpoint, way.nonce
        return str(
            prepare_grant_uri(
                endpoint, provider.client_id, "code", redirect_uri=way.redirect_uri, scope=provider.scopes, state=state,
                nonce=nonce, code_challenge=challenge, code_challenge_method="S256",
            )
        )  # fmt: skip

    async def identity(self, provider: Provider, way: Way, code: str) -> Identity:
        """Return who came back with `code`. Raises: Unavailable, UpstreamFailed for what does not prove it."""
        if provider.kind == "github":
            return await self._github(provider, way, code)
        published = await self._about(provider)
        tokens = await self._tokens(provider, published, way, code)
        told = await self._told(provider, published, way, tokens)
        if told.email is None and published.userinfo_endpoint is not None:
            asked = await self._outside.get(published.userinfo_endpoint, _UserInfo, token=tokens.access_token)
            if asked.sub != told.sub:  # OpenID Connect Core §5.3.2
                raise _refused(provider, "another subject at its userinfo endpoint")
            told = asked
        is_verified = told.email_verified is True or told.email_verified == "true"
        return Identity(issuer=provider.issuer, subject=told.sub, email=told.email if is_verified else None)

    async def _tokens(self, provider: Provider, published: _Published, way: Way, code: str) -> _Tokens:
        form = _code_form(way, code)
        secret = provider.client_secret.reveal()
        if "client_secret_basic" in published.token_endpoint_auth_methods_supported:
            basic = (provider.client_id, secret)
            return await self._outside.post(published.token_endpoint, _Tokens, form=form, basic=basic)
        form |= {"client_id": provider.client_id, "client_secret": secret}
        return await self._outside.post(published.token_endpoint, _Tokens, form=form)

    async def _told(self, provider: Provider, published: _Published, way: Way, tokens: _Tokens) -> _UserInfo:
        """Return what a good ID token tells (OpenID Connect Core §3.1.3.7)."""
        try:
            token = await self._decoded(provider, published, tokens.id_token)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": published.issuer},
                    "aud": {"essential": True, "value": provider.client_id},
                },
                params={
                    "client_id": provider.client_id, "nonce": way.nonce, "access_token": tokens.access_token,
                },
            )  # fmt: skip
            claims.validate(leeway=LEEWAY_SECONDS)
            return msgspec.convert(dict(claims), _UserInfo)
        except (JoseError, msgspec.MsgspecError, ValueError, TypeError, LookupError) as error:
            raise _refused(provider, f"an ID token that is not good: {type(error).__name__}") from error

    async def _decoded(self, provider: Provider, published: _Published, text: str) -> jwt.Token:
        try:
            return jwt.decode(text, await self._keys_of(provider, published), algorithms=ALGORITHMS)
        except InvalidKeyIdError:  # perhaps the issuer has new keys
            fresh = await self._keys_of(provider, published, seconds=KEYS_SECONDS)
            return jwt.decode(text, fresh, algorithms=ALGORITHMS)

    async def _about(self, provider: Provider) -> _Published:
        known = self._published.get(provider.issuer)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        published = await self._outside.get(url, _Published)
        if published.issuer != provider.issuer:  # Discovery §4.3
            raise _refused(
                provider, "the configuration of another issuer; is it written exactly as in the settings?"
            )
        _check_schemes(provider, published)
        self._published[provider.issuer] = (published, time.monotonic() + PUBLISHED_SECONDS)
        return published

    async def _keys_of(
        self, provider: Provider, published: _Published, *, seconds: float = PUBLISHED_SECONDS
    ) -> KeySet:
        """Return the issuer's keys, fetched at most `seconds` ago."""
        known = self._keys.get(provider.issuer)
        if known is not None and time.monotonic() - known[1] < seconds:
            return known[0]
        fetched = await self._outside.get(published.jwks_uri, dict[str, Any])
        keys = KeySet.import_key_set(fetched)  # type: ignore[arg-type]  # checked by what it raises
        self._keys[provider.issuer] = (keys, time.monotonic())
        return keys

    async def _github(self, provider: Provider, way: Way, code: str) -> Identity:
        """Return who it is by GitHub's API (docs.github.com, Authorizing OAuth apps; REST API, Emails)."""
        api = "https://api.github.com" if provider.issuer == GITHUB_ISSUER else f"{provider.issuer}/api/v3"
        form = _code_form(way, code) | {
            "client_id": provider.client_id,
            "client_secret": provider.client_secret.reveal(),
        }
        url = f"{provider.issuer}/login/oauth/access_token"
        token = (await self._outside.post(url, _GithubToken, form=form)).access_token
        user = await self._outside.get(f"{api}/user", _GithubUser, token=token)
        emails = await self._outside.get(f"{api}/user/emails", tuple[_GithubEmail, ...], token=token)
        email = next((each.email for each in emails if each.is_primary and each.is_verified), None)
        return Identity(issuer=provider.issuer, subject=str(user.id), email=email)


def _code_form(way: Way, code: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": way.redirect_uri,
        "code_verifier": way.code_verifier,
    }


def _check_schemes(provider: Provider, published: _Published) -> None:
    """Refuse addresses without TLS, unless the issuer itself is a local one without."""
    scheme = urlsplit(provider.issuer).scheme
    addresses = (
        published.authorization_endpoint, published.token_endpoint, published.jwks_uri, published.userinfo_endpoint,
    )  # fmt: skip
    if any(each is not None and urlsplit(each).scheme not in ("https", scheme) for each in addresses):
        raise _refused(provider, "an address without TLS in its configuration")


def _refused(provider: Provider, problem: str) -> UpstreamFailed:
    log.warning("issuer %s: %s", provider.id, problem)
    return UpstreamFailed("issuer_refused")
