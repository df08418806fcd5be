"""What each command of `billing.execute` answers and changes."""

import json

import asyncpg
import pytest

from services.billing.audit import audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Command, Ledger, expire, extend, fence, reserve, settle, void

# With the default price, 100 input (held at the dearer cache write: 1.25) and 50 output tokens hold 225 nano-USD, and cost 200.
HOLD = 225
COST = 200


@pytest.fixture
async def funded(ledger: Ledger) -> Ledger:
    """A ledger with a price."""
    await ledger.set_price()
    return ledger


async def test_reserve_holds_input_at_its_dearest_and_all_output(funded: Ledger) -> None:
    """A hold covers its bounds at the dearest input price, and counts against the balance at once."""
    account = await funded.open_account(1000)
    answer = await funded.one(reserve(uuid7(), account))
    assert (answer["result"], answer["amount_nano_usd"], answer["output_tokens_bound"]) == ("ok", HOLD, 50)
    assert (answer["posted_nano_usd"], answer["held_nano_usd"]) == (1000, HOLD)
    assert await funded.balance(account) == (1000, HOLD)
    assert 590 < answer["deadline_seconds"] <= 600


async def test_reserve_again_returns_the_same_hold(funded: Ledger) -> None:
    """A repeated reserve returns the stored hold, also in one batch, and holds nothing more."""
    account, request = await funded.open_account(1000), uuid7()
    first, second = await funded.execute(reserve(request, account), reserve(request, account))
    third = await funded.one(reserve(request, account))
    assert {answer["result"] for answer in (first, second, third)} == {"ok"}
    assert first["price_id"] == second["price_id"] == third["price_id"]
    assert await funded.balance(account) == (1000, HOLD)


async def test_reserve_with_other_arguments_is_a_conflict(funded: Ledger) -> None:
    """An id that was used with another fingerprint or account is refused and changes nothing."""
    account, other, request = await funded.open_account(1000), await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    assert (await funded.one(reserve(request, account, fingerprint="g")))["result"] == "conflict"
    for command in (reserve, extend, settle, void, expire):
        assert (await funded.one(command(request, other)))["result"] == "conflict"
    assert await funded.balance(account) == (1000, HOLD)
    assert await funded.balance(other) == (1000, 0)


async def test_reserve_names_the_first_reason_for_a_refusal(funded: Ledger) -> None:
    """Each reason has its own result, checked in the declared order, and nothing is stored."""
    account, other = await funded.open_account(1000), await funded.open_account(1000)
    await funded.call("put_key", "revoked", account, "revoked", None, 1)
    past = await funded.connection.fetchval("SELECT now() - interval '1 second'")
    await funded.call("put_key", "expired", account, "active", past, 1)
    refusals = {
        "lease_ended": reserve(uuid7(), uuid7(), lease_id="unheard-of"),
        "account_unknown": reserve(uuid7(), uuid7(), key_id="none"),
        "key_unknown": reserve(uuid7(), account, key_id=f"key-{other}", model="none"),
        "key_revoked": reserve(uuid7(), account, key_id="revoked", model="none"),
        "key_expired": reserve(uuid7(), account, key_id="expired", model="none"),
        "model_unpriced": reserve(uuid7(), account, model="none", input_tokens_bound=10**9),
        "insufficient": reserve(uuid7(), account, input_tokens_bound=10**9),
    }
    for result, command in refusals.items():
        assert (await funded.one(command))["result"] == result
    await funded.call("put_account", account, "suspended", 2)
    assert (await funded.one(reserve(uuid7(), account, key_id="none")))["result"] == "account_suspended"
    assert await funded.count("hold") == 0


async def test_refusal_tells_whether_waiting_helps(funded: Ledger) -> None:
    """What posted money could never pay is insufficient, what only running requests keep back is held."""
    account = await funded.open_account(HOLD + 124)
    assert (await funded.one(reserve(uuid7(), account)))["result"] == "ok"
    answer = await funded.one(reserve(uuid7(), account))
    assert (answer["result"], answer["needed_nano_usd"], answer["affordable_output_tokens"]) == (
        "held",
        HOLD,
        0,
    )
    answer = await funded.one(reserve(uuid7(), account, input_tokens_bound=90, output_tokens_wanted=10**6))
    assert (answer["result"], answer["affordable_output_tokens"]) == ("insufficient", 5)


