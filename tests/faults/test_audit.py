"""The auditor sees what is wrong with a whole cluster, on one that nobody else uses."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.stage import set_stage, warm_up


async def test_the_auditor_finds_a_missing_cent_a_process_that_ended_and_a_hold_that_is_not_there(
    tmp_path: Path,
) -> None:
    """After a good audit, each of three deliberate faults is named."""
    async with running_cluster(tmp_path) as cluster, set_stage(cluster, await warm_up(cluster)) as stage:
        for is_stream in (True, False):
            stage.caller.send(is_stream=is_stream)
        (stream, plain) = await stage.audit()
        assert [len(one.calls) for one in (stream, plain)] == [1, 1]
        assert [one.rules for one in (stream, plain)] == [{"C1"}, {"C1"}]

        async with cluster.database() as database:
            await database.execute("UPDATE billing.account SET posted_nano_usd = posted_nano_usd + 1")
            await database.execute("ALTER TABLE billing.hold DISABLE TRIGGER USER")
            await database.execute("DELETE FROM billing.hold WHERE id = $1::uuid", plain.holds[0].id)
        os.kill(cluster.edges[0].pid, signal.SIGTERM)
        await cluster.edges[0].wait_ended()

        with pytest.raises(AssertionError) as failure:
            await stage.audit()

    said = str(failure.value)
    assert "I1 " in said
    assert f"{plain.transcript.marker} (complete): was answered without a hold" in said
    assert "edge-0 ended with status 0" in said
