"""The limits over all attempts of a request, and over all requests: `docs/failover.md`."""

from services.edge.settings import EdgeSettings
from tests.dispatcher.rig import World, replica, settings_of
from tests.edge.rig import Around, edge_of, stream
from tests.edge.test_failover import GOOD, end_of, seen


async def test_three_channels_are_asked_and_no_more(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Each once, in their order; the client gets the last error."""
    failing = [await upstreams.simulator("status=500") for _ in range(4)]
    for number, upstream in enumerate(failing):
        await upstreams.channel(upstream, f"c{number}", priority=-number)
    async with edge_of(around, settings) as edge:
        answer = await stream(edge)
        claim = await end_of(around, answer)

    assert (answer.status, answer.headers["x-should-retry"]) == (502, "true")
    assert [len(upstream.journal) for upstream in failing] == [1, 1, 1, 0]
    assert seen(claim) == [("c0", "failed", False), ("c1", "failed", False), ("c2", "failed", False)]


async def test_one_time_budget_stands_over_all_attempts(
    around: Around, providers: World, settings: EdgeSettings, nats_url: str, dispatcher_url: str
) -> None:
    """Once it is used up nothing new is begun, and the record says so."""
    late = settings_of(nats_url, dispatcher_url, failover_seconds=0.2)
    async with replica(late), edge_of(around, settings) as edge:
        good = await providers.simulator(GOOD)
        await providers.channel(
            await providers.simulator("status=500 header_delay=400"), "broken", priority=1
        )
        await providers.channel(good, "good")

        answer = await stream(edge)
        claim = await end_of(around, answer)

    assert answer.status == 502
    assert seen(claim) == [("broken", "failed", False), ("good", "skipped_time_budget", False)]
    assert not good.journal


async def test_a_channel_may_have_longer_to_think(
    around: Around, providers: World, settings: EdgeSettings, nats_url: str, dispatcher_url: str
) -> None:
    """Its own limit stands for the setting's, which would have given it up."""
    impatient = settings_of(nats_url, dispatcher_url, slow_seconds=0.1)
    async with replica(impatient), edge_of(around, settings) as edge:
        good = await providers.simulator(GOOD)
        thinking = await providers.simulator("reply=hm stall_at=0:600")
        await providers.channel(thinking, "thinking", priority=1, slow_seconds=60.0)
        await providers.channel(good, "good")

        answer = await stream(edge)

    assert answer.is_whole
    assert not good.journal


async def test_one_budget_of_further_attempts_stands_over_all_calls(
    around: Around, providers: World, settings: EdgeSettings, nats_url: str, dispatcher_url: str
) -> None:
    """An outage does not multiply its own load: of many calls that could turn to another channel only some do."""
    thrifty = settings_of(nats_url, dispatcher_url, failover_per_second=0.2, failover_share=0.0)
    async with replica(thrifty), edge_of(around, settings) as edge:
        good = await providers.simulator(GOOD)
        await providers.channel(await providers.simulator("status=500"), "broken", priority=1)
        await providers.channel(good, "good")

        answers = [await stream(edge) for _ in range(4)]
        claims = [await end_of(around, answer) for answer in answers]

    assert [answer.status for answer in answers] == [200, 200, 502, 502]
    assert seen(claims[3]) == [("broken", "failed", False), ("good", "skipped_retry_budget", False)]
    assert len(good.journal) == 2
