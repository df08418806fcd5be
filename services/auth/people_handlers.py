"""How people come in and prove who they are: signing up and in, and their passwords.

Nothing here tells whether an address has an account. Who asks for a message gets the same answer after the same work for every
address: it is written later, by the postman, who looks. Who shows a password is counted and has it checked before anything else is
said, against a hash that nothing matches if there is nobody.
"""

from uuid import UUID

import msgspec

from services.auth import (
    attempts,
    fields,
    invitations,
    joining,
    mail_store,
    people_store,
    sessions,
    site_store,
    tickets,
)
from services.auth.attempts import (
    CONFIRM,
    MAIL_ADDRESS,
    MAIL_TO,
    SIGN_IN_ADDRESS,
    SIGN_IN_FROM,
    SIGN_IN_PERSON,
    Subject,
)
from services.auth.database import Database
from services.auth.factors import Codes
from services.auth.passwords import Passwords, is_common
from services.auth.people_store import KnownPerson, Newcomer
from services.auth.postman import Postman
from services.auth.sessions import Sessions
from services.auth.signing_in import signed_in
from services.auth.tickets import Ticket
from shared.bus import Bus
from shared.contracts import people
from shared.contracts.auth import User
from shared.contracts.call import Empty
from shared.contracts.people import Client, Language, NewToken, SignedIn
from shared.contracts.site import SiteSettings
from shared.db import Connection
from shared.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated

