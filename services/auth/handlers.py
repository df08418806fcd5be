"""What auth answers, one function for each call of its contract.

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

import logging

import msgspec

from services.auth import fields, store
from services.auth.database import Database
from services.auth.passwords import Passwords
from services.auth.secrets import Pepper
from shared import keys
from shared.bus import Bus
from shared.contracts import auth, billing
from shared.contracts.auth import Account, Key, KeyChanged, Principal, User
from shared.contracts.call import Empty, Event, M
from shared.errors import Forbidden, NotFound, RelayError, Unauthenticated
from shared.ids import uuid7

BILLING_SECONDS = 3.0  # below the caller's own deadline, so that it hears who did not answer

log = logging.getLogger(__name__)


class Handlers:
    """The calls of `shared.contracts.auth`, for as long as `database` is open and `bus` connected."""

    def __init__(self, database: Database, bus: Bus, pepper: Pepper, passwords: Passwords) -> None:
        self._database = database
        self._bus = bus
        self._pepper = pepper
        self._passwords = passwords

    async def verify(self, ask: auth.Verify) -> Principal:
        """Return whose key it is. Raises: Unauthenticated, Forbidden when the account is suspended."""
        known = None
        if fields.is_key_id(ask.key_id):
            async with self._database.look_up() as connection:
                known = await store.find_key(connection, ask.key_id)
        is_match = self._pepper.is_match(ask.secret_sha256, known.secret if known is not None else None)
        if known is None or not is_match:
            raise Unauthenticated("invalid_api_key")
        if known.is_revoked:
            raise Unauthenticated("revoked_api_key")
        if known.is_expired:
            raise Unauthenticated("expired_api_key")
        if known.is_account_suspended:
            raise Forbidden("account_suspended")
        return known.principal

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
        await self._tell(auth.ACCOUNT_CHANGED, auth.AccountChanged(account_id=stored.account.id))
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

    async def create_key(self, ask: auth.CreateKey) -> auth.CreatedKey:
        """Return a new key, which billing knows, with its secret. Raises: InvalidRequest, NotFound for the account."""
        account_id = fields.account_id_of(ask.account_id)
        ask = msgspec.structs.replace(
            ask,
            name=fields.name_of(ask.name),
            lifetime_seconds=fields.lifetime_of(ask.lifetime_seconds),
            allowed_models=fields.models_of(ask.allowed_models),
            allowed_addresses=fields.addresses_of(ask.allowed_addresses),
        )
        text = keys.mint()
        parsed = keys.parse(text)
        assert parsed is not None
        async with self._database.change() as connection:
            secret = self._pepper.store(parsed.secret_sha256)
            key = await store.insert_key(connection, parsed.id, account_id, ask, secret)
            await self._put_key(key)
        return auth.CreatedKey(key=key, secret=text)

    async def revoke_key(self, ask: auth.RevokeKey) -> Key:
        """Return the key, which nothing accepts any more; one that is revoked already stays as it is. Raises: NotFound."""
        if not fields.is_key_id(ask.key_id):
            raise NotFound("not_found", what="key")
        async with self._database.change() as connection:
            key = await store.lock_key(connection, ask.key_id)
            if key.revoked_unix is not None:
                return key
            key = await store.revoke_key(connection, ask.key_id)
            await self._put_key(key)
        await self._tell(auth.KEY_CHANGED, KeyChanged(key_id=key.id, version=key.version))
        return key

    async def list_keys(self, ask: auth.ListKeys) -> auth.Keys:
        """Return keys, oldest first. Raises: NotFound when an account is named that does not exist."""
        limit = fields.limit_of(ask.limit)
        account_id = None if ask.account_id is None else fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            items = await store.list_keys(connection, account_id, limit)
            if not items and account_id is not None and not await store.has_account(connection, account_id):
                raise NotFound("not_found", what="account")
        return auth.Keys(items=items)

    async def _put_account(self, stored: store.VersionedAccount) -> None:
        account = stored.account
        await self._bus.call(
            billing.PUT_ACCOUNT,
            billing.PutAccount(account_id=account.id, status=account.status, version=stored.version),
            timeout_seconds=BILLING_SECONDS,
        )

    async def _put_key(self, key: Key) -> None:
        await self._bus.call(
            billing.PUT_KEY,
            billing.PutKey(
                key_id=key.id,
                account_id=key.account_id,
                status="active" if key.revoked_unix is None else "revoked",
                expires_unix=key.expires_unix,
                version=key.version,
            ),
            timeout_seconds=BILLING_SECONDS,
        )

    async def _tell(self, event: Event[M], message: M) -> None:
        try:
            await self._bus.publish(event, message)
        except RelayError:
            log.warning("%s could not be published; caches keep the old state for up to 10 s", event.subject)
