"""What billing answers about accounts, over a real bus: limits, groups, codes, receipts."""

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from services.billing.pricing import Price, Tier, Units, cost_nano_usd
from shared.bus import Bus
from shared.codes import sha256_of
from shared.contracts import accounts, billing
from shared.contracts.call import Call, Empty
from shared.errors import InsufficientFunds, InvalidRequest, NotFound, RateLimited, RelayError
from shared.ids import uuid7
from shared.settings import Secret
from tests.billing.bookkeeping import Ledger
from tests.billing.running import asking, balance, reserve, settle

AnyCall = Call[msgspec.Struct, msgspec.Struct]
PEPPER = "00" * 31 + "07"


@pytest.fixture
async def bus(ledger: Ledger, nats_url: str) -> AsyncIterator[Bus]:
    """Whoever asks; billing runs, with a pepper for codes."""
    async with asking(ledger, nats_url, code_pepper=Secret(PEPPER)) as asker:
        yield asker


async def refusal(bus: Bus, request: billing.Reserve) -> RelayError:
    """Return why a reserve is refused."""
    with pytest.raises(RelayError) as caught:
        await bus.call(billing.RESERVE, request)
    return caught.value


async def test_limits_are_set_shown_and_met(ledger: Ledger, bus: Bus) -> None:
    """The answer tells what is left of them; the refusal which one it was, for whom, and when to come back."""
    account = await ledger.open_account(10**6)
    limits = accounts.Limits(requests_per_minute=1, tokens_per_minute=1000)
    shown = await bus.call(accounts.SET_LIMITS, accounts.SetLimits(account_id=str(account), limits=limits))
    assert (shown.limits, shown.requests) == (limits, 0)

    hold = await bus.call(billing.RESERVE, reserve(account))
    error = await refusal(bus, reserve(account))

    assert hold.standing == billing.Standing(
        requests_limit=1, requests_remaining=0, tokens_limit=1000, tokens_remaining=850
    )
    assert (type(error), error.code) == (RateLimited, "requests_per_minute_exceeded")
    assert (error.details["limit"], error.details["scope"]) == (1, "account")
    assert error.retry_after_seconds is not None
    assert f"Try again in {error.details['retry_seconds']} s" in str(error)
    now = await bus.call(accounts.GET_LIMITS, accounts.GetLimits(account_id=str(account)))
    assert (now.requests, now.tokens, now.running) == (1, 150, 1)


async def test_accounts_are_told_at_a_glance(ledger: Ledger, bus: Bus) -> None:
    """Balance, holds, what was spent ever, what runs, and the group; what is taken back by hand is not spent."""
    one, two = await ledger.open_account(10**9), await ledger.open_account(10**9)
    unknown = uuid7()
    ended, running = reserve(one), reserve(one)
    for request in (ended, running):
        await bus.call(billing.RESERVE, request)
    charged = (await bus.call(billing.SETTLE, settle(ended))).charged_nano_usd
    assert charged > 0
    taken = billing.Credit(account_id=str(one), amount_nano_usd=-5, idempotency_key="back", reason="x")
    await bus.call(billing.CREDIT, taken)
    await bus.call(accounts.PUT_GROUP, accounts.Group(name="gold"))
    await bus.call(accounts.SET_GROUP, accounts.SetGroup(account_id=str(two), group_name="gold"))

    asked = accounts.AccountIds(account_ids=(str(two), str(unknown), str(one), str(one)))
    sheets = (await bus.call(accounts.GET_SHEETS, asked)).items

    posted, held = await balance(bus, one)
    assert sorted(sheets, key=lambda each: each.running) == [
        accounts.AccountSheet(
            account_id=str(two), posted_nano_usd=10**9, held_nano_usd=0, spent_nano_usd=0, running=0, group_name="gold"
        ),
        accounts.AccountSheet(
            account_id=str(one), posted_nano_usd=posted, held_nano_usd=held,
            spent_nano_usd=charged, running=1,
        ),
    ]  # fmt: skip


async def test_members_of_a_group_are_listed_by_key(ledger: Ledger, bus: Bus) -> None:
    """The newest first, from below an id on."""
    await bus.call(accounts.PUT_GROUP, accounts.Group(name="gold"))
    ids = sorted([str(await ledger.open_account(1)) for _ in range(5)], reverse=True)
    for account_id in ids[:4]:
        await bus.call(accounts.SET_GROUP, accounts.SetGroup(account_id=account_id, group_name="gold"))

    first = await bus.call(accounts.LIST_MEMBERS, accounts.ListMembers(group_name="gold", limit=3))
    rest = accounts.ListMembers(group_name="gold", limit=3, before_id=first.account_ids[-1])

    assert first.account_ids == tuple(ids[:3])
    assert (await bus.call(accounts.LIST_MEMBERS, rest)).account_ids == (ids[3],)


