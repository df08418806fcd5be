"""Limits of keys, accounts and groups, decided by the ledger where it reserves."""

import asyncio
import datetime
import json
from collections import Counter
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.billing.audit import audit
from shared.ids import uuid7
from tests.billing.bookkeeping import Ledger, expire, extend, reserve, settle, void

HOLD = 225  # of the default reserve at the default price
COST = 200
TOKENS = 150  # of the default reserve: 100 of input, 50 of output


@pytest.fixture
async def funded(ledger: Ledger) -> Ledger:
    """A ledger with a price."""
    await ledger.set_price()
    return ledger


async def limit(ledger: Ledger, account: UUID, *, of_key: bool = False, **limits: int) -> None:
    """Give the account, or its key, these limits."""
    key = f"key-{account}" if of_key else None
    assert await ledger.call("set_limits", account, key, json.dumps(limits)) == "ok"


async def standing(ledger: Ledger, account: UUID, *, of_key: bool = False) -> dict[str, object]:
    """Return what `limits_of` says of the account or its key."""
    text = await ledger.call("limits_of", account, f"key-{account}" if of_key else None)
    document: dict[str, object] = json.loads(str(text))
    return document


@pytest.mark.parametrize("of_key", [False, True])
async def test_requests_per_minute_are_counted_to_the_last(funded: Ledger, of_key: bool) -> None:
    """Of 400 parallel reserves over four connections just 100 are admitted; each refusal says which limit and when to come back."""
    account = await funded.open_account(10**9)
    await limit(funded, account, of_key=of_key, requests_per_minute=100)
    rivals = [Ledger(await asyncpg.connect(funded.url), funded.url) for _ in range(4)]

    async def ask(rival: Ledger) -> list[asyncpg.Record]:
        batches = [[reserve(uuid7(), account) for _ in range(20)] for _ in range(5)]
        return [each for batch in batches for each in await rival.execute(*batch, is_blocking=True)]

    try:
        answers = [each for some in await asyncio.gather(*map(ask, rivals)) for each in some]
    finally:
        for rival in rivals:
            await rival.connection.close()

    assert Counter(each["result"] for each in answers) == {"ok": 100, "limited": 300}
    refusal = json.loads(next(each["limits"] for each in answers if each["result"] == "limited"))
    assert (refusal["name"], refusal["scope"]) == ("requests_per_minute", "key" if of_key else "account")
    assert refusal["value"] == 100
    assert 0 < refusal["retry_seconds"] <= 61
    assert await audit(funded.connection) == []


async def test_an_admitted_request_is_told_what_is_left(funded: Ledger) -> None:
    """Of the tightest limit of key and account."""
    account = await funded.open_account(10**6)
    await limit(funded, account, requests_per_minute=10, tokens_per_minute=1000)
    await limit(funded, account, of_key=True, requests_per_minute=3)

    answers = [await funded.one(reserve(uuid7(), account)) for _ in range(2)]

    assert [json.loads(each["limits"]) for each in answers] == [
        {"requests": [3, 2], "tokens": [1000, 850]},
        {"requests": [3, 1], "tokens": [1000, 700]},
    ]


async def test_concurrent_requests_are_the_live_holds(funded: Ledger) -> None:
    """However a hold ends, its place is free again."""
    account = await funded.open_account(10**6)
    await funded.call("renew_lease", "gone", 3600)
    await limit(funded, account, concurrent_requests=3)
    running = [uuid7() for _ in range(3)]
    for request in running:
        assert (await funded.one(reserve(request, account, lease_id="gone")))["result"] == "ok"
    refused = await funded.one(reserve(uuid7(), account))
    assert (refused["result"], json.loads(refused["limits"])["name"]) == ("limited", "concurrent_requests")

    await funded.one(settle(running[0], account))
    await funded.one(void(running[1], account))
    await funded.call("end_lease", "gone")
    assert (await funded.one(expire(running[2], account)))["result"] == "ok"

    assert (await standing(funded, account))["running"] == 0
    answers = [await funded.one(reserve(uuid7(), account)) for _ in range(4)]
    assert [each["result"] for each in answers] == ["ok", "ok", "ok", "limited"]
    assert await audit(funded.connection) == []


