"""The site itself: its settings and texts, invitations to it, the messages that it keeps, and what operators did."""

import logging
from uuid import UUID

from services.auth import fields, invitations, mail_store, site_store
from services.auth.database import Database
from services.auth.letters import SIGN_UP_PATH
from services.auth.postman import Postman
from services.auth.secrets import Pepper
from services.auth.settings import AuthSettings
from shared.bus import Bus
from shared.contracts import site
from shared.contracts.call import Empty
from shared.errors import NotFound, RelayError
from shared.ids import uuid7

log = logging.getLogger(__name__)


class SiteHandlers:
    """The calls of `shared.contracts.site`."""

    def __init__(
        self, database: Database, bus: Bus, settings: AuthSettings, pepper: Pepper, postman: Postman
    ) -> None:
        self._database = database
        self._bus = bus
        self._settings = settings
        self._pepper = pepper
        self._postman = postman

    async def get_site(self, ask: Empty) -> site.Site:
        """Return what the site is and offers."""
        async with self._database.look_up() as connection:
            return self._site(await site_store.get(connection))

    async def put_site(self, ask: site.PutSite) -> site.Site:
        """Return the new settings, of which every edge is told. Raises: InvalidRequest, also when somebody else was faster."""
        settings = fields.site_of(ask.settings)
        async with self._database.change() as connection:
            stored = await site_store.put(connection, settings)
        try:
            await self._bus.publish(site.SITE_CHANGED, site.SiteChanged(version=stored.version))
        except RelayError:
            log.warning("%s could not be published", site.SITE_CHANGED.subject)
        return self._site(stored)

    async def invite(self, ask: site.Invite) -> site.Invited:
        """Return a new invitation with its link; with an address, the link goes there too. Raises: InvalidRequest."""
        email = None if ask.email is None else fields.email_of(ask.email)
        lifetime_seconds = fields.invitation_lifetime_of(ask.lifetime_seconds)
        invitation_id = uuid7()
        async with self._database.change() as connection:
            invitation = await invitations.insert(
                connection,
                self._pepper,
                invitation_id,
                email=email,
                created_by=None if ask.created_by is None else UUID(ask.created_by),
                lifetime_seconds=lifetime_seconds,
            )
            if email is not None:
                await mail_store.add(
                    connection, "invitation", email, ask.language, invitation_id=invitation_id
                )
        self._postman.wake()
        token = invitations.token_of(self._pepper, invitation_id)
        return site.Invited(invitation=invitation, url=self._settings.origin + SIGN_UP_PATH + token)

    async def list_invitations(self, ask: site.ListInvitations) -> site.Invitations:
        """Return invitations, newest first."""
        limit = fields.limit_of(ask.limit)
        async with self._database.look_up() as connection:
            return site.Invitations(items=await invitations.list_newest(connection, limit))

    async def revoke_invitation(self, ask: site.RevokeInvitation) -> site.Invitation:
        """Return the invitation, with which nobody can sign up any more. Raises: NotFound, also for one that was used."""
        invitation_id = fields.id_of(ask.invitation_id, "invitation")
        async with self._database.change() as connection:
            return await invitations.revoke(connection, invitation_id)

    async def list_mail(self, ask: site.ListMail) -> site.Messages:
        """Return the messages that are kept here. Raises: NotFound unless the settings say that anybody may read them."""
        limit = fields.limit_of(ask.limit)
        if not self._settings.has_outbox:
            raise NotFound("not_found", what="outbox")
        async with self._database.look_up() as connection:
            return site.Messages(items=await mail_store.list_kept(connection, limit))

    async def begin_action(self, ask: site.BeginAction) -> site.BegunAction:
        """Return the number of an action that is in the log from now on."""
        async with self._database.change() as connection:
            return site.BegunAction(id=await site_store.begin_action(connection, ask))

    async def end_action(self, ask: site.EndAction) -> Empty:
        """Add to an action how it ended; what was added first stays. Raises: NotFound."""
        async with self._database.change() as connection:
            await site_store.end_action(connection, ask)
        return Empty()

    async def list_actions(self, ask: site.ListActions) -> site.Actions:
        """Return what operators did, newest first."""
        limit = fields.limit_of(ask.limit)
        async with self._database.look_up() as connection:
            found = await site_store.list_actions(connection, fields.search_of(ask))
        return site.Actions(items=tuple(found[:limit]), has_more=len(found) > limit)

    def _site(self, settings: site.SiteSettings) -> site.Site:
        return site.Site(
            settings=settings,
            public_url=self._settings.origin,
            has_mail=bool(self._settings.smtp_host),
            has_outbox=self._settings.has_outbox,
            providers=tuple(site.Provider(id=each.id, name=each.name) for each in self._settings.providers),
        )
