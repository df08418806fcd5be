"""The wallet over the API: the balance, every transfer of it, and codes, which are limited to those who have one."""

import csv
import io

import pytest

from services.edge.api import table
from services.edge.api import wallet as handlers
from services.edge.api.context import Rows
from services.edge.api.shapes import operator, wallet
from shared.errors import InvalidRequest, NotFound, RateLimited
from shared.ids import uuid7
from tests.edge.api.conftest import Operator
from tests.edge.api.spending import Spender, spender

MODEL = "wallet"


@pytest.fixture
async def ann(op: Operator) -> Spender:
    """A person with a dollar and a key."""
    return await spender(op.bus, op.running, MODEL)


async def made(op: Operator, count: int = 1, amount: str = "0.5") -> tuple[str, tuple[str, ...]]:
    """Return the name of a new batch, and its codes."""
    batch = f"batch {uuid7().hex}"
    codes: operator.MadeCodes = await op.do(
        table.MAKE_CODES, operator.MakeCodes(batch=batch, count=count, amount_usd=amount)
    )
    return batch, codes.codes


async def refusal(person: Operator, code: str) -> str:
    """Return why a code is refused."""
    with pytest.raises(InvalidRequest) as caught:
        await person.do(table.REDEEM, wallet.RedeemCode(code=code))
    assert caught.value.param == "code"
    return caught.value.code


async def test_a_wallet_shows_what_is_there_and_held(ann: Spender) -> None:
    """And how many requests hold it."""
    await ann.call(MODEL)
    await ann.call(MODEL, "running")
    shown: wallet.Wallet = await ann.do(table.WALLET)
    assert (shown.posted_usd, shown.held_usd, shown.available_usd, shown.running) == (
        "0.99986",
        "0.0002",
        "0.99966",
        1,
    )
    assert (shown.price_multiplier, shown.group_name) == ("1.00", None)


async def test_transfers_are_listed_saved_and_nobody_elses(
    op: Operator, ann: Spender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the balance after it; the operator sees the same by the account's id."""
    bob = await spender(op.bus, op.running, MODEL)
    batch, (code,) = await made(op)
    await ann.do(table.REDEEM, wallet.RedeemCode(code=code))
    request_id = await ann.call(MODEL)
    await bob.call(MODEL)

    page: wallet.Transfers = await ann.do(table.TRANSFERS)
    first: wallet.Transfers = await ann.do(table.TRANSFERS, limit=1)
    rest: wallet.Transfers = await ann.do(table.TRANSFERS, limit=5, cursor=first.next_cursor)
    seen: wallet.Transfers = await op.do(table.ACCOUNT_TRANSFERS, account_id=ann.user.account_id)
    monkeypatch.setattr("services.edge.api.pages.TABLE_PAGE_ROWS", 2)
    answer = await handlers.save_transfers(ann.context(), None, wallet.TransfersQuery())  # type: ignore[arg-type]
    assert isinstance(answer, Rows)
    text = b"".join([part async for part in answer.parts]).decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text))

    assert [(each.kind, each.amount_usd, each.balance_usd, each.reason) for each in page.items] == [
        ("usage", "-0.00014", "1.49986", ""), ("code", "0.50", "1.50", batch), ("credit", "1.00", "1.00", "=a gift"),
    ]  # fmt: skip
    assert (page.items[0].request_id, page.items[0].model) == (request_id, MODEL)
    assert (*first.items, *rest.items) == page.items == seen.items
    assert rest.next_cursor is None
    assert header[:2] == ["Time (UTC)", "Kind"]
    assert [(row[1], row[2], row[4]) for row in rows] == [
        ("usage", "-0.00014", ""), ("code", "0.50", batch), ("credit", "1.00", "'=a gift"),
    ]  # fmt: skip
    assert [each.kind for each in (await ann.do(table.TRANSFERS, kind="money")).items] == ["code", "credit"]
    assert (await ann.do(table.TRANSFERS, end_day="2026-01-01")).items == ()
    for cursor in ("x", "-1", "9" * 19, "١"):
        with pytest.raises(InvalidRequest) as caught:
            await ann.do(table.TRANSFERS, cursor=cursor)
        assert caught.value.param == "cursor"
    with pytest.raises(NotFound):
        await op.do(table.ACCOUNT_TRANSFERS, account_id=str(uuid7()))


