"""What auth answers about management keys: keys to the JSON API, with the rights that their person has at each moment."""

from services.auth import fields, management_key_store
from services.auth.database import Database
from services.auth.factor_store import lock_owner
from services.auth.secrets import Pepper
from services.auth.uses import Uses
from shared import keys
from shared.bus import Bus
from shared.contracts import factors
from shared.contracts.call import Empty
from shared.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated

KEYS_MAX = 50  # of a person


class ManagementKeyHandlers:
    """The calls of `shared.contracts.factors` about management keys."""

    def __init__(self, database: Database, bus: Bus, pepper: Pepper) -> None:
        self._database = database
        self._bus = bus
        self._pepper = pepper
        self.uses = Uses(self._write_uses)

    async def serve(self) -> None:
        """Answer these calls from now on."""
        serve = self._bus.serve
        await serve(factors.VERIFY_MANAGEMENT_KEY, self.verify)
        await serve(factors.LIST_MANAGEMENT_KEYS, self.list_live)
        await serve(factors.MAKE_MANAGEMENT_KEY, self.make)
        await serve(factors.END_MANAGEMENT_KEY, self.end)

    async def verify(self, ask: factors.VerifyManagementKey) -> factors.ManagementPerson:
        """Return whose key it is, as they are now. Raises: Unauthenticated, Forbidden when their account is suspended."""
        known = None
        if fields.is_key_id(ask.key_id):
            async with self._database.look_up() as connection:
                known = await management_key_store.find(connection, ask.key_id)
        is_match = self._pepper.is_match(ask.secret_sha256, known.secret if known is not None else None)
        if known is None or not is_match or known.is_over:
            raise Unauthenticated("management_key_not_valid")
        if known.is_suspended:
            raise Forbidden("account_suspended")
        self.uses.note(ask.key_id)
        return known.person

    async def list_live(self, ask: factors.OfPerson) -> factors.ManagementKeys:
        """Return a person's keys that still work, oldest first."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.look_up() as connection:
            return factors.ManagementKeys(items=await management_key_store.list_live(connection, user_id))

    async def make(self, ask: factors.MakeManagementKey) -> factors.MadeManagementKey:
        """Return a new key with its secret. Raises: InvalidRequest, NotFound for the person."""
        user_id = fields.id_of(ask.user_id, "user")
        name, lifetime = fields.name_of(ask.name), fields.lifetime_of(ask.lifetime_seconds)
        text = keys.mint(keys.MANAGEMENT_PREFIX)
        parsed = keys.parse(text, keys.MANAGEMENT_PREFIX)
        assert parsed is not None
        async with self._database.change() as connection:
            await lock_owner(connection, user_id)
            if len(await management_key_store.list_live(connection, user_id)) >= KEYS_MAX:
                raise InvalidRequest("too_many", what="management keys", limit=KEYS_MAX)
            secret = self._pepper.store(parsed.secret_sha256)
            key = await management_key_store.insert(connection, parsed.id, user_id, name, lifetime, secret)
        return factors.MadeManagementKey(key=key, secret=text)

    async def end(self, ask: factors.EndManagementKey) -> Empty:
        """End a key for good. Raises: NotFound when the person has no such key."""
        user_id = fields.id_of(ask.user_id, "user")
        if not fields.is_key_id(ask.key_id):
            raise NotFound("not_found", what="key")
        async with self._database.change() as connection:
            await management_key_store.end(connection, user_id, ask.key_id)
        return Empty()

    async def _write_uses(self, seconds_ago: dict[str, float]) -> None:
        async with self._database.change() as connection:
            await management_key_store.write_uses(connection, seconds_ago)
