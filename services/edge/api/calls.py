"""Calls: one's own with their receipts, and those of every account for operators."""

from collections.abc import AsyncIterator

import msgspec

from services.edge import receipts
from services.edge.api import pages, table
from services.edge.api.context import Context, Handler, Rows
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import cursor_of, id_of, seconds_of
from services.edge.api.names import names_of
from services.edge.api.shapes import channels, operator, wallet
from shared.contracts import accounts, auth, records
from shared.money import usd_from_nano

_COLUMNS = (
    ("Time (UTC)", "时间（UTC）"), ("Request", "请求 ID"), ("Key", "密钥"), ("Model", "模型"), ("State", "状态"),
    ("Error", "错误"), ("Streamed", "流式"), ("Input tokens", "输入 token"), ("Cached tokens", "缓存 token"),
    ("Output tokens", "输出 token"), ("Reasoning tokens", "推理 token"), ("Charged (USD)", "费用（美元）"),
    ("Estimated", "估算"), ("First output (ms)", "首次输出（毫秒）"), ("Took (ms)", "总耗时（毫秒）"),
)  # fmt: skip


async def list_calls(context: Context, ask: Nothing, query: wallet.CallsQuery) -> wallet.Calls:
    """Return one page of the account's calls. A page of a search can be short, even empty, and yet not be the last."""
    request = _asked(query, pages.limit_of(query), account_id=context.person.account_id)
    page = await context.bus.call(records.LIST_CALLS, request)
    names = await _key_names(context, page)
    return wallet.Calls(items=tuple(_shown(each, names) for each in page.items), next_cursor=page.next_before)


async def save_calls(context: Context, ask: Nothing, query: wallet.CallsQuery) -> Rows:
    """Return the account's calls as a table."""
    request = _asked(query, pages.TABLE_PAGE_ROWS, account_id=context.person.account_id)
    return Rows(parts=_table(context, request), file="calls.csv")


async def get_receipt(context: Context, ask: Nothing, query: Nothing) -> receipts.ReceiptView:
    """Return the receipt of one of the account's calls."""
    question = accounts.GetReceipt(
        request_id=id_of("request", context.path["request_id"]), account_id=context.person.account_id
    )
    return receipts.view(await context.bus.call(accounts.GET_RECEIPT, question), context.language)


async def list_any_calls(context: Context, ask: Nothing, query: operator.AllCallsQuery) -> channels.AnyCalls:
    """Return one page of everybody's calls."""
    account_id = None if query.account_id is None else id_of("account", query.account_id)
    request = msgspec.structs.replace(
        _asked(query, pages.limit_of(query), account_id=account_id),
        channel=query.channel,
        error=query.error,
    )
    page = await context.bus.call(records.LIST_CALLS, request)
    names = await names_of(
        context,
        keys=(each.key_id for each in page.items),
        accounts=(each.account_id for each in page.items),
    )
    return channels.AnyCalls(
        items=tuple(_shown_whole(each, names) for each in page.items), next_cursor=page.next_before
    )


async def get_request(context: Context, ask: Nothing, query: Nothing) -> channels.RequestDetail:
    """Return one request, whose it is, and where it went."""
    question = accounts.GetReceipt(request_id=id_of("request", context.path["request_id"]))
    receipt = await context.bus.call(accounts.GET_RECEIPT, question)
    names = await names_of(context, accounts=(receipt.account_id,))
    return channels.RequestDetail(
        receipt=receipts.view(receipt, context.language),
        account_id=receipt.account_id,
        account_name=names.accounts.get(receipt.account_id, ""),
        key_id=receipt.key_id,
        attempts=tuple(
            channels.Attempt(
                channel=each.channel,
                credential=each.credential,
                result=each.result,
                status=each.status,
                began_ms=each.began_ms,
                took_ms=each.took_ms,
                may_be_billed=each.may_be_billed,
            )
            for each in receipt.attempts
        ),
    )


def _asked(query: wallet.CallsQuery, limit: int, *, account_id: str | None) -> records.ListCalls:
    first, end = pages.span_of(query.first_day, query.end_day)
    return records.ListCalls(
        account_id=account_id,
        request_id=None if query.request_id is None else id_of("request", query.request_id.strip()),
        model=query.model,
        key_id=query.key_id,
        state=query.state,
        first_unix=first,
        end_unix=end,
        before=cursor_of(query.cursor),
        limit=limit,
    )


async def _table(context: Context, request: records.ListCalls) -> AsyncIterator[bytes]:
    left = pages.TABLE_ROWS_MAX
    page = await context.bus.call(records.LIST_CALLS, request)
    yield pages.header(_COLUMNS, context.language)
    while True:
        names = await _key_names(context, page)
        rows = [_row(_shown(each, names)) for each in page.items[:left]]
        yield pages.lines(rows)
        left -= len(rows)
        if left == 0 or page.next_before is None:
            return
        request = msgspec.structs.replace(request, before=page.next_before)
        page = await context.bus.call(records.LIST_CALLS, request)


async def _key_names(context: Context, page: records.CallPage) -> dict[str, str]:
    keys = (each.key_id for each in page.items)
    return (await names_of(context, keys=keys, owner=context.person.account_id)).keys


def _shown(call: records.CallRecord, names: dict[str, str]) -> wallet.Call:
    return wallet.Call(
        id=call.request_id,
        key_id=call.key_id,
        key_name=names.get(call.key_id, ""),
        model=call.model,
        state=call.state,
        error=call.error,
        is_stream=call.is_stream,
        input_tokens=call.usage.input_tokens,
        cached_tokens=call.usage.cache_read_tokens,
        output_tokens=call.usage.output_tokens,
        reasoning_tokens=call.usage.reasoning_tokens,
        charged_usd=usd_from_nano(call.charged_nano_usd),
        is_estimated=call.is_estimated,
        first_output_ms=call.first_output_ms,
        took_ms=call.took_ms,
        created=seconds_of(call.created_unix),
    )


def _shown_whole(call: records.CallRecord, names: auth.Names) -> channels.AnyCall:
    return channels.AnyCall(
        **msgspec.structs.asdict(_shown(call, names.keys)),
        account_id=call.account_id,
        account_name=names.accounts.get(call.account_id, ""),
        channel=call.channel,
        cost_usd=usd_from_nano(call.cost_nano_usd),
        written_off_usd=usd_from_nano(call.writeoff_nano_usd),
    )


def _row(call: wallet.Call) -> tuple[str, ...]:
    return (
        pages.moment(call.created),
        call.id,
        pages.words(call.key_name or call.key_id),
        pages.words(call.model),
        call.state,
        pages.words(call.error or ""),
        "1" if call.is_stream else "0",
        str(call.input_tokens),
        str(call.cached_tokens),
        str(call.output_tokens),
        str(call.reasoning_tokens),
        call.charged_usd,
        "1" if call.is_estimated else "0",
        "" if call.first_output_ms is None else str(call.first_output_ms),
        "" if call.took_ms is None else str(call.took_ms),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.CALLS: list_calls,
    table.CALLS_CSV: save_calls,
    table.RECEIPT: get_receipt,
    table.ANY_CALLS: list_any_calls,
    table.REQUEST: get_request,
}
