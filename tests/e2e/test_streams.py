"""Streams that go wrong look wrong, those that are slow live, and those that nobody reads any more are ended upstream."""

import pytest

from services.devstack.process import free_port
from shared.tokens import tokenizer_of
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import BALANCE_NANO_USD, Operator, Tenant, billed, cost
from tests.e2e.wire import RawConnection, ask, chat_request

pytestmark = pytest.mark.xdist_group("e2e")


async def test_a_whole_stream_ends_with_done_and_its_last_chunk(stack: RunningStack, tenant: Tenant) -> None:
    """The body is complete in HTTP, and `[DONE]` is its last event."""
    answer = await ask(stack, tenant, "hi [[sim out=20]]")

    assert answer.status == 200
    assert answer.is_whole
    assert answer.events()[-1] == b"[DONE]"


@pytest.mark.parametrize(
    "directive",
    ["cut=tok:3 cut_mode=rst", "cut=tok:3 cut_mode=fin", "cut=tok:3 cut_mode=bad_chunk", "err_in=mid:3"],
)
async def test_a_broken_stream_looks_broken(
    stack: RunningStack, operator: Operator, tenant: Tenant, directive: str
) -> None:
    """An error event, no `[DONE]`, and a body without its end; what came before is there, and costs nothing."""
    answer = await ask(stack, tenant, f"hi [[sim out=20 tps=50 {directive}]]")

    assert answer.status == 200
    *before, last = answer.events()
    assert last.startswith(b'{"error":{"message":')
    assert before
    assert b"[DONE]" not in answer.data
    assert not answer.is_whole
    (record,) = await operator.settled(tenant, 1)
    assert (record.rule, record.outcome, record.charged_nano_usd) == ("C7", "upstream_failed", 0)
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


@pytest.mark.parametrize("mode", ["rst", "fin"])
async def test_a_broken_plain_answer_is_a_real_status(
    stack: RunningStack, operator: Operator, tenant: Tenant, mode: str
) -> None:
    """Half of a document is never passed on, and costs nothing."""
    answer = await ask(stack, tenant, f"hi [[sim out=200 cut=tok:3 cut_mode={mode}]]", is_stream=False)

    assert answer.status == 502
    assert answer.headers["x-should-retry"] == "false"  # the upstream may have billed it
    await operator.settled(tenant, 0)
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


