"""Who has signed in: sessions that are found, listed and ended, and what people change of themselves."""

from uuid import UUID

from services.auth import fields, people_store, sessions
from services.auth.database import Database
from services.auth.sessions import Sessions
from shared.contracts import people
from shared.contracts.call import Empty
from shared.errors import Forbidden, NotFound, Unauthenticated


class SessionHandlers:
    """The calls of `shared.contracts.people` of whoever has signed in."""

    def __init__(self, database: Database, kept: Sessions) -> None:
        self._database = database
        self._sessions = kept

    async def find_session(self, ask: people.FindSession) -> people.SessionPerson:
        """Return whose session it is; it lives on. Raises: Unauthenticated; Forbidden when the account is suspended."""
        async with self._database.look_up() as connection:
            known = await self._sessions.find(connection, ask.token_sha256)
        if known is None:
            raise Unauthenticated("session_ended")
        if known.is_suspended:
            raise Forbidden("account_suspended")
        if known.is_stale:
            async with self._database.change() as connection:
                await self._sessions.touch(connection, UUID(known.person.session_id), ask.client)
        return known.person

    async def list_sessions(self, ask: people.ListSessions) -> people.Sessions:
        """Return where a person is signed in, the latest seen first."""
        async with self._database.look_up() as connection:
            return people.Sessions(items=await sessions.list_live(connection, UUID(ask.user_id)))

    async def end_session(self, ask: people.EndSession) -> Empty:
        """End one session. Raises: NotFound when the person has no such session, or it has ended."""
        session_id = fields.id_of(ask.session_id, "session")
        async with self._database.change() as connection:
            if not await sessions.end(connection, UUID(ask.user_id), session_id):
                raise NotFound("not_found", what="session")
        return Empty()

    async def end_sessions(self, ask: people.EndSessions) -> Empty:
        """End every session of a person, but the one that is named."""
        kept = None if ask.session_id is None else fields.id_of(ask.session_id, "session")
        async with self._database.change() as connection:
            await sessions.end_all(connection, UUID(ask.user_id), but=kept)
        return Empty()

    async def get_person(self, ask: people.GetPerson) -> people.Person:
        """Return who it is. Raises: NotFound."""
        async with self._database.look_up() as connection:
            return await people_store.describe(connection, UUID(ask.user_id))

    async def update_person(self, ask: people.UpdatePerson) -> people.Person:
        """Change what is given. Raises: NotFound."""
        async with self._database.change() as connection:
            if ask.language is not None:
                await people_store.set_language(connection, UUID(ask.user_id), ask.language)
            return await people_store.describe(connection, UUID(ask.user_id))
