"""What auth answers an operator who looks for accounts, or changes what people may do."""

from uuid import UUID

from services.auth import directory, fields
from services.auth.database import Database
from shared.bus import Bus
from shared.contracts import auth
from shared.db import Connection
from shared.errors import InvalidRequest, NotFound

ID_CHARACTERS = 36


class DirectoryHandlers:
    """The calls about finding accounts and about roles."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def serve(self) -> None:
        """Answer from now on."""
        await self._bus.serve(auth.FIND_ACCOUNTS, self.find_accounts)
        await self._bus.serve(auth.LIST_PEOPLE, self.list_people)
        await self._bus.serve(auth.SET_ROLE, self.set_role)

    async def find_accounts(self, ask: auth.FindAccounts) -> auth.FoundAccounts:
        """Return one page of the accounts that fit. Raises: InvalidRequest, also for a search that takes too long."""
        limit = fields.limit_of(ask.limit)
        below = directory.LAST_ID if ask.before_id is None else fields.place_of("before_id", ask.before_id)
        text = None if ask.search is None else fields.find_of(ask.search)
        given = None if ask.account_ids is None else fields.account_ids_of(ask.account_ids)
        async with directory.searching(self._database) as connection:
            known = await _known(connection, text)
            if known is not None:
                given = known if given is None else [each for each in known if each in given]
                text = None
            if given is not None:
                found = await directory.among(connection, given, ask.status, text)
                return auth.FoundAccounts(items=found, has_more=False)
            if text is None:
                found = await directory.newest(connection, below, ask.status, limit + 1)
            else:
                found = await directory.search(connection, text, below, ask.status, limit + 1)
        return auth.FoundAccounts(items=found[:limit], has_more=len(found) > limit)

    async def list_people(self, ask: auth.ListPeople) -> auth.PersonSheets:
        """Return who belongs to an account. Raises: NotFound for what is no id."""
        account_id = fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            return auth.PersonSheets(items=await directory.people(connection, account_id))

    async def set_role(self, ask: auth.SetRole) -> auth.User:
        """Return the person with the new role. Raises: NotFound; InvalidRequest when no operator would be left."""
        user_id = _uuid_of(ask.user_id)
        if user_id is None:
            raise NotFound("not_found", what="person")
        async with self._database.change() as connection:
            if ask.role != "admin" and await directory.lock_operators(connection) == [user_id]:
                raise InvalidRequest("last_operator", param="role")
            user = await directory.set_role(connection, user_id, ask.role)
        if user is None:
            raise NotFound("not_found", what="person")
        return user


async def _known(connection: Connection, text: str | None) -> list[UUID] | None:
    """Return the accounts that a text names by an id or a whole address, None when it is only a part of something."""
    if text is None:
        return None
    named = _uuid_of(text)
    if named is not None:
        return await directory.accounts_of_id(connection, named)
    return (await directory.accounts_of_email(connection, text) if "@" in text else None) or None


def _uuid_of(text: str) -> UUID | None:
    """Return an id in its usual form, with dashes; what could be a part of a name is none."""
    try:
        return UUID(text) if len(text) == ID_CHARACTERS else None
    except ValueError:
        return None
