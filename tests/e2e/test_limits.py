"""Limits, receipts and a key's questions about itself, through the whole stack and the official SDK."""

import asyncio
from collections import Counter

import httpx
import openai
import pytest

from shared.contracts import accounts
from shared.money import NANO_PER_USD
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator, Tenant
from tests.e2e.wire import ask

pytestmark = pytest.mark.xdist_group("e2e")

LIMIT = 100
PARALLEL = 400


async def _limit(operator: Operator, tenant: Tenant, *, of_key: bool = True, **limits: int) -> None:
    await operator.bus.call(
        accounts.SET_LIMITS,
        accounts.SetLimits(
            account_id=tenant.account_id,
            key_id=tenant.key_id if of_key else None,
            limits=accounts.Limits(**limits),
        ),
    )


async def test_of_400_parallel_calls_a_limit_of_100_a_minute_admits_100(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """On two edges, two billings and two dispatchers: to the last one, and every refusal says when to come back."""
    tenant = await cluster_operator.make_tenant()
    await _limit(cluster_operator, tenant, requests_per_minute=LIMIT)

    answers = await asyncio.gather(
        *(ask(cluster, tenant, "hi [[sim out=2]]", is_stream=False) for _ in range(PARALLEL))
    )

    assert Counter(answer.status for answer in answers) == {200: LIMIT, 429: PARALLEL - LIMIT}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == str(LIMIT)
        if answer.status == 429:
            assert (answer.error["code"], answer.error["type"]) == (
                "requests_per_minute_exceeded",
                "rate_limit_error",
            )
            assert f"{LIMIT} requests per minute" in str(answer.error["message"])
            assert answer.headers["x-should-retry"] == "true"
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    left = sorted(
        int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers if answer.status == 200
    )
    assert left == list(range(LIMIT))
    await cluster_operator.settled(tenant, LIMIT)


async def test_a_limit_of_money_is_not_a_limit_of_speed(
    operator: Operator, tenant: Tenant, client: openai.AsyncOpenAI
) -> None:
    """402, which no SDK repeats, and the sentence says whose limit it is and what is left."""
    await _limit(operator, tenant, of_key=False, spend_month_nano_usd=1)
    with pytest.raises(openai.APIStatusError) as caught:
        await client.with_options(max_retries=2).chat.completions.create(
            model=tenant.model, messages=[{"role": "user", "content": "hi"}], max_tokens=10
        )
    assert caught.value.status_code == 402
    assert caught.value.code == "spend_limit_reached"
    assert "account may spend in a month" in str(caught.value)
    assert len(await operator.records(tenant)) == 0


async def test_the_sdk_waits_as_long_as_it_is_told(
    operator: Operator, tenant: Tenant, client: openai.AsyncOpenAI
) -> None:
    """A place that is free again is taken by the repeat that the SDK makes by itself."""
    await _limit(operator, tenant, concurrent_requests=1)

    async def create(text: str) -> str:
        answer = await client.with_options(max_retries=5).chat.completions.create(
            model=tenant.model, messages=[{"role": "user", "content": text}], max_tokens=10
        )
        return answer.choices[0].finish_reason

    answers = await asyncio.gather(*(create("hi [[sim out=2 ttft=300]]") for _ in range(2)))
    assert answers == ["stop", "stop"]


async def test_a_key_can_ask_for_its_receipt(stack: RunningStack, operator: Operator, tenant: Tenant) -> None:
    """The id stands in the answer's header; another key sees nothing of it."""
    answer = await ask(stack, tenant, "hi [[sim out=3]]", is_stream=False)
    request_id = answer.headers["x-request-id"]
    await operator.settled(tenant, 1)
    stranger = await operator.make_tenant()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=tenant.headers) as http:
        receipt = (await http.get(f"/receipts/{request_id}")).json()
        chinese = (await http.get(f"/receipts/{request_id}", headers={"accept-language": "zh"})).json()
        nothing = [
            await http.get(f"/receipts/{request_id}", headers=stranger.headers),
            await http.get("/receipts/none"),
        ]
        anonymous = await http.get(f"/receipts/{request_id}", headers={"authorization": ""})

    (record,) = await operator.records(tenant)
    (charge,) = receipt["charges"]
    assert (receipt["id"], receipt["state"], charge["rule"], charge["source"]) == (
        request_id,
        "settled",
        "C1",
        "upstream",
    )
    assert charge["tokens"]["output_tokens"] == record.usage.output_tokens == 3
    assert receipt["charged_usd"] == charge["charged_usd"]
    assert round(float(receipt["charged_usd"]) * NANO_PER_USD) == record.charged_nano_usd
    assert "reported" in charge["meaning"]
    assert chinese["charges"][0]["meaning"] != charge["meaning"]
    assert tenant.channel not in str(receipt)
    for refused in nothing:
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert anonymous.status_code == 401


async def test_a_key_can_ask_for_its_limits_and_what_it_spent(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """In its own words at /v1/key, and in those of the dashboard that clients know."""
    await _limit(operator, tenant, requests_per_minute=5, spend_total_nano_usd=3 * NANO_PER_USD)
    await ask(stack, tenant, "hi [[sim out=3]]", is_stream=False)
    (record,) = await operator.settled(tenant, 1)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=tenant.headers) as http:
        key = (await http.get("/key")).json()
        subscription = (await http.get("/dashboard/billing/subscription")).json()
        usage = (await http.get("/dashboard/billing/usage")).json()
        wrong = await http.get("/dashboard/billing/usage?start_date=yesterday")
        allowed = await http.post("/key")

    spent = record.charged_nano_usd
    assert key["key_limits"]["requests_per_minute"] == {"limit": 5, "used": 1, "remaining": 4}
    assert round(float(key["key_limits"]["spend_total_usd"]["used"]) * NANO_PER_USD) == spent
    assert key["account_limits"] == {}
    assert subscription["hard_limit_usd"] == pytest.approx(3.0)
    assert usage["total_usage"] == pytest.approx(spent * 100 / NANO_PER_USD)
    assert usage["daily_costs"][0]["line_items"][0]["name"] == tenant.model
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "start_date")
    assert allowed.status_code == 405
