"""The crash table, columns N and P: the bus or PostgreSQL goes away at each step of a request.

One process stands still at the step, the server is killed, the process goes on; so what it says next is lost, or cannot be said.
Other streams run beside it, and none of them may notice: neither the short gap of the bus, nor that PostgreSQL is not there.
(Column N: T10 is F21 in `test_bus.py`, T15 and T16 are in `tests/billing/test_outbox.py`.)
"""

import asyncio

import pytest

from shared.failpoints import Point
from tests.faults.moments import SHORT, SLOW, hold_states, story
from tests.faults.stage import Stage
from tests.faults.verdict import Evidence

BESIDE = 10
GROUP = 10
GAP_SECONDS = 1.0  # of the five that no client may notice
COMPLETE = ("complete", "SETTLED", "C1")

# From the ACCEPT to the settlement: where one process stands when a server dies, and the request that brings it there.
# Does not fit into OPEN, so that the edge has heard ACCEPT when the dispatcher has it.
LARGE = SHORT + "x" * 300_000
ACCEPTED = [
    pytest.param("dispatcher.accepted", LARGE, id="t6"),
    pytest.param("dispatcher.upstream_accepted", LARGE, id="t8"),
    pytest.param("dispatcher.first_byte", LARGE, id="t9"),
    pytest.param("edge.started", SHORT, id="t9-edge"),
    pytest.param("dispatcher.upstream_finished", SHORT, id="t11"),
    pytest.param("edge.ended", SHORT, id="t11-edge"),
    pytest.param("dispatcher.end_sent", SHORT, id="t12"),
    pytest.param("dispatcher.settled", SHORT, id="t13"),
    pytest.param("edge.done", SHORT, id="t14"),
]
SETTLING = [pytest.param("billing.batched", id="t12"), pytest.param("billing.committed", id="t13")]


async def begin_beside(stage: Stage) -> None:
    """Begin streams that run through the fault, and return when they run."""
    calls = stage.caller.send_many(BESIDE, "hi [[sim out=60 tps=20]]")
    await asyncio.gather(*(call.has_events(3) for call in calls))


def stories(evidence: list[Evidence]) -> set[tuple[str, str, str]]:
    """Return how requests ended, each way once."""
    return {story(one) for one in evidence}


# The bus


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t2"), pytest.param("billing.committed", id="t3")]
)
async def test_n_t2_t3_a_reserve_whose_answer_the_bus_lost_is_void(stage: Stage, point: Point) -> None:
    """The client is told to come again; what was held is void as soon as the void can be said."""
    await begin_beside(stage)
    stage.cluster.arm_any(point, "stop")
    victim = stage.caller.send()
    billing = await stage.cluster.fired(point)

    stage.cluster.kill_nats()
    billing.resume()
    refused = await victim.transcript()
    stage.cluster.start_nats()

    assert (refused.status, refused.headers["x-should-retry"]) == (503, "true")
    *beside, lost = await stage.audit()
    assert story(lost) == ("refused", "VOIDED", "")
    assert not lost.calls
    assert stories(beside) == {COMPLETE}


@pytest.mark.parametrize(
    "point", [pytest.param("edge.reserved", id="t4"), pytest.param("dispatcher.opened", id="t5")]
)
async def test_n_t4_t5_a_call_that_the_bus_did_not_carry_is_refused_and_free(
    stage: Stage, point: Point
) -> None:
    """A dispatcher that has the call all the same stops its upstream; as it may have, no repeat is invited."""
    await begin_beside(stage)
    stage.cluster.arm_any(point, "stop")
    victim = stage.caller.send(SLOW)
    stopped = await stage.cluster.fired(point)

    stage.cluster.kill_nats()
    stopped.resume()
    refused = await victim.transcript()
    stage.cluster.start_nats()

    assert (refused.status, refused.headers["x-should-retry"]) == (503, "false")
    *beside, lost = await stage.audit()
    assert story(lost)[1:] in {("VOIDED", ""), ("SETTLED", "C8")}
    assert len(lost.calls) == (0 if point == "edge.reserved" else 1)
    assert all(call.is_closed_early for call in lost.calls)
    assert stories(beside) == {COMPLETE}


@pytest.mark.parametrize(("point", "text"), ACCEPTED)
async def test_n_t6_t14_a_gap_of_the_bus_is_not_seen(stage: Stage, point: Point, text: str) -> None:
    """Whatever was lost is said again: the answer is whole, and charged once."""
    await begin_beside(stage)
    stage.cluster.arm_any(point, "stop")
    stage.caller.send(text)
    stopped = await stage.cluster.fired(point)

    stage.cluster.kill_nats()
    stopped.resume()
    await asyncio.sleep(GAP_SECONDS)
    stage.cluster.start_nats()

    assert stories(await stage.audit()) == {COMPLETE}


