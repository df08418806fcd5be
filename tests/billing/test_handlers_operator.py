"""What an operator asks of billing: credit, prices, balances and usage, over a real bus."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from shared.bus import Bus
from shared.contracts import billing, records
from shared.errors import (
    Conflict,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    RelayError,
)
from shared.ids import uuid7
from shared.money import LARGEST_NANO_USD, LARGEST_PICO_PRICE
from tests.billing.bookkeeping import Ledger
from tests.billing.running import PATIENCE_SECONDS, asking, balance, reserve, settle


@pytest.fixture
async def bus(ledger: Ledger, nats_url: str) -> AsyncIterator[Bus]:
    """Whoever asks; billing runs."""
    async with asking(ledger, nats_url) as asker:
        yield asker


def credit(
    account_id: UUID | str, amount_nano_usd: int, *, key: str = "key", reason: str = "gift"
) -> billing.Credit:
    """A credit by hand."""
    return billing.Credit(
        account_id=str(account_id), amount_nano_usd=amount_nano_usd, idempotency_key=key, reason=reason
    )


def price(**other: int | str) -> billing.SetPrice:
    """A price of one nano-USD for each token."""
    fields: dict[str, int | str] = {
        "model": "priced", "input_pico_usd": 1000, "output_pico_usd": 1000, "cache_read_pico_usd": 1000,
        "cache_write_pico_usd": 1000, "max_output_tokens": 100,
    }  # fmt: skip
    return billing.SetPrice(**(fields | other))  # type: ignore[arg-type]


async def test_a_credit_is_given_once_for_each_key(ledger: Ledger, bus: Bus) -> None:
    """However often it is asked for; the key with another amount or account is a conflict."""
    account_id, other = await ledger.open_account(), await ledger.open_account()

    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(
            *(bus.call(billing.CREDIT, credit(account_id, 500)) for _ in range(10))
        )

    assert {answer.posted_nano_usd for answer in answers} == {500}
    for wrong in (credit(account_id, 501), credit(other, 500)):
        with pytest.raises(Conflict):
            await bus.call(billing.CREDIT, wrong)
    assert await balance(bus, account_id) == (500, 0)


async def test_two_accounts_credited_under_one_key_at_one_moment(ledger: Ledger, bus: Bus) -> None:
    """Both wait for their account; one gets the money, the other one a conflict and not a fault."""
    first, second = await ledger.open_account(), await ledger.open_account()
    for round_number in range(10):
        key = f"round {round_number}"
        outcomes = await asyncio.gather(
            *(bus.call(billing.CREDIT, credit(each, 5, key=key)) for each in (first, second)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Conflict) for each in outcomes) == 1
        assert sum(isinstance(each, billing.Balance) for each in outcomes) == 1
    assert (await balance(bus, first))[0] + (await balance(bus, second))[0] == 50


async def test_what_is_available_can_be_taken_back(ledger: Ledger, bus: Bus) -> None:
    """A negative amount takes no more than is there."""
    account_id = await ledger.open_account(1_000)

    assert (await bus.call(billing.CREDIT, credit(account_id, -400, key="a"))).posted_nano_usd == 600
    with pytest.raises(InsufficientFunds) as caught:
        await bus.call(billing.CREDIT, credit(account_id, -601, key="b"))
    assert caught.value.details == {"needed_usd": "0.000000601", "available_usd": "0.0000006"}


@pytest.mark.parametrize(
    ("wrong", "family"),
    [
        (credit("nobody", 1), InvalidRequest),
        (credit(uuid7(), 1), NotFound),
        (credit(UUID(int=9), 0), InvalidRequest),
        (credit(UUID(int=9), LARGEST_NANO_USD + 1), InvalidRequest),
        (credit(UUID(int=9), -(2**63)), InvalidRequest),
        (credit(UUID(int=9), 1, key=""), InvalidRequest),
        (credit(UUID(int=9), 1, key="k" * 256), InvalidRequest),
        (credit(UUID(int=9), 1, key="NUL\0"), InvalidRequest),
        (credit(UUID(int=9), 1, reason="NUL\0"), InvalidRequest),
    ],
)
async def test_a_credit_that_makes_no_sense_is_refused(
    bus: Bus, wrong: billing.Credit, family: type[RelayError]
) -> None:
    """By name, and nothing is booked."""
    with pytest.raises(family):
        await bus.call(billing.CREDIT, wrong)


async def test_a_balance_stays_within_its_range(ledger: Ledger, bus: Bus) -> None:
    """A credit beyond the largest balance is refused."""
    account_id = await ledger.open_account(LARGEST_NANO_USD)

    with pytest.raises(InvalidRequest):
        await bus.call(billing.CREDIT, credit(account_id, 1))


async def test_a_new_price_holds_from_its_answer_on(ledger: Ledger, bus: Bus) -> None:
    """It is told to every edge, listed, and reserved by; the version before stays in the list of its model."""
    changed: list[str] = []

    async def note(event: billing.PriceChanged) -> None:
        changed.append(event.model)

    await bus.listen(billing.PRICE_CHANGED, note)
    await bus.control.flush()
    account_id = await ledger.open_account(1_000)

    first = await bus.call(billing.SET_PRICE, price())
    second = await bus.call(billing.SET_PRICE, price(output_pico_usd=2000))
    hold = await bus.call(billing.RESERVE, reserve(account_id, model="priced"))

    assert hold.price_id == second.id
    current = (await bus.call(billing.LIST_PRICES, billing.ListPrices())).items
    assert [each.model for each in current] == ["m", "priced"]
    assert current[1] == second
    assert (await bus.call(billing.LIST_PRICES, billing.ListPrices(model="priced"))).items == (second, first)
    assert (await bus.call(billing.LIST_PRICES, billing.ListPrices(model="unknown"))).items == ()
    await bus.control.flush()
    assert changed == ["priced", "priced"]


@pytest.mark.parametrize(
    "wrong",
    [
        price(model=""),
        price(model="m" * 201),
        price(model="line\nbreak"),
        price(model="NUL\0"),
        price(input_pico_usd=-1),
        price(output_pico_usd=LARGEST_PICO_PRICE + 1),
        price(cache_read_pico_usd=2**63),
        price(cache_write_pico_usd=-1),
        price(max_output_tokens=0),
        price(max_output_tokens=10_000_001),
    ],
)
async def test_a_price_out_of_range_is_refused(bus: Bus, wrong: billing.SetPrice) -> None:
    """By the name of what is wrong, and no version is made."""
    with pytest.raises(InvalidRequest) as caught:
        await bus.call(billing.SET_PRICE, wrong)

    assert caught.value.param is not None
    assert len((await bus.call(billing.LIST_PRICES, billing.ListPrices())).items) == 1


async def test_usage_is_listed_newest_first(ledger: Ledger, bus: Bus) -> None:
    """Of all, of one account, or of one request, as many as asked for."""
    first, second = await ledger.open_account(10_000), await ledger.open_account(10_000)
    asked = [reserve(account_id) for account_id in (first, second, first, first)]
    for each in asked:
        await bus.call(billing.RESERVE, each)
        await bus.call(billing.SETTLE, settle(each))

    async def listed(request: records.GetUsage) -> list[str]:
        return [record.request_id for record in (await bus.call(records.LIST_USAGE, request)).items]

    ids = sorted((each.request_id for each in asked), reverse=True)
    assert await listed(records.GetUsage()) == ids
    assert await listed(records.GetUsage(limit=2)) == ids[:2]
    assert await listed(records.GetUsage(limit=-1)) == ids[:1]
    assert await listed(records.GetUsage(account_id=str(second))) == [asked[1].request_id]
    assert await listed(records.GetUsage(request_id=asked[0].request_id)) == [asked[0].request_id]
    assert await listed(records.GetUsage(account_id=str(first), request_id=asked[1].request_id)) == []
    for wrong in (records.GetUsage(account_id="x"), records.GetUsage(request_id="x")):
        with pytest.raises(InvalidRequest):
            await bus.call(records.LIST_USAGE, wrong)


async def test_an_account_that_is_not_there_has_no_balance(bus: Bus) -> None:
    """404 for an id, 400 for what is none."""
    with pytest.raises(NotFound):
        await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=str(uuid7())))
    with pytest.raises(InvalidRequest):
        await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=""))
