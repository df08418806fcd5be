"""The bus goes away, loses a server, falls silent, and cuts who is slow (F21–F24, F28)."""

import asyncio
import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import pytest

from tests.faults.bus_servers import BusPlan
from tests.faults.cluster import running_cluster
from tests.faults.moments import story, until, until_logged
from tests.faults.proxy import Direction
from tests.faults.stage import Stage, set_stage, warm_up
from tests.faults.verdict import Allowance

STREAMS = 100
FEW_STREAMS = 20
GAP_SECONDS = 5.0  # the promise: a gap of at most that is not seen
SILENCE_SECONDS = 15.0  # the promise: by then both sides know
LOOKING_SECONDS = 5.0  # a tick, the cancellation, and the word of the upstream on a busy machine
COMPLETE = ("complete", "SETTLED", "C1")
LARGE = "hi [[sim out=4000 chunk_tokens=100 tps=2000]]"  # with CHOICES 300 kB in two seconds
CHOICES = 12


@pytest.fixture
async def three_servers(tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage of a cluster whose bus has three servers."""
    async with (
        running_cluster(tmp_path, BusPlan(count=3)) as cluster,
        set_stage(cluster, await warm_up(cluster)) as stage,
    ):
        yield stage


@pytest.fixture
async def strict_server(tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage of a cluster whose bus keeps next to nothing for a reader that is slow."""
    async with (
        running_cluster(tmp_path, BusPlan(limits={"max_pending": "1MB"})) as cluster,
        set_stage(cluster, await warm_up(cluster)) as stage,
    ):
        yield stage


async def test_f21_a_restart_of_nats_breaks_no_stream(stage: Stage) -> None:
    """A hundred running streams lose nothing, and none of them stands still for longer than the promise."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=100 tps=10]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.kill_nats()
    await asyncio.sleep(1)
    stage.cluster.start_nats()

    evidence = await stage.audit()
    assert {one.transcript.verdict for one in evidence} == {"complete"}
    assert max(one.transcript.longest_gap_seconds for one in evidence) < GAP_SECONDS


async def test_f22_any_of_three_servers_may_be_lost(three_servers: Stage) -> None:
    """One after another is killed and comes back: running streams lose nothing, and new ones are served meanwhile."""
    stage = three_servers
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=250 tps=10]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    for number in range(stage.cluster.nats_count):
        stage.cluster.kill_nats(number)
        await asyncio.sleep(2)
        stage.caller.send_many(FEW_STREAMS)
        stage.cluster.start_nats(number)
        await asyncio.sleep(3)

    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {COMPLETE}
    assert max(one.transcript.longest_gap_seconds for one in evidence) < GAP_SECONDS


@pytest.mark.parametrize(
    "direction", [pytest.param("both", id="f23_black_hole"), pytest.param("down", id="f24_hears_nothing")]
)
async def test_f23_f24_an_edge_whose_bus_falls_silent_gives_up_in_time_and_alone(
    stage: Stage, direction: Direction
) -> None:
    """Both sides notice: the clients get an error, the upstream is closed, nobody pays; those of the other edge see nothing."""
    calls = stage.caller.send_many(FEW_STREAMS, "hi [[sim out=700 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.edges[0].nats.drop(direction)
    silent_at = time.time()

    async def are_given_up() -> bool:
        return sum(call.is_running for call in calls) <= FEW_STREAMS / 2

    await until(are_given_up, "an error for every client of that edge")
    assert time.time() - silent_at < SILENCE_SECONDS + LOOKING_SECONDS

    evidence = await stage.audit()
    lost = [one for one in evidence if one.transcript.edge == "edge-0"]
    assert {one.transcript.verdict for one in evidence if one not in lost} == {"complete"}
    assert {one.transcript.error and one.transcript.error.code for one in lost} == {"stream_interrupted"}
    assert all(one.charged_nano_usd == 0 for one in lost)
    stops = [call.ended_at for one in lost for call in one.calls if call.is_closed_early]
    assert len(stops) == len(lost) == FEW_STREAMS / 2
    assert max(at or inf for at in stops) - silent_at < SILENCE_SECONDS + LOOKING_SECONDS


async def test_f28_a_slow_way_to_the_bus_cuts_nobody_off(stage: Stage) -> None:
    """Within the windows of credit the server keeps what an edge has not taken yet: its streams are slow, and whole."""
    edge = stage.cluster.edges[0]
    edge.nats.throttle(1_000_000, "down")

    for _ in range(FEW_STREAMS):
        stage.caller.send(LARGE, edge=edge, n=CHOICES)
    await stage.caller.transcripts()

    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {COMPLETE}
    assert "Slow Consumer" not in stage.cluster.nats_log()


async def test_f28_an_edge_that_is_cut_off_as_too_slow_comes_back(strict_server: Stage) -> None:
    """Its streams go on or break visibly, and money moves as before: those of the other edge notice nothing."""
    stage = strict_server
    edge, other = stage.cluster.edges
    calls = [stage.caller.send(LARGE, edge=edge, n=CHOICES) for _ in range(FEW_STREAMS)]
    await asyncio.gather(*(call.has_events(1) for call in calls))

    edge.nats.drop("down")

    async def is_cut_off() -> bool:
        return "Slow Consumer" in stage.cluster.nats_log()

    await until(is_cut_off, "the server's word on a slow consumer")
    edge.nats.open()
    await until_logged([edge], "the bus connection edge-streams is back")
    for each in (edge, other):
        for _ in range(FEW_STREAMS):
            stage.caller.send(edge=each)

    evidence = await stage.audit(Allowance(may_be_free=True))
    assert "the bus connection edge-control is back" not in edge.log
    assert {story(one) for one in evidence[FEW_STREAMS:]} == {COMPLETE}
