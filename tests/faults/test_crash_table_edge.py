"""The crash table, column E: the edge dies at each step of a request.

Its client sees a broken connection, nobody pays for what was not delivered, the upstream is stopped, and what is held is free
again: at once by the dispatcher's claim, or when the lease has run out. The other edge notices nothing.
"""

import asyncio

import pytest

from shared.failpoints import Point
from tests.e2e.wire import chat_request
from tests.faults.moments import SHORT, SLOW, hold_states, serving_dispatcher, story, until, until_held
from tests.faults.stage import Stage
from tests.faults.verdict import Allowance

LARGE = "x" * 300_000  # a body that does not fit into OPEN


async def test_t0_f1_an_edge_that_dies_in_a_body_leaves_nothing(stage: Stage) -> None:
    """The client is cut off; no hold exists, and no upstream was called."""
    edge, other = stage.cluster.edges
    bystander = stage.caller.send(SHORT, edge=other)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(chat_request(stage.tenant, LARGE)[:-1])

    async def is_reading() -> bool:
        return (await edge.metrics())["relay_edge_body_bytes"] >= len(LARGE)

    await until(is_reading, "an edge that has most of a body")

    edge.kill()

    assert await _rest(reader) == b""
    writer.close()
    await bystander.has_events(1)
    assert await hold_states(stage) == ["HELD"]  # the bystander's
    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert len(await stage.operator.journal(stage.tenant)) == 1


@pytest.mark.parametrize(
    ("point", "state", "rule"),
    [
        pytest.param("edge.authenticated", "", "", id="t1"),
        pytest.param("edge.reserved", "EXPIRED", "C9", id="t4-f2"),
        pytest.param("edge.opened", "EXPIRED", "C9", id="t4-opening"),
    ],
)
async def test_t1_t4_an_edge_that_dies_before_its_call_is_out_leaves_a_hold_that_expires(
    stage: Stage, point: Point, state: str, rule: str
) -> None:
    """Nothing is known upstream; what was held is free after the lease, uncharged."""
    edge, other = stage.cluster.edges
    edge.arm(point)
    stage.caller.send(edge=edge)
    await stage.cluster.fired(point)
    stage.caller.send(edge=other)

    victim, bystander = await stage.audit()

    assert story(victim) == ("nothing", state, rule)
    assert not victim.calls
    assert story(bystander) == ("complete", "SETTLED", "C1")


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t2"), pytest.param("billing.committed", id="t3")]
)
async def test_t2_t3_an_edge_that_dies_while_it_reserves_leaves_a_hold_that_expires(
    stage: Stage, point: Point
) -> None:
    """The reserve is committed, and its answer finds nobody: free after the lease, uncharged."""
    edge = stage.cluster.edges[0]
    stage.cluster.arm_any(point, "stop")
    stage.caller.send(edge=edge)
    billing = await stage.cluster.fired(point)

    edge.kill()
    billing.resume()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("nothing", "EXPIRED", "C9")
    assert not evidence.calls


async def test_t5_an_edge_that_dies_before_anybody_accepts_costs_nothing(stage: Stage) -> None:
    """A dispatcher that still takes the call hears nobody, gives it up and stops the upstream."""
    edge = stage.cluster.edges[0]
    for dispatcher in stage.cluster.dispatchers:
        dispatcher.stop()
    before = edge.nats.passed_bytes
    stage.caller.send("x" * 100_000 + SLOW, edge=edge)

    async def is_out() -> bool:
        return edge.nats.passed_bytes - before > 100_000

    await until(is_out, "an OPEN that has left its edge")

    edge.kill()
    for dispatcher in stage.cluster.dispatchers:
        dispatcher.resume()

    (evidence,) = await stage.audit()
    assert evidence.transcript.verdict == "nothing"
    assert evidence.holds
    assert evidence.charged_nano_usd == 0
    assert all(call.is_closed_early for call in evidence.calls)


