"""Nobody overspends: many requests at once on little money, on one replica and on two."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from shared.db import Connection
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator, Tenant, operate
from tests.e2e.wire import Received, ask, chat_request, exchange

pytestmark = pytest.mark.xdist_group("e2e")

REQUESTS = 200
AFFORDABLE = 3
TOKENS = 1_000
PICO_USD = 1_000_000
HOLD_NANO_USD = TOKENS * PICO_USD // 1_000
BALANCE_NANO_USD = AFFORDABLE * HOLD_NANO_USD + HOLD_NANO_USD // 2


@pytest.fixture(params=["stack", "cluster"])
async def person(request: pytest.FixtureRequest) -> AsyncIterator[Operator]:
    """The operator of each stack."""
    running: RunningStack = request.getfixturevalue(request.param)
    async with operate(running) as operator:
        yield operator


@asynccontextmanager
async def _watching(database: Connection, tenant: Tenant) -> AsyncIterator[list[tuple[int, int]]]:
    """Read the account again and again; yield the list that posted and held amounts go to."""
    seen: list[tuple[int, int]] = []

    async def watch() -> None:
        while True:
            row = await database.fetchrow(
                "SELECT posted_nano_usd, held_nano_usd FROM billing.account WHERE id = $1::uuid",
                tenant.account_id,
            )
            seen.append((row["posted_nano_usd"], row["held_nano_usd"]))
            await asyncio.sleep(0)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_of_200_parallel_requests_exactly_3_run_when_the_balance_pays_for_3(person: Operator) -> None:
    """As many run as holds fit, the rest are refused before they cost anything, and at no moment is money missing.

    Every request uses its whole hold, so that none that is admitted makes room for another one.
    """
    tenant = await person.make_tenant(
        balance_nano_usd=BALANCE_NANO_USD, input_pico_usd=0, output_pico_usd=PICO_USD
    )
    text = f"go [[sim out={TOKENS} chunk_tokens=50 tps=1000]]"
    requests = [
        chat_request(tenant, text, is_stream=number % 2 == 0, max_tokens=TOKENS) for number in range(REQUESTS)
    ]

    async with _watching(person.database, tenant) as seen:
        answers: list[Received] = await asyncio.gather(
            *(exchange(person.stack, request) for request in requests)
        )
        records = await person.settled(tenant, AFFORDABLE)

    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] == AFFORDABLE
    assert statuses[402] + statuses[429] == REQUESTS - AFFORDABLE
    assert len(await person.journal(tenant)) == AFFORDABLE
    assert [record.charged_nano_usd for record in records] == [HOLD_NANO_USD] * AFFORDABLE
    assert min(posted - held for posted, held in seen) >= 0
    assert max(held for _, held in seen) == AFFORDABLE * HOLD_NANO_USD
    balance = await person.balance(tenant)
    assert (balance.posted_nano_usd, balance.held_nano_usd) == (
        BALANCE_NANO_USD - AFFORDABLE * HOLD_NANO_USD,
        0,
    )


async def test_a_refusal_says_whether_waiting_helps(operator: Operator) -> None:
    """Money that runs is a 429 with a wait, money that is not there a 402 without; both tell the truth."""
    tenant = await operator.make_tenant(
        balance_nano_usd=HOLD_NANO_USD, input_pico_usd=0, output_pico_usd=PICO_USD, max_output_tokens=TOKENS
    )
    running = asyncio.create_task(
        ask(operator.stack, tenant, f"[[sim out={TOKENS} chunk_tokens=100 tps=500]]")
    )
    await operator.arrived(tenant)

    held = await ask(operator.stack, tenant, "hi")
    assert (await running).is_whole
    await operator.settled(tenant, 1)
    spent = await ask(operator.stack, tenant, "hi")

    assert (held.status, held.error["code"], held.headers["x-should-retry"]) == (429, "balance_held", "true")
    assert 1 <= int(held.headers["retry-after"]) <= 60
    assert (spent.status, spent.error["code"]) == (402, "insufficient_balance")
    assert "retry-after" not in spent.headers


async def test_a_request_that_is_too_dear_is_told_what_is_affordable(operator: Operator) -> None:
    """The bound that the refusal names is granted when it is asked for."""
    tenant = await operator.make_tenant(
        balance_nano_usd=HOLD_NANO_USD, input_pico_usd=0, output_pico_usd=PICO_USD
    )
    dear = await exchange(operator.stack, chat_request(tenant, "hi", max_tokens=2 * TOKENS))
    affordable = await exchange(operator.stack, chat_request(tenant, "hi [[sim out=2]]", max_tokens=TOKENS))

    assert (dear.status, dear.error["code"]) == (402, "request_too_expensive")
    assert str(TOKENS) in (dear.error["message"] or "")
    assert affordable.status == 200
    await operator.settled(tenant, 1)


@pytest.mark.parametrize(("family", "status"), [("gpt-4o", 200), ("claude", 402)])
async def test_a_prompt_is_counted_before_it_is_refused(operator: Operator, family: str, status: int) -> None:
    """A balance for a third of the prompt's bytes pays for its tokens, where they can be counted exactly."""
    prompt = "every question has an answer somewhere " * 100
    tenant = await operator.make_tenant(
        balance_nano_usd=len(prompt) // 3 * PICO_USD // 1_000, input_pico_usd=PICO_USD, output_pico_usd=0,
        family=family,
    )  # fmt: skip

    answer = await ask(operator.stack, tenant, f"{prompt} [[sim out=2]]")

    assert answer.status == status
    await operator.settled(tenant, 1 if status == 200 else 0)