async def test_reserve_without_a_limit_grants_what_the_balance_affords(funded: Ledger) -> None:
    """Without a limit by the client the grant is the model's limit, or less, but never less than 16 tokens a choice."""
    rich, middling, poor = [
        await funded.open_account(money) for money in (10**6, 125 + 2 * 101, 125 + 2 * 31)
    ]
    unlimited = {"output_tokens_wanted": None, "choices": 2}
    answers = await funded.execute(
        *(reserve(uuid7(), account, **unlimited) for account in (rich, middling, poor))
    )
    assert [answer["output_tokens_bound"] for answer in answers] == [2000, 100, None]
    assert [answer["result"] for answer in answers] == ["ok", "ok", "insufficient"]
    assert answers[2]["needed_nano_usd"] == 125 + 2 * 32
    assert answers[2]["affordable_output_tokens"] == 31


async def test_free_model_needs_no_money(funded: Ledger) -> None:
    """A price of zero is served to an empty account, and settles without a transfer."""
    await funded.set_price(0, 0, model="free")
    account, request = await funded.open_account(), uuid7()
    answer = await funded.one(reserve(request, account, model="free", output_tokens_wanted=None))
    assert (answer["result"], answer["amount_nano_usd"], answer["output_tokens_bound"]) == ("ok", 0, 1000)
    assert (await funded.one(settle(request, account)))["charged_nano_usd"] == 0
    assert await funded.count("transfer") == 0
    assert await funded.count("usage") == 1


async def test_settle_returns_the_unused_part_of_the_hold(funded: Ledger) -> None:
    """A settlement takes the cost, frees the rest, and writes one usage row and one event."""
    account, request = await funded.open_account(1000), uuid7()
    first, second = await funded.execute(reserve(request, account), settle(request, account))
    assert (second["result"], second["charged_nano_usd"], second["state"]) == ("ok", COST, "SETTLED")
    assert await funded.balance(account) == (1000 - COST, 0)
    events = await funded.connection.fetch("SELECT subject, body FROM billing.outbox_batch(10)")
    assert [event["subject"] for event in events] == [
        "billing.event.credited",
        "billing.event.usage_recorded",
    ]
    usage = json.loads(events[1]["body"])
    assert (usage["request_id"], usage["charged_nano_usd"], usage["rule"]) == (str(request), COST, "C1")
    assert first["price_id"] == usage["price_id"]


async def test_settle_uses_the_price_of_the_hold(funded: Ledger) -> None:
    """A price that changes while a request runs does not change what it costs."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    await funded.set_price(1_000_000, 1_000_000)
    assert (await funded.one(settle(request, account)))["charged_nano_usd"] == COST


async def test_settle_again_returns_the_stored_outcome(funded: Ledger) -> None:
    """The first settlement wins; another one, and a void, changes nothing and learns what was charged."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.execute(reserve(request, account), settle(request, account))
    for command in (settle(request, account, output_tokens=9), void(request, account)):
        answer = await funded.one(command)
        assert (answer["result"], answer["state"], answer["charged_nano_usd"]) == ("already", "SETTLED", COST)
    assert (await funded.one(reserve(request, account)))["result"] == "settled"
    assert (await funded.one(extend(request, account)))["result"] == "closed"
    assert await funded.balance(account) == (1000 - COST, 0)


