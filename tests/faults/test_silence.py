"""Silence has its limits, upstream and at the client (F58, F59, F79). A cluster of its own, where they are short."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.audit import Baseline
from tests.faults.client import Script
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.stage import Stage, set_stage, warm_up
from tests.faults.verdict import Allowance

STREAMS = 20
STUCK = 5
FIRST_OUTPUT_SECONDS = "4"
IDLE_SECONDS = "4"
CLIENT_STALL_SECONDS = "2"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Cluster, Baseline]]:
    """A cluster that waits for nobody for long."""
    async with running_cluster(
        tmp_path_factory.mktemp("impatient"),
        first_output_seconds=FIRST_OUTPUT_SECONDS,
        idle_seconds=IDLE_SECONDS,
        client_stall_seconds=CLIENT_STALL_SECONDS,
    ) as cluster:
        yield cluster, await warm_up(cluster)


@pytest.fixture
async def stage(impatient: tuple[Cluster, Baseline]) -> AsyncIterator[Stage]:
    """The stage of one scenario on that cluster."""
    async with set_stage(*impatient) as stage:
        yield stage


async def test_f58_an_upstream_that_accepts_and_says_nothing_is_given_up(stage: Stage) -> None:
    """A plain request gets its 504; a stream, which has heard comments meanwhile, an error event; both are free."""
    text = "hi [[sim out=5 ttft=600000]]"
    plain = stage.caller.send_many(STREAMS // 2, text, is_stream=False)
    stage.caller.send_many(STREAMS // 2, text)

    evidence = await stage.audit()

    refused, streams = evidence[: len(plain)], evidence[len(plain) :]
    assert {(one.transcript.status, one.transcript.headers["x-should-retry"]) for one in refused} == {
        (504, "false")
    }
    assert {one.transcript.verdict for one in streams} == {"broken"}
    assert all(b": keep-alive\n\n" in one.transcript.data for one in streams)
    assert {one.transcript.error.code for one in evidence if one.transcript.error} == {"upstream_timeout"}
    assert {hold.state for one in evidence for hold in one.holds} == {"VOIDED"}
    assert all(call.is_closed_early for one in evidence for call in one.calls)


async def test_f59_an_upstream_that_falls_silent_breaks_its_stream_visibly_and_for_free(stage: Stage) -> None:
    """Keep-alive comments while there is hope, then an error event, rule C7, and the upstream is closed."""
    stage.caller.send_many(STREAMS, "hi [[sim out=50 tps=1000 stall_at=10:600000]]")

    evidence = await stage.audit()

    assert {one.transcript.verdict for one in evidence} == {"broken"}
    assert {one.transcript.error.code for one in evidence if one.transcript.error} == {"upstream_timeout"}
    assert all(b": keep-alive\n\n" in one.transcript.data for one in evidence)
    assert {rule for one in evidence for rule in one.rules} == {"C7"}
    assert all(call.is_closed_early for one in evidence for call in one.calls)


async def test_f79_a_client_that_reads_nothing_is_cut_off_and_pays_for_what_was_made(stage: Stage) -> None:
    """Rule C6, while it still holds its connection: the upstream is closed, and the readers beside it are whole."""
    script = Script(bytes_per_second=1)
    text = "hi [[sim out=4000 n=8 tps=100]]"  # 40 s of it, 180 kB in each
    stuck = [stage.caller.send(text, script=script) for _ in range(STUCK)]
    stage.caller.send_many(STREAMS)

    await stage.operator.ended(stage.tenant, STUCK + STREAMS)
    for call in stuck:
        assert call.is_running
        call.leave()

    evidence = await stage.audit(Allowance(rules=frozenset({"C6"})))
    assert {rule for one in evidence[:STUCK] for rule in one.rules} == {"C6"}
    assert {one.transcript.verdict for one in evidence[STUCK:]} == {"complete"}
    assert all(call.is_closed_early for one in evidence[:STUCK] for call in one.calls)
