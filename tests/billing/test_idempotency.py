"""Idempotency keys of clients: one key, one request, unless it failed without a charge."""

import asyncio
from uuid import UUID

import pytest

from services.billing import commands
from services.billing.answers import Answer
from services.billing.lane import Lane
from shared.contracts import billing
from shared.db import Connection, connect
from shared.errors import KeyReused, Repeated
from shared.ids import uuid7
from tests.billing import bookkeeping
from tests.billing.bookkeeping import Field, Ledger

KEY: dict[str, Field] = {"idempotency_key": "order-1"}


@pytest.fixture
async def account_id(ledger: Ledger) -> UUID:
    """An account with money for many requests."""
    await ledger.set_price()
    return await ledger.open_account(1_000_000)


async def test_a_key_runs_once_while_its_request_runs_and_after_it_was_answered(
    ledger: Ledger, account_id: UUID
) -> None:
    """The second is told which request has the key, and holds nothing."""
    first = uuid7()
    await ledger.one(bookkeeping.reserve(first, account_id, **KEY))
    while_it_runs = await ledger.one(bookkeeping.reserve(uuid7(), account_id, **KEY))
    held = (await ledger.balance(account_id))[1]
    await ledger.one(bookkeeping.settle(first, account_id))
    afterwards = await ledger.one(bookkeeping.reserve(uuid7(), account_id, **KEY))

    assert held == 225
    for answer in (while_it_runs, afterwards):
        assert (answer["result"], answer["former_id"]) == ("repeated", first)
    assert (await ledger.balance(account_id))[1] == 0


async def test_the_same_reserve_again_is_no_repeat_of_a_key(ledger: Ledger, account_id: UUID) -> None:
    """An edge that has missed the answer gets its hold."""
    reserve = bookkeeping.reserve(uuid7(), account_id, **KEY)

    assert [answer["result"] for answer in await ledger.execute(reserve, reserve)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("end", "result"),
    [
        (lambda *of: bookkeeping.void(*of), "ok"),
        (lambda *of: _free(*of, outcome="upstream_failed", rule="C7"), "ok"),
        (lambda *of: _free(*of, outcome="platform_failed", rule="C8"), "ok"),
        (lambda *of: _free(*of, outcome="client_gone", rule="C6"), "repeated"),
        (lambda *of: bookkeeping.settle(*of, outcome="client_gone", rule="C6"), "repeated"),
    ],
    ids=["void", "upstream failed", "platform failed", "left, free", "left, charged"],
)
async def test_a_failure_without_a_charge_frees_the_key(
    ledger: Ledger, account_id: UUID, end: object, result: str
) -> None:
    """That is what a client repeats for; who left by itself was served."""
    assert callable(end)
    first, second = uuid7(), uuid7()
    await ledger.execute(bookkeeping.reserve(first, account_id, **KEY), end(first, account_id))

    answer = await ledger.one(bookkeeping.reserve(second, account_id, **KEY))
    assert answer["result"] == result
    if result == "ok":
        third = await ledger.one(bookkeeping.reserve(uuid7(), account_id, **KEY))
        assert (third["result"], third["former_id"]) == ("repeated", second)


async def test_a_key_with_another_body_is_refused(ledger: Ledger, account_id: UUID) -> None:
    """Even when its request has failed: somebody is confused."""
    first = uuid7()
    await ledger.execute(bookkeeping.reserve(first, account_id, **KEY), bookkeeping.void(first, account_id))

    answer = await ledger.one(bookkeeping.reserve(uuid7(), account_id, fingerprint="other", **KEY))

    assert answer["result"] == "key_reused"


async def test_a_refused_request_does_not_take_the_key(ledger: Ledger, account_id: UUID) -> None:
    """It can be sent again when there is money."""
    poor = await ledger.open_account(1)

    refused = await ledger.one(bookkeeping.reserve(uuid7(), poor, **KEY))
    await ledger.call("credit", poor, 1_000_000, "top-up", "a gift")

    assert refused["result"] == "insufficient"
    assert (await ledger.one(bookkeeping.reserve(uuid7(), poor, **KEY)))["result"] == "ok"


async def test_a_key_belongs_to_one_account(ledger: Ledger, account_id: UUID) -> None:
    """Others may use the same word."""
    other = await ledger.open_account(1_000_000)

    answers = await ledger.execute(
        bookkeeping.reserve(uuid7(), account_id, **KEY), bookkeeping.reserve(uuid7(), other, **KEY)
    )

    assert [answer["result"] for answer in answers] == ["ok", "ok"]


async def test_of_many_at_once_one_runs(ledger: Ledger, account_id: UUID) -> None:
    """On two replicas, each with a lane of its own."""

    async def ask(lane: Lane) -> str:
        request = billing.Reserve(
            request_id=str(uuid7()),
            account_id=str(account_id),
            key_id=f"key-{account_id}",
            lease_id="lease",
            model="m",
            input_tokens_bound=1,
            output_tokens_wanted=1,
            choices=1,
            deadline_seconds=60,
            fingerprint="f",
            idempotency_key="order-1",
        )
        try:
            commands.reserved(request, await lane.submit(commands.reserve(request, 2048), within_seconds=30))
        except Repeated as error:
            return error.code
        return "ok"

    async def connect_lane() -> Connection:
        return await connect(ledger.url, schema="billing", application="test")

    async with Lane(connect_lane) as one, Lane(connect_lane) as two:
        said = await asyncio.gather(*(ask(lane) for lane in (one, two) for _ in range(50)))

    assert sorted(said) == ["idempotency_key_in_use"] * 99 + ["ok"]


async def test_keys_are_forgotten_after_a_day(ledger: Ledger, account_id: UUID) -> None:
    """Not before."""
    first = uuid7()
    await ledger.one(bookkeeping.reserve(first, account_id, **KEY))
    await ledger.one(bookkeeping.settle(first, account_id))

    assert await ledger.call("prune_idempotency", 86_400) == 0
    await ledger.connection.execute("UPDATE billing.idempotency SET created_at = now() - interval '25 hours'")

    assert await ledger.call("prune_idempotency", 86_400) == 1
    assert (await ledger.one(bookkeeping.reserve(uuid7(), account_id, **KEY)))["result"] == "ok"


def test_a_reused_key_has_an_error_of_its_own() -> None:
    """It is not the repeat of anything."""
    request = billing.Reserve(
        request_id="r", account_id="a", key_id="k", lease_id="l", model="m", input_tokens_bound=1,
        output_tokens_wanted=1, choices=1, deadline_seconds=1, fingerprint="f", idempotency_key="order-1",
    )  # fmt: skip

    with pytest.raises(KeyReused):
        commands.reserved(request, Answer(ord=0, result="key_reused"))


def _free(request_id: UUID, account_id: UUID, **other: Field) -> bookkeeping.Command:
    return bookkeeping.settle(
        request_id, account_id, is_charged=False, writeoff_cause="platform_failed", **other
    )
