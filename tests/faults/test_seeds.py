"""Faults by seed: whatever fails, and whatever fails with it, the ledger, the upstream and every client tell one story.

`pytest tests/faults/test_seeds.py --seed N` plays one seed again: the same faults in the same order, though a faster or slower
machine meets them at other moments.
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from tests.faults.audit import Baseline
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.judging import TOUCHED
from tests.faults.load import leave_early
from tests.faults.nemesis import Nemesis
from tests.faults.stage import Stage, set_stage, warm_up
from tests.faults.visits import draw

CLIENTS = 20
PAUSE_SECONDS_MAX = 0.5
FAULTS = 5  # of each hand


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shaken(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Cluster, Baseline]]:
    """A cluster that gives a stalled upstream up within seconds, so that each seed comes to its end."""
    folder = tmp_path_factory.mktemp("shaken")
    async with running_cluster(folder, first_output_seconds="4", idle_seconds="4") as cluster:
        yield cluster, await warm_up(cluster)


@pytest.fixture
async def stage(shaken: tuple[Cluster, Baseline]) -> AsyncIterator[Stage]:
    """The stage of one seed."""
    async with set_stage(*shaken) as stage:
        yield stage


async def test_whatever_fails_every_request_has_one_story(stage: Stage, fault_seed: int) -> None:
    """No stream is cut in silence, no byte differs, no cent is missing, and afterwards everybody is served."""
    is_over = asyncio.Event()
    clients = [asyncio.create_task(_live(stage, fault_seed, number, is_over)) for number in range(CLIENTS)]
    nemesis = Nemesis(stage, fault_seed)
    try:
        await nemesis.run(FAULTS)
        is_over.set()
        await asyncio.gather(*clients)

        evidence = await stage.audit(TOUCHED)
    except AssertionError as error:
        raise AssertionError(f"seed {fault_seed}: {'; '.join(nemesis.done)}\n{error}") from error
    assert {"complete", "left"} <= {one.transcript.verdict for one in evidence}


async def _live(stage: Stage, seed: int, number: int, is_over: asyncio.Event) -> None:
    """Be one client: make a visit, rest, and come again to the other edge."""
    chance = Random(f"{seed} client {number}")
    while not is_over.is_set():
        number += 1
        visit = draw(chance, PAUSE_SECONDS_MAX)
        edge = stage.cluster.edges[number % len(stage.cluster.edges)]
        call = stage.caller.send(visit.text, edge=edge, is_stream=visit.is_stream, script=visit.script)
        await leave_early(call, visit)
        await call.transcript()
        await asyncio.sleep(visit.pause_seconds)
