"""What billing answers on the bus: each function is one call of `shared.contracts.billing`."""

from collections.abc import Callable

from services.billing import commands, store
from services.billing.fields import MODEL_CHARACTERS_MAX, check_moment, check_price, check_text, identify
from services.billing.lane import Lane
from services.billing.settings import BillingSettings
from shared.bus import Bus
from shared.contracts import billing, records
from shared.contracts.call import Empty
from shared.db import Pool, transaction
from shared.errors import Conflict, InsufficientFunds, InvalidRequest, NotFound
from shared.money import LARGEST_NANO_USD, usd_from_nano

SETTLE_SECONDS = 30.0


class Handlers:
    """Billing's calls over its lanes and its pool. `committed` is called after each change that wrote to the outbox."""

    def __init__(
        self,
        bus: Bus,
        pool: Pool,
        lanes: list[Lane],
        settings: BillingSettings,
        *,
        committed: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._lanes = lanes
        self._settings = settings
        self._committed = committed

    async def serve(self) -> None:
        """Answer every call of the contract from now on."""
        serve = self._bus.serve
        await serve(billing.RESERVE, self.reserve)
        await serve(billing.EXTEND, self.extend)
        await serve(billing.FENCE, self.fence)
        await serve(billing.SETTLE, self.settle)
        await serve(billing.VOID, self.void)
        await serve(billing.RENEW_LEASE, self.renew_lease)
        await serve(billing.END_LEASE, self.end_lease)
        await serve(billing.PUT_ACCOUNT, self.put_account)
        await serve(billing.PUT_KEY, self.put_key)
        await serve(billing.CREDIT, self.credit)
        await serve(billing.GET_BALANCE, self.get_balance)
        await serve(billing.SET_PRICE, self.set_price)
        await serve(billing.LIST_PRICES, self.list_prices)
        await serve(records.LIST_USAGE, self.list_usage)

    async def reserve(self, request: billing.Reserve) -> billing.Hold:
        """Admit a request and hold its money, or refuse it with the reason."""
        command = commands.reserve(request, self._settings.hold_slice_tokens)
        answer = await self._lane(command).submit(command, within_seconds=billing.RESERVE.timeout_seconds)
        return commands.reserved(request, answer)

    async def extend(self, request: billing.Extend) -> billing.Extended:
        """Let a hold grow."""
        command = commands.extend(request)
        answer = await self._lane(command).submit(command, within_seconds=billing.EXTEND.timeout_seconds)
        return commands.extended(request, answer)

    async def fence(self, request: billing.Fence) -> billing.Fenced:
        """Shut older attempts out of a hold."""
        command = commands.fence(request)
        answer = await self._lane(command).submit(command, within_seconds=billing.FENCE.timeout_seconds)
        return commands.fenced(request, answer)

    async def settle(self, request: billing.Settle) -> billing.Ended:
        """Charge what the evidence says, once; a repeat gets the stored outcome."""
        command = commands.settle(request)
        answer = await self._lane(command).submit(command, within_seconds=SETTLE_SECONDS)
        self._committed()
        return commands.ended(request.request_id, answer)

    async def void(self, request: billing.Void) -> billing.Ended:
        """End a hold without a charge."""
        command = commands.void(request)
        answer = await self._lane(command).submit(command, within_seconds=SETTLE_SECONDS)
        return commands.ended(request.request_id, answer)

    async def renew_lease(self, request: billing.Lease) -> billing.LeaseState:
        """Start or renew an edge's lease, also one that has lapsed."""
        async with transaction(self._pool) as connection:
            remaining = await store.renew_lease(connection, request.lease_id, self._settings.lease_seconds)
        return billing.LeaseState(is_live=remaining is not None, remaining_seconds=remaining or 0.0)

    async def end_lease(self, request: billing.Lease) -> billing.LeaseState:
        """End the lease of an edge that has stopped in order."""
        async with transaction(self._pool) as connection:
            await store.end_lease(connection, request.lease_id)
        return billing.LeaseState(is_live=False)

    async def put_account(self, request: billing.PutAccount) -> Empty:
        """Take over an account's status from auth."""
        identify("account_id", request.account_id)
        async with transaction(self._pool) as connection:
            await store.put_account(connection, request)
        return Empty()

    async def put_key(self, request: billing.PutKey) -> Empty:
        """Take over a key's status from auth."""
        identify("account_id", request.account_id)
        check_moment("expires_unix", request.expires_unix)
        async with transaction(self._pool) as connection:
            result = await store.put_key(connection, request)
        if result == "account_unknown":
            raise NotFound("not_found", what="account")
        if result == "conflict":
            raise Conflict("id_conflict", id=request.key_id)
        return Empty()

    async def credit(self, request: billing.Credit) -> billing.Balance:
        """Add to a balance, or take back from it, once per idempotency key."""
        identify("account_id", request.account_id)
        if request.amount_nano_usd == 0 or abs(request.amount_nano_usd) > LARGEST_NANO_USD:
            raise InvalidRequest(
                "invalid_value", param="amount", problem="the amount is zero or out of range"
            )
        check_text("idempotency_key", request.idempotency_key, most=255)
        if "\0" in request.reason:  # PostgreSQL takes every character but this one
            raise InvalidRequest("invalid_value", param="reason", problem="it must not have a NUL character")
        async with transaction(self._pool) as connection:
            result = await store.credit(connection, request)
            balance = await store.balance(connection, request.account_id)
        self._committed()
        if balance is None or result == "account_unknown":
            raise NotFound("not_found", what="account")
        if result == "conflict":
            raise Conflict("id_conflict", id=request.idempotency_key)
        if result == "insufficient":
            raise InsufficientFunds(
                "insufficient_balance",
                needed_usd=usd_from_nano(-request.amount_nano_usd),
                available_usd=usd_from_nano(balance.available_nano_usd),
            )
        if result not in ("ok", "already"):
            raise InvalidRequest("invalid_value", param="amount", problem="the balance would be out of range")
        return balance

    async def get_balance(self, request: billing.GetBalance) -> billing.Balance:
        """Tell what an account has."""
        identify("account_id", request.account_id)
        async with transaction(self._pool) as connection:
            balance = await store.balance(connection, request.account_id)
        if balance is None:
            raise NotFound("not_found", what="account")
        return balance

    async def set_price(self, request: billing.SetPrice) -> billing.Price:
        """Make a new price version, and tell every edge."""
        check_price(request)
        async with transaction(self._pool) as connection:
            price = await store.set_price(connection, request)
        await self._bus.publish(billing.PRICE_CHANGED, billing.PriceChanged(model=price.model))
        return price

    async def list_prices(self, request: billing.ListPrices) -> billing.Prices:
        """List the prices in force, every version of one model, or what is to come."""
        if request.model is not None:
            check_text("model", request.model, most=MODEL_CHARACTERS_MAX)
        async with transaction(self._pool) as connection:
            if request.is_scheduled:
                return billing.Prices(items=await store.scheduled_prices(connection, request.model))
            if request.model is None:
                return billing.Prices(items=await store.current_prices(connection))
            return billing.Prices(items=await store.prices_of(connection, request.model))

    async def list_usage(self, request: records.GetUsage) -> records.UsageRecords:
        """List usage records."""
        for name, value in (("account_id", request.account_id), ("request_id", request.request_id)):
            if value is not None:
                identify(name, value)
        async with transaction(self._pool) as connection:
            return records.UsageRecords(items=await store.usage(connection, request))

    def _lane(self, command: commands.Command) -> Lane:
        identify("account_id", command.account_id)
        identify("request_id", command.id)
        return self._lanes[hash(command.account_id) % len(self._lanes)]
