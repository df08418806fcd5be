"""Holds of streams: a first slice, extensions, and what happens when the wallet cannot pay for more."""

import json

import pytest

from services.billing.audit import audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, extend, fence, reserve, settle

SLICE = {"is_stream": True, "slice_tokens": 20}


@pytest.fixture
async def funded(ledger: Ledger) -> Ledger:
    """A ledger with a price: at the dearest 1.25 nano-USD for each input token, 2 for each output token."""
    await ledger.set_price()
    return ledger


async def test_a_stream_is_held_for_its_first_slice(funded: Ledger) -> None:
    """The whole is granted, the slice is held; a repeat says the same."""
    account, request = await funded.open_account(1000), uuid7()
    first, again = await funded.execute(*[reserve(request, account, **SLICE)] * 2)
    for answer in (first, again):
        assert (answer["result"], answer["output_tokens_granted"], answer["output_tokens_bound"]) == (
            "ok",
            50,
            20,
        )
        assert answer["amount_nano_usd"] == 125 + 40
    assert await funded.balance(account) == (1000, 165)


async def test_each_choice_has_its_slice(funded: Ledger) -> None:
    """Three choices of fifty tokens begin with three slices of twenty."""
    account = await funded.open_account(1000)
    answer = await funded.one(reserve(uuid7(), account, choices=3, **SLICE))
    assert (answer["output_tokens_granted"], answer["output_tokens_bound"]) == (150, 60)


async def test_what_cannot_be_watched_is_held_whole(funded: Ledger) -> None:
    """A plain answer comes at once, and a model that reasons in secret uses tokens that nobody sees."""
    account = await funded.open_account(1000)
    plain = await funded.one(reserve(uuid7(), account, slice_tokens=20))
    await funded.connection.execute("ALTER TABLE billing.price DISABLE TRIGGER price_is_append_only")
    await funded.connection.execute("UPDATE billing.price SET capabilities = '{vision,reasoning}'")
    secret = await funded.one(reserve(uuid7(), account, **SLICE))
    for answer in (plain, secret):
        assert (answer["output_tokens_granted"], answer["output_tokens_bound"]) == (50, 50)


async def test_streams_may_share_what_each_alone_could_pay(funded: Ledger) -> None:
    """A stream begins when its slice fits and its whole would fit alone; the next one waits for those that run."""
    account = await funded.open_account(2 * 165 + 20)
    first, second, third = await funded.execute(*(reserve(uuid7(), account, **SLICE) for _ in range(3)))
    dear = await funded.one(reserve(uuid7(), account, output_tokens_wanted=500, **SLICE))
    assert [each["result"] for each in (first, second, third)] == ["ok", "ok", "held"]
    assert (dear["result"], dear["needed_nano_usd"]) == ("insufficient", 125 + 1000)


async def test_a_hold_grows_until_the_wallet_ends(funded: Ledger) -> None:
    """Used up and held by others are told apart, and what is still affordable is said."""
    account, request, other = await funded.open_account(1000), uuid7(), uuid7()
    await funded.execute(
        reserve(request, account, output_tokens_wanted=400, **SLICE), reserve(other, account, **SLICE)
    )

    grown = await funded.one(extend(request, account, output_tokens_bound=200))
    held = await funded.one(extend(request, account, output_tokens_bound=400))
    rest = await funded.one(extend(request, account, output_tokens_bound=held["affordable_output_tokens"]))
    used = await funded.one(extend(request, account, output_tokens_bound=500))

    assert (grown["result"], grown["amount_nano_usd"]) == ("ok", 125 + 400)
    assert (held["result"], held["affordable_output_tokens"]) == ("held", 355)  # 1000 - 165 - 125 = 710
    assert rest["result"] == "ok"
    assert used["result"] == "insufficient"
    assert await funded.balance(account) == (1000, 1000)
    row = await funded.connection.fetchrow(
        "SELECT first_nano_usd, amount_nano_usd, extensions FROM billing.hold WHERE id = $1", request
    )
    assert tuple(row) == (165, 835, 2)


async def test_a_fence_is_no_extension(funded: Ledger) -> None:
    """It raises the attempt and nothing else."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.execute(reserve(request, account, **SLICE), fence(request, account, 1))
    assert await funded.connection.fetchval("SELECT extensions FROM billing.hold") == 0


async def test_an_answer_that_ran_out_of_money_is_charged_for_what_came(funded: Ledger) -> None:
    """Rule C10: what is known to be used, within what was held."""
    account, request = await funded.open_account(165), uuid7()
    await funded.one(reserve(request, account, output_tokens_wanted=20, **SLICE))
    ended = await funded.one(
        settle(
            request,
            account,
            rule="C10",
            outcome="unfunded",
            is_estimated=True,
            output_tokens=30,
            source="bytes",
        )
    )
    assert (ended["result"], ended["charged_nano_usd"]) == ("ok", 100 + 40)
    row = await funded.connection.fetchrow(
        "SELECT rule::text, outcome::text, source, output_tokens FROM billing.usage"
    )
    assert tuple(row) == ("C10", "unfunded", "bytes", 20)
    assert await audit(funded.connection) == []


async def test_attempts_are_kept_with_the_hold(funded: Ledger) -> None:
    """What the dispatcher tried, as it told it."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    attempts = [{"channel": "a", "result": "rate_limited", "status": 429}]
    await funded.execute(settle(request, account) | {"attempts": attempts})  # type: ignore[arg-type]
    stored = await funded.connection.fetchval(
        "SELECT attempts::text FROM billing.hold WHERE id = $1", request
    )
    assert json.loads(stored) == attempts
