"""Signing in with a second factor or with a passkey alone, and showing a passkey again before what is dangerous.

A ticket of a first factor lives on after a wrong code, until its time is over: how often somebody may try is counted by person, as
for everything that is tried with a password known. A challenge is used up by each answer (`challenges.py`).
"""

from uuid import UUID

from services.auth import attempts, factor_store, fields, passkeys, tickets
from services.auth.attempts import BEGIN_ADDRESS, CONFIRM, Subject
from services.auth.challenges import Challenges, Purpose
from services.auth.database import Database
from services.auth.factors import Codes
from services.auth.sessions import Sessions
from shared.bus import Bus
from shared.contracts import factors
from shared.contracts.people import Client, NewToken, SignedIn
from shared.db import Connection
from shared.errors import Forbidden, InvalidRequest


class FactorSignIn:
    """The calls of `shared.contracts.factors` that prove who somebody is."""

    def __init__(
        self, database: Database, bus: Bus, codes: Codes, challenges: Challenges, kept: Sessions
    ) -> None:
        self._database = database
        self._bus = bus
        self._codes = codes
        self._challenges = challenges
        self._sessions = kept

    async def serve(self) -> None:
        """Answer these calls from now on."""
        serve = self._bus.serve
        await serve(factors.SIGN_IN_FACTOR, self.sign_in_factor)
        await serve(factors.START_PASSKEY, self.start_passkey)
        await serve(factors.SIGN_IN_PASSKEY, self.sign_in_passkey)
        await serve(factors.BEGIN_CONFIRM_PASSKEY, self.begin_confirm_passkey)
        await serve(factors.CONFIRM_PASSKEY, self.confirm_passkey)

    async def sign_in_factor(self, ask: factors.SignInFactor) -> SignedIn:
        """Return a session. Raises: InvalidRequest for a wrong code or a ticket that is over; RateLimited; Forbidden."""
        async with self._database.change() as connection:
            user_id = await _owner_of(connection, ask.ticket_sha256)
            subject = Subject(CONFIRM, str(user_id))
            await attempts.take(connection, (subject,))
        async with self._database.change() as connection:
            owner = await factor_store.lock_owner(connection, user_id)
            if not await self._codes.is_shown(connection, user_id, ask.factor, ask.code):
                raise InvalidRequest("wrong_code", param="code")
            await _use(connection, ask.ticket_sha256, user_id)
            await attempts.forgive(connection, (), wholly=(subject,))
            return await self._begin(connection, owner, ask.client)

    async def start_passkey(self, ask: factors.StartPasskey) -> factors.PasskeyOptions:
        """Return what the browser is asked to show. Raises: InvalidRequest for a ticket that is over; RateLimited."""
        async with self._database.change() as connection:
            place = attempts.place_of(ask.client.address)
            await attempts.take(connection, (Subject(BEGIN_ADDRESS, place),))
            if ask.ticket_sha256 is None:
                return await self._ask(connection, "sign_in", None)
            user_id = await _owner_of(connection, ask.ticket_sha256)
            return await self._ask(connection, "second_factor", user_id)

    async def sign_in_passkey(self, ask: factors.SignInPasskey) -> SignedIn:
        """Return a session. Raises: InvalidRequest for an answer that proves nothing; Forbidden for a suspended account."""
        answer = passkeys.read(ask.credential)
        first = None
        if ask.ticket_sha256 is not None:
            async with self._database.look_up() as connection:
                first = await _owner_of(connection, ask.ticket_sha256)
        await self._challenges.use(
            ask.challenge_sha256, "sign_in" if first is None else "second_factor", first
        )
        async with self._database.change() as connection:
            user_id = await self._shown(connection, answer, ask.credential, ask.challenge_sha256)
            if (first is None and answer.user_handle != user_id.bytes) or first not in (None, user_id):
                raise InvalidRequest("passkey_refused", param="credential")
            owner = await factor_store.lock_owner(connection, user_id)
            if ask.ticket_sha256 is not None:
                await _use(connection, ask.ticket_sha256, user_id)
            return await self._begin(connection, owner, ask.client)

    async def begin_confirm_passkey(self, ask: factors.OfPerson) -> factors.PasskeyOptions:
        """Return what the browser is asked to show. Raises: InvalidRequest when the person has no passkey."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.change() as connection:
            return await self._ask(connection, "confirm", user_id)

    async def confirm_passkey(self, ask: factors.ConfirmPasskey) -> NewToken:
        """Make a session fresh, under a new token. Raises: InvalidRequest, Unauthenticated when the session has ended."""
        user_id, session_id = fields.id_of(ask.user_id, "user"), fields.id_of(ask.session_id, "session")
        answer = passkeys.read(ask.credential)
        await self._challenges.use(ask.challenge_sha256, "confirm", user_id)
        async with self._database.change() as connection:
            if user_id != await self._shown(connection, answer, ask.credential, ask.challenge_sha256):
                raise InvalidRequest("passkey_refused", param="credential")
            return NewToken(session_token=await self._sessions.renew(connection, user_id, session_id))

    async def _ask(
        self, connection: Connection, purpose: Purpose, user_id: UUID | None
    ) -> factors.PasskeyOptions:
        known = () if user_id is None else await factor_store.credentials_of(connection, user_id)
        if user_id is not None and not known:
            raise InvalidRequest("no_passkey")
        challenge = await self._challenges.make(connection, purpose, user_id)
        site = await self._challenges.site(connection)
        options = passkeys.ask_to_show(site, challenge=challenge.expected, known=known)
        return factors.PasskeyOptions(challenge_id=challenge.id, options=options)

    async def _shown(
        self, connection: Connection, answer: passkeys.Answer, credential: str, challenge: bytes
    ) -> UUID:
        """Return whose passkey was shown, and keep what it told."""
        known = await factor_store.lock_passkey(connection, answer.credential_id)
        if known is None:
            raise InvalidRequest("passkey_refused", param="credential")
        shown = passkeys.shown(
            await self._challenges.site(connection), credential,
            challenge=challenge, public_key=known.public_key, sign_count=known.sign_count,
        )  # fmt: skip
        await factor_store.note_shown(connection, known.id, shown)
        return known.user_id

    async def _begin(self, connection: Connection, owner: factor_store.Owner, client: Client) -> SignedIn:
        if owner.is_suspended:
            raise Forbidden("account_suspended")
        return SignedIn(
            state="signed_in", session_token=await self._sessions.begin(connection, owner.id, client)
        )


async def _owner_of(connection: Connection, ticket_sha256: bytes) -> UUID:
    ticket = await tickets.look(connection, "second_factor", ticket_sha256)
    if ticket is None or ticket.user_id is None:
        raise InvalidRequest("sign_in_expired", param="ticket")
    return ticket.user_id


async def _use(connection: Connection, ticket_sha256: bytes, user_id: UUID) -> None:
    ticket = await tickets.use(connection, "second_factor", ticket_sha256)
    if ticket is None or ticket.user_id != user_id:
        raise InvalidRequest("sign_in_expired", param="ticket")