CONFIRM_SECONDS = 24 * 3600.0
RESET_SECONDS = 3600.0


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-up waits with until its address is confirmed. The gift is what the site promised when it began."""

    password_hash: str
    language: Language
    credit_nano_usd: int
    invitation_id: str | None = None


class PeopleHandlers:
    """The calls of `shared.contracts.people` that ask for an address, a password or a link."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        passwords: Passwords,
        kept: Sessions,
        codes: Codes,
        postman: Postman,
    ) -> None:
        self._database = database
        self._bus = bus
        self._passwords = passwords
        self._sessions = kept
        self._codes = codes
        self._postman = postman

    async def sign_up(self, ask: people.SignUp) -> Empty:
        """Let a message go to the address, whoever it belongs to.

        Raises: InvalidRequest for what was entered; Forbidden when the site does not let this one sign up; RateLimited.
        """
        email, password = fields.email_of(ask.email), _new_password(ask.password)
        async with self._database.change() as connection:
            await attempts.take(connection, _mail_subjects(email, ask.client))
            site = await site_store.get(connection)
            invitation_id = await _invitation_of(connection, email, ask.invitation_sha256)
            _check_may_sign_up(site, has_invitation=invitation_id is not None)
        pending = Pending(
            password_hash=await self._passwords.hash(password),
            language=ask.language,
            credit_nano_usd=site.sign_up_credit_nano_usd,
            invitation_id=None if invitation_id is None else str(invitation_id),
        )
        async with self._database.change() as connection:
            ticket_id = await tickets.prepare(
                connection, "confirm_email", lifetime_seconds=CONFIRM_SECONDS, email=email, data=pending
            )
            await mail_store.add(connection, "sign_up", email, ask.language, ticket_id=ticket_id)
        self._postman.wake()
        return Empty()

    async def confirm_email(self, ask: people.ConfirmEmail) -> SignedIn:
        """Make the person whose sign-up the token belongs to, and a session.

        Raises: InvalidRequest for a link that is not good (any more); Forbidden when the site has changed its mind.
        """
        async with self._database.change() as connection:
            ticket = await tickets.use(connection, "confirm_email", ask.token_sha256)
            user_id = await self._complete(connection, ticket)
            token = await self._sessions.begin(connection, user_id, ask.client)
        return SignedIn(state="signed_in", session_token=token)

    async def sign_in(self, ask: people.SignIn) -> SignedIn:
        """Return a session, or a ticket where a second factor is to be shown as well.

        Raises: Unauthenticated, the same for an unknown address as for a wrong password; RateLimited; only to whoever has the
        password Forbidden, when the account is suspended or the address is not confirmed.
        """
        email = _email_or_none(ask.email)
        async with self._database.change() as connection:
            known = None if email is None else await people_store.find(connection, email)
            subjects = await _sign_in_subjects(connection, email or ask.email[:300], known, ask.client)
            await attempts.take(connection, subjects)
        stored = None if known is None else known.password_hash
        is_match = await self._passwords.is_match(ask.password, stored)
        if known is None or stored is None or not is_match:
            raise Unauthenticated("wrong_credentials")
        fresher = await self._passwords.hash(ask.password) if self._passwords.is_outdated(stored) else None
        async with self._database.change() as connection:
            if not await people_store.lock_password(connection, known.user_id, stored):
                raise Unauthenticated("wrong_credentials")  # it was changed while we looked at it
            await attempts.forgive(connection, subjects, wholly=subjects[:1])
            if fresher is not None:
                await people_store.refresh_hash(connection, known.user_id, fresher)
            if known.is_suspended:
                raise Forbidden("account_suspended")
            if not known.is_confirmed:
                raise Forbidden("email_not_confirmed")
            return await signed_in(connection, self._sessions, known.user_id, ask.client)

    async def forgot_password(self, ask: people.ForgotPassword) -> Empty:
        """Let a link for a new password go to the address, if it has an account. Raises: InvalidRequest, RateLimited."""
        email = fields.email_of(ask.email)
        async with self._database.change() as connection:
            await attempts.take(connection, _mail_subjects(email, ask.client))
            ticket_id = await tickets.prepare(
                connection, "reset_password", lifetime_seconds=RESET_SECONDS, email=email
            )
            await mail_store.add(connection, "reset_password", email, ask.language, ticket_id=ticket_id)
        self._postman.wake()
        return Empty()

    async def reset_password(self, ask: people.ResetPassword) -> Empty:
        """Store a new password; every session of the person has ended, and their address is proved.

        Raises: InvalidRequest for the password, or for a link that is not good (any more).
        """
        password = _new_password(ask.password)
        async with self._database.look_up() as connection:
            if await tickets.look(connection, "reset_password", ask.token_sha256) is None:
                raise InvalidRequest("link_not_valid", param="token")
        password_hash = await self._passwords.hash(password)
        async with self._database.change() as connection:
            ticket = await tickets.use(connection, "reset_password", ask.token_sha256)
            if ticket is None or ticket.user_id is None:
                raise InvalidRequest("link_not_valid", param="token")
            known = await people_store.get(connection, ticket.user_id)
            await people_store.confirm(connection, known.user_id)
            await self._change(connection, known, password_hash)
            await attempts.forgive(connection, (), wholly=(Subject(SIGN_IN_PERSON, known.email),))
        self._postman.wake()
        return Empty()

    async def change_password(self, ask: people.ChangePassword) -> NewToken:
        """Store a new password; every other session has ended, and this one goes on under a new token.

        Raises: InvalidRequest for the new or the old password; RateLimited; Forbidden when there is no old one and the session is
        not fresh.
        """
        user_id, session_id = UUID(ask.user_id), fields.id_of(ask.session_id, "session")
        password = _new_password(ask.password)
        known = await self._proved(user_id, session_id, ask.current)
        password_hash = await self._passwords.hash(password)
        async with self._database.change() as connection:
            await self._change(connection, known, password_hash, but=session_id)
            token = await self._sessions.renew(connection, user_id, session_id)
        self._postman.wake()
        return NewToken(session_token=token)

    async def confirm_session(self, ask: people.ConfirmSession) -> NewToken:
        """Make a session fresh, under a new token. Raises: InvalidRequest for what was shown; RateLimited; Unauthenticated."""
        user_id, session_id = UUID(ask.user_id), fields.id_of(ask.session_id, "session")
        if ask.factor == "password":
            await self._check_password(user_id, ask.secret, "secret")
        else:
            await self._check_code(user_id, ask.factor, ask.secret)
        async with self._database.change() as connection:
            return NewToken(session_token=await self._sessions.renew(connection, user_id, session_id))

    async def set_password(self, ask: people.SetPassword) -> User:
        """Store a new password for whoever an operator names; their sessions have ended. Raises: NotFound, InvalidRequest."""
        email = fields.email_of(ask.email)
        password_hash = await self._passwords.hash(_new_password(ask.password))
        async with self._database.change() as connection:
            known = await people_store.find(connection, email)
            if known is None:
                raise NotFound("not_found", what="user")
            await self._change(connection, known, password_hash)
            await attempts.forgive(connection, (), wholly=(Subject(SIGN_IN_PERSON, known.email),))
            user = await people_store.user_of(connection, known.user_id)
        self._postman.wake()
        return user

    async def confirm_person(self, ask: people.ConfirmPerson) -> User:
        """Take an address for confirmed on an operator's word: of a person, or else of the newest sign-up. Raises: NotFound."""
        email = fields.email_of(ask.email)
        async with self._database.change() as connection:
            known = await people_store.find(connection, email)
            if known is not None:
                await people_store.confirm(connection, known.user_id)
                return await people_store.user_of(connection, known.user_id)
            ticket = await tickets.use_newest(connection, "confirm_email", email)
            if ticket is None:
                raise NotFound("not_found", what="user")
            return await people_store.user_of(connection, await self._complete(connection, ticket))

    async def _complete(self, connection: Connection, ticket: Ticket | None) -> UUID:
        """Return the person whose sign-up a used ticket was. The account has the ticket's id: a repeat makes the same one."""
        if ticket is None or ticket.email is None:
            raise InvalidRequest("link_not_valid", param="token")
        pending = ticket.read(Pending)
        _check_may_sign_up(await site_store.get(connection), has_invitation=pending.invitation_id is not None)
        newcomer = Newcomer(
            account_id=ticket.id,
            email=ticket.email,
            password_hash=pending.password_hash,
            language=pending.language,
        )
        try:
            user_id = await joining.join(
                connection, self._bus, newcomer, credit_nano_usd=pending.credit_nano_usd
            )
        except InvalidRequest as error:  # another sign-up with this address was confirmed meanwhile
            raise InvalidRequest("link_not_valid", param="token") from error
        if pending.invitation_id is not None and not await invitations.use(
            connection, UUID(pending.invitation_id), user_id
        ):
            raise Forbidden("invitation_not_valid")
        return user_id

    async def _change(
        self, connection: Connection, known: KnownPerson, password_hash: str, *, but: UUID | None = None
    ) -> None:
        await people_store.set_password(connection, known.user_id, password_hash)
        await sessions.end_all(connection, known.user_id, but=but)
        for kind in ("reset_password", "second_factor"):
            await tickets.void(connection, kind, known.user_id)
        await mail_store.add(connection, "password_changed", known.email, known.language)

    async def _proved(self, user_id: UUID, session_id: UUID, current: str | None) -> KnownPerson:
        """Return the person who has shown the old password; if there is none, a fresh session is enough."""
        async with self._database.look_up() as connection:
            known = await people_store.get(connection, user_id)
            is_fresh = await self._sessions.is_fresh(connection, user_id, session_id)
        if known.password_hash is not None:
            return await self._check_password(user_id, current or "", "current")
        if not is_fresh:
            raise Forbidden("fresh_sign_in_needed")
        return known

    async def _check_password(self, user_id: UUID, password: str, param: str) -> KnownPerson:
        subject = Subject(CONFIRM, str(user_id))
        async with self._database.change() as connection:
            await attempts.take(connection, (subject,))
            known = await people_store.get(connection, user_id)
        if not await self._passwords.is_match(password, known.password_hash):
            raise InvalidRequest("wrong_password", param=param)
        async with self._database.change() as connection:
            await attempts.forgive(connection, (), wholly=(subject,))
        return known

    async def _check_code(self, user_id: UUID, factor: people.CodeFactor, code: str) -> None:
        subject = Subject(CONFIRM, str(user_id))
        async with self._database.change() as connection:
            await attempts.take(connection, (subject,))
        async with self._database.change() as connection:
            if not await self._codes.is_shown(connection, user_id, factor, code):
                raise InvalidRequest("wrong_code", param="secret")
            await attempts.forgive(connection, (), wholly=(subject,))


