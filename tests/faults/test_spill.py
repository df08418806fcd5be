"""The spill: claims that billing did not confirm wait on JetStream's disk, and are done once, whatever is lost (F33–F35)."""

import asyncio
import shutil

from tests.faults.moments import hold_states, story, until, until_logged
from tests.faults.stage import Stage
from tests.faults.verdict import Allowance

STREAMS = 20
COMPLETE = ("complete", "SETTLED", "C1")
STORED = "waits for billing in the spill"


async def spilled(stage: Stage) -> None:
    """Let STREAMS answers be delivered without a billing, and leave their claims to the spill: nobody else knows them then."""
    cluster = stage.cluster
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=40 tps=20]]")
    await asyncio.gather(*(call.has_events(3) for call in calls))
    for billing in cluster.billings:
        billing.kill()
    transcripts = await asyncio.gather(*(call.transcript() for call in calls))
    assert {one.verdict for one in transcripts} == {"complete"}
    for witness in (*cluster.dispatchers, *cluster.edges):
        witness.terminate()
    for witness in (*cluster.dispatchers, *cluster.edges):
        assert await witness.wait_ended() == 0
    assert sum(witness.log.count(STORED) for witness in cluster.replicas()) >= STREAMS
    assert await hold_states(stage) == ["HELD"] * STREAMS


async def done_claims(stage: Stage) -> float:
    """Return how many claims both billings have taken from the spill since they started."""
    counts = [await billing.metrics() for billing in stage.cluster.billings]
    return sum(count["relay_billing_spill_done_total"] for count in counts)


async def test_t14_claims_wait_on_disk_while_their_witnesses_live(stage: Stage) -> None:
    """After ten seconds without an answer a claim is stored; a restart of the bus loses none, and each is charged once."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=40 tps=20]]")
    await asyncio.gather(*(call.has_events(3) for call in calls))
    for billing in stage.cluster.billings:
        billing.kill()
    await until_logged(stage.cluster.replicas(), STORED, STREAMS)

    stage.cluster.kill_nats()

    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {COMPLETE}
    assert await done_claims(stage) >= STREAMS


async def test_f33_a_store_that_is_deleted_loses_claims_and_charges_nobody_wrongly(stage: Stage) -> None:
    """Those holds expire with their leases, for free; the spill is made again, and works."""
    await spilled(stage)
    stage.cluster.kill_nats()
    shutil.rmtree(stage.cluster.nats_store)

    evidence = await stage.audit(Allowance(may_be_lost=True))

    assert {story(one) for one in evidence} == {("complete", "EXPIRED", "C9")}
    assert sum(one.charged_nano_usd for one in evidence) == 0
    for billing in stage.cluster.billings:
        assert (await billing.metrics())["relay_billing_spill_ready"] == 1


async def test_f34_f35_a_store_of_yesterday_charges_nobody_twice(stage: Stage) -> None:
    """JetStream forgets that claims were done and hands all of them out again: nothing changes."""
    await spilled(stage)
    store, copy = stage.cluster.nats_store, stage.cluster.folder / "yesterday"
    stage.cluster.kill_nats()
    shutil.copytree(store, copy)
    await stage.cluster.heal()

    async def are_settled() -> bool:
        return await hold_states(stage) == ["SETTLED"] * STREAMS

    await until(are_settled, "all settled")
    done = await done_claims(stage)
    stage.cluster.kill_nats()
    shutil.rmtree(store)
    copy.rename(store)
    stage.cluster.start_nats()

    async def are_done_again() -> bool:
        return await done_claims(stage) >= done + STREAMS

    await until(are_done_again, "all claims done a second time")
    evidence = await stage.audit()
    assert {story(one) for one in evidence} == {COMPLETE}
    assert all(len(one.usage) == 1 for one in evidence)
