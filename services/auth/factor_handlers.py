"""What auth answers to people who manage their second factors, and to an operator who helps one that has lost theirs."""

import time

import msgspec

from services.auth import factor_store, fields, management_key_store, passkeys, sessions, tickets, totp
from services.auth.challenges import Challenges
from services.auth.database import Database
from services.auth.factors import PURPOSE, Codes, held_by
from shared.bus import Bus
from shared.contracts import factors
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7

PASSKEYS_MAX = 20
PENDING_SECONDS = 900.0  # to set up an authenticator
DEFAULT_NAME = "Passkey"


class PendingTotp(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a ticket `totp`: a secret that is not in force yet."""

    sealed: bytes


class FactorHandlers:
    """The calls of `shared.contracts.factors` about a person's own factors."""

    def __init__(self, database: Database, bus: Bus, codes: Codes, challenges: Challenges) -> None:
        self._database = database
        self._bus = bus
        self._codes = codes
        self._challenges = challenges

    async def serve(self) -> None:
        """Answer these calls from now on."""
        serve = self._bus.serve
        await serve(factors.BEGIN_TOTP, self.begin_totp)
        await serve(factors.CONFIRM_TOTP, self.confirm_totp)
        await serve(factors.REMOVE_TOTP, self.remove_totp)
        await serve(factors.NEW_RECOVERY_CODES, self.new_recovery_codes)
        await serve(factors.LIST_PASSKEYS, self.list_passkeys)
        await serve(factors.BEGIN_PASSKEY, self.begin_passkey)
        await serve(factors.ADD_PASSKEY, self.add_passkey)
        await serve(factors.REMOVE_PASSKEY, self.remove_passkey)
        await serve(factors.REMOVE_FACTORS, self.remove_factors)

    async def begin_totp(self, ask: factors.OfPerson) -> factors.TotpSecret:
        """Return a new secret that waits for its first code; what is in force stays so. Raises: NotFound, InvalidRequest."""
        user_id = fields.id_of(ask.user_id, "user")
        secret = totp.mint()
        sealed = self._codes.sealer.seal(secret.encode(), purpose=PURPOSE, row_id=str(user_id))
        async with self._database.change() as connection:
            owner = await factor_store.lock_owner(connection, user_id)
            site = await factor_store.site_name(connection)
            await tickets.void(connection, "totp", user_id)
            await tickets.make(
                connection, "totp", lifetime_seconds=PENDING_SECONDS, user_id=user_id, email=owner.email,
                data=PendingTotp(sealed=sealed),
            )  # fmt: skip
        uri = totp.uri_of(secret, person=owner.email, site=site)
        return factors.TotpSecret(secret=secret, uri=uri, svg=totp.picture_of(uri))

    async def confirm_totp(self, ask: factors.ConfirmTotp) -> factors.RecoveryCodes:
        """Put the waiting secret in force, and return recovery codes. Raises: NotFound, InvalidRequest for a wrong code."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.change() as connection:
            owner = await factor_store.lock_owner(connection, user_id)
            ticket = await tickets.use_newest(connection, "totp", owner.email)
            if ticket is None or ticket.user_id != user_id:
                raise InvalidRequest("set_up_expired")
            sealed = ticket.read(PendingTotp).sealed
            secret = self._codes.opened(sealed, user_id)
            step = totp.step_of(secret, ask.code, unix=time.time(), last_step=-1)
            if step is None:
                raise InvalidRequest("wrong_code", param="code")  # which leaves the ticket as it was
            await factor_store.put_totp(connection, user_id, factor_store.Totp(sealed=sealed, last_step=step))
            return factors.RecoveryCodes(codes=await self._codes.renew(connection, user_id))

    async def remove_totp(self, ask: factors.OfPerson) -> Empty:
        """Do without an authenticator. Raises: NotFound when there is none."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.change() as connection:
            await factor_store.lock_owner(connection, user_id)
            if not await factor_store.remove_totp(connection, user_id):
                raise NotFound("not_found", what="authenticator")
            await factor_store.drop_spare_codes(connection, user_id)
        return Empty()

    async def new_recovery_codes(self, ask: factors.OfPerson) -> factors.RecoveryCodes:
        """Return ten new codes; all before them are void. Raises: InvalidRequest when there is no factor to replace."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.change() as connection:
            await factor_store.lock_owner(connection, user_id)
            has = await held_by(connection, user_id)
            if not has.has_totp and not has.passkeys:
                raise InvalidRequest("no_second_factor")
            return factors.RecoveryCodes(codes=await self._codes.renew(connection, user_id))

    async def list_passkeys(self, ask: factors.OfPerson) -> factors.Passkeys:
        """Return a person's passkeys, oldest first."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.look_up() as connection:
            return factors.Passkeys(items=await factor_store.passkeys_of(connection, user_id))

    async def begin_passkey(self, ask: factors.OfPerson) -> factors.PasskeyOptions:
        """Return what the browser is asked to make. Raises: NotFound, InvalidRequest when there are too many already."""
        user_id = fields.id_of(ask.user_id, "user")
        async with self._database.change() as connection:
            owner = await factor_store.lock_owner(connection, user_id)
            known = await factor_store.credentials_of(connection, user_id)
            if len(known) >= PASSKEYS_MAX:
                raise InvalidRequest("too_many", what="passkeys", limit=PASSKEYS_MAX)
            challenge = await self._challenges.make(connection, "register", user_id)
            site = await self._challenges.site(connection)
        options = passkeys.ask_to_make(
            site, challenge=challenge.expected, user_id=user_id, email=owner.email, known=known
        )
        return factors.PasskeyOptions(challenge_id=challenge.id, options=options)

    async def add_passkey(self, ask: factors.AddPasskey) -> factors.Passkey:
        """Return the new passkey. Raises: InvalidRequest for an answer that does not prove it."""
        user_id = fields.id_of(ask.user_id, "user")
        name = fields.name_of(ask.name) if ask.name.strip() else DEFAULT_NAME
        await self._challenges.use(ask.challenge_sha256, "register", user_id)
        async with self._database.change() as connection:
            await factor_store.lock_owner(connection, user_id)
            if len(await factor_store.credentials_of(connection, user_id)) >= PASSKEYS_MAX:
                raise InvalidRequest("too_many", what="passkeys", limit=PASSKEYS_MAX)
            site = await self._challenges.site(connection)
            made = passkeys.made(site, ask.credential, challenge=ask.challenge_sha256)
            return await factor_store.insert_passkey(connection, uuid7(), user_id, name, made)

    async def remove_passkey(self, ask: factors.RemovePasskey) -> Empty:
        """Remove a passkey of a person. Raises: NotFound."""
        user_id, passkey_id = fields.id_of(ask.user_id, "user"), fields.id_of(ask.passkey_id, "passkey")
        async with self._database.change() as connection:
            await factor_store.lock_owner(connection, user_id)
            await factor_store.remove_passkey(connection, user_id, passkey_id)
            await factor_store.drop_spare_codes(connection, user_id)
        return Empty()

    async def remove_factors(self, ask: factors.RemoveFactors) -> factors.RemovedFactors:
        """Take every factor from a person, and end all that was opened with one. Raises: NotFound."""
        async with self._database.change() as connection:
            user_id = await factor_store.owner_of_email(connection, fields.email_of(ask.email))
            await factor_store.lock_owner(connection, user_id)
            had = await held_by(connection, user_id)
            await factor_store.remove_totp(connection, user_id)
            await factor_store.remove_passkeys(connection, user_id)
            await factor_store.drop_spare_codes(connection, user_id)
            await tickets.void(connection, "second_factor", user_id)
            await sessions.end_all(connection, user_id)
            await management_key_store.end_all(connection, user_id)
        return factors.RemovedFactors(
            had_totp=had.has_totp, passkeys=had.passkeys, recovery_codes=had.recovery_codes_left
        )
