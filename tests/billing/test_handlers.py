"""Every call of billing's contract, asked over a real bus and answered from a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import EDGE
from shared.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    RateLimited,
    RelayError,
    Unauthenticated,
    Unavailable,
)
from shared.ids import uuid7
from shared.money import LARGEST_NANO_USD, LARGEST_PICO_PRICE
from shared.settings import Settings
from tests.billing.bookkeeping import Ledger
from tests.billing.running import PATIENCE_SECONDS, account_locked, reserve, running, settle, until_waiting

HELD_NANO_USD = 225
USED_NANO_USD = 200


@pytest.fixture
async def bus(ledger: Ledger, nats_url: str) -> AsyncIterator[Bus]:
    """Whoever asks; billing runs."""
    await ledger.set_price()
    async with (
        running(ledger.url, nats_url, reap_seconds=60.0),
        Bus(Settings(nats_url=nats_url), party=EDGE) as asker,
    ):
        yield asker


async def balance(bus: Bus, account_id: UUID) -> tuple[int, int]:
    """Return what billing says that an account has posted and held."""
    answer = await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=str(account_id)))
    return answer.posted_nano_usd, answer.held_nano_usd


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


async def test_a_request_is_reserved_settled_and_recorded(ledger: Ledger, bus: Bus) -> None:
    """The hold keeps the money back, the settlement takes what was used, and the record tells it."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)

    hold = await bus.call(billing.RESERVE, asked)
    assert (hold.amount_nano_usd, hold.output_tokens_granted) == (HELD_NANO_USD, 50)
    assert await balance(bus, account_id) == (1_000, HELD_NANO_USD)

    ended = await bus.call(billing.SETTLE, settle(asked))
    assert ended == billing.Ended(state="SETTLED", charged_nano_usd=USED_NANO_USD)
    assert await bus.call(billing.SETTLE, settle(asked, output_tokens=1)) == ended, "a repeat changes nothing"
    assert await balance(bus, account_id) == (1_000 - USED_NANO_USD, 0)

    (record,) = (await bus.call(billing.LIST_USAGE, billing.GetUsage(request_id=asked.request_id))).items
    assert (record.rule, record.charged_nano_usd, record.usage.output_tokens) == ("C1", USED_NANO_USD, 50)


async def test_the_same_reserve_again_is_the_same_hold(ledger: Ledger, bus: Bus) -> None:
    """An answer that was lost may be asked for again; other arguments under its id are a conflict."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)

    first = await bus.call(billing.RESERVE, asked)

    assert await bus.call(billing.RESERVE, asked) == first
    with pytest.raises(Conflict):
        await bus.call(billing.RESERVE, reserve(account_id, request_id=asked.request_id, fingerprint="other"))
    assert await balance(bus, account_id) == (1_000, HELD_NANO_USD)


async def test_a_void_before_its_reserve_is_final(ledger: Ledger, bus: Bus) -> None:
    """The reserve that was slower finds the tombstone."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)
    void = billing.Void(request_id=asked.request_id, account_id=asked.account_id, reason="gone")

    assert (await bus.call(billing.VOID, void)).state == "VOIDED"
    with pytest.raises(Conflict):
        await bus.call(billing.RESERVE, asked)
    assert await balance(bus, account_id) == (1_000, 0)


