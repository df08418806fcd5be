"""What edge, dispatcher and auth ask of billing, over a real bus and answered from a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from shared.bus import Bus
from shared.contracts import billing, records
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
from tests.billing.bookkeeping import Ledger
from tests.billing.running import account_locked, asking, balance, reserve, settle, until_waiting

HELD_NANO_USD = 225
USED_NANO_USD = 200


@pytest.fixture
async def bus(ledger: Ledger, nats_url: str) -> AsyncIterator[Bus]:
    """Whoever asks; billing runs."""
    async with asking(ledger, nats_url) as asker:
        yield asker


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

    (record,) = (await bus.call(records.LIST_USAGE, records.GetUsage(request_id=asked.request_id))).items
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


async def test_a_fence_shuts_out_the_attempts_before_it(ledger: Ledger, bus: Bus) -> None:
    """Their dispatcher can neither extend nor settle nor void; the one that follows can, and nobody fences behind it."""
    account_id = await ledger.open_account(1_000)
    asked = reserve(account_id)
    await bus.call(billing.RESERVE, asked)

    def fence(attempt: int) -> billing.Fence:
        return billing.Fence(request_id=asked.request_id, account_id=asked.account_id, attempt=attempt)

    def void(attempt: int) -> billing.Void:
        return billing.Void(
            request_id=asked.request_id, account_id=asked.account_id, reason="gone", attempt=attempt
        )

    old = billing.Extend(
        request_id=asked.request_id, account_id=asked.account_id, attempt=1, output_tokens_bound=60
    )
    assert (await bus.call(billing.FENCE, fence(2))).is_held
    assert (await bus.call(billing.FENCE, fence(2))).is_held, "a repeat changes nothing"
    for refused in (
        bus.call(billing.FENCE, fence(1)),
        bus.call(billing.EXTEND, old),
        bus.call(billing.SETTLE, settle(asked, attempt=1)),
        bus.call(billing.VOID, void(1)),
    ):
        with pytest.raises(Conflict):
            await refused
    assert await balance(bus, account_id) == (1_000, HELD_NANO_USD)

    ended = await bus.call(billing.SETTLE, settle(asked, attempt=2))
    assert ended.charged_nano_usd == USED_NANO_USD
    assert await bus.call(billing.VOID, void(1)) == ended, "what has ended answers everybody"


async def test_a_fence_around_nothing_says_so(ledger: Ledger, bus: Bus) -> None:
    """A hold that had ended, or that nobody knows, has no fence: its attempts need another hold."""
    account_id, other_id = await ledger.open_account(1_000), await ledger.open_account(1_000)
    asked = reserve(account_id)
    await bus.call(billing.RESERVE, asked)

    def fence(request_id: str, account: UUID = account_id, attempt: int = 2) -> billing.Fence:
        return billing.Fence(request_id=request_id, account_id=str(account), attempt=attempt)

    with pytest.raises(Conflict):
        await bus.call(billing.FENCE, fence(asked.request_id, other_id))
    for attempt in (-1, 2**40):
        with pytest.raises(InvalidRequest):
            await bus.call(billing.FENCE, fence(asked.request_id, attempt=attempt))
    await bus.call(billing.SETTLE, settle(asked))
    assert not (await bus.call(billing.FENCE, fence(asked.request_id))).is_held
    assert not (await bus.call(billing.FENCE, fence(str(uuid7())))).is_held


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
    void = billing.Void(request_id=asked.request_id, account_id=asked.account_id, reason="gone", attempt=1)
    await bus.call(billing.VOID, void)
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


async def test_a_lease_is_renewed_until_it_ends(ledger: Ledger, bus: Bus) -> None:
    """One that has lapsed is revived, and an ended one never is."""
    lease = billing.Lease(lease_id="an edge")

    state = await bus.call(billing.RENEW_LEASE, lease)
    assert state.is_live
    assert 0 < state.remaining_seconds <= 60
    await ledger.lapse("an edge")
    assert (await bus.call(billing.RENEW_LEASE, lease)).is_live
    assert not (await bus.call(billing.END_LEASE, lease)).is_live
    assert not (await bus.call(billing.RENEW_LEASE, lease)).is_live


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
