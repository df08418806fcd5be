"""Processes are asked to end: one after another under load, with streams that last too long, and in a hurry (F15–F17)."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.client import Transcript
from tests.faults.cluster import running_cluster
from tests.faults.moments import hold_states, story, until_logged
from tests.faults.process import Replica
from tests.faults.stage import Stage, set_stage, warm_up

STREAMS = 20
LONG = "hi [[sim out=240 tps=20]]"  # longer than a drain
WORKERS = 10  # of each kind: streams, and plain calls


@pytest.fixture
async def patient_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage of a cluster whose processes would let streams run for minutes before they end."""
    async with (
        running_cluster(tmp_path, drain_seconds="120") as cluster,
        set_stage(cluster, await warm_up(cluster)) as stage,
    ):
        yield stage


@pytest.mark.parametrize("service", ["auth", "billing", "dispatcher", "edge"])
async def test_f15_a_service_is_restarted_under_load_and_nothing_fails(stage: Stage, service: str) -> None:
    """Every stream shorter than the drain limit is whole, every plain call is answered; a closed door leads to the other edge."""
    is_over = asyncio.Event()
    answers: list[Transcript] = []
    workers = [
        asyncio.create_task(_keep_asking(stage, number, is_over, answers)) for number in range(2 * WORKERS)
    ]

    statuses = [await replica.restart() for replica in stage.cluster.replicas(service)]
    await asyncio.sleep(1)  # the last one that came again gets its share
    is_over.set()
    await asyncio.gather(*workers)

    assert statuses == [0, 0]
    assert {one.verdict for one in answers} == {"complete"}
    assert len(answers) > 4 * WORKERS
    await stage.audit()


@pytest.mark.parametrize("service", ["edge", "dispatcher"])
async def test_f16_a_stream_beyond_the_drain_limit_breaks_visibly_and_is_settled_before_the_exit(
    stage: Stage, service: str
) -> None:
    """The streams of a process that is asked to end get their time, then an error; it leaves no debt behind."""
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))
    replica = stage.cluster.replicas(service)[0]

    replica.terminate()
    status = await replica.wait_ended()
    states = await hold_states(stage)

    evidence = await stage.audit()
    assert status == 0
    broken = [one for one in evidence if one.transcript.verdict == "broken"]
    assert 0 < len(broken) < STREAMS
    assert states.count("SETTLED") == len(broken)
    assert {story(one) for one in broken} == {("broken", "SETTLED", "C8")}
    assert all(one.transcript.error is not None for one in broken)


async def test_f17_a_second_signal_ends_streams_visibly_and_settles_them_before_the_exit(
    patient_stage: Stage,
) -> None:
    """After the first one streams go on; after the second they end with an error, and nothing is owed."""
    stage = patient_stage
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))
    ending = [stage.cluster.edges[0], stage.cluster.dispatchers[0]]

    _signal(ending)
    await asyncio.gather(*(call.has_events(25) for call in calls))
    _signal(ending)
    statuses = [await replica.wait_ended() for replica in ending]
    states = await hold_states(stage)

    evidence = await stage.audit()
    assert statuses == [0, 0]
    broken = [one for one in evidence if one.transcript.verdict == "broken"]
    assert len(broken) >= STREAMS / 2
    assert states.count("SETTLED") == len(broken)
    assert {story(one) for one in broken} == {("broken", "SETTLED", "C8")}
    assert all(one.transcript.error is not None for one in broken)


async def test_f17_what_a_hurried_process_cannot_settle_is_in_the_spill_before_the_exit(
    patient_stage: Stage,
) -> None:
    """No billing runs, edges and dispatchers are told twice to end: no claim is lost, none expires."""
    stage = patient_stage
    calls = stage.caller.send_many(STREAMS, LONG)
    await asyncio.gather(*(call.has_events(5) for call in calls))
    for billing in stage.cluster.billings:
        billing.kill()
    ending = [*stage.cluster.edges, *stage.cluster.dispatchers]

    _signal(ending)
    await asyncio.gather(*(call.has_events(25) for call in calls))
    _signal(ending)
    statuses = [await replica.wait_ended() for replica in ending]

    assert statuses == [0] * len(ending)
    await until_logged(ending, "waits for billing in the spill", STREAMS)
    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {("broken", "SETTLED", "C8")}
    assert all(one.transcript.error is not None for one in evidence)


def _signal(processes: list[Replica]) -> None:
    for process in processes:
        process.terminate()


async def _keep_asking(stage: Stage, number: int, is_over: asyncio.Event, answers: list[Transcript]) -> None:
    """Call until `is_over`, every second worker as a stream of two seconds; add what each call got in the end."""
    is_stream = number % 2 == 0
    text = "hi [[sim out=40 tps=20]]" if is_stream else "hi [[sim out=5]]"
    while not is_over.is_set():
        for edge in random.sample(stage.cluster.edges, k=len(stage.cluster.edges)):
            answer = await stage.caller.send(text, edge=edge, is_stream=is_stream).transcript()
            if answer.end != "refused":  # a load balancer would go on to the next one, as this does
                answers.append(answer)
                break
        await asyncio.sleep(0.05)