async def test_each_limit_has_a_sentence(ledger: Ledger, bus: Bus) -> None:
    """In both languages, complete; one that waiting does not help says nothing of waiting."""
    account = await ledger.open_account(10**6)
    key = f"key-{account}"
    for limits, code, seconds in (
        (accounts.Limits(tokens_per_minute=1), "tokens_per_minute_exceeded", None),
        (accounts.Limits(spend_day_nano_usd=1), "spend_limit_reached", None),
        (accounts.Limits(spend_month_nano_usd=1), "spend_limit_reached", None),
        (accounts.Limits(spend_total_nano_usd=1), "spend_limit_reached", None),
    ):
        asked = accounts.SetLimits(account_id=str(account), key_id=key, limits=limits)
        await bus.call(accounts.SET_LIMITS, asked)
        error = await refusal(bus, reserve(account))
        assert (error.code, error.retry_after_seconds) == (code, seconds)
        assert isinstance(error, InsufficientFunds) == (code == "spend_limit_reached")
        for language in ("en", "zh"):
            assert "{" not in error.message(language)
            assert "key" in error.message(language)


async def test_a_group_is_made_used_and_deleted(ledger: Ledger, bus: Bus) -> None:
    """Its limits show as those of its accounts."""
    account = str(await ledger.open_account(10**6))
    group = accounts.Group(
        name="trial",
        limits=accounts.Limits(concurrent_requests=2),
        allowed_models=("m",),
        multiplier_ppm=1_200_000,
    )
    assert await bus.call(accounts.PUT_GROUP, group) == group
    assert (await bus.call(accounts.LIST_GROUPS, Empty())).items == (group,)
    shown = await bus.call(accounts.SET_GROUP, accounts.SetGroup(account_id=account, group_name="trial"))
    assert (shown.group_name, shown.limits, shown.multiplier_ppm) == ("trial", group.limits, 1_200_000)
    with pytest.raises(InvalidRequest):
        await bus.call(accounts.DELETE_GROUP, accounts.GroupName(name="trial"))
    await bus.call(accounts.SET_GROUP, accounts.SetGroup(account_id=account, group_name=None))
    await bus.call(accounts.DELETE_GROUP, accounts.GroupName(name="trial"))
    assert (await bus.call(accounts.LIST_GROUPS, Empty())).items == ()


