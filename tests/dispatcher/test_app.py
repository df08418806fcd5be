"""The dispatcher as a process: its start, its readiness, its end, and the loss of whoever it works for."""

import asyncio

import httpx
import msgspec
import pytest

from services.dispatcher.app import create_app
from services.dispatcher.settings import DispatcherSettings
from shared.bus import Bus, Callers
from shared.contracts import billing
from shared.contracts.call import DISPATCHER
from shared.errors import Unavailable
from shared.settings import Secret, SettingsError
from shared.stream.actions import Confirmed, Failed, Failure
from tests.dispatcher.rig import World, begun, hear, identity, missing, replica, soon, until


@pytest.mark.parametrize("key", ["", "00" * 32, "ab" * 16, "not hexadecimal" * 4 + "0000"])
def test_a_master_key_that_protects_nothing_is_refused(settings: DispatcherSettings, key: str) -> None:
    """Before anything starts, by the name of its variable and without its value."""
    wrong = msgspec.structs.replace(settings, master_key=Secret(key))

    with pytest.raises(SettingsError, match="RELAY_MASTER_KEY") as caught:
        create_app(wrong, Bus(wrong, party=DISPATCHER))
    assert not key or key not in str(caught.value)


def test_networks_that_are_none_are_refused(settings: DispatcherSettings) -> None:
    """A typing error must not open or close more than was meant."""
    wrong = msgspec.structs.replace(settings, upstream_private_networks=("10.0.0.1/8",))

    with pytest.raises(SettingsError, match="RELAY_UPSTREAM_PRIVATE_NETWORKS"):
        create_app(wrong, Bus(wrong, party=DISPATCHER))


async def test_a_running_dispatcher_says_what_it_does(around: World, settings: DispatcherSettings) -> None:
    """It is ready, and counts attempts by how they ended, each once."""
    async with replica(settings) as app:
        assert await missing(app) == []
        await around.channel(await around.simulator("status=500"), "first", priority=1)
        await around.channel(await around.simulator("reply=hi"), "second")
        await around.ask()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
            page = (await client.get("/metrics")).text

    counted = {line for line in page.splitlines() if line.startswith("relay_dispatcher_attempts_total")}
    assert counted == {
        'relay_dispatcher_attempts_total{channel="first",result="failed"} 1.0',
        'relay_dispatcher_attempts_total{channel="second",result="completed"} 1.0',
    }


async def test_a_channel_into_a_private_network_is_not_called(
    around: World, settings: DispatcherSettings
) -> None:
    """Unless the operator allows that network: the address is looked at when it is called."""
    async with replica(msgspec.structs.replace(settings, upstream_private_networks=())):
        upstream = await around.simulator("reply=hi")
        await around.channel(upstream)

        heard = await around.ask()

    assert heard.error.kind == "upstream_failed"
    assert not heard.tail.may_be_billed
    assert not upstream.journal


async def test_running_answers_end_in_a_drain(around: World, settings: DispatcherSettings) -> None:
    """What can end in time ends whole and settled; nothing new is taken."""
    async with replica(settings):
        await around.channel(await around.simulator("out=30 tps=100"))
        answer = await around.open()
        await begun(answer)

    heard = await hear(answer)
    assert heard.tail.error is None
    assert isinstance(await around.billing.end_of(identity(answer)), billing.Settle)
    assert isinstance(await soon(answer.settlement), Confirmed)
    late = await around.ask()
    assert isinstance(late.outcome, Failed)
    assert late.outcome.reason is Failure.NO_RESPONDERS


async def test_what_a_drain_cannot_wait_for_is_cut_and_settled(
    around: World, settings: DispatcherSettings
) -> None:
    """The edge hears that it is not complete, the upstream is closed, nobody pays, and the end is not long in coming."""
    async with replica(msgspec.structs.replace(settings, drain_seconds=0.1)):
        upstream = await around.simulator("out=5000 tps=100")
        await around.channel(upstream)
        answer = await around.open()
        await begun(answer)

    heard = await hear(answer)
    assert isinstance(heard.outcome, Failed)
    assert heard.outcome.reason is Failure.ABORTED
    claim = await around.billing.end_of(identity(answer))
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "platform_failed"
    await until(lambda: upstream.journal[0].is_closed_early)


async def test_a_draining_dispatcher_leaves_new_calls_to_the_others(
    around: World, settings: DispatcherSettings
) -> None:
    """Calls that come while one of two ends are all answered."""
    upstream = await around.simulator("out=3 tps=200")
    async with replica(settings):
        await around.channel(upstream)
        async with replica(settings):
            before = [asyncio.create_task(around.ask()) for _ in range(10)]
            await asyncio.sleep(0.01)
        heard = await asyncio.gather(*before, *(around.ask() for _ in range(10)))

    assert all(each.tail.error is None for each in heard)


async def test_a_full_dispatcher_refuses_by_name(around: World, settings: DispatcherSettings) -> None:
    """The edge hears it at once and knows that nothing was begun."""
    async with replica(msgspec.structs.replace(settings, streams_max=1)):
        await around.channel(await around.simulator("out=1000 tps=100"))
        first = await around.open()
        await begun(first)

        heard = await around.ask()

        assert isinstance(heard.outcome, Failed)
        assert (heard.outcome.reason, heard.outcome.has_accept) == (Failure.BUSY, False)
        await first.cancel("client_gone")
        await around.billing.end_of(identity(first))


async def test_a_dead_edge_ends_its_calls_and_nobody_pays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dispatcher notices, closes the upstream and settles, since there is no other witness."""
    monkeypatch.setattr("shared.stream.peers.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("shared.bus.endpoint.RECONNECT_SECONDS", 0.05)
    upstream = await world.simulator("out=5000 tps=100")
    await world.channel(upstream)
    async with Callers(world.edge) as dying:
        world.callers, alive = dying, world.callers
        answer = await world.open()
        await begun(answer)
    world.callers = alive

    claim = await world.billing.end_of(identity(answer))

    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.witness) == ("platform_failed", "dispatcher")
    await until(lambda: upstream.journal[0].is_closed_early)


async def test_without_its_database_nothing_starts(
    settings: DispatcherSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a while, and then says what is missing."""
    monkeypatch.setattr("shared.service.START_SECONDS", 0.1)
    monkeypatch.setattr("shared.service.RETRY_SECONDS", 0.01)
    lost = msgspec.structs.replace(settings, database_url=Secret("postgresql://127.0.0.1:1/nowhere"))

    with pytest.raises(Unavailable) as caught:
        await soon(_start(lost))

    assert caught.value.details["part"] == "PostgreSQL"


async def _start(settings: DispatcherSettings) -> None:
    async with replica(settings):
        pass
