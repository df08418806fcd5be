"""Clients leave, read slowly, repeat, and send in a row (F76–F86)."""

import asyncio
import itertools
from collections import Counter

import openai
import pytest

from services.edge.connection import WAITING_MAX
from shared.contracts import auth
from tests.e2e.tenants import Tenant
from tests.e2e.wire import chat_body
from tests.faults.client import Call, Leaving, Script
from tests.faults.process import Replica
from tests.faults.stage import Stage

CLIENTS = 30
LEAVERS = 201  # as many by each way to leave
WAYS: tuple[Leaving, ...] = ("fin", "rst", "half")
SDK_CLIENTS = 10
SDK_RETRIES = 30
PIPELINES = 10
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1


def _leave(calls: list[Call]) -> None:
    """Let the clients go, each by the next of all ways."""
    for call, how in zip(calls, itertools.cycle(WAYS), strict=False):
        call.leave(how)


async def test_f76_a_client_that_leaves_in_its_request_leaves_nothing(stage: Stage) -> None:
    """In the head or in the body: no hold, and no upstream hears of it."""
    places = (1, 20, 60, 120, -200, -50, -1)
    for place, how, _ in itertools.product(places, WAYS, range(2)):
        stage.caller.send(script=Script(leave_in_request_at=place, leave_by=how))

    evidence = await stage.audit()

    assert {one.transcript.verdict for one in evidence} == {"left"}
    assert not any(one.holds or one.calls for one in evidence)


async def test_f77_a_client_that_leaves_before_the_first_event_pays_nothing(stage: Stage) -> None:
    """The upstream has sent its head, and is closed at once; nothing of an answer was there."""
    calls = stage.caller.send_many(CLIENTS, "hi [[sim out=5 ttft=600000]]")
    journal = await stage.operator.arrived(stage.tenant, CLIENTS)

    _leave(calls)

    evidence = await stage.audit()
    assert {entry.outcome for entry in journal} == {"running"}
    assert {one.transcript.verdict for one in evidence} == {"left"}
    assert {hold.state for one in evidence for hold in one.holds} == {"VOIDED"}
    assert all(call.is_closed_early for one in evidence for call in one.calls)


async def test_f78_a_client_that_leaves_ends_its_upstream_and_pays_for_what_was_made(stage: Stage) -> None:
    """Two hundred at once, by FIN, RST and half-close: rule C6, no more than was made and no less than was read."""
    calls = stage.caller.send_many(LEAVERS, "hi [[sim out=3000 tps=10]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    _leave(calls)
    await stage.operator.ended(stage.tenant, LEAVERS)

    evidence = await stage.audit()
    assert {one.transcript.verdict for one in evidence} == {"left"}
    assert [one.rules for one in evidence] == [{"C6"}] * LEAVERS
    assert all(call.is_closed_early for one in evidence for call in one.calls)
    for one in evidence:
        (row,), (bill,) = one.usage, one.bills
        read = len(one.transcript.events) - 1  # the first one is the role
        # Nobody reported a usage: the text is counted, with a byte for each token at most, and the simulator's token is four.
        assert read <= row.usage.output_tokens <= bill.completion_tokens * 4


async def test_f80_a_slow_reader_gets_every_byte(stage: Stage) -> None:
    """It lives as long as it takes something again and again; it is charged for the whole answer, as the upstream counts it."""
    script = Script(bytes_per_second=150_000)
    for _ in range(5):
        stage.caller.send("hi [[sim out=4000]]", script=script)

    evidence = await stage.audit()

    assert {one.transcript.verdict for one in evidence} == {"complete"}
    assert min(len(one.transcript.data) for one in evidence) > 700_000
    assert {rule for one in evidence for rule in one.rules} == {"C1"}


async def test_f81_a_client_that_leaves_a_plain_call_ends_it_upstream(stage: Stage) -> None:
    """However it goes: its upstream is closed long before the answer is due, and nothing is held or charged."""
    calls = stage.caller.send_many(CLIENTS, "hi [[sim out=3000 tps=10]]", is_stream=False)
    journal = await stage.operator.arrived(stage.tenant, CLIENTS)

    _leave(calls)
    await stage.operator.ended(stage.tenant, CLIENTS)

    evidence = await stage.audit()
    assert {entry.outcome for entry in journal} == {"running"}
    assert {one.transcript.verdict for one in evidence} == {"left"}
    assert {hold.state for one in evidence for hold in one.holds} == {"VOIDED"}
    assert all(call.is_closed_early for one in evidence for call in one.calls)


async def test_f82_an_sdk_that_repeats_after_503_pays_once(stage: Stage) -> None:
    """While no dispatcher is there each attempt is a request of its own, which ends without a charge; the last one counts."""
    for dispatcher in stage.cluster.dispatchers:
        dispatcher.kill()
    asking = [
        asyncio.create_task(_ask_by_sdk(stage.tenant, edge))
        for edge, _ in zip(itertools.cycle(stage.cluster.edges), range(SDK_CLIENTS), strict=False)
    ]
    await _until_voided(stage, SDK_CLIENTS)
    await stage.cluster.heal()
    answers = await asyncio.gather(*asking)

    await stage.audit()
    assert all(answers)
    holds = await _holds(stage)
    assert set(holds) == {"SETTLED", "VOIDED"}
    assert holds["SETTLED"] == SDK_CLIENTS
    assert len(await stage.operator.records(stage.tenant)) == SDK_CLIENTS
    assert len(await stage.operator.journal(stage.tenant)) == SDK_CLIENTS


@pytest.mark.parametrize("change", ["key", "account"])
async def test_f85_a_revoked_key_ends_no_stream_and_begins_none(stage: Stage, change: str) -> None:
    """From the moment of the operator's answer nobody is admitted, on any edge; what runs ends whole and is charged."""
    calls = stage.caller.send_many(CLIENTS, "hi [[sim out=60 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    if change == "key":
        await stage.operator.bus.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=stage.tenant.key_id))
    else:
        status = auth.SetAccountStatus(account_id=stage.tenant.account_id, status="suspended")
        await stage.operator.bus.call(auth.SET_ACCOUNT_STATUS, status)
    stage.caller.send_many(CLIENTS)

    evidence = await stage.audit()
    assert {one.transcript.verdict for one in evidence[:CLIENTS]} == {"complete"}
    assert {rule for one in evidence[:CLIENTS] for rule in one.rules} == {"C1"}
    expected = {"key": 401, "account": 403}[change]
    assert {one.transcript.status for one in evidence[CLIENTS:]} == {expected}
    assert not any(one.holds for one in evidence[CLIENTS:])