async def test_cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest(funded: Ledger) -> None:
    """What exceeds the hold is taken as far as it is available; the rest is a write-off with a cause."""
    account, request = await funded.open_account(HOLD + 100), uuid7()
    await funded.one(reserve(request, account))
    answer = await funded.one(settle(request, account, output_tokens=300))
    assert (answer["result"], answer["charged_nano_usd"]) == ("ok", HOLD + 100)
    assert await funded.balance(account) == (0, 0)
    usage = await funded.connection.fetchrow("SELECT writeoff_nano_usd, writeoff_cause FROM billing.usage")
    assert tuple(usage) == (700 - HOLD - 100, "uncollectable")
    transfers = await funded.connection.fetch(
        "SELECT kind, amount_nano_usd FROM billing.transfer ORDER BY id OFFSET 1"
    )
    assert [tuple(row) for row in transfers] == [("usage", HOLD), ("over", 100), ("write_off", 375)]
    assert await audit(funded.connection) == []


async def test_estimate_never_costs_more_than_the_hold(funded: Ledger) -> None:
    """The tokens of an estimate are lowered to the bounds of the hold."""
    account, request = await funded.open_account(10_000), uuid7()
    await funded.one(reserve(request, account))
    estimate = settle(
        request, account, rule="C2", is_estimated=True, input_tokens=10**6, cache_write_tokens=10**6, output_tokens=10**6
    )  # fmt: skip
    assert (await funded.one(estimate))["charged_nano_usd"] == HOLD


async def test_free_settlement_writes_the_cost_off(funded: Ledger) -> None:
    """What broke on our side or upstream costs the customer nothing, and the known cost is a write-off with its cause."""
    account, request = await funded.open_account(1000), uuid7()
    broken = settle(
        request,
        account,
        rule="C7",
        outcome="upstream_failed",
        is_charged=False,
        writeoff_cause="upstream_failed",
    )
    await funded.execute(reserve(request, account), broken)
    assert await funded.balance(account) == (1000, 0)
    usage = await funded.connection.fetchrow(
        "SELECT cost_nano_usd, writeoff_nano_usd, writeoff_cause FROM billing.usage"
    )
    assert tuple(usage) == (COST, COST, "upstream_failed")
    assert await audit(funded.connection) == []


async def test_settle_of_an_unknown_id_writes_nothing(funded: Ledger) -> None:
    """A settlement without a hold is answered so, and leaves no trace."""
    account = await funded.open_account(1000)
    assert (await funded.one(settle(uuid7(), account)))["result"] == "unknown"
    assert await funded.count("hold") == await funded.count("usage") == 0


async def test_extend_is_cumulative(funded: Ledger) -> None:
    """An extend raises the bounds to its figures; a repeat, and a lower figure, change nothing."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    for bound in (100, 100, 70):
        answer = await funded.one(extend(request, account, output_tokens_bound=bound))
        assert (answer["result"], answer["amount_nano_usd"], answer["output_tokens_bound"]) == (
            "ok",
            325,
            100,
        )
    answer = await funded.one(extend(request, account, input_tokens_bound=200))
    assert (answer["amount_nano_usd"], await funded.balance(account)) == (450, (1000, 450))


async def test_extend_that_is_not_affordable_changes_nothing(funded: Ledger) -> None:
    """A refused extend names the reason and the bound that would be affordable."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.execute(reserve(request, account), reserve(uuid7(), account))
    answer = await funded.one(extend(request, account, output_tokens_bound=400))
    assert (answer["result"], answer["needed_nano_usd"]) == ("held", 925)
    assert answer["affordable_output_tokens"] == (1000 - HOLD - 125) // 2
    answer = await funded.one(extend(request, account, output_tokens_bound=500))
    assert (answer["result"], answer["held_nano_usd"]) == ("insufficient", 2 * HOLD)
    assert await funded.balance(account) == (1000, 2 * HOLD)


