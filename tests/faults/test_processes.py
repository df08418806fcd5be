"""Processes die, stand still and come back (F3, F6–F8, F11–F14, F31).

F1, F2, F4, F5, F9 and F10 are cells of the crash table (`test_crash_table_*.py`); F15–F17 stand in `test_restarts.py`.
"""

import asyncio
import os
import signal
import time
from math import inf
from pathlib import Path

from tests.faults.client import Caller
from tests.faults.cluster import running_cluster
from tests.faults.moments import story
from tests.faults.stage import Stage, set_stage, warm_up

STREAMS = 20
LONG = "hi [[sim out=200 tps=20]]"


async def test_f3_the_streams_of_a_killed_edge_end_upstream_and_cost_nothing(stage: Stage) -> None:
    """Its clients see a broken connection, its dispatchers stop the upstream, and those of the other edge see nothing."""
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.edges[0].kill()

    evidence = await stage.audit()
    verdicts = {(one.transcript.edge, one.transcript.verdict) for one in evidence}
    assert verdicts == {("edge-0", "broken"), ("edge-1", "complete")}
    lost = [one for one in evidence if one.transcript.edge == "edge-0"]
    assert all(call.is_closed_early for one in lost for call in one.calls)
    assert all(one.charged_nano_usd == 0 for one in lost)


async def test_f6_the_streams_of_a_killed_dispatcher_break_visibly(stage: Stage) -> None:
    """An error event, no `[DONE]`, an unfinished body, rule C8; those of the other dispatcher are whole."""
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.dispatchers[0].kill()

    evidence = await stage.audit()
    broken = [one for one in evidence if one.transcript.verdict == "broken"]
    assert 0 < len(broken) < STREAMS
    assert all(one.transcript.error and not one.transcript.is_whole for one in broken)
    assert {rule for one in broken for rule in one.rules} == {"C8"}


async def test_f7_the_edge_settles_for_a_dispatcher_that_died_after_its_last_word(stage: Stage) -> None:
    """The clients have everything, billing has heard nothing; the second witness sends the claim, and the charge is exact."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=40 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))
    for billing in stage.cluster.billings:
        billing.kill()
    answers = [await call.transcript() for call in calls]

    for dispatcher in stage.cluster.dispatchers:
        dispatcher.kill()

    assert {one.verdict for one in answers} == {"complete"}
    evidence = await stage.audit()
    assert {(row.rule, row.witness) for one in evidence for row in one.usage} == {("C1", "edge")}


async def test_f8_streams_whose_edge_and_dispatcher_die_expire_for_free(stage: Stage) -> None:
    """Nobody is left to say how they ended: they expire, uncharged; what still has its edge breaks visibly, by C8."""
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.edges[0].kill()
    for dispatcher in stage.cluster.dispatchers:
        dispatcher.kill()

    evidence = await stage.audit()
    assert {(one.transcript.edge, *story(one)) for one in evidence} == {
        ("edge-0", "broken", "EXPIRED", "C9"),
        ("edge-1", "broken", "SETTLED", "C8"),
    }


async def test_f11_without_billing_running_streams_go_on_and_new_requests_are_refused(stage: Stage) -> None:
    """A stream that is admitted ends whole and is charged once billing is back; a new one is told to come again."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    for billing in stage.cluster.billings:
        billing.kill()
    refused = await stage.caller.send(is_stream=False).transcript()
    running = [await call.transcript() for call in calls]
    await asyncio.sleep(5)

    assert refused.status == 503
    assert refused.headers["x-should-retry"] == "true"
    assert {one.verdict for one in running} == {"complete"}
    await stage.audit()


