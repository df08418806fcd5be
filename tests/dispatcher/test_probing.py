"""Keys that are refused or not paid for go out, everywhere, and come in again by a test."""

import asyncio

import msgspec
import pytest

from services.dispatcher.settings import DispatcherSettings
from services.simulator.scenarios import Match
from shared.contracts import billing, dispatcher
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound
from tests.dispatcher.rig import Heard, World, execute, is_whole, replica, until
from tests.dispatcher.test_keys import add


async def probe(world: World, **fields: str) -> dispatcher.ChannelTested:
    """Test a channel."""
    return await world.operator.call(
        dispatcher.TEST_CHANNEL, msgspec.convert({"name": "one", **fields}, dispatcher.TestChannel)
    )


async def states(world: World) -> dict[str, str | None]:
    """Return why each key of every channel is out, None for a good one."""
    channels = await world.operator.call(dispatcher.LIST_CHANNELS, Empty())
    return {f"{each.name}/{key.name}": key.refused_as for each in channels.items for key in each.keys}


async def until_out(world: World, key: str, refused_as: str | None) -> None:
    """Return when a key is out for that reason, or is in."""
    async with asyncio.timeout(30):
        while (await states(world))[key] != refused_as:  # noqa: ASYNC110 - what is stored has no event
            await asyncio.sleep(0.01)


def attempts(heard: Heard) -> list[tuple[str, str]]:
    """Return what came of each key or channel."""
    told = heard.claim.attempts if heard.tail.claim else heard.tail.attempts
    return [(tried.credential or tried.channel, tried.result) for tried in told]


@pytest.mark.parametrize(
    ("directive", "refused_as"),
    [
        ("status=401", "credential"),
        ("status=403", "credential"),
        ("status=402", "billing"),
        ("status=429 code=insufficient_quota", "billing"),
    ],
)
async def test_a_key_that_is_refused_or_unpaid_takes_its_channel_out_until_a_test_succeeds(
    world: World, directive: str, refused_as: str
) -> None:
    """The client of the first request hears 502, later ones 503 without anybody being asked; none hears of money or keys."""
    upstream = await world.simulator(directive)
    await world.channel(upstream, "one")

    first = await world.ask()
    await until_out(world, "one/default", refused_as)
    asked = len(upstream.journal)
    second = await world.ask()

    assert (first.error.kind, first.error.code) == ("upstream_failed", "upstream_error")
    assert (second.error.kind, second.error.code) == ("unavailable", "no_channel_available")
    assert attempts(second) == [("one", "skipped_credential")]
    assert len(upstream.journal) == asked
    assert isinstance(world.billing.claims[-1], billing.Void)

    failed = await probe(world)
    assert [(each.result, each.first_output_ms) for each in failed.results] == [(refused_as, None)]
    assert (await states(world))["one/default"] == refused_as

    upstream.queue("reply=hi fail_first=0", times=2)
    passed = await probe(world)
    assert [(each.key, each.result, each.status) for each in passed.results] == [
        ("default", "completed", 200)
    ]
    assert passed.results[0].first_output_ms is not None
    assert (await states(world))["one/default"] is None
    assert is_whole(await world.ask())


async def test_only_when_all_keys_are_out_the_channel_is(world: World) -> None:
    """Each is out by itself; the others serve."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await add(world, "second", "sk-second")
    upstream.queue("status=401", times=1)

    heard = await world.ask()
    refused = heard.claim.attempts[0].credential
    await until_out(world, f"one/{refused}", "credential")
    later = [await world.ask() for _ in range(10)]

    assert is_whole(heard)
    assert all(is_whole(each) and len(each.claim.attempts) == 1 for each in later)
    assert refused not in {each.claim.attempts[0].credential for each in later}


async def test_one_request_that_is_forbidden_takes_no_key_out(world: World) -> None:
    """A provider that moderates answers 403 as well: the key is tested, though not each time, and goes on."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    upstream.queue("status=403", times=4, match=Match(contains="hello"))

    refused = [await world.ask() for _ in range(4)]
    await until(lambda: len(upstream.journal) == 5)
    answer = await world.ask()

    assert {each.error.code for each in refused} == {"upstream_error"}
    assert is_whole(answer)
    assert sum("Say hi." in entry.body for entry in upstream.journal) == 1
    assert (await states(world))["one/default"] is None


async def test_a_refused_key_is_known_to_every_replica_and_after_a_restart(
    around: World, settings: DispatcherSettings
) -> None:
    """It is stored, and told; so nobody asks with it again."""
    slow_to_reread = msgspec.structs.replace(settings, channels_reread_seconds=3600.0)
    upstream = await around.simulator("status=401")
    async with replica(slow_to_reread), replica(slow_to_reread):
        await around.channel(upstream, "one")
        await until_serving(around)
        await around.ask()
        await until_out(around, "one/default", "credential")
        await asyncio.sleep(0.3)
        asked = len(upstream.journal)
        for _ in range(10):
            assert (await around.ask()).error.code == "no_channel_available"
    async with replica(settings):
        assert (await around.ask()).error.code == "no_channel_available"
    assert len(upstream.journal) == asked