async def test_tokens_are_reserved_and_corrected(funded: Ledger) -> None:
    """A reserve counts its bounds, a settlement what was used, a void nothing."""
    account = await funded.open_account(10**6)
    await limit(funded, account, tokens_per_minute=400)
    first, second = uuid7(), uuid7()
    await funded.execute(reserve(first, account), reserve(second, account))
    assert (await standing(funded, account))["tokens"] == 2 * TOKENS
    refused = await funded.one(reserve(uuid7(), account))
    assert json.loads(refused["limits"])["name"] == "tokens_per_minute"
    assert json.loads(refused["limits"])["left"] == 100

    await funded.one(settle(first, account, input_tokens=20, output_tokens=5))
    await funded.one(void(second, account))

    assert (await standing(funded, account))["tokens"] == 25
    assert (await funded.one(reserve(uuid7(), account)))["result"] == "ok"


async def test_more_tokens_than_were_reserved_count_as_well(funded: Ledger) -> None:
    """What the upstream used beyond the bounds is not forgotten."""
    account, request = await funded.open_account(10**6), uuid7()
    await limit(funded, account, tokens_per_minute=400)
    await funded.one(reserve(request, account))
    await funded.one(settle(request, account, output_tokens=500))
    assert (await standing(funded, account))["tokens"] == 600


async def test_a_request_above_the_limit_is_not_told_to_wait(funded: Ledger) -> None:
    """A request that alone is more than a minute allows says so: waiting does not help."""
    account = await funded.open_account(10**6)
    await limit(funded, account, tokens_per_minute=TOKENS - 1)
    refused = json.loads((await funded.one(reserve(uuid7(), account)))["limits"])
    assert (refused["name"], refused["retry_seconds"], refused["needed"]) == (
        "tokens_per_minute",
        None,
        TOKENS,
    )


@pytest.mark.parametrize("name", ["spend_day", "spend_month", "spend_total"])
@pytest.mark.parametrize("of_key", [False, True])
async def test_spend_and_holds_stay_within_a_limit_of_money(funded: Ledger, name: str, of_key: bool) -> None:
    """What is held counts until it is settled; what is spent stays spent. The refusal tells one from the other."""
    account, first = await funded.open_account(10**6), uuid7()
    await limit(funded, account, of_key=of_key, **{f"{name}_nano_usd": HOLD + COST})
    assert (await funded.one(reserve(first, account)))["result"] == "ok"

    held = await funded.one(reserve(uuid7(), account))
    await funded.one(settle(first, account))
    second, scope = uuid7(), "key" if of_key else "account"
    assert (await funded.one(reserve(second, account)))["result"] == "ok"
    await funded.one(settle(second, account))
    used = await funded.one(reserve(uuid7(), account))

    assert (held["result"], json.loads(held["limits"])) == ("held", {"name": name, "scope": scope})
    assert used["result"] == "insufficient"
    assert json.loads(used["limits"]) == {"name": name, "scope": scope, "value": HOLD + COST, "left": 25}
    assert await audit(funded.connection) == []


async def test_an_open_bound_is_granted_within_a_limit_of_money(funded: Ledger) -> None:
    """Who names no bound gets what the limit affords, as with a balance."""
    account = await funded.open_account(10**6)
    await limit(funded, account, spend_total_nano_usd=125 + 2 * 40)
    answer = await funded.one(reserve(uuid7(), account, output_tokens_wanted=None))
    assert (answer["result"], answer["output_tokens_granted"]) == ("ok", 40)