async def test_t6_an_edge_that_dies_after_the_accept_costs_nothing(stage: Stage) -> None:
    """The dispatcher has the whole request and calls upstream; it learns that nobody listens, and stops it."""
    edge = stage.cluster.edges[0]
    stage.cluster.arm_any("dispatcher.accepted", "stop")
    stage.caller.send(SLOW + LARGE, edge=edge)
    dispatcher = await stage.cluster.fired("dispatcher.accepted")

    edge.kill()
    dispatcher.resume()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("nothing", "SETTLED", "C8")
    assert [call.is_closed_early for call in evidence.calls] == [True]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hi [[sim header_delay=120000]]", id="t7"),
        pytest.param("hi [[sim ttft=120000]]", id="t8"),
    ],
)
async def test_t7_t8_an_edge_that_dies_before_the_first_byte_ends_the_upstream(
    stage: Stage, text: str
) -> None:
    """An upstream that is asked, or has accepted and said nothing, is stopped; the hold ends without a charge."""
    edge = stage.cluster.edges[0]
    stage.caller.send(text, edge=edge)
    await stage.operator.arrived(stage.tenant)

    edge.kill()

    (evidence,) = await stage.audit()
    assert evidence.transcript.verdict in (
        "nothing",
        "broken",
    )  # the status may have been sent to keep it alive
    assert story(evidence)[1:] == ("VOIDED", "")
    assert [call.is_closed_early for call in evidence.calls] == [True]


@pytest.mark.parametrize(
    "point", [pytest.param("edge.started", id="t9"), pytest.param("edge.first_byte", id="t10")]
)
async def test_t9_t10_an_edge_that_dies_with_the_first_bytes_costs_nothing(
    stage: Stage, point: Point
) -> None:
    """The dispatcher stops the upstream and claims that Relay broke."""
    edge = stage.cluster.edges[0]
    edge.arm(point)
    stage.caller.send(SLOW, edge=edge)

    await stage.cluster.fired(point)

    (evidence,) = await stage.audit()
    assert evidence.transcript.verdict in ("nothing", "broken")
    assert story(evidence)[1:] == ("SETTLED", "C8")
    assert [call.is_closed_early for call in evidence.calls] == [True]


async def test_t11_an_edge_that_dies_before_the_end_is_sent_costs_its_client_nothing(stage: Stage) -> None:
    """The upstream is done, the client did not get it: what it cost is written off."""
    edge = stage.cluster.edges[0]
    call = stage.caller.send(SHORT, edge=edge)
    await call.has_events(3)
    stage.cluster.arm_any("dispatcher.upstream_finished", "stop")
    dispatcher = await stage.cluster.fired("dispatcher.upstream_finished")

    edge.kill()
    dispatcher.resume()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("broken", "SETTLED", "C8")
    assert [row.usage.output_tokens for row in evidence.usage] == [20]


async def test_t11_an_edge_that_dies_with_the_end_unsaid_breaks_its_stream_visibly(stage: Stage) -> None:
    """It has everything and has not written `[DONE]`: the client sees a broken stream, and pays no more than it was owed."""
    edge = stage.cluster.edges[0]
    edge.arm("edge.ended")
    stage.caller.send(SHORT, edge=edge)

    await stage.cluster.fired("edge.ended")

    # Whether its word that it has everything has left the edge is the only thing that decides (docs/decisions/0010).
    (evidence,) = await stage.audit(Allowance(rules=frozenset({"C1"})))
    assert story(evidence)[:2] == ("broken", "SETTLED")


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t12"), pytest.param("billing.committed", id="t13")]
)
async def test_t12_t13_an_edge_that_dies_while_it_is_settled_changes_nothing(
    stage: Stage, point: Point
) -> None:
    """The client has everything; the dispatcher's claim is committed once, whoever hears of it."""
    edge = stage.cluster.edges[0]
    call = stage.caller.send(SHORT, edge=edge)
    await call.has_events(3)
    stage.cluster.arm_any(point, "stop")
    billing = await stage.cluster.fired(point)
    assert (await call.transcript()).verdict == "complete"

    edge.kill()
    billing.resume()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [row.witness for row in evidence.usage] == ["dispatcher"]


async def test_t14_an_edge_that_dies_before_billing_is_back_leaves_the_claim_to_the_dispatcher(
    stage: Stage,
) -> None:
    """The client has `[DONE]`, no billing runs: the dispatcher repeats its claim until one does."""
    edge = stage.cluster.edges[0]
    call = stage.caller.send(SHORT, edge=edge)
    await call.has_events(3)
    await until_held(stage)
    for billing in stage.cluster.billings:
        billing.kill()
    assert (await call.transcript()).verdict == "complete"
    await serving_dispatcher(stage)  # it goes on until its claim is confirmed

    edge.kill()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [row.witness for row in evidence.usage] == ["dispatcher"]


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes on a connection, however it ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