async def test_f12_an_edge_that_stood_still_does_no_harm_when_it_goes_on(stage: Stage) -> None:
    """Its streams are given up and stopped upstream; when it wakes up it ends them visibly, and nobody pays."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=500 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.edges[0].stop()
    await asyncio.sleep(20)
    woken_at = time.time()
    stage.cluster.edges[0].resume()

    evidence = await stage.audit()
    lost = [one for one in evidence if one.transcript.edge == "edge-0"]
    assert all(
        call.is_closed_early and (call.ended_at or inf) < woken_at for one in lost for call in one.calls
    )
    assert {one.transcript.verdict for one in lost} == {"broken"}
    assert {one.transcript.error and one.transcript.error.code for one in lost} == {"stream_interrupted"}
    assert {one.transcript.verdict for one in evidence if one not in lost} == {"complete"}


async def test_f13_a_dispatcher_that_stood_still_does_no_harm_when_it_goes_on(stage: Stage) -> None:
    """Its streams break after the time of silence; when it wakes up it stops the upstream and nobody pays."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=500 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.dispatchers[0].stop()
    await asyncio.sleep(20)
    stage.cluster.dispatchers[0].resume()

    evidence = await stage.audit()
    broken = [one for one in evidence if one.transcript.verdict == "broken"]
    assert 0 < len(broken) < STREAMS
    assert all(one.transcript.error is not None for one in broken)


async def test_f14_a_billing_that_stands_still_delays_nobody_for_long(tmp_path: Path) -> None:
    """Streams go on; who asks the one that stands still is told to come again; what it still gets done changes nothing."""
    # A lease as long as in production: the one that stands still is asked for every second renewal.
    async with (
        running_cluster(tmp_path, lease_seconds="60") as cluster,
        set_stage(cluster, await warm_up(cluster)) as stage,
    ):
        calls = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
        await asyncio.gather(*(call.has_events(5) for call in calls))

        cluster.billings[0].stop()
        silence = asyncio.create_task(asyncio.sleep(20))
        meanwhile = stage.caller.send_many(STREAMS, is_stream=False)
        answers = [await call.transcript() for call in (*calls, *meanwhile)]
        await silence
        cluster.billings[0].resume()

        assert {one.verdict for one in answers[:STREAMS]} == {"complete"}
        assert {(one.status, one.headers.get("x-should-retry")) for one in answers[STREAMS:]} == {
            (200, None),
            (503, "true"),
        }
        evidence = await stage.audit()
        assert {story(one) for one in evidence if one.transcript.verdict == "complete"} == {
            ("complete", "SETTLED", "C1")
        }


async def test_f14_a_lock_held_by_a_backend_that_stands_still_delays_its_account_alone(stage: Stage) -> None:
    """Its requests are refused, its streams go on and are charged when the lock is free; others notice nothing."""
    other = Caller(stage.cluster, await stage.operator.make_tenant(upstream_url=stage.cluster.upstream.url))
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    async with stage.cluster.database() as locking:
        pid = await locking.fetchval("SELECT pg_backend_pid()")
        transaction = locking.transaction()
        await transaction.start()
        await locking.execute(
            "SELECT FROM billing.account WHERE id = $1::uuid FOR UPDATE", stage.tenant.account_id
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            refused = [await call.transcript() for call in stage.caller.send_many(STREAMS)]
            served = [await call.transcript() for call in other.send_many(STREAMS)]
            running = [await call.transcript() for call in calls]
            await asyncio.sleep(5)
        finally:
            os.kill(pid, signal.SIGCONT)
        await transaction.rollback()

    assert {(one.status, one.headers["x-should-retry"]) for one in refused} == {(503, "true")}
    assert {one.verdict for one in (*served, *running)} == {"complete"}
    evidence = await stage.audit()
    assert {story(one) for one in evidence[:STREAMS]} == {("complete", "SETTLED", "C1")}


async def test_f31_without_a_dispatcher_requests_are_refused_and_nothing_is_held(stage: Stage) -> None:
    """The bus says at once that nobody is there: 503 with an invitation to come again, and a hold that is void."""
    for dispatcher in stage.cluster.dispatchers:
        dispatcher.kill()
    calls = [stage.caller.send(is_stream=number % 2 == 0) for number in range(STREAMS)]

    answers = [await call.transcript() for call in calls]

    assert {(one.status, one.headers["x-should-retry"]) for one in answers} == {(503, "true")}
    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {("refused", "VOIDED", "")}