@pytest.mark.parametrize("point", SETTLING)
async def test_n_t12_t13_a_claim_whose_answer_the_bus_lost_is_charged_once(
    stage: Stage, point: Point
) -> None:
    """It is committed while nobody can hear of it, and said again: the stored outcome counts."""
    calls = stage.caller.send_many(GROUP, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    stage.cluster.arm_any(point, "stop")
    billing = await stage.cluster.fired(point)

    stage.cluster.kill_nats()
    billing.resume()
    await asyncio.sleep(GAP_SECONDS)
    stage.cluster.start_nats()

    assert stories(await stage.audit()) == {COMPLETE}


async def test_n_t7_t14_without_the_bus_for_longer_than_silence_streams_break_visibly_and_for_free(
    stage: Stage,
) -> None:
    """Both ends give up by themselves and say so; what had been delivered is charged; nothing expires, though leases lapse."""
    unanswered = stage.caller.send_many(GROUP, "hi [[sim header_delay=120000]]")
    silent = stage.caller.send_many(GROUP, "hi [[sim out=50 tps=100 stall_at=10:120000]]")
    ending = stage.caller.send_many(GROUP, "hi [[sim out=120 tps=20]]")
    endless = stage.caller.send_many(GROUP, "hi [[sim out=4000 tps=20]]")
    await stage.operator.arrived(stage.tenant, 4 * GROUP)
    await asyncio.gather(*(call.has_events(3) for call in (*silent, *ending, *endless)))
    stage.cluster.arm_any("dispatcher.end_sent", "stop")
    delivered = stage.caller.send()
    dispatcher = await stage.cluster.fired("dispatcher.end_sent")

    stage.cluster.kill_nats()
    dispatcher.resume()
    cut = await asyncio.gather(*(call.transcript() for call in (*unanswered, *silent, *ending, *endless)))
    states = await hold_states(stage)
    stage.cluster.start_nats()

    assert {one.verdict for one in cut} == {"broken"}
    assert {one.error.code for one in cut if one.error} == {"stream_interrupted"}
    assert (await delivered.transcript()).verdict == "complete"
    assert set(states) == {"HELD"}
    *evidence, settled = await stage.audit()
    assert stories(evidence[:GROUP]) == {("broken", "VOIDED", "")}
    assert stories(evidence[GROUP:]) == {("broken", "SETTLED", "C8")}
    assert story(settled) == COMPLETE


# PostgreSQL


async def test_p_t2_a_reserve_that_postgresql_has_not_committed_is_refused(stage: Stage) -> None:
    """The client is told to come again, and nothing was held."""
    await begin_beside(stage)
    stage.cluster.arm_any("billing.batched", "stop")
    victim = stage.caller.send()
    billing = await stage.cluster.fired("billing.batched")

    stage.cluster.kill_postgres()
    billing.resume()
    refused = await victim.transcript()
    stage.cluster.start_postgres()

    assert (refused.status, refused.headers["x-should-retry"]) == (503, "true")
    *beside, lost = await stage.audit()
    assert story(lost) == ("refused", "", "")
    assert not lost.calls
    assert stories(beside) == {COMPLETE}


@pytest.mark.parametrize(
    ("point", "text"),
    [
        pytest.param("billing.committed", SHORT, id="t3"),
        pytest.param("edge.reserved", SHORT, id="t4"),
        pytest.param("dispatcher.opened", SHORT, id="t5"),
        *ACCEPTED,
    ],
)
async def test_p_t3_t14_an_admitted_request_needs_no_postgresql(
    stage: Stage, point: Point, text: str
) -> None:
    """What is held survives, the answer is whole while nobody can settle it, and it is charged once when somebody can."""
    await begin_beside(stage)
    stage.cluster.arm_any(point, "stop")
    victim = stage.caller.send(text)
    stopped = await stage.cluster.fired(point)

    stage.cluster.kill_postgres()
    stopped.resume()
    await victim.transcript()
    stage.cluster.start_postgres()

    assert stories(await stage.audit()) == {COMPLETE}


@pytest.mark.parametrize("point", SETTLING)
async def test_p_t12_t13_a_claim_that_postgresql_died_with_is_charged_once(
    stage: Stage, point: Point
) -> None:
    """Rolled back or committed, it is said again until it is there."""
    calls = stage.caller.send_many(GROUP, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    stage.cluster.arm_any(point, "stop")
    billing = await stage.cluster.fired(point)

    stage.cluster.kill_postgres()
    billing.resume()
    await asyncio.gather(*(call.transcript() for call in calls))
    stage.cluster.start_postgres()

    assert stories(await stage.audit()) == {COMPLETE}