async def test_an_extension_and_an_overrun_heed_a_limit_of_money(funded: Ledger) -> None:
    """A hold does not grow past it, and a cost above the hold is written off rather than taken past it."""
    account, request = await funded.open_account(10**6), uuid7()
    await limit(funded, account, of_key=True, spend_total_nano_usd=HOLD + 20)
    await funded.one(reserve(request, account))

    grown = await funded.one(extend(request, account, output_tokens_bound=60))
    refused = await funded.one(extend(request, account, output_tokens_bound=61))
    ended = await funded.one(settle(request, account, output_tokens=500))

    assert (grown["result"], grown["amount_nano_usd"]) == ("ok", HOLD + 20)
    assert (refused["result"], refused["affordable_output_tokens"]) == ("insufficient", 60)
    assert ended["charged_nano_usd"] == HOLD + 20
    assert await audit(funded.connection) == []


async def test_a_limit_that_comes_later_knows_what_was_before(funded: Ledger) -> None:
    """Its meter starts with what is spent and running, and forgets nothing of holds that were made without it."""
    account, spent, running = await funded.open_account(10**6), uuid7(), uuid7()
    await funded.execute(reserve(spent, account), reserve(running, account))
    await funded.one(settle(spent, account))

    await limit(funded, account, spend_day_nano_usd=10**6, concurrent_requests=2)
    await limit(funded, account, of_key=True, spend_total_nano_usd=10**6)

    for of_key in (False, True):
        now = await standing(funded, account, of_key=of_key)
        assert (now["running"], now["held_nano_usd"]) == (1, HOLD)
        assert (now["day_nano_usd"], now["month_nano_usd"], now["total_nano_usd"]) == (COST, COST, COST)
    await funded.one(settle(running, account))
    assert (await standing(funded, account))["total_nano_usd"] == 2 * COST
    assert await audit(funded.connection) == []


async def test_limits_that_are_taken_away_are_forgotten(funded: Ledger) -> None:
    """Without a limit there is no meter, also while requests run that it has counted."""
    account, request = await funded.open_account(10**6), uuid7()
    await limit(funded, account, requests_per_minute=1)
    await funded.one(reserve(request, account))
    await limit(funded, account)
    assert await funded.count("meter") == 0
    assert (await funded.one(reserve(uuid7(), account)))["result"] == "ok"
    assert (await funded.one(settle(request, account)))["result"] == "ok"
    assert await audit(funded.connection) == []


async def test_a_group_gives_limits_models_and_a_price(funded: Ledger) -> None:
    """To each account in it; the account's own limit stands before the group's."""
    account, own, other = [await funded.open_account(10**6) for _ in range(3)]
    await funded.set_price(model="n")
    await funded.call("put_group", "trial", '{"requests_per_minute": 2}', ["m"], 1_500_000)
    await limit(funded, own, requests_per_minute=3)
    for each in (account, own):
        assert await funded.call("set_group", each, "trial") == "ok"

    results = {
        each: [(await funded.one(reserve(uuid7(), each)))["result"] for _ in range(4)]
        for each in (account, own, other)
    }
    wrong_model = await funded.one(reserve(uuid7(), account, model="n"))
    dear = await funded.connection.fetchrow(
        "SELECT amount_nano_usd, multiplier_ppm FROM billing.hold WHERE account_id = $1 LIMIT 1", account
    )

    assert results[account] == ["ok", "ok", "limited", "limited"]
    assert results[own] == ["ok", "ok", "ok", "limited"]
    assert results[other] == ["ok"] * 4
    assert wrong_model["result"] == "model_not_allowed"
    assert tuple(dear) == (338, 1_500_000)  # 225 · 1.5, rounded up
    assert await funded.call("delete_group", "trial") == "in_use"
    for each in (account, own):
        assert await funded.call("set_group", each, None) == "ok"
    assert await funded.call("delete_group", "trial") == "ok"
    assert await funded.call("delete_group", "trial") == "unknown"


async def test_a_charge_keeps_the_multiplier_of_its_hold(funded: Ledger) -> None:
    """A group that changes its price in between changes nothing for requests that run."""
    account, request = await funded.open_account(10**6), uuid7()
    await funded.call("put_group", "dear", "{}", [], 2_000_000)
    await funded.call("set_group", account, "dear")
    await funded.one(reserve(request, account))
    await funded.call("put_group", "dear", "{}", [], 1)

    assert (await funded.one(settle(request, account)))["charged_nano_usd"] == 2 * COST
    assert await audit(funded.connection) == []


