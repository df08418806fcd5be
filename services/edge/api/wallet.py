"""Money as its owner sees it: what is there, what changed it, and codes that add to it."""

import ipaddress
import time
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

import msgspec

from services.edge.addresses import Address
from services.edge.api import pages, table
from services.edge.api.accounts import wallet_of
from services.edge.api.context import Context, Handler, Rows
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import id_of, name_of, seconds_of
from services.edge.api.names import names_of
from services.edge.api.shapes import operator, wallet
from services.edge.guesses import Leaks, Pace, address_name
from shared.bus import Bus
from shared.codes import sha256_of
from shared.contracts import accounts, billing, records
from shared.errors import InvalidRequest, RateLimited
from shared.money import usd_from_nano

CODE_CHARACTERS_MAX = 100
WRONG_CODES = Pace(burst=10, per_second=1 / 30)  # of one account, or one address
_COLUMNS = (
    ("Time (UTC)", "时间（UTC）"), ("Kind", "类型"), ("Amount (USD)", "金额（美元）"), ("Balance (USD)", "余额（美元）"),
    ("Reason", "说明"), ("Model", "模型"), ("Request", "请求 ID"), ("Number", "编号"),
)  # fmt: skip


class WrongCodes:
    """Codes that were none, by account and by address. A code cannot be guessed, with 125 random bits; this is about load."""

    def __init__(self) -> None:
        self._of_account = Leaks(WRONG_CODES)
        self._of_address = Leaks(WRONG_CODES)

    def check(self, account_id: str, address: str, now: float) -> None:
        """Return if another code may be tried. Raises: RateLimited with the wait."""
        wait_seconds = max(
            self._of_account.wait_seconds(account_id, now), self._of_address.wait_seconds(address, now)
        )
        if wait_seconds > 0:
            raise RateLimited("too_many_wrong_codes", retry_after_seconds=wait_seconds)

    def add(self, account_id: str, address: str, now: float) -> None:
        """Count a wrong code."""
        self._of_account.add(account_id, now)
        self._of_address.add(address, now)


_wrong_codes: WeakKeyDictionary[Bus, WrongCodes] = WeakKeyDictionary()  # of each running edge


async def get_wallet(context: Context, ask: Nothing, query: Nothing) -> wallet.Wallet:
    """Return what the account has."""
    return await wallet_of(context, context.person.account_id)


async def list_transfers(context: Context, ask: Nothing, query: wallet.TransfersQuery) -> wallet.Transfers:
    """Return one page of what changed the balance."""
    return await _page(context, query, context.person.account_id)


async def save_transfers(context: Context, ask: Nothing, query: wallet.TransfersQuery) -> Rows:
    """Return it as a table."""
    request = _asked(query, pages.TABLE_PAGE_ROWS, context.person.account_id)
    return Rows(parts=_table(context, request), file="transfers.csv")


async def list_account_transfers(
    context: Context, ask: Nothing, query: wallet.TransfersQuery
) -> wallet.Transfers:
    """Return one page of what changed an account's balance, for operators."""
    account_id = id_of("account", context.path["account_id"])
    await context.bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=account_id))  # or there is none
    return await _page(context, query, account_id)


async def redeem(context: Context, ask: wallet.RedeemCode, query: Nothing) -> wallet.Redeemed:
    """Credit a code. Raises: InvalidRequest for one that is no good, RateLimited after too many of those."""
    account_id, address = context.person.account_id, address_name(_address_of(context.address))
    wrong = _wrong_codes.setdefault(context.bus, WrongCodes())
    now = time.monotonic()
    wrong.check(account_id, address, now)
    try:
        if not 1 <= len(ask.code) <= CODE_CHARACTERS_MAX:
            raise InvalidRequest("code_unknown", param="code")
        question = accounts.ClaimCode(account_id=account_id, code_sha256=sha256_of(ask.code))
        claimed = await context.bus.call(accounts.CLAIM_CODE, question)
    except InvalidRequest as error:
        if error.param == "code":
            wrong.add(account_id, address, now)
        raise
    return wallet.Redeemed(
        amount_usd=usd_from_nano(claimed.amount_nano_usd),
        available_usd=usd_from_nano(claimed.balance.available_nano_usd),
        is_repeat=claimed.is_repeat,
    )


async def list_claims(context: Context, ask: Nothing, query: wallet.PageQuery) -> operator.CodeClaims:
    """Return one page of who claimed the codes of a batch, for operators."""
    request = records.ListClaims(
        batch=name_of("batch", context.path["batch"]), before=query.cursor, limit=pages.limit_of(query)
    )
    page = await context.bus.call(records.LIST_CLAIMS, request)
    names = await names_of(context, accounts=(each.account_id for each in page.items))
    return operator.CodeClaims(
        items=tuple(
            operator.CodeClaim(
                account_id=each.account_id,
                account_name=names.accounts.get(each.account_id, ""),
                claimed=seconds_of(each.claimed_unix),
            )
            for each in page.items
        ),
        next_cursor=page.next_before,
    )


async def _page(context: Context, query: wallet.TransfersQuery, account_id: str) -> wallet.Transfers:
    page = await context.bus.call(records.LIST_TRANSFERS, _asked(query, pages.limit_of(query), account_id))
    return wallet.Transfers(
        items=tuple(map(_shown, page.items)),
        next_cursor=None if page.next_before is None else str(page.next_before),
    )


def _asked(query: wallet.TransfersQuery, limit: int, account_id: str) -> records.ListTransfers:
    first, end = pages.span_of(query.first_day, query.end_day)
    return records.ListTransfers(
        account_id=account_id,
        kind=query.kind,
        first_unix=first,
        end_unix=end,
        before=pages.number_of(query.cursor),
        limit=limit,
    )


async def _table(context: Context, request: records.ListTransfers) -> AsyncIterator[bytes]:
    left = pages.TABLE_ROWS_MAX
    page = await context.bus.call(records.LIST_TRANSFERS, request)
    yield pages.header(_COLUMNS, context.language)
    while True:
        rows = [_row(_shown(each)) for each in page.items[:left]]
        yield pages.lines(rows)
        left -= len(rows)
        if left == 0 or page.next_before is None:
            return
        request = msgspec.structs.replace(request, before=page.next_before)
        page = await context.bus.call(records.LIST_TRANSFERS, request)


def _shown(transfer: records.TransferRecord) -> wallet.Transfer:
    return wallet.Transfer(
        id=transfer.id,
        kind=transfer.kind,
        amount_usd=usd_from_nano(transfer.amount_nano_usd),
        balance_usd=usd_from_nano(transfer.balance_nano_usd),
        reason=transfer.reason,
        request_id=transfer.request_id,
        model=transfer.model,
        created=seconds_of(transfer.created_unix),
    )


def _row(transfer: wallet.Transfer) -> tuple[str, ...]:
    return (
        pages.moment(transfer.created),
        transfer.kind,
        transfer.amount_usd,
        transfer.balance_usd,
        pages.words(transfer.reason),
        pages.words(transfer.model or ""),
        transfer.request_id or "",
        str(transfer.id),
    )


def _address_of(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


HANDLERS: dict[Endpoint, Handler] = {
    table.WALLET: get_wallet,
    table.TRANSFERS: list_transfers,
    table.TRANSFERS_CSV: save_transfers,
    table.REDEEM: redeem,
    table.ACCOUNT_TRANSFERS: list_account_transfers,
    table.CODE_CLAIMS: list_claims,
}
