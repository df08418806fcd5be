"""An edge's claim to be alive: begun, renewed, replaced when it has ended, and given back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge import lease
from services.edge.lease import Lease
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import BILLING, EDGE
from shared.errors import Internal, RelayError, Unavailable
from shared.settings import Settings
from tests.dispatcher.rig import soon, until


class Leases:
    """Billing's leases: it notes each renewal, and can fail for a while."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.renewals: list[str] = []
        self.ended: set[str] = set()
        self.failures: list[RelayError] = []
        self.fails_new = False

    async def serve(self) -> None:
        """Answer from now on."""
        await self.bus.serve(billing.RENEW_LEASE, self._renew)
        await self.bus.serve(billing.END_LEASE, self._end)
        await self.bus.control.flush()

    async def _renew(self, ask: billing.Lease) -> billing.LeaseState:
        self.renewals.append(ask.lease_id)
        if self.failures:
            raise self.failures.pop(0)
        if self.fails_new and self.renewals.count(ask.lease_id) == 1:
            raise Unavailable("service_unavailable", part="PostgreSQL")
        return billing.LeaseState(is_live=ask.lease_id not in self.ended, remaining_seconds=60.0)

    async def _end(self, ask: billing.Lease) -> billing.LeaseState:
        self.ended.add(ask.lease_id)
        return billing.LeaseState(is_live=False)


@pytest.fixture
async def edge(nats_url: str) -> AsyncIterator[Bus]:
    """The edge's bus."""
    async with Bus(Settings(nats_url=nats_url), party=EDGE) as bus:
        yield bus


@pytest.fixture
async def leases(nats_url: str) -> AsyncIterator[Leases]:
    """Billing's side."""
    async with Bus(Settings(nats_url=nats_url), party=BILLING) as bus:
        side = Leases(bus)
        await side.serve()
        yield side


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(lease, "RETRY_SECONDS", 0.01)


def made(edge: Bus, told: list[str], *, renew_seconds: float = 3600.0) -> Lease:
    """Return a lease that notes what it tells."""
    return Lease(edge, renew_seconds=renew_seconds, ended=told.append)


async def test_a_lease_begins_when_billing_is_there(edge: Bus, leases: Leases) -> None:
    """However often it must be asked first."""
    leases.failures = [Unavailable("service_unavailable", part="PostgreSQL") for _ in range(3)]
    told: list[str] = []
    ours = made(edge, told)

    await soon(ours.begin())

    assert leases.renewals == [ours.id] * 4
    assert told == []


async def test_without_billing_no_edge_starts(edge: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so when the time of a start is over."""
    monkeypatch.setattr(lease, "START_SECONDS", 0.05)

    with pytest.raises(Unavailable):
        await soon(made(edge, []).begin())


async def test_a_lease_is_renewed_again_and_again(edge: Bus, leases: Leases) -> None:
    """Whatever billing answers meanwhile: one fault must not end the renewing, and with it every hold of this edge."""
    ours = made(edge, [], renew_seconds=0.01)
    leases.failures = [Unavailable("service_unavailable", part="PostgreSQL"), Internal("internal_error")]
    task = asyncio.create_task(ours.run())

    await until(lambda: len(leases.renewals) >= 5)

    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert set(leases.renewals) == {ours.id}


async def test_an_ended_lease_is_replaced_and_told(edge: Bus, leases: Leases) -> None:
    """The new one is begun, and who holds something under the old one hears of it."""
    told: list[str] = []
    ours = made(edge, told)
    await ours.begin()
    old = ours.id
    leases.ended.add(old)

    await ours.renew()

    assert told == [old]
    assert ours.id != old
    assert leases.renewals == [old, old, ours.id]


async def test_many_who_find_it_ended_replace_it_once(edge: Bus, leases: Leases) -> None:
    """A hundred requests that were refused for the same lease make one new lease, with two calls."""
    told: list[str] = []
    ours = made(edge, told)
    await ours.begin()
    old = ours.id
    leases.ended.add(old)

    await asyncio.gather(*(ours.replace(old) for _ in range(100)))

    assert told == [old]
    assert leases.renewals == [old, old, ours.id]


async def test_a_new_lease_that_could_not_begin_begins_the_next_time(edge: Bus, leases: Leases) -> None:
    """It keeps its id, and the end of the old one is told once."""
    told: list[str] = []
    ours = made(edge, told)
    await ours.begin()
    old = ours.id
    leases.ended.add(old)
    leases.fails_new = True

    with pytest.raises(Unavailable):
        await ours.replace(old)
    new = ours.id
    leases.fails_new = False
    await ours.replace(new)

    assert (told, ours.id) == ([old], new)
    assert leases.renewals == [old, old, new, new]


async def test_a_lease_is_given_back(edge: Bus, leases: Leases) -> None:
    """At the end; a billing that is away is no reason not to end."""
    ours = made(edge, [])
    await ours.begin()

    await ours.end()

    assert leases.ended == {ours.id}
    await leases.bus.stop_serving(timeout_seconds=1)
    await soon(ours.end())