async def test_what_does_not_exist_has_no_limits(funded: Ledger) -> None:
    """Each unknown thing has its own word."""
    account, nobody = await funded.open_account(), uuid7()
    assert await funded.call("set_limits", nobody, None, "{}") == "account_unknown"
    assert await funded.call("set_limits", account, "key-of-nobody", "{}") == "key_unknown"
    assert await funded.call("set_group", nobody, None) == "account_unknown"
    assert await funded.call("set_group", account, "none") == "group_unknown"
    assert await funded.call("limits_of", nobody, None) is None


_ADMITTED = """
CREATE FUNCTION pg_temp.admitted(moments double precision[]) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    reading billing.reading;
    refusal jsonb;
BEGIN
    FOR place IN 1 .. cardinality(moments) LOOP
        moment := to_timestamp(moments[place]);
        reading := billing.read_meter('key', 'probe', NULL, moment);
        refusal := billing.limit_reached(reading, 10, moment);
        IF refusal IS NULL THEN
            PERFORM billing.count_request(ARRAY[reading], 0, 10);
        END IF;
        RETURN NEXT coalesce(refusal, 'true'::jsonb);
    END LOOP;
END $$"""
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()


async def test_no_minute_ever_has_more_than_its_limit(funded: Ledger) -> None:
    """Whenever requests come: no span of 60 s has more of them than the limit, and what is told to wait is then admitted."""
    account = await funded.open_account()
    await limit(funded, account, requests_per_minute=1)
    await funded.connection.execute(_ADMITTED)
    arrivals = st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=30)
    cases: list[tuple[list[float], int]] = []

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(arrivals, st.integers(1, 6))
    def collect(pauses: list[float], most: int) -> None:
        moments = [_START + sum(pauses[: place + 1]) / 4 for place in range(len(pauses))]
        cases.append((moments, most))

    collect()
    for moments, most in cases:
        await _begin_anew(funded, most)
        answers = [
            json.loads(row[0])
            for row in await funded.connection.fetch("SELECT pg_temp.admitted($1)", moments)
        ]
        admitted = [at for at, answer in zip(moments, answers, strict=True) if answer is True]
        for at in admitted:
            assert sum(at - 60 < other <= at for other in admitted) <= most
        last = answers[-1]
        if last is not True:
            assert 0 < last["retry_seconds"] <= 61
            later = moments[-1] + last["retry_seconds"]
            again = await funded.connection.fetchval("SELECT pg_temp.admitted($1)", [later])
            assert json.loads(again) is True


async def _begin_anew(ledger: Ledger, most: int) -> None:
    await ledger.connection.execute("DELETE FROM billing.meter WHERE id = 'probe'")
    await ledger.connection.execute(
        """INSERT INTO billing.meter
           SELECT 'probe', account_id, ROW($1::integer, NULL, NULL, NULL, NULL, NULL)::billing.limits, 0,
               array_fill(0, ARRAY[61]), array_fill(0::bigint, ARRAY[61]), 0, 0, '2026-01-01', 0, '2026-01-01', 0, 0
           FROM billing.meter LIMIT 1""",
        most,
    )


async def test_days_and_months_begin_anew(funded: Ledger) -> None:
    """A new day frees the day's money, a new month the month's; what was spent in all stays."""
    rows = await funded.connection.fetch(
        """SELECT (billing.at_moment(ROW('m', $1::uuid, NULL, 0, array_fill(0, ARRAY[61]), array_fill(0::bigint, ARRAY[61]), 0, 0,
                DATE '2026-01-31', 1, DATE '2026-01-01', 2, 3)::billing.meter, moment)).*
           FROM unnest(ARRAY['2026-01-31 23:59:59.9Z', '2026-02-01 00:00Z', '2026-01-01 00:00Z']::timestamptz[]) AS moment""",
        uuid7(),
    )
    spent = [(row["day_nano_usd"], row["month_nano_usd"], row["total_nano_usd"]) for row in rows]
    assert spent == [(1, 2, 3), (0, 0, 3), (1, 2, 3)]
