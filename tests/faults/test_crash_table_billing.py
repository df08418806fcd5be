"""The crash table, column B: billing dies at each step at which money moves.

A reserve whose answer is lost is voided, and its request refused with an invitation to come again; a claim is repeated until it is
confirmed. Nothing is held twice, charged twice or forgotten. (F11 stands in `test_processes.py`.)
"""

import asyncio

import pytest

from shared.failpoints import Point
from tests.faults.moments import SHORT, story, until, until_logged
from tests.faults.process import Replica
from tests.faults.stage import Stage
from tests.faults.verdict import Allowance, Evidence

CALLS = 20


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t2-f9"), pytest.param("billing.committed", id="t3-f10")]
)
async def test_t2_t3_a_billing_that_dies_with_a_batch_of_reserves_leaves_no_hold(
    stage: Stage, point: Point
) -> None:
    """Its callers are refused and may come again, the holds that it may have made are void; the other's are served."""
    stage.cluster.billings[0].arm(point)
    stage.caller.send_many(CALLS)

    await stage.cluster.fired(point)

    evidence = await stage.audit()
    refused = [one for one in evidence if one.transcript.verdict == "refused"]
    assert 0 < len(refused) < CALLS
    assert {one.transcript.status for one in refused} == {503}
    assert {one.transcript.headers["x-should-retry"] for one in refused} == {"true"}
    assert await _void_holds(stage, refused) == len(refused)
    assert not any(one.calls for one in refused)
    assert {story(one) for one in evidence if one not in refused} == {("complete", "SETTLED", "C1")}


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="t12-f9"), pytest.param("billing.committed", id="t13-f10")]
)
async def test_t12_t13_a_billing_that_dies_with_a_batch_of_claims_charges_once(
    stage: Stage, point: Point
) -> None:
    """The claims are repeated to the other one, and find them settled or settle them: one exact charge each."""
    calls = stage.caller.send_many(CALLS, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    stage.cluster.billings[0].arm(point)

    await stage.cluster.fired(point)

    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {("complete", "SETTLED", "C1")}


async def test_t14_claims_outlive_both_witnesses_in_the_spill(stage: Stage) -> None:
    """No billing runs, the clients have everything; edges and dispatchers spill their claims and die: one exact charge each."""
    calls = stage.caller.send_many(CALLS, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    _kill(stage.cluster.billings)
    answers = [await call.transcript() for call in calls]

    await until_logged(stage.cluster.dispatchers, "waits for billing in the spill", CALLS)
    _kill([*stage.cluster.edges, *stage.cluster.dispatchers])

    assert {one.verdict for one in answers} == {"complete"}
    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {("complete", "SETTLED", "C1")}


async def test_t14_claims_that_die_with_both_witnesses_cost_nothing(stage: Stage) -> None:
    """Nobody is left who knows, and nothing is in the spill: Relay's loss, and it is recorded."""
    calls = stage.caller.send_many(CALLS, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    _kill(stage.cluster.billings)
    answers = [await call.transcript() for call in calls]

    _kill([*stage.cluster.edges, *stage.cluster.dispatchers])

    assert {one.verdict for one in answers} == {"complete"}
    evidence = await stage.audit(Allowance(may_be_lost=True))
    assert {story(one) for one in evidence} == {("complete", "EXPIRED", "C9")}


async def test_t15_what_a_dead_billing_had_not_published_is_published_by_the_other(stage: Stage) -> None:
    """The one that leads the outbox stands still while the other settles; when it dies, the other empties the table."""
    leader = await _leader(stage)
    calls = stage.caller.send_many(CALLS, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    leader.stop()
    await asyncio.gather(*(call.transcript() for call in calls))

    await until(lambda: _waits(stage), "events in the outbox")

    leader.kill()

    evidence = await stage.audit()  # the outbox is empty in the end, and I22 holds
    assert {story(one) for one in evidence} == {("complete", "SETTLED", "C1")}


async def test_t16_what_a_dead_billing_had_published_is_told_again(stage: Stage) -> None:
    """It dies before it can forget what it has told: the other one tells it again, and the table is empty in the end."""
    calls = stage.caller.send_many(CALLS, SHORT)
    await asyncio.gather(*(call.has_events(3) for call in calls))
    stage.cluster.arm_any("billing.published")

    await stage.cluster.fired("billing.published")

    assert await _waits(stage)
    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {("complete", "SETTLED", "C1")}


def _kill(replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.kill()


async def _void_holds(stage: Stage, evidence: list[Evidence]) -> int:
    """Return how many of the requests have a hold that is void, or a tombstone that keeps one from being made."""
    ids = [one.transcript.request_id for one in evidence]
    rows = await stage.operator.database.fetch(
        "SELECT FROM billing.hold WHERE id = ANY($1::uuid[]) AND state = 'VOIDED'", ids
    )
    return len(rows)


async def _waits(stage: Stage) -> bool:
    """Whether events wait to be published."""
    return bool(await stage.operator.database.fetchval("SELECT count(*) FROM billing.outbox"))


async def _leader(stage: Stage) -> Replica:
    """Return the billing that publishes the outbox: the only one that lived when the lead was to be had."""
    first, second = stage.cluster.billings
    second.kill()

    async def leads_alone() -> bool:
        granted = await stage.operator.database.fetch(
            """SELECT lock.granted FROM pg_stat_activity AS activity
            LEFT JOIN pg_locks AS lock ON lock.pid = activity.pid AND lock.locktype = 'advisory'
            WHERE activity.application_name = 'relay-outbox'"""
        )
        return [row["granted"] for row in granted] == [True]

    await until(leads_alone, "one billing that leads the outbox")
    second.start()
    await second.wait_ready()
    return first