def _new_password(text: str) -> str:
    password = fields.password_of(text)
    if is_common(password):
        raise InvalidRequest("password_too_common", param="password")
    return password


def _email_or_none(text: str) -> str | None:
    """Return an address in its normal form; None for what nobody can have, which must not be told either."""
    try:
        return fields.email_of(text)
    except InvalidRequest:
        return None


def _mail_subjects(email: str, client: Client) -> tuple[Subject, ...]:
    return (Subject(MAIL_TO, email), Subject(MAIL_ADDRESS, attempts.place_of(client.address)))


async def _sign_in_subjects(
    connection: Connection, email: str, known: KnownPerson | None, client: Client
) -> tuple[Subject, ...]:
    """Return what a try to sign in is counted by, the most particular first.

    The count of the person stays out of it where they have been before: nobody can be locked out from afar.
    """
    place = attempts.place_of(client.address)
    subjects = (Subject(SIGN_IN_FROM, f"{place} {email}"), Subject(SIGN_IN_ADDRESS, place))
    user_id = UUID(int=0) if known is None else known.user_id
    if await sessions.has_been_at(connection, user_id, client.address):
        return subjects
    return (*subjects, Subject(SIGN_IN_PERSON, email))


async def _invitation_of(connection: Connection, email: str, token_sha256: bytes | None) -> UUID | None:
    if token_sha256 is None:
        return None
    invitation_id = await invitations.find_usable(connection, token_sha256, email)
    if invitation_id is None:
        raise Forbidden("invitation_not_valid", param="invitation")
    return invitation_id


def _check_may_sign_up(site: SiteSettings, *, has_invitation: bool) -> None:
    if site.sign_up == "off":
        raise Forbidden("sign_up_off")
    if site.sign_up == "invitation" and not has_invitation:
        raise Forbidden("invitation_needed", param="invitation")