@pytest.mark.parametrize(
    "question",
    [
        (accounts.SET_LIMITS, accounts.SetLimits(account_id="?", limits=accounts.Limits())),
        (accounts.SET_LIMITS, accounts.SetLimits(account_id=str(uuid7()), limits=accounts.Limits(requests_per_minute=0))),
        (accounts.PUT_GROUP, accounts.Group(name="")),
        (accounts.PUT_GROUP, accounts.Group(name="g", multiplier_ppm=10_000_001)),
        (accounts.PUT_GROUP, accounts.Group(name="g", allowed_models=("",))),
        (accounts.MAKE_CODES, accounts.MakeCodes(batch="b", count=0, amount_nano_usd=1)),
        (accounts.MAKE_CODES, accounts.MakeCodes(batch="b", count=1, amount_nano_usd=0)),
        (accounts.MAKE_CODES, accounts.MakeCodes(batch="b", count=1, amount_nano_usd=1, lifetime_seconds=0)),
        (accounts.CLAIM_CODE, accounts.ClaimCode(account_id=str(uuid7()), code_sha256=b"")),
        (accounts.GET_RECEIPT, accounts.GetReceipt(request_id="?")),
        (accounts.GET_RECEIPT, accounts.GetReceipt(request_id=str(uuid7()))),
        (accounts.GET_SPENDING, accounts.GetSpending(account_id=str(uuid7()), key_id="k", first_day="x", end_day="y")),
        (
            accounts.GET_SPENDING,
            accounts.GetSpending(account_id=str(uuid7()), key_id="k", first_day="2026-01-02", end_day="2026-01-01"),
        ),
        (accounts.REVOKE_CODES, accounts.BatchName(name="none")),
        (accounts.DELETE_GROUP, accounts.GroupName(name="none")),
        (accounts.SET_GROUP, accounts.SetGroup(account_id=str(uuid7()), group_name=None)),
    ],
    ids=lambda question: question[0].subject,
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(bus: Bus, question: tuple[AnyCall, msgspec.Struct]) -> None:
    """With a sentence, and nothing is changed."""
    with pytest.raises((InvalidRequest, NotFound)):
        await bus.call(*question)


async def test_a_code_credits_one_account_once(ledger: Ledger, bus: Bus) -> None:
    """A hundred claims by ten accounts at one moment: one of them has the money, and hears it again when it asks again."""
    made = await bus.call(
        accounts.MAKE_CODES, accounts.MakeCodes(batch="spring", count=2, amount_nano_usd=700)
    )
    rivals = [await ledger.open_account() for _ in range(10)]
    code = made.codes[0]
    assert re.fullmatch(r"RELAY(-[0-9A-HJKMNP-TV-Z]{5}){5}", code)

    async def claim(account: UUID) -> str:
        question = accounts.ClaimCode(account_id=str(account), code_sha256=sha256_of(code))
        try:
            return str((await bus.call(accounts.CLAIM_CODE, question)).amount_nano_usd)
        except InvalidRequest as error:
            return error.code

    results = await asyncio.gather(*(claim(account) for account in rivals * 10))

    assert sorted(set(results)) == ["700", "code_claimed"]
    assert results.count("700") == 10  # the ten claims of the one account
    assert sorted([await balance(bus, account) for account in rivals])[-2:] == [(0, 0), (700, 0)]
    (batch,) = (await bus.call(accounts.LIST_CODES, Empty())).items
    assert (batch.name, batch.codes, batch.claimed, batch.amount_nano_usd) == ("spring", 2, 1, 700)
    stored = await ledger.connection.fetch("SELECT hash FROM billing.code")
    assert all(code.encode() not in row["hash"] for row in stored)


async def test_a_code_may_be_entered_carelessly(ledger: Ledger, bus: Bus) -> None:
    """Lower case, spaces for dashes, and letters that look like digits."""
    made = await bus.call(accounts.MAKE_CODES, accounts.MakeCodes(batch="b", count=1, amount_nano_usd=5))
    account, code = str(await ledger.open_account()), made.codes[0]
    entered = code[:6].lower() + code[6:].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    claimed = await bus.call(
        accounts.CLAIM_CODE, accounts.ClaimCode(account_id=account, code_sha256=sha256_of(entered))
    )
    assert claimed.balance.posted_nano_usd == 5


async def test_a_code_that_is_no_more_says_why(ledger: Ledger, bus: Bus) -> None:
    """Expired, revoked, or never there."""
    account = str(await ledger.open_account())
    expired, revoked = [
        await bus.call(
            accounts.MAKE_CODES,
            accounts.MakeCodes(batch=name, count=1, amount_nano_usd=5, lifetime_seconds=seconds),
        )
        for name, seconds in (("expired", 0.001), ("revoked", None))
    ]
    await bus.call(accounts.REVOKE_CODES, accounts.BatchName(name="revoked"))
    for code, reason in (
        (expired.codes[0], "expired"),
        (revoked.codes[0], "revoked"),
        ("RELAY-0", "unknown"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await bus.call(
                accounts.CLAIM_CODE, accounts.ClaimCode(account_id=account, code_sha256=sha256_of(code))
            )
        assert caught.value.code == f"code_{reason}"
        assert str(caught.value) != caught.value.code
    with pytest.raises(InvalidRequest):
        await bus.call(accounts.MAKE_CODES, accounts.MakeCodes(batch="expired", count=1, amount_nano_usd=5))


async def test_without_a_pepper_there_are_no_codes(ledger: Ledger, nats_url: str) -> None:
    """And the answer says what is to be set."""
    async with asking(ledger, nats_url) as bus:
        with pytest.raises(InvalidRequest, match="RELAY_CODE_PEPPER"):
            await bus.call(accounts.MAKE_CODES, accounts.MakeCodes(batch="b", count=1, amount_nano_usd=5))


async def test_a_receipt_tells_everything_from_which_the_charge_follows(ledger: Ledger, bus: Bus) -> None:
    """Its price, its units and their source, its hold, each attempt; and the sum comes out."""
    account = await ledger.open_account(10**6)
    asked = reserve(account)
    await bus.call(billing.RESERVE, asked)
    claim = msgspec.structs.replace(
        settle(asked),
        attempts=(
            billing.UpstreamAttempt(channel="first", result="rate_limited", status=429, took_ms=3),
            billing.UpstreamAttempt(channel="second", result="completed", status=200, began_ms=3, took_ms=9),
        ),
    )
    await bus.call(billing.SETTLE, claim)

    receipt = await bus.call(accounts.GET_RECEIPT, accounts.GetReceipt(request_id=asked.request_id))

    (charge,) = receipt.charges
    assert (receipt.state, receipt.key_id, charge.rule, charge.source) == (
        "SETTLED",
        asked.key_id,
        "C1",
        "upstream",
    )
    assert receipt.attempts == claim.attempts
    assert (
        cost_nano_usd(
            msgspec.convert(msgspec.to_builtins(charge.usage), Units),
            msgspec.convert(msgspec.to_builtins(receipt.price), Price),
            receipt.multiplier_ppm,
        )
        == charge.cost_nano_usd
        == charge.charged_nano_usd + charge.writeoff_nano_usd
    )
    with pytest.raises(NotFound):
        await bus.call(
            accounts.GET_RECEIPT, accounts.GetReceipt(request_id=asked.request_id, key_id="another")
        )


async def test_a_voided_request_has_a_receipt_without_a_charge(ledger: Ledger, bus: Bus) -> None:
    """It says why, and what was tried."""
    asked = reserve(await ledger.open_account(10**6))
    await bus.call(billing.RESERVE, asked)
    attempts = (billing.UpstreamAttempt(channel="a", result="refused"),)
    await bus.call(
        billing.VOID,
        billing.Void(
            request_id=asked.request_id,
            account_id=asked.account_id,
            reason="not_accepted_upstream",
            attempts=attempts,
        ),
    )
    receipt = await bus.call(accounts.GET_RECEIPT, accounts.GetReceipt(request_id=asked.request_id))
    assert (receipt.state, receipt.outcome, receipt.charges) == ("VOIDED", "not_accepted_upstream", ())
    assert receipt.attempts == attempts


async def test_a_price_has_tiers_a_date_and_a_source(bus: Bus) -> None:
    """All of it comes back, and what is to come is listed apart."""
    dear = billing.PriceTier(
        above_input_tokens=200_000,
        input_pico_usd=2,
        output_pico_usd=2,
        cache_read_pico_usd=2,
        cache_write_pico_usd=2,
    )
    asked = billing.SetPrice(
        model="later", input_pico_usd=1, output_pico_usd=1, cache_read_pico_usd=1, cache_write_pico_usd=1,
        max_output_tokens=10, tiers=(dear,), effective_unix=4_000_000_000.0, context_tokens=10**6,
        capabilities=("vision",), source="a page",
    )  # fmt: skip
    made = await bus.call(billing.SET_PRICE, asked)
    assert (made.tiers, made.context_tokens, made.capabilities, made.source) == (
        (dear,),
        10**6,
        ("vision",),
        "a page",
    )
    assert made.effective_unix == 4_000_000_000.0
    assert "later" not in {
        each.model for each in (await bus.call(billing.LIST_PRICES, billing.ListPrices())).items
    }
    assert (await bus.call(billing.LIST_PRICES, billing.ListPrices(is_scheduled=True))).items == (made,)
    for wrong in (
        {"effective_unix": 1.0},
        {"tiers": (msgspec.structs.replace(dear, output_pico_usd=0),)},
        {"tiers": (dear, dear)},
        {"context_tokens": 0},
    ):
        with pytest.raises(InvalidRequest):
            await bus.call(billing.SET_PRICE, msgspec.structs.replace(asked, **wrong))
    assert Tier.__struct_fields__ == billing.PriceTier.__struct_fields__


async def test_spending_is_told_by_day_and_model(ledger: Ledger, bus: Bus) -> None:
    """Of the key that asks, and within the days."""
    account = await ledger.open_account(10**6)
    for _ in range(2):
        asked = reserve(account)
        await bus.call(billing.RESERVE, asked)
        await bus.call(billing.SETTLE, settle(asked))
    today = await ledger.connection.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    question = accounts.GetSpending(
        account_id=str(account), key_id=asked.key_id, first_day=str(today), end_day="2100-01-01"
    )
    with pytest.raises(InvalidRequest):  # too many days
        await bus.call(accounts.GET_SPENDING, question)
    tomorrow = await ledger.connection.fetchval("SELECT ((now() AT TIME ZONE 'UTC')::date + 1)")
    question = msgspec.structs.replace(question, end_day=str(tomorrow))
    (day,) = (await bus.call(accounts.GET_SPENDING, question)).items
    assert (day.day, day.model, day.requests) == (str(today), "m", 2)
    assert day.charged_nano_usd > 0
    other = msgspec.structs.replace(question, key_id="other")
    assert (await bus.call(accounts.GET_SPENDING, other)).items == ()
