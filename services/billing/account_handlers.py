"""What billing answers about accounts: each function is one call of `shared.contracts.accounts`."""

import datetime

import asyncpg

from services.billing import account_store, codes
from services.billing.fields import LIFETIME_SECONDS_MAX, check_text, identify, is_text
from services.billing.pricing import MULTIPLIER_PPM_MAX
from services.billing.settings import BillingSettings
from services.billing.store import balance
from shared import codes as entered
from shared.bus import Bus
from shared.contracts import accounts
from shared.contracts.call import Empty
from shared.db import Pool, transaction
from shared.errors import InvalidRequest, NotFound
from shared.money import LARGEST_NANO_USD

NAME_CHARACTERS_MAX = 100
MODELS_MAX = 1000
CODES_MAX = 5000  # their texts fit into one message
SPENDING_DAYS_MAX = 400
KEYS_MAX = 200  # of one page
ACCOUNTS_MAX = 500  # that are asked for at once


class AccountHandlers:
    """Billing's calls about limits, groups, codes and receipts."""

    def __init__(self, bus: Bus, pool: Pool, settings: BillingSettings) -> None:
        self._bus = bus
        self._pool = pool
        self._settings = settings

    async def serve(self) -> None:
        """Answer every call of the contract from now on."""
        serve = self._bus.serve
        await serve(accounts.SET_LIMITS, self.set_limits)
        await serve(accounts.GET_LIMITS, self.get_limits)
        await serve(accounts.GET_KEYS, self.get_keys)
        await serve(accounts.PUT_GROUP, self.put_group)
        await serve(accounts.LIST_GROUPS, self.list_groups)
        await serve(accounts.LIST_MEMBERS, self.list_members)
        await serve(accounts.GET_SHEETS, self.get_sheets)
        await serve(accounts.DELETE_GROUP, self.delete_group)
        await serve(accounts.SET_GROUP, self.set_group)
        await serve(accounts.MAKE_CODES, self.make_codes)
        await serve(accounts.CLAIM_CODE, self.claim_code)
        await serve(accounts.LIST_CODES, self.list_codes)
        await serve(accounts.REVOKE_CODES, self.revoke_codes)
        await serve(accounts.GET_RECEIPT, self.get_receipt)
        await serve(accounts.GET_SPENDING, self.get_spending)

    async def set_limits(self, request: accounts.SetLimits) -> accounts.LimitsInForce:
        """Give a key or an account its limits; every request that is reserved later meets them."""
        identify("account_id", request.account_id)
        _check_limits(request.limits)
        async with transaction(self._pool) as connection:
            result = await account_store.set_limits(connection, request)
        if result != "ok":
            raise NotFound("not_found", what=result.removesuffix("_unknown"))
        return await self._limits(request.account_id, request.key_id)

    async def get_limits(self, request: accounts.GetLimits) -> accounts.LimitsInForce:
        """Tell which limits there are, and what is used of them."""
        identify("account_id", request.account_id)
        return await self._limits(request.account_id, request.key_id)

    async def get_keys(self, request: accounts.GetKeys) -> accounts.KeysInForce:
        """Tell what keys cost and count."""
        identify("account_id", request.account_id)
        if len(request.key_ids) > KEYS_MAX:
            raise _invalid("key_ids", f"at most {KEYS_MAX} keys are told of at once")
        async with transaction(self._pool) as connection:
            return accounts.KeysInForce(
                items=await account_store.keys_in_force(connection, request.account_id, request.key_ids)
            )

    async def put_group(self, request: accounts.Group) -> accounts.Group:
        """Make a group, or replace what it says."""
        check_text("name", request.name, most=NAME_CHARACTERS_MAX)
        _check_limits(request.limits)
        if len(request.allowed_models) > MODELS_MAX:
            raise _invalid("allowed_models", f"a group names at most {MODELS_MAX} models")
        for model in request.allowed_models:
            check_text("allowed_models", model, most=200)
        if not 0 <= request.multiplier_ppm <= MULTIPLIER_PPM_MAX:
            raise _invalid("multiplier_ppm", "the multiplier must be from 0 to 10")
        async with transaction(self._pool) as connection:
            await account_store.put_group(connection, request)
        return request

    async def list_groups(self, request: Empty) -> accounts.Groups:
        """List every group."""
        async with transaction(self._pool) as connection:
            return accounts.Groups(items=await account_store.groups(connection))

    async def list_members(self, request: accounts.ListMembers) -> accounts.AccountIds:
        """List the accounts of a group; there is none in a group that does not exist."""
        if not is_text(request.group_name, most=NAME_CHARACTERS_MAX):
            return accounts.AccountIds(account_ids=())
        if request.before_id is not None:
            identify("before_id", request.before_id)
        if not 1 <= request.limit <= ACCOUNTS_MAX:
            raise _invalid("limit", f"a list has 1 to {ACCOUNTS_MAX} items")
        async with transaction(self._pool) as connection:
            return accounts.AccountIds(account_ids=await account_store.members(connection, request))

    async def get_sheets(self, request: accounts.AccountIds) -> accounts.AccountSheets:
        """Tell what there is of several accounts at a glance."""
        if len(request.account_ids) > ACCOUNTS_MAX:
            raise _invalid("account_ids", f"at most {ACCOUNTS_MAX} accounts are asked for at once")
        for account_id in request.account_ids:
            identify("account_ids", account_id)
        async with transaction(self._pool) as connection:
            items = await account_store.sheets(connection, request.account_ids)
        return accounts.AccountSheets(items=items)

    async def delete_group(self, request: accounts.GroupName) -> Empty:
        """Remove a group that no account is in."""
        if not is_text(request.name, most=NAME_CHARACTERS_MAX):
            raise NotFound("not_found", what="group")
        async with transaction(self._pool) as connection:
            result = await account_store.delete_group(connection, request.name)
        if result == "in_use":
            raise InvalidRequest("group_in_use", param="name")
        if result == "unknown":
            raise NotFound("not_found", what="group")
        return Empty()

    async def set_group(self, request: accounts.SetGroup) -> accounts.LimitsInForce:
        """Put an account into a group, or out of the one it is in."""
        identify("account_id", request.account_id)
        if request.group_name is not None and not is_text(request.group_name, most=NAME_CHARACTERS_MAX):
            raise NotFound("not_found", what="group")
        async with transaction(self._pool) as connection:
            result = await account_store.set_group(connection, request)
        if result != "ok":
            raise NotFound("not_found", what=result.removesuffix("_unknown"))
        return await self._limits(request.account_id, None)

    async def make_codes(self, request: accounts.MakeCodes) -> accounts.MadeCodes:
        """Make a batch of codes and return them, which nobody can do again."""
        pepper = self._pepper()
        check_text("batch", request.batch, most=NAME_CHARACTERS_MAX)
        if not 1 <= request.count <= CODES_MAX:
            raise _invalid("count", f"a batch has 1 to {CODES_MAX} codes")
        if not 1 <= request.amount_nano_usd <= LARGEST_NANO_USD:
            raise _invalid("amount", "the amount must be above 0 and in range")
        if request.lifetime_seconds is not None and not 0 < request.lifetime_seconds <= LIFETIME_SECONDS_MAX:
            raise _invalid("lifetime_seconds", "a lifetime is more than 0 seconds and at most 100 years")
        made = tuple(codes.mint() for _ in range(request.count))
        hashes = [codes.kept(pepper, entered.sha256_of(code)) for code in made]
        async with transaction(self._pool) as connection:
            batch = await account_store.make_codes(connection, request, hashes)
        if batch is None:
            raise InvalidRequest("already_exists", param="batch", what="batch", name=request.batch)
        return accounts.MadeCodes(
            batch=batch.name, codes=made, created_unix=batch.created_unix, expires_unix=batch.expires_unix
        )

    async def claim_code(self, request: accounts.ClaimCode) -> accounts.Claimed:
        """Credit a code, once."""
        pepper = self._pepper()
        identify("account_id", request.account_id)
        try:
            async with transaction(self._pool) as connection:
                result, amount = await account_store.claim_code(
                    connection, request.account_id, codes.kept(pepper, request.code_sha256)
                )
                now = await balance(connection, request.account_id)
        except asyncpg.NumericValueOutOfRangeError as error:
            raise _invalid("amount", "the balance would be out of range") from error
        if now is None:
            raise NotFound("not_found", what="account")
        if result not in ("ok", "already"):
            raise InvalidRequest(f"code_{result}", param="code")
        return accounts.Claimed(amount_nano_usd=amount, balance=now, is_repeat=result == "already")

    async def list_codes(self, request: Empty) -> accounts.CodeBatches:
        """List every batch of codes, without the codes."""
        async with transaction(self._pool) as connection:
            return accounts.CodeBatches(items=await account_store.batches(connection))

    async def revoke_codes(self, request: accounts.BatchName) -> accounts.CodeBatch:
        """End what nobody has claimed of a batch."""
        if not is_text(request.name, most=NAME_CHARACTERS_MAX):
            raise NotFound("not_found", what="batch")
        async with transaction(self._pool) as connection:
            batch = await account_store.revoke_codes(connection, request.name)
        if batch is None:
            raise NotFound("not_found", what="batch")
        return batch

    async def get_receipt(self, request: accounts.GetReceipt) -> accounts.Receipt:
        """Tell what happened with the money of a request."""
        identify("request_id", request.request_id)
        if request.account_id is not None:
            identify("account_id", request.account_id)
        async with transaction(self._pool) as connection:
            receipt = await account_store.receipt(connection, request)
        if receipt is None:
            raise NotFound("not_found", what="request")
        return receipt

    async def get_spending(self, request: accounts.GetSpending) -> accounts.Spending:
        """Tell what a key spent by day and model."""
        identify("account_id", request.account_id)
        try:
            first = datetime.date.fromisoformat(request.first_day)
            end = datetime.date.fromisoformat(request.end_day)
        except ValueError as error:
            raise _invalid("date", "a date is written as 2026-01-31") from error
        if not 0 <= (end - first).days <= SPENDING_DAYS_MAX:
            raise _invalid("date", f"the days must be in order, and at most {SPENDING_DAYS_MAX}")
        async with transaction(self._pool) as connection:
            return accounts.Spending(items=await account_store.spending(connection, request))

    async def _limits(self, account_id: str, key_id: str | None) -> accounts.LimitsInForce:
        async with transaction(self._pool) as connection:
            if key_id is not None and not await account_store.has_key(connection, account_id, key_id):
                raise NotFound("not_found", what="key")
            limits = await account_store.limits(connection, account_id, key_id)
        if limits is None:
            raise NotFound("not_found", what="account")
        return limits

    def _pepper(self) -> bytes:
        pepper = self._settings.pepper
        if pepper is None:
            raise InvalidRequest("codes_not_set_up")
        return pepper


def _check_limits(limits: accounts.Limits) -> None:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        most = LARGEST_NANO_USD if name.endswith("_nano_usd") else 2_000_000_000
        if value is not None and not 1 <= value <= most:
            raise _invalid(name, f"{name} must be from 1 to {most}")


def _invalid(param: str, problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_value", param=param, problem=problem)