async def test_a_hold_is_extended_and_voided(ledger: Ledger, bus: Bus) -> None:
    """It grows as far as the money goes, and gives all of it back."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)
    await bus.call(billing.RESERVE, asked)

    def extend(bound: int) -> billing.Extend:
        return billing.Extend(
            request_id=asked.request_id, account_id=asked.account_id, attempt=1, output_tokens_bound=bound
        )

    assert (await bus.call(billing.EXTEND, extend(100))).amount_nano_usd == 325
    with pytest.raises(InsufficientFunds) as caught:
        await bus.call(billing.EXTEND, extend(1_000))
    assert caught.value.code == "request_too_expensive"
    await bus.call(
        billing.VOID, billing.Void(request_id=asked.request_id, account_id=asked.account_id, reason="gone")
    )
    with pytest.raises(Conflict):
        await bus.call(billing.EXTEND, extend(101))
    assert await balance(bus, account_id) == (1_000, 0)


async def test_a_request_that_is_too_dear_says_what_is_affordable(ledger: Ledger, bus: Bus) -> None:
    """402: with 50 nano-USD less for the input, 12 tokens of output are left."""
    account_id = await ledger.open_account(150)

    with pytest.raises(InsufficientFunds) as caught:
        await bus.call(billing.RESERVE, reserve(account_id))

    assert caught.value.code == "request_too_expensive"
    assert caught.value.details["affordable_output_tokens"] == 12
    assert caught.value.details["needed_usd"] == "0.000000225"
    assert caught.value.details["available_usd"] == "0.00000015"


async def test_an_empty_balance_is_used_up(ledger: Ledger, bus: Bus) -> None:
    """402 without a figure: not even the input can be paid."""
    account_id = await ledger.open_account()

    with pytest.raises(InsufficientFunds) as caught:
        await bus.call(billing.RESERVE, reserve(account_id))

    assert caught.value.code == "insufficient_balance"


async def test_money_held_by_others_is_a_matter_of_time(ledger: Ledger, bus: Bus) -> None:
    """429: the request could be paid if the running ones were over; then it is."""
    account_id = await ledger.open_account(300)
    running_one = reserve(account_id)
    await bus.call(billing.RESERVE, running_one)

    with pytest.raises(RateLimited) as caught:
        await bus.call(billing.RESERVE, reserve(account_id))
    assert caught.value.code == "balance_held"
    assert caught.value.retry_after_seconds

    await bus.call(billing.SETTLE, settle(running_one, input_tokens=10, output_tokens=0))
    await bus.call(billing.RESERVE, reserve(account_id))


@pytest.mark.parametrize(
    ("change", "family", "code"),
    [
        ({"account_id": str(uuid7())}, Unauthenticated, "invalid_api_key"),
        ({"key_id": "nobody"}, Unauthenticated, "invalid_api_key"),
        ({"model": "unpriced"}, NotFound, "model_not_found"),
        ({"lease_id": "nobody's"}, Unavailable, "lease_ended"),
        ({"request_id": "not-an-id"}, InvalidRequest, "invalid_value"),
        ({"request_id": "urn:uuid:" + str(uuid7())}, InvalidRequest, "invalid_value"),
        ({"account_id": "'; DROP TABLE billing.account; --"}, InvalidRequest, "invalid_value"),
        ({"choices": 0}, InvalidRequest, "invalid_value"),
    ],
)
async def test_a_refusal_has_its_class_and_code(
    ledger: Ledger, bus: Bus, change: dict[str, str | float | None], family: type[RelayError], code: str
) -> None:
    """As the edge hears it over the bus."""
    account_id = await ledger.open_account(1_000)

    with pytest.raises(family) as caught:
        await bus.call(billing.RESERVE, reserve(account_id, **change))

    assert (type(caught.value), caught.value.code) == (family, code)
    assert await balance(bus, account_id) == (1_000, 0)


async def test_what_auth_says_of_key_and_account_holds_at_once(ledger: Ledger, bus: Bus) -> None:
    """A key that is revoked or has expired, and an account that is suspended, spend nothing from the answer on."""
    account_id = await ledger.open_account(10_000)

    async def refusal() -> tuple[type[RelayError], str] | None:
        try:
            await bus.call(billing.RESERVE, reserve(account_id))
        except RelayError as error:
            return type(error), error.code
        return None

    def key(version: int, status: str = "active", expires_unix: float | None = None) -> billing.PutKey:
        return billing.PutKey(
            key_id=f"key-{account_id}", account_id=str(account_id), status=status,  # type: ignore[arg-type]
            expires_unix=expires_unix, version=version,
        )  # fmt: skip

    assert await refusal() is None
    await bus.call(billing.PUT_KEY, key(5, expires_unix=1.0))
    assert await refusal() == (Unauthenticated, "expired_api_key")
    await bus.call(billing.PUT_KEY, key(6, status="revoked"))
    assert await refusal() == (Unauthenticated, "revoked_api_key")
    await bus.call(billing.PUT_KEY, key(5))
    assert await refusal() == (Unauthenticated, "revoked_api_key"), "an older version changes nothing"
    await bus.call(billing.PUT_KEY, key(7))
    assert await refusal() is None

    account = billing.PutAccount(account_id=str(account_id), status="suspended", version=2)
    await bus.call(billing.PUT_ACCOUNT, account)
    assert await refusal() == (Forbidden, "account_suspended")
    await bus.call(
        billing.PUT_ACCOUNT, billing.PutAccount(account_id=str(account_id), status="active", version=3)
    )
    assert await refusal() is None


async def test_a_key_belongs_to_one_account(ledger: Ledger, bus: Bus) -> None:
    """It never moves to another one, and an account that is not there has none."""
    first, second = await ledger.open_account(), await ledger.open_account()

    def key(account_id: UUID | str, expires_unix: float | None = None) -> billing.PutKey:
        return billing.PutKey(
            key_id=f"key-{first}", account_id=str(account_id), status="active", expires_unix=expires_unix, version=9
        )  # fmt: skip

    with pytest.raises(Conflict):
        await bus.call(billing.PUT_KEY, key(second))
    with pytest.raises(NotFound):
        await bus.call(billing.PUT_KEY, key(uuid7()))
    for wrong in (key("x"), key(first, expires_unix=1e20), key(first, expires_unix=float("nan"))):
        with pytest.raises(InvalidRequest):
            await bus.call(billing.PUT_KEY, wrong)


async def test_a_lease_is_renewed_until_it_ends(bus: Bus) -> None:
    """An ended lease is never revived."""
    lease = billing.Lease(lease_id="an edge")

    state = await bus.call(billing.RENEW_LEASE, lease)
    assert state.is_live
    assert 0 < state.remaining_seconds <= 1
    assert (await bus.call(billing.RENEW_LEASE, lease)).is_live
    assert not (await bus.call(billing.END_LEASE, lease)).is_live
    assert not (await bus.call(billing.RENEW_LEASE, lease)).is_live


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

    async def listed(request: billing.GetUsage) -> list[str]:
        return [record.request_id for record in (await bus.call(billing.LIST_USAGE, request)).items]

    ids = sorted((each.request_id for each in asked), reverse=True)
    assert await listed(billing.GetUsage()) == ids
    assert await listed(billing.GetUsage(limit=2)) == ids[:2]
    assert await listed(billing.GetUsage(limit=-1)) == ids[:1]
    assert await listed(billing.GetUsage(account_id=str(second))) == [asked[1].request_id]
    assert await listed(billing.GetUsage(request_id=asked[0].request_id)) == [asked[0].request_id]
    assert await listed(billing.GetUsage(account_id=str(first), request_id=asked[1].request_id)) == []
    for wrong in (billing.GetUsage(account_id="x"), billing.GetUsage(request_id="x")):
        with pytest.raises(InvalidRequest):
            await bus.call(billing.LIST_USAGE, wrong)


async def test_an_account_that_is_not_there_has_no_balance(bus: Bus) -> None:
    """404 for an id, 400 for what is none."""
    with pytest.raises(NotFound):
        await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=str(uuid7())))
    with pytest.raises(InvalidRequest):
        await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=""))


async def test_a_claim_of_another_account_is_a_conflict(ledger: Ledger, bus: Bus) -> None:
    """Nobody ends the hold of somebody else."""
    first, second = await ledger.open_account(1_000), await ledger.open_account(1_000)
    asked = reserve(first)
    await bus.call(billing.RESERVE, asked)
    stranger = reserve(second, request_id=asked.request_id)

    with pytest.raises(Conflict):
        await bus.call(billing.SETTLE, settle(stranger))
    assert await balance(bus, first) == (1_000, HELD_NANO_USD)


async def test_a_settlement_waits_for_its_account(ledger: Ledger, bus: Bus) -> None:
    """An account that is locked for a moment delays the answer and changes nothing else."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)
    await bus.call(billing.RESERVE, asked)

    async with account_locked(ledger.url, account_id):
        settling = asyncio.create_task(bus.call(billing.SETTLE, settle(asked)))
        await until_waiting(ledger.connection)

    assert (await settling).charged_nano_usd == USED_NANO_USD
