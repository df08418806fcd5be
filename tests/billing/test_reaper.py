"""When the reaper may call an edge silent: after one lease in which it would have heard it, and not before."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.billing.reaper import Vigil, kept
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import EDGE
from shared.errors import Unavailable
from shared.ids import uuid7
from shared.settings import Settings
from tests.billing.bookkeeping import Ledger, reserve
from tests.billing.running import LEASE_SECONDS, eventually, running, until, until_closed
from tests.shared.tcp_proxy import TcpProxy, proxied

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BREAK = "is away: nothing expires"


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def test_a_vigil_lasts_from_its_first_look_to_its_last() -> None:
    """Each look that is not too late makes it longer."""
    vigil = kept(None, NOON, gap_seconds=30)
    assert (vigil, vigil.seconds) == (Vigil(since=NOON, seen=NOON), 0)

    for seconds in (5, 5, 35, 60):
        vigil = kept(vigil, at(seconds), gap_seconds=30)

    assert (vigil.since, vigil.seconds) == (NOON, 60)


@pytest.mark.parametrize("seconds", [90.001, 3600, 59.9, -3600])
def test_a_vigil_begins_anew_after_a_gap(seconds: float) -> None:
    """Nobody knows what was to be heard meanwhile, or by how much a clock was set."""
    vigil = Vigil(since=NOON, seen=at(60))

    assert kept(vigil, at(seconds), gap_seconds=30) == Vigil(since=at(seconds), seen=at(seconds))


async def test_a_replica_that_has_just_begun_lets_the_edges_renew(ledger: Ledger, nats_url: str) -> None:
    """Whatever lapsed before has one lease of time."""
    (request_id,) = await held(ledger, "dead")
    await ledger.lapse("dead")
    began = await moment(ledger)

    async with running(ledger.url, nats_url):
        await until_closed(ledger, request_id)

    assert await seconds_to_the_end(ledger, request_id, began) >= LEASE_SECONDS


@pytest.fixture(params=["PostgreSQL", "NATS"])
async def part(request: pytest.FixtureRequest) -> str:
    """What billing is cut off from."""
    return str(request.param)


@pytest.fixture
async def proxy(part: str, ledger: Ledger, nats_url: str) -> AsyncIterator[TcpProxy]:
    """Billing's way to that part."""
    async with proxied(ledger.url if part == "PostgreSQL" else nats_url) as way:
        yield way


async def test_nobody_expires_who_could_not_renew(
    part: str, proxy: TcpProxy, ledger: Ledger, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An edge that comes back within one lease after the outage keeps its holds, and one that does not loses them."""
    dead, living = await held(ledger, "dead", "living")
    urls = (proxy.url, nats_url) if part == "PostgreSQL" else (ledger.url, proxy.url)
    async with running(*urls), Bus(Settings(nats_url=nats_url), party=EDGE) as edge:
        await until_watched(ledger)
        proxy.refuse()
        await until(lambda: f"{part} {BREAK}" in caplog.text)
        await ledger.lapse("dead", "living")
        with pytest.raises(Unavailable):
            await edge.call(billing.RENEW_LEASE, billing.Lease(lease_id="living"))

        healed = await moment(ledger)
        await proxy.listen()
        assert (await eventually(edge, billing.RENEW_LEASE, billing.Lease(lease_id="living"))).is_live
        await ledger.call("renew_lease", "living", 3600)
        await until_closed(ledger, dead)

    assert await seconds_to_the_end(ledger, dead, healed) >= LEASE_SECONDS
    assert await ledger.state(living) == "HELD"


async def test_one_replica_that_hears_everything_is_enough(
    ledger: Ledger, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Edges could renew by way of it: while the other one is cut off, the holds of a dead edge expire."""
    (request_id,) = await held(ledger, "dead")
    async with proxied(ledger.url) as proxy, running(ledger.url, nats_url), running(proxy.url, nats_url):
        await until_watched(ledger)
        proxy.refuse()
        await until(lambda: f"PostgreSQL {BREAK}" in caplog.text)
        await ledger.lapse("dead")
        await until_closed(ledger, request_id)


async def held(ledger: Ledger, *lease_ids: str) -> list[UUID]:
    """Return a live hold under each of new leases of an hour."""
    await ledger.set_price()
    account = await ledger.open_account(10_000)
    requests = [uuid7() for _ in lease_ids]
    for request_id, lease_id in zip(requests, lease_ids, strict=True):
        await ledger.call("renew_lease", lease_id, 3600)
        assert (await ledger.one(reserve(request_id, account, lease_id=lease_id)))["result"] == "ok"
    return requests


async def until_watched(ledger: Ledger) -> None:
    """Return when a vigil has lasted for one lease: what had lapsed before it is expired."""
    (request_id,) = await held(ledger, "long dead")
    await ledger.lapse("long dead")
    await until_closed(ledger, request_id)


async def moment(ledger: Ledger) -> datetime:
    """Return the time by PostgreSQL's clock."""
    now: datetime = await ledger.connection.fetchval("SELECT clock_timestamp()")
    return now


async def seconds_to_the_end(ledger: Ledger, request_id: UUID, since: datetime) -> float:
    """Return how long after `since` a hold was closed."""
    closed: datetime = await ledger.connection.fetchval(
        "SELECT closed_at FROM billing.hold WHERE id = $1", request_id
    )
    return (closed - since).total_seconds()
