"""What auth answers about accounts and people, one function for each call of its contract.

A change that billing must know of (a key or an account made, ended, suspended) runs in this order, inside one transaction:

    1  our row is written, under a new version
    2  billing is told and answers
    3  we commit
    4  the event is published, for the caches of the edges

A key works only while both auth and billing say so, and each step that ends something is taken before the answer. So whatever
fails on the way, it fails closed:

- at 1 or 2: our row rolls back. Billing knows nothing, or it already refuses what we still allow. The caller hears of the
  error and repeats the change.
- at 3: the same, or (when the answer to the commit was lost) everything is done and the caller repeats it for nothing.
  A key or account that only billing has is of no use to anybody: verify does not know it.
- at 4: the caches do not hear of it and drop what they hold after at most ten seconds. No money is spent meanwhile.

The repeat has a higher version than any attempt before it (see the migration), so billing never takes it for an old one.
"""

import msgspec

from services.auth import fields, store
from services.auth.database import Database
from services.auth.events import tell
from services.auth.passwords import Passwords
from shared.bus import Bus
from shared.contracts import auth, billing
from shared.contracts.auth import Account, User
from shared.contracts.call import Empty
from shared.errors import NotFound
from shared.ids import uuid7

BILLING_SECONDS = 3.0  # below the caller's own deadline, so that it hears who did not answer


class Handlers:
    """The calls of `shared.contracts.auth` about accounts and people, for as long as `database` is open and `bus` connected."""

    def __init__(self, database: Database, bus: Bus, passwords: Passwords) -> None:
        self._database = database
        self._bus = bus
        self._passwords = passwords

    async def serve(self) -> None:
        """Answer these calls from now on."""
        serve = self._bus.serve
        await serve(auth.CREATE_ACCOUNT, self.create_account)
        await serve(auth.SET_ACCOUNT_STATUS, self.set_account_status)
        await serve(auth.LIST_ACCOUNTS, self.list_accounts)
        await serve(auth.CREATE_USER, self.create_user)
        await serve(auth.LIST_USERS, self.list_users)
        await serve(auth.GET_NAMES, self.get_names)

    async def create_account(self, ask: auth.CreateAccount) -> Account:
        """Return a new account, which billing knows."""
        name = fields.name_of(ask.name)
        async with self._database.change() as connection:
            stored = await store.insert_account(connection, uuid7(), name)
            await self._put_account(stored)
        return stored.account

    async def set_account_status(self, ask: auth.SetAccountStatus) -> Empty:
        """Suspend or reactivate an account; also tells billing again when the status is the same. Raises: NotFound."""
        account_id = fields.account_id_of(ask.account_id)
        async with self._database.change() as connection:
            await store.lock_account(connection, account_id)
            stored = await store.set_account_status(connection, account_id, ask.status)
            await self._put_account(stored)
        await tell(self._bus, auth.ACCOUNT_CHANGED, auth.AccountChanged(account_id=stored.account.id))
        return Empty()

    async def list_accounts(self, ask: auth.ListAccounts) -> auth.Accounts:
        """Return accounts, oldest first."""
        limit = fields.limit_of(ask.limit)
        async with self._database.look_up() as connection:
            return auth.Accounts(items=await store.list_accounts(connection, limit))

    async def create_user(self, ask: auth.CreateUser) -> User:
        """Return a new person, with a new account named like the e-mail address unless one is given.

        Raises: InvalidRequest for what was entered or an e-mail address that is taken; NotFound for the account.
        """
        ask = msgspec.structs.replace(ask, email=fields.email_of(ask.email))
        account_id = uuid7() if ask.account_id is None else fields.account_id_of(ask.account_id)
        password_hash = await self._passwords.hash(fields.password_of(ask.password))
        async with self._database.change() as connection:
            if ask.account_id is not None:
                return await store.insert_user(connection, uuid7(), account_id, ask, password_hash)
            stored = await store.insert_account(connection, account_id, ask.email)
            user = await store.insert_user(connection, uuid7(), account_id, ask, password_hash)
            await self._put_account(stored)
        return user

    async def list_users(self, ask: auth.ListUsers) -> auth.Users:
        """Return people, oldest first. Raises: NotFound when an account is named that does not exist."""
        limit = fields.limit_of(ask.limit)
        account_id = None if ask.account_id is None else fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            items = await store.list_users(connection, account_id, limit)
            if not items and account_id is not None and not await store.has_account(connection, account_id):
                raise NotFound("not_found", what="account")
        return auth.Users(items=items)

    async def get_names(self, ask: auth.GetNames) -> auth.Names:
        """Return what accounts and keys are called. An id that is none has no name."""
        fields.limit_of(max(len(ask.account_ids), len(ask.key_ids), 1))
        account_ids = [fields.account_id_of(each) for each in ask.account_ids]
        key_ids = [each for each in ask.key_ids if fields.is_key_id(each)]
        owner = None if ask.account_id is None else fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            accounts, of_keys = await store.names(connection, account_ids, key_ids, owner)
        return auth.Names(accounts=accounts, keys=of_keys)

    async def _put_account(self, stored: store.VersionedAccount) -> None:
        account = stored.account
        await self._bus.call(
            billing.PUT_ACCOUNT,
            billing.PutAccount(account_id=account.id, status=account.status, version=stored.version),
            timeout_seconds=BILLING_SECONDS,
        )
