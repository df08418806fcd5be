"""Holds that grow with their streams, through the whole stack: nobody overspends, and every stream says how it ended."""

import asyncio
import json
from collections import Counter

import openai
import pytest

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator
from tests.e2e.wire import Received, chat_request, exchange

pytestmark = pytest.mark.xdist_group("e2e")

STREAMS = 1_000
SLICE_TOKENS = 2_048  # the default of RELAY_HOLD_SLICE_TOKENS
PICO_USD = 1_000_000  # a micro-USD for each token
SLICES_AFFORDABLE = 40
BALANCE_NANO_USD = SLICES_AFFORDABLE * SLICE_TOKENS * PICO_USD // 1_000
# 6,000 bytes of text: three times as much as the first slice surely covers.
LONG = "hi [[sim out=1500 tps=1000]]"


def _how_it_ended(answer: Received) -> str:
    if answer.status != 200:
        return str(answer.error["code"])
    last = answer.events()[-1]
    return "complete" if last == b"[DONE]" else str(json.loads(last)["error"]["code"])


async def test_1000_parallel_streams_on_a_small_wallet_end_explained(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """The balance is never below zero, each stream is whole or says what it lacked, and what was charged is what was taken."""
    tenant = await cluster_operator.make_tenant(
        balance_nano_usd=BALANCE_NANO_USD, input_pico_usd=0, output_pico_usd=PICO_USD
    )
    answers = await asyncio.gather(
        *(exchange(cluster, chat_request(tenant, LONG, max_tokens=4_000)) for _ in range(STREAMS))
    )

    ended = Counter(_how_it_ended(answer) for answer in answers)
    assert ended.keys() <= {"complete", "balance_held", "insufficient_balance", "request_too_expensive"}, (
        ended
    )
    begun = sum(answer.status == 200 for answer in answers)
    assert ended["complete"] < begun < STREAMS  # some ran out of money on their way, some did not even begin
    for answer in answers:
        if answer.status == 200:
            assert answer.is_whole == (_how_it_ended(answer) == "complete")
    records = await cluster_operator.settled(tenant, begun)
    balance = await cluster_operator.balance(tenant)
    assert balance.posted_nano_usd == BALANCE_NANO_USD - sum(each.charged_nano_usd for each in records)
    assert balance.posted_nano_usd >= 0
    assert Counter(each.rule for each in records)["C10"] == begun - ended["complete"]
    assert sum(each.writeoff_nano_usd for each in records) == 0


async def test_a_wallet_is_spent_to_the_last_token(stack: RunningStack, operator: Operator) -> None:
    """An answer that its balance just pays for is whole, however often its hold had to grow; the next one is refused."""
    tenant = await operator.make_tenant(
        balance_nano_usd=3_000 * PICO_USD // 1_000,
        input_pico_usd=0,
        output_pico_usd=PICO_USD,
        max_output_tokens=3_000,
    )
    text = ""
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=tenant.key, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=tenant.model,
            messages=[{"role": "user", "content": "hi [[sim out=20000 tps=20000]]"}],
            max_tokens=3_000,
            stream=True,
        )
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    (record,) = await operator.settled(tenant, 1)
    assert record.outcome == "completed"
    assert record.usage.output_tokens == 3_000
    assert (await operator.balance(tenant)).posted_nano_usd == 0
    assert len(text) > 0
    with pytest.raises(openai.APIStatusError) as caught:
        async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=tenant.key, max_retries=0) as client:
            await client.chat.completions.create(
                model=tenant.model, messages=[{"role": "user", "content": "more"}], max_tokens=10
            )
    assert caught.value.status_code == 402