async def test_a_thinking_model_is_covered_by_keep_alive_comments(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """While nothing comes from upstream the client gets its 200 and comments; then the answer, whole."""
    tenant = await cluster_operator.make_tenant()

    answer = await ask(cluster, tenant, "hi [[sim ttft=1500 out=5]]")

    before, _, _ = answer.payload().partition(b"data: ")
    assert set(before.strip().split(b"\n\n")) == {b": keep-alive"}
    assert answer.is_whole
    assert answer.events()[-1] == b"[DONE]"


async def test_an_error_after_keep_alive_is_an_event(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """Once the status has gone out, a failure can only be told inside the stream, which then stays unfinished."""
    tenant = await cluster_operator.make_tenant()

    answer = await ask(cluster, tenant, "hi [[sim header_delay=1500 status=500]]")

    assert answer.status == 200
    assert answer.payload().startswith(b": keep-alive\n\n")
    assert answer.events()[-1].startswith(b'{"error":{"message":')
    assert not answer.is_whole


async def test_a_client_that_leaves_a_stream_ends_it_upstream_and_pays_for_what_was_made(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """The upstream call is ended at once; the charge is rule C6: an estimate of what was delivered, and no more.

    At 25 tokens a second the answer would take 80 s. What the simulator calls a token has four bytes, so it is four at most.
    """
    async with RawConnection(stack) as connection:
        await connection.send(chat_request(tenant, "hi [[sim out=2000 tps=25]]"))
        read = (
            await connection.read_events(4) - 2
        )  # the first one is the role, and the last may be incomplete

    (entry,) = await operator.ended(tenant)
    (bill,) = await operator.bills(tenant)
    (record,) = await operator.settled(tenant, 1)

    assert (entry.outcome, entry.is_closed_early) == ("aborted", True)
    assert entry.tokens_emitted < 100  # gone within four seconds; the promise is one
    assert (record.rule, record.outcome, record.is_estimated) == ("C6", "client_gone", True)
    assert read <= record.usage.output_tokens <= 4 * bill.completion_tokens
    assert record.charged_nano_usd == cost(record.usage, tenant.price) > 0
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD - record.charged_nano_usd


async def test_a_channel_that_bills_no_aborts_charges_none(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """The channel's declared policy decides: with `no_bill` the client that left pays nothing."""
    await operator.set_abort_policy(tenant, "no_bill")
    async with RawConnection(stack) as connection:
        await connection.send(chat_request(tenant, "hi [[sim out=2000 tps=25]]"))
        await connection.read_events(4)

    (record,) = await operator.settled(tenant, 1)

    assert (record.rule, record.charged_nano_usd) == ("C6", 0)
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


async def test_a_client_that_leaves_a_plain_call_ends_it_upstream(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """Nobody waits for an answer that nobody will read; nothing had begun, so nothing is charged and nothing is held."""
    async with RawConnection(stack) as connection:
        await connection.send(chat_request(tenant, "hi [[sim out=5 ttft=60000]]", is_stream=False))
        await operator.arrived(tenant)

    (entry,) = await operator.ended(tenant)
    await operator.settled(tenant, 0)

    assert entry.is_closed_early
    assert entry.ended_at is not None
    assert entry.ended_at - entry.received_at < 30  # the answer was due after a minute
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


async def test_a_client_that_leaves_while_the_model_thinks_ends_it_upstream(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """The same for a stream that has not begun."""
    async with RawConnection(stack) as connection:
        await connection.send(chat_request(tenant, "hi [[sim out=5 ttft=60000]]"))
        await operator.arrived(tenant)

    (entry,) = await operator.ended(tenant)
    await operator.settled(tenant, 0)

    assert entry.is_closed_early
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


@pytest.mark.parametrize(
    ("directive", "is_stream", "members"),
    [
        ("out=25", False, {}),
        ("out=25", True, {}),
        ("out=25", True, {"stream_options": {"include_usage": True}}),
        ("out=25", False, {"n": 2}),
        ("out=25", True, {"n": 2}),
        ("out=25 cached=3", False, {}),
        ("out=25 cached=3 reasoning=7", True, {}),
        ("out=25 cache_write=2", False, {}),
        ("out=25 usage=finish_chunk", True, {}),
        ("out=25 usage=every", True, {}),
        ("out=25 usage=strings", True, {}),
        ("out=50", False, {"max_tokens": 9}),
        ("out=50", True, {"max_completion_tokens": 9}),
    ],
)
async def test_the_charge_is_the_upstreams_bill_at_our_price(
    stack: RunningStack,
    operator: Operator,
    tenant: Tenant,
    directive: str,
    is_stream: bool,
    members: dict[str, object],
) -> None:
    """Units and money of a completed request are exactly those of the provider's own ledger, in time and once."""
    async with RawConnection(stack) as connection:
        text = f"hello, how are you? [[sim {directive}]]"
        await connection.send(chat_request(tenant, text, is_stream=is_stream, **members))
        answer = await connection.read_all()
    assert answer.status == 200

    (record,) = await operator.settled(tenant, 1)
    (bill,) = await operator.bills(tenant)

    assert (record.rule, record.is_estimated, record.writeoff_nano_usd) == ("C1", False, 0)
    assert record.usage == billed(bill)
    assert record.charged_nano_usd == cost(billed(bill), tenant.price) > 0
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD - record.charged_nano_usd


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_another_channel_answers_when_the_first_one_cannot(
    stack: RunningStack, operator: Operator, tenant: Tenant, is_stream: bool
) -> None:
    """The client sees one whole answer, and is charged once, for the channel that gave it."""
    await operator.add_channel(tenant, f"http://127.0.0.1:{free_port()}", priority=1)

    answer = await ask(stack, tenant, "hi [[sim out=5]]", is_stream=is_stream)

    assert answer.status == 200
    (record,) = await operator.settled(tenant, 1)
    (bill,) = await operator.bills(tenant)
    assert (record.channel, record.usage) == (tenant.channel, billed(bill))


async def test_an_answer_without_usage_is_charged_by_estimate_and_says_so(
    stack: RunningStack, operator: Operator, tenant: Tenant
) -> None:
    """Rule C2: prompt and delivered text are counted by the nearest tokenizer."""
    reply = "a few words without any usage"
    answer = await ask(stack, tenant, f"hi [[sim reply='{reply}' usage=never]]")
    assert answer.is_whole

    (record,) = await operator.settled(tenant, 1)

    assert (record.rule, record.is_estimated) == ("C2", True)
    assert record.usage.output_tokens == tokenizer_of(tenant.model).count(reply)
    assert 0 < record.usage.input_tokens < 40
    assert record.charged_nano_usd == cost(record.usage, tenant.price) > 0