async def test_a_new_key_is_not_refused_for_the_old_one(world: World) -> None:
    """An operator who replaces a refused key has a channel at once."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    upstream.queue("status=401", times=1)
    await world.ask()
    await until_out(world, "one/default", "credential")

    await world.operator.call(
        dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", credential="sk-new")
    )

    assert (await states(world))["one/default"] is None
    assert is_whole(await world.ask())
    assert upstream.journal[-1].api_key == "sk-new"


async def test_keys_that_are_out_are_tested_on_schedule(around: World, settings: DispatcherSettings) -> None:
    """By one replica at a time, until one succeeds: then the channel is back by itself."""
    often = msgspec.structs.replace(settings, channel_probe_seconds=0.3)
    async with replica(often), replica(often):
        upstream = await around.simulator("status=401")
        await around.channel(upstream, "one")
        await until_serving(around)
        await around.ask()
        await until_out(around, "one/default", "credential")
        asked = len(upstream.journal)
        began_at = asyncio.get_running_loop().time()
        await until(lambda: len(upstream.journal) >= asked + 3)
        turns = (asyncio.get_running_loop().time() - began_at) / 0.3

        assert len(upstream.journal) - asked <= turns + 2  # two replicas, and yet one test for each turn
        upstream.queue("reply=hi fail_first=0", times=1000)
        await until_out(around, "one/default", None)
        await asyncio.sleep(0.3)
        assert is_whole(await around.ask())


async def test_every_key_is_tested_on_schedule_if_that_is_wanted(
    around: World, settings: DispatcherSettings
) -> None:
    """Also of a channel that drains, and not of one that is off; nobody is charged for it."""
    often = msgspec.structs.replace(settings, channel_test_seconds=0.2)
    async with replica(often):
        upstreams = {state: await around.simulator("reply=hi") for state in ("on", "draining", "off")}
        for state, upstream in upstreams.items():
            await around.channel(upstream, state)
            change = msgspec.convert({"name": state, "state": state}, dispatcher.UpdateChannel)
            await around.operator.call(dispatcher.UPDATE_CHANNEL, change)
        before = len(upstreams["off"].journal)
        await until(lambda: min(len(upstreams[state].journal) for state in ("on", "draining")) >= 3)

    assert len(upstreams["off"].journal) <= before + 1
    assert around.billing.claims == []
    body = msgspec.json.decode(upstreams["on"].journal[-1].body, type=dict[str, msgspec.Raw])
    assert bytes(body["max_tokens"]) == b"16"


async def test_a_test_says_what_is_wrong(world: World) -> None:
    """By the kind of the fault, with each key or one, with the first model or another, also of a channel that is off."""
    upstream = await world.simulator("status=500")
    await world.channel(upstream, "one", models={"m": "theirs", "n": "other"})
    await add(world, "second", "sk-second")
    await world.operator.call(dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", state="off"))

    every = await probe(world)
    one = await probe(world, key="second", model="n")

    assert [(each.key, each.result, each.status) for each in every.results] == [
        ("default", "failed", 500), ("second", "failed", 500),
    ]  # fmt: skip
    assert [each.key for each in one.results] == ["second"]
    (channel,) = (await world.operator.call(dispatcher.LIST_CHANNELS, Empty())).items
    assert all(key.tested_unix is not None for key in channel.keys)
    assert (one.model, upstream.journal[-1].model) == ("n", "other")
    for fields, error in (
        ({"name": "x"}, NotFound),
        ({"key": "x"}, NotFound),
        ({"model": "x"}, InvalidRequest),
    ):
        with pytest.raises(error):
            await probe(world, **fields)


async def test_a_database_that_is_away_leaves_the_key_out_here(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever saw the refusal does not ask again, and says that it could not be stored."""
    upstream = await world.simulator("status=401")
    await world.channel(upstream, "one")
    await execute(world.database_url, "REVOKE UPDATE ON dispatcher.credential FROM relay_dispatcher")
    try:
        await world.ask()
        await until(lambda: "could not be stored" in caplog.text)
        heard = await world.ask()
    finally:
        await execute(world.database_url, "GRANT UPDATE ON dispatcher.credential TO relay_dispatcher")

    assert heard.error.code == "no_channel_available"
    assert len(upstream.journal) == 1


async def until_serving(world: World) -> None:
    """Return when every replica knows of a channel."""
    same = 0
    async with asyncio.timeout(30):
        while same < 40:
            offered = await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
            same = same + 1 if offered.items else 0
