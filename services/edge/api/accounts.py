"""Accounts and the people who belong to them, as operators find, credit, limit and suspend them.

Auth knows the names and who belongs to an account, billing its money and its group. A page is found where its filter is known: by
auth, or for a group by billing, whose members auth then narrows down. Both go by the account's id, and one call brings the money of
a page.
"""

import asyncio
from collections.abc import Iterable

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import (
    cursor_of,
    id_of,
    limits_asked,
    limits_shown,
    nano_of,
    renamed,
    seconds_of,
    seconds_or_none,
    used_shown,
)
from services.edge.api.shapes import operator as shapes
from services.edge.api.shapes import wallet
from shared.contracts import accounts, auth, billing
from shared.errors import Conflict, Forbidden, InsufficientFunds, InvalidRequest, KeyReused, NotFound
from shared.money import usd_from_nano, usd_per_million_from_pico

MEMBERS_MAX = 200  # of a group that are looked at together
MEMBERS_LOOKS = 20  # for one page; what is left is on the next one
REASON_CHARACTERS_MAX = 500


async def list_accounts(context: Context, ask: Nothing, query: shapes.AccountsQuery) -> shapes.Accounts:
    """Return one page of accounts, newest first.

    With a group and another filter a page can have fewer items than were asked for, even none, and yet not be the last.
    """
    cursor = cursor_of(query.cursor)
    if query.group_name is None:
        found = await _found(context, query, before_id=cursor)
        next_cursor = found.items[-1].id if found.has_more else None
        items = found.items
    else:
        items, next_cursor = await _of_group(context, query, query.group_name, cursor)
    sheets = await _sheets(context, [each.id for each in items])
    return shapes.Accounts(
        items=tuple(_shown(each, sheets.get(each.id)) for each in items), next_cursor=next_cursor
    )


async def get_account(context: Context, ask: Nothing, query: Nothing) -> shapes.AccountDetail:
    """Return one account with its people and limits."""
    return await _detail(context, _account_id(context))


async def make_person(context: Context, ask: shapes.MakePerson, query: Nothing) -> shapes.Person:
    """Make a person with an account of their own, who can sign in at once."""
    request = auth.CreateUser(email=ask.email, password=ask.password, role=ask.role)
    made = await context.bus.call(auth.CREATE_USER, request)
    return await _person(context, made)


async def set_role(context: Context, ask: shapes.SetRole, query: Nothing) -> shapes.Person:
    """Make a person an operator, or no more."""
    user_id = id_of("person", context.path["user_id"])
    if user_id == context.person.user_id:
        raise Forbidden("own_role")
    changed = await context.bus.call(auth.SET_ROLE, auth.SetRole(user_id=user_id, role=ask.role))
    context.object = f"person {changed.email}"
    return await _person(context, changed)


async def set_status(context: Context, ask: shapes.SetStatus, query: Nothing) -> shapes.AccountDetail:
    """Suspend an account, or let it go on."""
    account_id = _account_id(context)
    if account_id == context.person.account_id:
        raise Forbidden("own_account")
    before = await _account(context, account_id)
    context.before, context.object = shapes.SetStatus(status=before.status), _object(before)
    request = auth.SetAccountStatus(account_id=account_id, status=ask.status)
    await context.bus.call(auth.SET_ACCOUNT_STATUS, request)
    return await _detail(context, account_id)


async def credit(context: Context, ask: shapes.Credit, query: Nothing) -> wallet.Wallet:
    """Add to a balance, or take from it, once for each idempotency key."""
    account_id = _account_id(context)
    reason = ask.reason.strip()
    if not 1 <= len(reason) <= REASON_CHARACTERS_MAX or not reason.isprintable():
        problem = f"a reason has 1 to {REASON_CHARACTERS_MAX} printable characters"
        raise InvalidRequest("invalid_value", param="reason", problem=problem)
    request = billing.Credit(
        account_id=account_id,
        amount_nano_usd=nano_of("amount_usd", ask.amount_usd),
        idempotency_key=ask.idempotency_key,
        reason=reason,
    )
    before = await _account(context, account_id)
    context.before, context.object = before, _object(before)
    try:
        with renamed(amount="amount_usd"):
            await context.bus.call(billing.CREDIT, request)
    except Conflict as error:
        raise KeyReused("idempotency_key_reused", param="idempotency_key") from error
    except InsufficientFunds as error:
        available = str(error.details["available_usd"])
        raise InvalidRequest("more_than_available", param="amount_usd", available_usd=available) from error
    return await wallet_of(context, account_id)


async def set_limits(context: Context, ask: wallet.Limits, query: Nothing) -> shapes.AccountDetail:
    """Give an account these limits in place of all that it had of its own."""
    account_id = _account_id(context)
    limits = limits_asked(ask)
    before = await _detail(context, account_id)
    context.before, context.object = before.own_limits, _object(before.account)
    await context.bus.call(accounts.SET_LIMITS, accounts.SetLimits(account_id=account_id, limits=limits))
    return await _detail(context, account_id)


async def set_group(context: Context, ask: shapes.SetGroup, query: Nothing) -> shapes.AccountDetail:
    """Put an account into a group, or take it out of the one it is in."""
    account_id = _account_id(context)
    before = await _account(context, account_id)
    context.before, context.object = shapes.SetGroup(group_name=before.group_name), _object(before)
    request = accounts.SetGroup(account_id=account_id, group_name=ask.group_name)
    await context.bus.call(accounts.SET_GROUP, request)
    return await _detail(context, account_id)


