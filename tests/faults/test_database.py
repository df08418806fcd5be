"""PostgreSQL stops, falls silent, and locks (F27, F41–F43, F47). F46, a deadlock, is in `tests/billing/test_lane.py`."""

import asyncio

import pytest

from shared.failpoints import Point
from tests.faults.client import Caller
from tests.faults.cluster import SETTINGS
from tests.faults.moments import SHORT, hold_states, story
from tests.faults.stage import Stage

STREAMS = 20
LEASE_SECONDS = float(SETTINGS["lease_seconds"]) + float(SETTINGS["expiry_grace_seconds"])
COMPLETE = ("complete", "SETTLED", "C1")
LONGER = "hi [[sim out=320 tps=20]]"  # than a lease and its grace


async def test_f41_an_immediate_stop_of_postgresql_loses_no_money(stage: Stage) -> None:
    """Streams that run go on to their end and are charged once it is back; requests meanwhile are refused for a time."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
    await asyncio.gather(*(call.has_events(5) for call in calls))

    stage.cluster.kill_postgres()
    refused = await stage.caller.send(is_stream=False).transcript()
    running = [await call.transcript() for call in calls]
    stage.cluster.start_postgres()

    assert refused.status == 503
    assert refused.headers["x-should-retry"] == "true"
    assert {one.verdict for one in running} == {"complete"}
    await stage.audit()


async def test_f41_postgresql_away_for_longer_than_a_lease_expires_nothing(stage: Stage) -> None:
    """Streams run on, those that end meanwhile too; every claim lands afterwards, and no hold has expired."""
    ending = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
    running = stage.caller.send_many(STREAMS, LONGER)
    await asyncio.gather(*(call.has_events(5) for call in (*ending, *running)))

    stage.cluster.kill_postgres()
    await asyncio.sleep(LEASE_SECONDS)
    assert (await stage.caller.send(is_stream=False).transcript()).status == 503
    stage.cluster.start_postgres()

    *admitted, refused = await stage.audit()
    assert story(refused) == ("refused", "", "")
    assert {story(one) for one in admitted} == {COMPLETE}


async def test_f27_f43_billing_in_front_of_a_silent_postgresql_refuses_and_lets_run(stage: Stage) -> None:
    """No answer, no reset: requests are refused all the same, a billing that is told to end does, and no live hold expires."""
    ending = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20]]")
    running = stage.caller.send_many(STREAMS, LONGER)
    await asyncio.gather(*(call.has_events(5) for call in (*ending, *running)))

    for billing in stage.cluster.billings:
        assert billing.postgres is not None
        billing.postgres.drop()
    refused = await stage.caller.send(is_stream=False).transcript()
    await asyncio.sleep(LEASE_SECONDS)
    states = await hold_states(stage)
    stage.cluster.billings[0].terminate()
    status = await stage.cluster.billings[0].wait_ended()

    assert (refused.status, refused.headers["x-should-retry"]) == (503, "true")
    assert status == 0
    assert "EXPIRED" not in states
    *admitted, lost = await stage.audit()
    assert {story(one) for one in admitted} == {COMPLETE}
    assert lost.charged_nano_usd == 0
    assert not lost.calls


@pytest.mark.parametrize(
    "point", [pytest.param("billing.batched", id="before"), pytest.param("billing.committed", id="after")]
)
async def test_f42_a_backend_that_is_terminated_in_a_batch_costs_nobody_anything(
    stage: Stage, point: Point
) -> None:
    """The lane comes back and repeats its batch by id: every request is served and charged once."""
    stage.cluster.arm_any(point, "stop")
    stage.caller.send_many(STREAMS, SHORT)
    billing = await stage.cluster.fired(point)

    terminated = await stage.operator.database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay-billing-lane'"
    )
    billing.resume()

    evidence = await stage.audit()
    assert terminated
    assert {story(one) for one in evidence} == {COMPLETE}


async def test_f47_a_locked_account_is_refused_alone(stage: Stage) -> None:
    """While its row is locked its requests are refused for a time, and everybody else is served and charged."""
    tenant = await stage.operator.make_tenant(upstream_url=stage.cluster.upstream.url)
    others = Caller(stage.cluster, tenant)

    async with stage.operator.database.transaction():
        await stage.operator.database.execute(
            "SELECT 1 FROM billing.account WHERE id = $1::uuid FOR UPDATE", stage.tenant.account_id
        )
        locked = stage.caller.send_many(STREAMS, is_stream=False)
        others.send_many(STREAMS)
        served = await others.transcripts()
        await stage.operator.settled(tenant, STREAMS)
        refused = await asyncio.gather(*(call.transcript() for call in locked))

    assert {one.verdict for one in served} == {"complete"}
    assert {(one.status, one.headers["x-should-retry"]) for one in refused} == {(503, "true")}
    evidence = await stage.audit()
    assert not any(one.calls for one in evidence)
