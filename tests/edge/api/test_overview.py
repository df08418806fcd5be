"""What was done, over the API: an account's own, the whole site's for operators, and the status that anybody sees."""

import asyncio

import msgspec
import pytest

from services.edge.api import overview, table
from services.edge.api.shapes import operator, site, wallet
from shared.contracts import records
from shared.errors import Unavailable
from tests.edge.api.conftest import Operator
from tests.edge.api.spending import NAME, Spender, spender

MODEL = "seen"


@pytest.fixture
async def ann(op: Operator) -> Spender:
    """A person with a dollar and a key."""
    return await spender(op.bus, op.running, MODEL)


async def test_an_overview_is_ones_own(op: Operator, ann: Spender) -> None:
    """In all, in steps without gaps, by model and by key with its name; another's calls are in none of it."""
    bob = await spender(op.bus, op.running, MODEL)
    await bob.call(MODEL)
    await ann.call(MODEL, first_output_ms=300, took_ms=900)
    await ann.call(MODEL, "refused", error="context_length_exceeded")

    shown: wallet.Overview = await ann.do(table.OVERVIEW, days=7)
    day: wallet.Overview = await ann.do(table.OVERVIEW, days=1)
    theirs: wallet.Overview = await ann.do(table.OVERVIEW, days=7, key_id=bob.key.id)

    assert (shown.totals.requests, shown.totals.failed, shown.totals.charged_usd) == (2, 1, "0.00014")
    assert shown.totals.first_output_ms is not None
    assert abs(shown.totals.first_output_ms / 300 - 1) < 0.05
    assert (len(shown.points), shown.step_seconds, len(day.points), day.step_seconds) == (
        7,
        86_400,
        24,
        3_600,
    )
    assert sum(point.requests for point in day.points) == 2
    assert (shown.points[0].requests, shown.points[0].first_output_ms) == (0, None)
    assert [(each.id, each.name) for each in shown.models] == [(MODEL, MODEL)]
    assert [(each.id, each.name) for each in shown.keys] == [(ann.key.id, NAME)]
    assert shown.series[0].charged_usd[-1] == "0.00014"
    assert (theirs.totals.requests, theirs.keys) == (0, ())


async def test_traffic_is_the_whole_sites(op: Operator, ann: Spender) -> None:
    """With errors by cause, channels, money and the last audit."""
    before: operator.Traffic = await op.do(table.TRAFFIC, days=7)
    await ann.call(MODEL)
    await ann.call(MODEL, "upstream_failed", error="upstream_timeout")
    await ann.call(MODEL, "running")
    after: operator.Traffic = await op.do(table.TRAFFIC, days=7)

    assert after.totals.requests == before.totals.requests + 2
    assert after.running == before.running + 1
    share = {each.channel: each for each in after.channels}["secret-channel"]
    assert share.failed >= 1
    assert "upstream_timeout" in {each.code for each in after.errors}
    assert len(after.points) == 7


async def test_the_status_names_no_channel(op: Operator, ann: Spender) -> None:
    """It counts faults, and no refusals of what a client sent."""
    await ann.call(MODEL, first_output_ms=300, took_ms=900)
    await ann.call(MODEL, "refused", error="context_length_exceeded")
    overview._boards.clear()
    status: site.Status = await op.do(table.STATUS, hours=1)

    model = {each.model: each for each in status.items}[MODEL]
    assert model.requests >= 2
    assert len(model.buckets) == 12
    assert b"secret-channel" not in msgspec.json.encode(status)


async def test_however_many_look_billing_is_asked_once(op: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it does not answer: nobody asks again for a while, and a stale status is not shown."""
    asked = 0
    fails = False

    class Counting:
        async def call(self, call: object, question: records.GetStatus) -> records.Status:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.01)
            if fails:
                raise Unavailable("service_unavailable", part="billing")
            return records.Status(slice_seconds=300, items=())

    board = overview.Board(Counting())  # type: ignore[arg-type]
    await asyncio.gather(*(board.status(1) for _ in range(20)))
    assert asked == 1
    fails = True
    results = await asyncio.gather(*(board.status(24) for _ in range(20)), return_exceptions=True)
    assert asked == 2
    assert {type(each) for each in results} == {Unavailable}
    monkeypatch.setattr(overview, "FAULT_SECONDS", 0.0)
    fails = False
    board = overview.Board(Counting())  # type: ignore[arg-type]
    assert (await board.status(24)).items == ()