async def test_a_code_credits_once_and_says_why_not(op: Operator, ann: Spender) -> None:
    """However it is written; who has claimed it is shown to operators."""
    batch, (code, other) = await made(op, 2)
    bob = await spender(op.bus, op.running, MODEL)

    redeemed: wallet.Redeemed = await ann.do(
        table.REDEEM, wallet.RedeemCode(code=code.lower().replace("-", " "))
    )
    again: wallet.Redeemed = await ann.do(table.REDEEM, wallet.RedeemCode(code=code))

    assert redeemed == wallet.Redeemed(amount_usd="0.50", available_usd="1.50", is_repeat=False)
    assert again == wallet.Redeemed(amount_usd="0.50", available_usd="1.50", is_repeat=True)
    assert await refusal(bob, code) == "code_claimed"
    assert await refusal(bob, "RELAY-00000") == "code_unknown"
    assert await refusal(bob, "x" * 1000) == "code_unknown"
    await op.do(table.REVOKE_CODES, batch=batch)
    assert await refusal(bob, other) == "code_revoked"
    claims: operator.CodeClaims = await op.do(table.CODE_CLAIMS, batch=batch)
    assert [(each.account_id, each.account_name) for each in claims.items] == [
        (ann.user.account_id, ann.user.email)
    ]
    with pytest.raises(NotFound):
        await op.do(table.CODE_CLAIMS, batch="none of this name")


async def test_claims_come_in_pages(op: Operator, ann: Spender) -> None:
    """Each once, newest first; a cursor that no page gave is refused."""
    batch, codes = await made(op, 3)
    for code in codes:
        await ann.do(table.REDEEM, wallet.RedeemCode(code=code))
    first: operator.CodeClaims = await op.do(table.CODE_CLAIMS, batch=batch, limit=2)
    rest: operator.CodeClaims = await op.do(table.CODE_CLAIMS, batch=batch, limit=2, cursor=first.next_cursor)
    assert (len(first.items), len(rest.items), rest.next_cursor) == (2, 1, None)
    for cursor in ("x", "2026-01-01_x", f"2026-01-01_{uuid7()}"):
        with pytest.raises(InvalidRequest):
            await op.do(table.CODE_CLAIMS, batch=batch, cursor=cursor)


async def test_guessing_codes_is_slowed_down(op: Operator, ann: Spender) -> None:
    """By account and by address, with a good one as well; others are not held up, and the message says what to do."""
    _, (code,) = await made(op)
    bob = await spender(op.bus, op.running, MODEL)
    bob.address = "198.51.100.9"
    ann.address = "198.51.100.8"
    for _ in range(10):
        assert await refusal(ann, "RELAY-WRONG") == "code_unknown"
    with pytest.raises(RateLimited) as caught:
        await ann.do(table.REDEEM, wallet.RedeemCode(code=code))
    assert caught.value.code == "too_many_wrong_codes"
    assert 0 < (caught.value.retry_after_seconds or 0) <= 60
    assert "{" not in caught.value.message("zh")
    ann.address = "198.51.100.7"
    with pytest.raises(RateLimited):
        await ann.do(table.REDEEM, wallet.RedeemCode(code=code))
    assert (await bob.do(table.REDEEM, wallet.RedeemCode(code=code))).amount_usd == "0.50"
    bob.address = "198.51.100.8"
    with pytest.raises(RateLimited):
        await bob.do(table.REDEEM, wallet.RedeemCode(code=code))