async def test_higher_attempt_fences_off_lower_ones(funded: Ledger) -> None:
    """After an extend of a newer attempt, the older one can neither extend nor settle."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    assert (await funded.one(extend(request, account, attempt=2)))["result"] == "ok"
    stale = [extend(request, account, attempt=1, output_tokens_bound=90), settle(request, account, attempt=1)]
    assert [answer["result"] for answer in await funded.execute(*stale)] == ["stale_attempt"] * 2
    assert await funded.balance(account) == (1000, HOLD)
    assert (await funded.one(settle(request, account, attempt=2)))["result"] == "ok"


async def test_fence_shuts_lower_attempts_out_and_moves_no_money(funded: Ledger) -> None:
    """An extend without bounds leaves the hold as it is; what comes from below it changes nothing, a void included."""
    account, request = await funded.open_account(HOLD), uuid7()
    await funded.one(reserve(request, account))
    answer = await funded.one(fence(request, account, 2))
    assert (answer["result"], answer["attempt"], answer["amount_nano_usd"]) == ("ok", 2, HOLD)
    stale = [
        fence(request, account, 1), settle(request, account, attempt=1),
        void(request, account, attempt=1), void(request, account),
    ]  # fmt: skip
    assert [answer["result"] for answer in await funded.execute(*stale)] == ["stale_attempt"] * 4
    assert await funded.balance(account) == (HOLD, HOLD)
    assert (await funded.one(fence(request, account, 2)))["result"] == "ok"
    assert (await funded.one(void(request, account, attempt=3)))["result"] == "ok"
    assert await funded.balance(account) == (HOLD, 0)
    assert await funded.connection.fetchval("SELECT attempt FROM billing.hold") == 3
    for command in (void(request, account), settle(request, account)):
        answer = await funded.one(command)
        assert (answer["result"], answer["state"]) == ("already", "VOIDED")


async def test_fence_around_nothing_leaves_no_trace(funded: Ledger) -> None:
    """A hold that has ended is closed to every attempt, and an unknown one has no fence."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.execute(reserve(request, account), settle(request, account, attempt=1))
    assert (await funded.one(fence(request, account, 2)))["result"] == "closed"
    assert (await funded.one(fence(uuid7(), account, 2)))["result"] == "unknown"
    assert await funded.connection.fetchval("SELECT attempt FROM billing.hold") == 1


