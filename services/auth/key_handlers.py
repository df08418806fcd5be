"""What auth answers about API keys. `handlers.py` says in which order a change runs, so that it fails closed."""

import logging
import secrets
from uuid import UUID

import msgspec

from services.auth import fields, key_store, store
from services.auth.database import Database
from services.auth.events import tell
from services.auth.handlers import BILLING_SECONDS
from services.auth.secrets import Pepper
from services.auth.uses import Uses
from shared import keys
from shared.bus import Bus
from shared.contracts import accounts, auth, billing
from shared.contracts.auth import Key, KeyChanged, Principal
from shared.db import Connection
from shared.errors import Forbidden, InvalidRequest, NotFound, RelayError, Unauthenticated
from shared.ids import base62

KEYS_MAX = 1000  # of an account, revoked ones not counted

log = logging.getLogger(__name__)


class KeyHandlers:
    """The calls of `shared.contracts.auth` about keys, for as long as `database` is open and `bus` connected."""

    def __init__(self, database: Database, bus: Bus, pepper: Pepper) -> None:
        self._database = database
        self._bus = bus
        self._pepper = pepper
        self.uses = Uses(self._write_uses)

    async def serve(self) -> None:
        """Answer every call about keys from now on."""
        serve = self._bus.serve
        await serve(auth.VERIFY, self.verify)
        await serve(auth.CREATE_KEY, self.create)
        await serve(auth.GET_KEY, self.get)
        await serve(auth.SEARCH_KEYS, self.search)
        await serve(auth.UPDATE_KEY, self.update)
        await serve(auth.ROTATE_KEY, self.rotate)
        await serve(auth.REVOKE_KEY, self.revoke)
        await serve(auth.LIST_KEYS, self.list_all)
        await serve(auth.PLAYGROUND_KEY, self.playground)

    async def verify(self, ask: auth.Verify) -> Principal:
        """Return whose key it is. Raises: Unauthenticated, Forbidden when the account is suspended."""
        known = None
        if fields.is_key_id(ask.key_id):
            async with self._database.look_up() as connection:
                known = await key_store.find(connection, ask.key_id)
        is_match = self._pepper.is_match(ask.secret_sha256, known.secret if known is not None else None)
        if known is None or not is_match:
            raise Unauthenticated("invalid_api_key")
        if known.is_revoked:
            raise Unauthenticated("revoked_api_key")
        if known.is_expired:
            raise Unauthenticated("expired_api_key")
        if known.is_account_suspended:
            raise Forbidden("account_suspended")
        self.uses.note(ask.key_id)
        return known.principal

    async def create(self, ask: auth.CreateKey) -> auth.CreatedKey:
        """Return a new key, which billing knows, with its secret. Raises: InvalidRequest, NotFound for the account."""
        account_id = fields.account_id_of(ask.account_id)
        ask = msgspec.structs.replace(
            ask,
            name=fields.name_of(ask.name),
            lifetime_seconds=fields.lifetime_of(ask.lifetime_seconds),
            expires_unix=fields.expiry_of(ask.expires_unix),
            allowed_models=fields.models_of(ask.allowed_models),
            allowed_addresses=fields.addresses_of(ask.allowed_addresses),
        )
        async with self._database.change() as connection:
            await store.lock_account(connection, account_id)
            if await key_store.count_live(connection, account_id) >= KEYS_MAX:
                raise InvalidRequest("too_many", what="keys", limit=KEYS_MAX)
            key, secret = await self._insert(connection, account_id, ask)
            await self._put(key)
            if ask.limits is not None:
                await self._limit(key, ask.limits)
        return auth.CreatedKey(key=key, secret=secret)

    async def get(self, ask: auth.GetKey) -> Key:
        """Return a key of the account. Raises: NotFound."""
        account_id, key_id = _named(ask.account_id, ask.key_id)
        async with self._database.look_up() as connection:
            return await key_store.get(connection, key_id, account_id)

    async def search(self, ask: auth.SearchKeys) -> auth.KeyPage:
        """Return a page of the account's keys, newest first. Raises: InvalidRequest."""
        account_id = fields.account_id_of(ask.account_id)
        sought, after = fields.part_of(ask.search), fields.cursor_of(ask.cursor)
        limit = fields.page_of(ask.limit)
        async with self._database.look_up() as connection:
            return await key_store.search(connection, account_id, sought, ask.state, after, limit)

    async def update(self, ask: auth.UpdateKey) -> Key:
        """Return the key with what was given changed; billing and the caches know. Raises: NotFound, InvalidRequest."""
        account_id, key_id = _named(ask.account_id, ask.key_id)
        ask = _checked(ask)
        async with self._database.change() as connection:
            key = await key_store.lock(connection, key_id, account_id)
            if key.revoked_unix is not None:
                raise InvalidRequest("key_ended")
            if ask.limits is not msgspec.UNSET:
                await self._limit(key, ask.limits)  # first: billing may refuse them
            key = await key_store.update(connection, key, ask)
            await self._put(key)
        await tell(self._bus, auth.KEY_CHANGED, KeyChanged(key_id=key.id, version=key.version))
        return key

    async def rotate(self, ask: auth.RotateKey) -> auth.CreatedKey:
        """Return a key like this one, which is revoked. Raises: NotFound, InvalidRequest for a key that is revoked already.

        Billing hears of the old key's end last: whatever fails before leaves the old key as it was, and a new one that nobody
        knows. If the answer to the last is lost, billing is told that the old key lives; should that be lost as well, nothing is
        spent, and a repeat gives a new key.
        """
        account_id, key_id = _named(ask.account_id, ask.key_id)
        async with self._database.change() as connection:
            old = await key_store.lock(connection, key_id, account_id)
            if old.revoked_unix is not None:
                raise InvalidRequest("key_ended")
            limits = await self._limits(old)
            alike = auth.CreateKey(
                account_id=old.account_id, name=old.name, expires_unix=old.expires_unix,
                allowed_models=old.allowed_models, allowed_addresses=old.allowed_addresses,
            )  # fmt: skip
            key, secret = await self._insert(connection, account_id, alike)
            ended = await key_store.revoke(connection, old.id)
            await self._put(key)
            if limits != accounts.Limits():
                await self._limit(key, limits)
            try:
                await self._put(ended)
            except RelayError:
                await self._take_back(connection, old)
                raise
        await tell(self._bus, auth.KEY_CHANGED, KeyChanged(key_id=ended.id, version=ended.version))
        return auth.CreatedKey(key=key, secret=secret)

    async def revoke(self, ask: auth.RevokeKey) -> Key:
        """Return the key, which nothing accepts any more; one that is revoked already stays as it is. Raises: NotFound."""
        account_id = None if ask.account_id is None else fields.account_id_of(ask.account_id)
        if not fields.is_key_id(ask.key_id):
            raise NotFound("not_found", what="key")
        async with self._database.change() as connection:
            key = await key_store.lock(connection, ask.key_id, account_id)
            if key.revoked_unix is not None:
                return key
            key = await key_store.revoke(connection, ask.key_id)
            await self._put(key)
        await tell(self._bus, auth.KEY_CHANGED, KeyChanged(key_id=key.id, version=key.version))
        return key

    async def list_all(self, ask: auth.ListKeys) -> auth.Keys:
        """Return keys, oldest first. Raises: NotFound when an account is named that does not exist."""
        limit = fields.limit_of(ask.limit)
        account_id = None if ask.account_id is None else fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            items = await key_store.list_all(connection, account_id, limit)
            if not items and account_id is not None and not await store.has_account(connection, account_id):
                raise NotFound("not_found", what="account")
        return auth.Keys(items=items)

    async def playground(self, ask: auth.GetPlaygroundKey) -> Principal:
        """Return what the playground of an account spends with. Raises: NotFound, Forbidden when the account is suspended."""
        account_id = fields.account_id_of(ask.account_id)
        async with self._database.look_up() as connection:
            known = await key_store.find_playground(connection, account_id)
        if known is None:
            known = await self._make_playground(account_id)
        if known.is_account_suspended:
            raise Forbidden("account_suspended")
        return known.principal

    async def _make_playground(self, account_id: UUID) -> key_store.KnownKey:
        async with self._database.change() as connection:
            await store.lock_account(connection, account_id)
            if await key_store.find_playground(connection, account_id) is None:
                secret = self._pepper.store(secrets.token_bytes(32))
                key_id = base62(keys.ID_CHARACTERS)
                await self._put(await key_store.insert_playground(connection, key_id, account_id, secret))
            known = await key_store.find_playground(connection, account_id)
        assert known is not None
        return known

    async def _insert(self, connection: Connection, account_id: UUID, ask: auth.CreateKey) -> tuple[Key, str]:
        text = keys.mint()
        parsed = keys.parse(text)
        assert parsed is not None
        secret = self._pepper.store(parsed.secret_sha256)
        return await key_store.insert(connection, parsed.id, account_id, ask, secret), text

    async def _put(self, key: Key) -> None:
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

    async def _take_back(self, connection: Connection, old: Key) -> None:
        """Tell billing that a key lives whose end it may have taken; a version drawn now is above that of the end."""
        living = msgspec.structs.replace(old, version=await key_store.next_version(connection))
        try:
            await self._put(living)
        except RelayError:
            log.warning("key %s: billing may refuse it; rotate it again", old.id)

    async def _limit(self, key: Key, limits: accounts.Limits) -> None:
        ask = accounts.SetLimits(account_id=key.account_id, key_id=key.id, limits=limits)
        await self._bus.call(accounts.SET_LIMITS, ask, timeout_seconds=BILLING_SECONDS)

    async def _limits(self, key: Key) -> accounts.Limits:
        ask = accounts.GetLimits(account_id=key.account_id, key_id=key.id)
        return (await self._bus.call(accounts.GET_LIMITS, ask, timeout_seconds=BILLING_SECONDS)).own_limits

    async def _write_uses(self, seconds_ago: dict[str, float]) -> None:
        async with self._database.change() as connection:
            await key_store.write_uses(connection, seconds_ago)


def _named(account_id: str, key_id: str) -> tuple[UUID, str]:
    if not fields.is_key_id(key_id):
        raise NotFound("not_found", what="key")
    return fields.account_id_of(account_id), key_id


def _checked(ask: auth.UpdateKey) -> auth.UpdateKey:
    changes: dict[str, object] = {}
    if ask.name is not msgspec.UNSET:
        changes["name"] = fields.name_of(ask.name)
    if ask.expires_unix is not msgspec.UNSET:
        changes["expires_unix"] = fields.expiry_of(ask.expires_unix)
    if ask.allowed_models is not msgspec.UNSET:
        changes["allowed_models"] = fields.models_of(ask.allowed_models)
    if ask.allowed_addresses is not msgspec.UNSET:
        changes["allowed_addresses"] = fields.addresses_of(ask.allowed_addresses)
    return msgspec.structs.replace(ask, **changes)