async def test_f86_requests_in_a_row_are_answered_in_order_and_each_is_charged(stage: Stage) -> None:
    """Over one connection, without waiting: each answer is that of its own request, and no hold is left."""
    count = WAITING_MAX + 1
    edges = [edge for edge, _ in zip(itertools.cycle(stage.cluster.edges), range(PIPELINES), strict=False)]

    lines = await asyncio.gather(*(_ask_in_a_row(stage.tenant, edge, count) for edge in edges))

    await stage.audit()
    expected = [f"number {number}." for number in range(count)]
    assert all(
        [expected[at] in answer for at, answer in enumerate(answers)] == [True] * count for answers in lines
    )
    assert len(await stage.operator.records(stage.tenant)) == PIPELINES * count


async def _ask_by_sdk(tenant: Tenant, edge: Replica) -> str | None:
    url = f"http://127.0.0.1:{edge.port}/v1"
    async with openai.AsyncOpenAI(api_key=tenant.key, base_url=url, max_retries=SDK_RETRIES) as client:
        answer = await client.chat.completions.create(
            model=tenant.model, messages=[{"role": "user", "content": "hi [[sim out=20]]"}]
        )
        return answer.choices[0].message.content


async def _until_voided(stage: Stage, count: int) -> None:
    """Return once so many requests of the tenant have ended without a charge."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await _holds(stage))["VOIDED"] < count:  # noqa: ASYNC110 - the ledger has no event for it
            await asyncio.sleep(POLL_SECONDS)


async def _holds(stage: Stage) -> Counter[str]:
    """Return how many holds the tenant has in each state."""
    rows = await stage.operator.database.fetch(
        "SELECT state::text FROM billing.hold WHERE account_id = $1::uuid", stage.tenant.account_id
    )
    return Counter(row["state"] for row in rows)


async def _ask_in_a_row(tenant: Tenant, edge: Replica, count: int) -> list[str]:
    """Send `count` plain requests at once over one connection; return the bodies of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        for number in range(count):
            body = chat_body(tenant, f"number {number}.", is_stream=False)
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {tenant.key}\r\n"
            )
            kind = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write((head + kind).encode() + body)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [await _answer(reader) for _ in range(count)]
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return (await reader.readexactly(length)).decode()