async def test_void_of_an_attempt_that_is_none_is_invalid(funded: Ledger) -> None:
    """And nothing is voided."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.one(reserve(request, account))
    assert (await funded.one(void(request, account, attempt=-1)))["result"] == "invalid"
    assert await funded.balance(account) == (1000, HOLD)


async def test_void_frees_the_hold(funded: Ledger) -> None:
    """A void costs nothing, writes no usage, and is final."""
    account, request = await funded.open_account(1000), uuid7()
    await funded.execute(reserve(request, account), void(request, account))
    assert await funded.balance(account) == (1000, 0)
    answer = await funded.one(settle(request, account))
    assert (answer["result"], answer["state"], answer["charged_nano_usd"]) == ("already", "VOIDED", 0)
    assert await funded.count("usage") == 0


async def test_void_before_reserve_leaves_a_tombstone(funded: Ledger) -> None:
    """A reserve that arrives after its void does not revive the request, even if the account was unknown then."""
    account, stranger, request, other = await funded.open_account(1000), uuid7(), uuid7(), uuid7()
    first = void(request, account, attempt=3)
    answers = await funded.execute(first, void(request, account), void(other, stranger))
    assert [answer["result"] for answer in answers] == ["ok", "already", "ok"]
    assert (await funded.one(reserve(request, account)))["result"] == "voided"
    assert (await funded.one(reserve(other, stranger)))["result"] == "voided"
    assert await funded.balance(account) == (1000, 0)


async def test_expired_hold_is_settled_late_once(funded: Ledger) -> None:
    """After expiry a settlement takes what is available and adds a late usage row; a repeat changes nothing."""
    account, request = await funded.open_account(HOLD), uuid7()
    await funded.one(reserve(request, account))
    assert (await funded.one(expire(request, account)))["result"] == "live"
    await funded.call("end_lease", "lease")
    assert (await funded.one(expire(request, account)))["result"] == "ok"
    assert await funded.balance(account) == (HOLD, 0)
    late, again = await funded.execute(settle(request, account, output_tokens=300), settle(request, account))
    assert (late["result"], late["charged_nano_usd"]) == ("late", HOLD)
    assert (again["result"], again["state"], again["charged_nano_usd"]) == ("already", "EXPIRED", HOLD)
    rows = await funded.connection.fetch(
        "SELECT is_late, rule, charged_nano_usd, writeoff_nano_usd FROM billing.usage ORDER BY is_late"
    )
    assert [tuple(row) for row in rows] == [(False, "C9", 0, 0), (True, "C1", HOLD, 700 - HOLD)]
    assert await audit(funded.connection) == []


@pytest.mark.parametrize(
    "poison",
    [
        {"input_tokens": -1}, {"cache_read_tokens": 101}, {"cache_write_tokens": 99, "cache_read_tokens": 2},
        {"reasoning_tokens": 51}, {"output_tokens": 10**12}, {"output_tokens": None}, {"rule": "C9"}, {"rule": "x"},
        {"outcome": "lost"}, {"outcome": "NaN"}, {"witness": "reaper"}, {"is_charged": None}, {"attempt": -1},
        {"is_charged": False}, {"is_upstream_accepted": False}, {"op": "steal"}, {"op": None}, {"id": None},
    ],
)  # fmt: skip
async def test_value_out_of_range_is_invalid_and_harms_nobody(funded: Ledger, poison: Command) -> None:
    """A command with a bad value is answered `invalid`; its neighbours in the batch are served."""
    account, request, other = await funded.open_account(1000), uuid7(), uuid7()
    await funded.one(reserve(request, account))
    bad, good = await funded.execute(settle(request, account) | poison, reserve(other, account))
    assert (bad["result"], good["result"]) == ("invalid", "ok")
    assert await funded.balance(account) == (1000, 2 * HOLD)


@pytest.mark.parametrize(
    "poison",
    [
        {"input_tokens_bound": -1}, {"input_tokens_bound": 2**62}, {"output_tokens_wanted": -1}, {"choices": 0},
        {"output_tokens_wanted": 2**62}, {"choices": -3}, {"choices": 10**6}, {"choices": None}, {"deadline_seconds": 0},
        {"deadline_seconds": 10**6}, {"key_id": None}, {"fingerprint": None}, {"model": None}, {"account_id": None},
    ],
)  # fmt: skip
async def test_reserve_out_of_range_is_invalid(funded: Ledger, poison: Command) -> None:
    """A bound that no request can have is refused before it can overflow anything."""
    account = await funded.open_account(1000)
    bad, good = await funded.execute(reserve(uuid7(), account) | poison, reserve(uuid7(), account))
    assert (bad["result"], good["result"]) == ("invalid", "ok")


async def test_largest_price_and_tokens_do_not_overflow(funded: Ledger) -> None:
    """The dearest request there can be is refused with its exact cost."""
    await funded.set_price(8 * 10**10, 10**11, model="dear")
    account = await funded.open_account(10**18)
    tokens = 2 * 10**9
    answer = await funded.one(
        reserve(uuid7(), account, model="dear", input_tokens_bound=tokens, output_tokens_wanted=tokens)
    )
    assert (answer["result"], answer["amount_nano_usd"]) == ("ok", 2 * tokens * 10**8)
    answer = await funded.one(
        reserve(uuid7(), account, model="dear", input_tokens_bound=tokens, output_tokens_wanted=tokens - 1)
    )
    assert (answer["result"], answer["amount_nano_usd"]) == ("ok", (2 * tokens - 1) * 10**8)


@pytest.mark.parametrize("poison", [{"input_tokens": 2**70}, {"id": "no uuid"}, {"channel": "\0"}])
async def test_value_of_another_type_undoes_the_whole_batch(funded: Ledger, poison: Command) -> None:
    """What does not fit its type fails the batch, and nothing of it is kept."""
    account, request = await funded.open_account(1000), uuid7()
    with pytest.raises(asyncpg.DataError):
        await funded.execute(reserve(request, account), settle(uuid7(), account) | poison)
    assert await funded.balance(account) == (1000, 0)


async def test_batch_of_more_than_256_is_refused(funded: Ledger) -> None:
    """A batch has a bound, so that no lock is held for long."""
    with pytest.raises(asyncpg.ProgramLimitExceededError):
        await funded.execute(*(void(uuid7(), uuid7()) for _ in range(257)))
    assert await funded.execute() == []
