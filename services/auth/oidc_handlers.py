"""Sign-in by others: where a browser is sent, and who came back with it.

What goes out is a ticket: its token is the `state`, its data the nonce and the PKCE verifier, and the hash of a secret that this
browser keeps in a cookie. So a callback is worth something once, within minutes, in the browser that set out.

Whose account it is: that of the identity, if somebody has it. Else the address decides, if the issuer says that it has verified it,
and only where the address was confirmed here as well: an account that somebody made with another's address is not handed to either.
Nobody with the address: a new person, if the site lets them sign up.
"""

import hmac
import logging
from uuid import UUID

import msgspec

from services.auth import (
    attempts,
    fields,
    identity_store,
    invitations,
    joining,
    people_store,
    site_store,
    tickets,
)
from services.auth.attempts import BEGIN_ADDRESS, Subject
from services.auth.database import Database
from services.auth.oidc import Identity, Issuers, Way
from services.auth.people_store import Newcomer
from services.auth.providers import Provider
from services.auth.sessions import Sessions
from services.auth.signing_in import signed_in
from shared import bearer
from shared.bus import Bus
from shared.contracts import factors
from shared.contracts.people import Language, SignedIn
from shared.db import Connection
from shared.errors import Forbidden, InvalidRequest, NotFound
from shared.ids import uuid7

STATE_SECONDS = 600.0

log = logging.getLogger(__name__)


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a ticket `oidc`."""

    provider: str
    browser_sha256: bytes
    nonce: str
    code_verifier: str
    language: Language
    invitation_sha256: bytes | None = None


class OidcHandlers:
    """The calls of `shared.contracts.factors` about sign-in by others."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        kept: Sessions,
        issuers: Issuers,
        providers: tuple[Provider, ...],
        origin: str,
    ) -> None:
        self._database = database
        self._bus = bus
        self._sessions = kept
        self._issuers = issuers
        self._providers = {provider.id: provider for provider in providers}
        self._origin = origin

    async def serve(self) -> None:
        """Answer these calls from now on."""
        await self._bus.serve(factors.START_OIDC, self.start)
        await self._bus.serve(factors.END_OIDC, self.end)

    async def start(self, ask: factors.StartOidc) -> factors.OidcStarted:
        """Return where the browser goes. Raises: NotFound; RateLimited; Unavailable and UpstreamFailed when the issuer is away."""
        provider = self._provider(ask.provider)
        leaving = Leaving(
            provider=provider.id,
            browser_sha256=ask.browser_sha256,
            nonce=bearer.mint(),
            code_verifier=bearer.mint(),
            language=ask.language,
            invitation_sha256=ask.invitation_sha256,
        )
        async with self._database.change() as connection:
            await attempts.take(connection, (Subject(BEGIN_ADDRESS, attempts.place_of(ask.client.address)),))
            state = await tickets.make(connection, "oidc", lifetime_seconds=STATE_SECONDS, data=leaving)
        return factors.OidcStarted(url=await self._issuers.url(provider, self._way(provider, leaving), state))

    async def end(self, ask: factors.EndOidc) -> SignedIn:
        """Return a session, or a ticket for the second factor.

        Raises: InvalidRequest for a state that is not good here and now; Forbidden for whoever may not come in; Unavailable and
        UpstreamFailed when the issuer does not say who it is.
        """
        provider = self._provider(ask.provider)
        async with self._database.change() as connection:
            ticket = await tickets.use(connection, "oidc", ask.state_sha256)
        leaving = None if ticket is None else ticket.read(Leaving)
        if (
            leaving is None
            or leaving.provider != provider.id
            or not hmac.compare_digest(leaving.browser_sha256, ask.browser_sha256)
            or ask.issuer not in (None, provider.issuer)
        ):
            raise InvalidRequest("oidc_state_invalid")
        if ask.error is not None or ask.code is None:
            raise Forbidden("oidc_cancelled")
        identity = await self._issuers.identity(provider, self._way(provider, leaving), ask.code)
        async with self._database.change() as connection:
            user_id = await self._person(connection, identity, leaving)
            known = await people_store.get(connection, user_id)
            if known.is_suspended:
                raise Forbidden("account_suspended")
            return await signed_in(connection, self._sessions, user_id, ask.client)

    async def _person(self, connection: Connection, identity: Identity, leaving: Leaving) -> UUID:
        """Return whose account it is; somebody new, if there is none."""
        user_id = await identity_store.find(connection, identity)
        if user_id is not None:
            return user_id
        if identity.email is None:
            raise Forbidden("oidc_email_unverified")
        email = _email(identity.email)
        known = await people_store.find(connection, email)
        if known is None:
            user_id = await self._join(connection, email, leaving)
        elif known.is_confirmed:
            user_id = known.user_id
        else:
            raise Forbidden("email_not_confirmed")
        await identity_store.insert(connection, identity, user_id)
        return user_id

    async def _join(self, connection: Connection, email: str, leaving: Leaving) -> UUID:
        site = await site_store.get(connection)
        invitation_id = None
        if site.sign_up == "off":
            raise Forbidden("sign_up_off")
        if leaving.invitation_sha256 is not None:
            invitation_id = await invitations.find_usable(connection, leaving.invitation_sha256, email)
            if invitation_id is None:
                raise Forbidden("invitation_not_valid")
        if site.sign_up == "invitation" and invitation_id is None:
            raise Forbidden("invitation_needed")
        newcomer = Newcomer(account_id=uuid7(), email=email, password_hash=None, language=leaving.language)
        user_id = await joining.join(
            connection, self._bus, newcomer, credit_nano_usd=site.sign_up_credit_nano_usd
        )
        if invitation_id is not None and not await invitations.use(connection, invitation_id, user_id):
            raise Forbidden("invitation_not_valid")
        return user_id

    def _provider(self, provider_id: str) -> Provider:
        provider = self._providers.get(provider_id)
        if provider is None:
            raise NotFound("not_found", what="provider")
        return provider

    def _way(self, provider: Provider, leaving: Leaving) -> Way:
        return Way(
            redirect_uri=f"{self._origin}/api/oidc/{provider.id}/callback",
            nonce=leaving.nonce,
            code_verifier=leaving.code_verifier,
        )


def _email(text: str) -> str:
    try:
        return fields.email_of(text)
    except InvalidRequest as error:
        raise Forbidden("oidc_email_unverified") from error