async def wallet_of(context: Context, account_id: str) -> wallet.Wallet:
    """Return what an account has. Raises: NotFound."""
    sheets, state = await asyncio.gather(
        _sheets(context, [account_id]),
        context.bus.call(accounts.GET_LIMITS, accounts.GetLimits(account_id=account_id)),
    )
    if account_id not in sheets:
        raise NotFound("not_found", what="account")
    sheet = sheets[account_id]
    return wallet.Wallet(
        posted_usd=usd_from_nano(sheet.posted_nano_usd),
        held_usd=usd_from_nano(sheet.held_nano_usd),
        available_usd=usd_from_nano(sheet.posted_nano_usd - sheet.held_nano_usd),
        running=sheet.running,
        limits=limits_shown(state.limits),
        used=used_shown(state),
        group_name=state.group_name,
        price_multiplier=usd_per_million_from_pico(state.multiplier_ppm),
    )


async def _of_group(
    context: Context, query: shapes.AccountsQuery, group_name: str, cursor: str | None
) -> tuple[tuple[auth.FoundAccount, ...], str | None]:
    """Return a page of a group's accounts and where the next one begins."""
    found: list[auth.FoundAccount] = []
    for _ in range(MEMBERS_LOOKS):
        question = accounts.ListMembers(group_name=group_name, before_id=cursor, limit=MEMBERS_MAX)
        members = (await context.bus.call(accounts.LIST_MEMBERS, question)).account_ids
        if members:
            found += (await _found(context, query, account_ids=members)).items
            cursor = members[-1]
        if len(found) > query.limit:
            return tuple(found[: query.limit]), found[query.limit - 1].id
        if len(members) < MEMBERS_MAX:
            return tuple(found), None
    return tuple(found), cursor


async def _found(
    context: Context,
    query: shapes.AccountsQuery,
    *,
    before_id: str | None = None,
    account_ids: tuple[str, ...] | None = None,
) -> auth.FoundAccounts:
    request = auth.FindAccounts(
        search=(query.search or "").strip() or None,
        status=query.status,
        account_ids=account_ids,
        before_id=before_id,
        limit=query.limit,
    )
    return await context.bus.call(auth.FIND_ACCOUNTS, request)


async def _detail(context: Context, account_id: str) -> shapes.AccountDetail:
    account, people, state = await asyncio.gather(
        _account(context, account_id),
        context.bus.call(auth.LIST_PEOPLE, auth.ListPeople(account_id=account_id)),
        context.bus.call(accounts.GET_LIMITS, accounts.GetLimits(account_id=account_id)),
    )
    return shapes.AccountDetail(
        account=account,
        people=tuple(_person_shown(each, account.id) for each in people.items),
        limits=limits_shown(state.limits),
        own_limits=limits_shown(state.own_limits),
        used=used_shown(state),
    )


async def _account(context: Context, account_id: str) -> shapes.Account:
    found, sheets = await asyncio.gather(
        context.bus.call(auth.FIND_ACCOUNTS, auth.FindAccounts(account_ids=(account_id,))),
        _sheets(context, [account_id]),
    )
    if not found.items:
        raise NotFound("not_found", what="account")
    return _shown(found.items[0], sheets.get(account_id))


async def _sheets(context: Context, account_ids: Iterable[str]) -> dict[str, accounts.AccountSheet]:
    asked = tuple(account_ids)
    if not asked:
        return {}
    sheets = await context.bus.call(accounts.GET_SHEETS, accounts.AccountIds(account_ids=asked))
    return {each.account_id: each for each in sheets.items}


async def _person(context: Context, user: auth.User) -> shapes.Person:
    people = await context.bus.call(auth.LIST_PEOPLE, auth.ListPeople(account_id=user.account_id))
    for each in people.items:
        if each.id == user.id:
            return _person_shown(each, user.account_id)
    raise NotFound("not_found", what="person")


def _object(account: shapes.Account) -> str:
    """Return what the log calls an account: by its name too, which its path does not have."""
    return f"account {account.name[:100]}, {account.id}"


def _account_id(context: Context) -> str:
    return id_of("account", context.path["account_id"])


def _person_shown(each: auth.PersonSheet, account_id: str) -> shapes.Person:
    return shapes.Person(
        id=each.id,
        account_id=account_id,
        email=each.email,
        role=each.role,
        is_confirmed=each.is_confirmed,
        has_second_factor=each.has_second_factor,
        created=seconds_of(each.created_unix),
        seen=seconds_or_none(each.seen_unix),
    )


def _shown(found: auth.FoundAccount, sheet: accounts.AccountSheet | None) -> shapes.Account:
    """Return an account; one that billing does not know has no money."""
    posted, held, spent, group_name = (
        (0, 0, 0, None)
        if sheet is None
        else (sheet.posted_nano_usd, sheet.held_nano_usd, sheet.spent_nano_usd, sheet.group_name)
    )
    return shapes.Account(
        id=found.id,
        name=found.name,
        status=found.status,
        available_usd=usd_from_nano(posted - held),
        held_usd=usd_from_nano(held),
        spent_usd=usd_from_nano(spent),
        group_name=group_name,
        keys=found.keys,
        created=seconds_of(found.created_unix),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.ACCOUNTS: list_accounts,
    table.ACCOUNT: get_account,
    table.MAKE_PERSON: make_person,
    table.SET_ROLE: set_role,
    table.SET_STATUS: set_status,
    table.CREDIT: credit,
    table.SET_ACCOUNT_LIMITS: set_limits,
    table.SET_ACCOUNT_GROUP: set_group,
}
