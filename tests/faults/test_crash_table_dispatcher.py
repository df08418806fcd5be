"""The crash table, column D: the dispatcher dies at each step of a request.

Before its client has anything, another dispatcher is asked, once, and the client sees only a delay. Afterwards the stream breaks
visibly and is free; once the edge has all of it, it is charged, whoever says so. (T10 and T14 are F6 and F7, in
`test_processes.py`.)
"""

import pytest

from shared.failpoints import Point
from tests.faults.moments import SHORT, serving_dispatcher, story
from tests.faults.stage import Stage
from tests.faults.verdict import Allowance

LARGE = (
    "x" * 300_000
)  # a body that does not fit into OPEN, so that the edge has heard ACCEPT when it is whole


@pytest.mark.parametrize(
    ("point", "text"),
    [
        pytest.param("dispatcher.opened", SHORT, id="t5"),
        pytest.param("dispatcher.accepted", SHORT + LARGE, id="t6-f4"),
    ],
)
async def test_t5_t6_a_dispatcher_that_dies_before_it_calls_is_replaced(
    stage: Stage, point: Point, text: str
) -> None:
    """The client sees a delay, the upstream is called once, the charge is exact."""
    stage.cluster.arm_any(point)
    stage.caller.send(text)

    await stage.cluster.fired(point)

    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert len(evidence.calls) == 1


async def test_t7_f5_a_dispatcher_that_dies_before_its_upstream_answers_is_replaced(stage: Stage) -> None:
    """The upstream is called a second time, and the client pays for one answer."""
    stage.caller.send("hi [[sim out=20 header_delay=2500]]")
    await stage.operator.arrived(stage.tenant)

    (await serving_dispatcher(stage)).kill()

    (evidence,) = await stage.audit(Allowance(calls_max=2))
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [call.is_closed_early for call in evidence.calls] == [True, False]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("dispatcher.upstream_accepted", id="t8"),
        pytest.param("dispatcher.first_byte", id="t9"),
    ],
)
async def test_t8_t9_a_dispatcher_that_dies_before_the_client_has_anything_is_replaced(
    stage: Stage, point: Point
) -> None:
    """An upstream that has accepted, or begun, is lost with it; the client gets one whole answer and pays for one."""
    stage.cluster.arm_any(point)
    stage.caller.send(SHORT)

    await stage.cluster.fired(point)

    (evidence,) = await stage.audit(Allowance(calls_max=2))
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [call.is_closed_early for call in evidence.calls] == [True, False]


async def test_t11_a_dispatcher_that_dies_with_the_end_unsaid_breaks_its_stream_for_free(
    stage: Stage,
) -> None:
    """The client has every event but the end; the edge says so, and claims that Relay broke."""
    call = stage.caller.send(SHORT)
    await call.has_events(3)
    stage.cluster.arm_any("dispatcher.upstream_finished")

    await stage.cluster.fired("dispatcher.upstream_finished")

    (evidence,) = await stage.audit()
    assert story(evidence) == ("broken", "SETTLED", "C8")
    assert evidence.transcript.error is not None
    assert [row.witness for row in evidence.usage] == ["edge"]


async def test_t12_f7_the_edge_settles_for_a_dispatcher_that_died_after_its_last_word(stage: Stage) -> None:
    """The client has everything; the second witness sends the claim, and the charge is exact."""
    stage.cluster.arm_any("dispatcher.end_sent")
    call = stage.caller.send(SHORT)

    await stage.cluster.fired("dispatcher.end_sent")

    assert (await call.transcript()).verdict == "complete"
    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [row.witness for row in evidence.usage] == ["edge"]


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t12"), pytest.param("billing.committed", id="t13")]
)
async def test_t12_t13_a_dispatcher_that_dies_while_it_settles_changes_nothing(
    stage: Stage, point: Point
) -> None:
    """Its claim is committed, and the edge's changes nothing: one charge."""
    call = stage.caller.send(SHORT)
    await call.has_events(3)
    stage.cluster.arm_any(point, "stop")
    billing = await stage.cluster.fired(point)

    (await serving_dispatcher(stage)).kill()
    billing.resume()

    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [row.witness for row in evidence.usage] == ["dispatcher"]


async def test_t13_a_dispatcher_that_dies_before_it_says_that_it_settled_changes_nothing(
    stage: Stage,
) -> None:
    """The edge hears no FIN and sends the same claim: the stored outcome stands."""
    stage.cluster.arm_any("dispatcher.settled")
    stage.caller.send(SHORT)

    await stage.cluster.fired("dispatcher.settled")

    (evidence,) = await stage.audit()
    assert story(evidence) == ("complete", "SETTLED", "C1")
    assert [row.witness for row in evidence.usage] == ["dispatcher"]
