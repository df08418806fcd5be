"""What a dispatcher knows of the channels: read at the start, at each change, and every few seconds."""

import asyncio
import logging
import secrets

import msgspec
import pytest
from starlette.applications import Starlette

from services.dispatcher.settings import DispatcherSettings
from services.simulator.server import Simulator
from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.settings import Secret
from tests.dispatcher.rig import World, begun, execute, hear, is_whole, missing, replica, soon


async def models(world: World) -> list[str]:
    """Return the models that are offered."""
    offered = await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
    return [model.id for model in offered.items]


async def test_a_change_is_live_on_every_dispatcher(around: World, settings: DispatcherSettings) -> None:
    """A channel that one replica makes and then disables is used and left by the other at once, long before its next read."""
    slow_to_reread = msgspec.structs.replace(settings, channels_reread_seconds=3600.0)
    upstream = await around.simulator("reply=hi")
    async with replica(slow_to_reread), replica(slow_to_reread):
        await around.channel(upstream, "one")
        await _until_all_say(around, ["m"])
        outcomes = [await around.ask() for _ in range(6)]
        assert all(heard.tail.error is None for heard in outcomes)

        await around.operator.call(
            dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", state="off")
        )
        await _until_all_say(around, [])
        for _ in range(6):
            assert (await around.ask()).error.code == "no_channel_available"


@pytest.mark.parametrize("state", ["draining", "off"])
async def test_a_channel_that_is_not_on_gets_nothing_new_and_ends_what_it_has(
    world: World, state: dispatcher.ChannelState
) -> None:
    """A running answer comes to its end; new requests have nobody, until it is on again."""
    await world.channel(await world.simulator("out=40 tps=100"), "one")
    answer = await world.open()
    await begun(answer)

    await world.operator.call(dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", state=state))
    refused = await world.ask()
    running = await hear(answer)
    await world.operator.call(dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", state="on"))

    assert refused.error.code == "no_channel_available"
    assert running.tail.error is None
    assert is_whole(await world.ask())


async def test_an_event_that_is_lost_is_made_up_for_by_the_next_read(
    around: World, settings: DispatcherSettings
) -> None:
    """A change in the database that nobody told is seen after `channels_reread_seconds`."""
    await around.stack.enter_async_context(
        replica(msgspec.structs.replace(settings, channels_reread_seconds=0.05))
    )
    upstream = await around.simulator()
    await around.channel(upstream, "one")
    await execute(around.database_url, """UPDATE dispatcher.channel SET models = '{"n": "theirs"}'""")

    await _until_all_say(around, ["n"])


async def test_a_credential_that_does_not_open_takes_out_its_channel_alone(
    around: World, settings: DispatcherSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Sealed with another master key: logged by name, neither called nor offered, and the others work."""
    upstream: Simulator = await around.simulator("reply=hi")
    other = msgspec.structs.replace(settings, master_key=Secret(secrets.token_hex(32)))
    async with replica(other):
        await around.channel(
            upstream, "sealed elsewhere", models={"lost": "theirs", "m": "theirs"}, priority=9
        )

    async with replica(settings):
        await around.channel(upstream, "good")
        heard = await around.ask()

        assert heard.claim.channel == "good"
        assert await models(around) == ["m"]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert records
    assert all(getattr(record, "channel", "") == "sealed elsewhere" for record in records)
    assert "sk-upstream-secret" not in caplog.text


async def test_a_database_that_goes_away_leaves_what_is_known(
    around: World, settings: DispatcherSettings
) -> None:
    """Calls go on; only readiness says that the knowledge may be old, until the next good read."""
    upstream = await around.simulator("reply=hi")
    quick = msgspec.structs.replace(settings, channels_reread_seconds=0.05)
    async with replica(quick) as app:
        await around.channel(upstream, "one")
        assert await missing(app) == []

        await execute(around.database_url, "ALTER TABLE dispatcher.channel RENAME TO hidden")
        try:
            await _until_missing(app, ["channels"])
            assert (await around.ask()).tail.error is None
        finally:
            await execute(around.database_url, "ALTER TABLE dispatcher.hidden RENAME TO channel")
        await _until_missing(app, [])


async def test_of_two_reads_at_once_the_later_one_counts(around: World, settings: DispatcherSettings) -> None:
    """Twenty changes in a burst end with what was stored last, on the replica that stored them."""
    upstream = await around.simulator()
    async with replica(settings):
        await around.channel(upstream, "one")
        await asyncio.gather(
            *(
                around.operator.call(
                    dispatcher.UPDATE_CHANNEL,
                    dispatcher.UpdateChannel(name="one", models={f"m{number}": "theirs"}),
                )
                for number in range(20)
            )
        )
        (stored,) = (await around.operator.call(dispatcher.LIST_CHANNELS, Empty())).items

        assert stored.version == 21
        assert await models(around) == list(stored.models)


async def _until_all_say(world: World, expected: list[str]) -> None:
    """Return when many answers in a row, by whichever replica, are the expected one."""

    async def look() -> None:
        same = 0
        while same < 40:
            same = same + 1 if await models(world) == expected else 0

    await soon(look())


async def _until_missing(app: Starlette, expected: list[str]) -> None:
    async def look() -> None:
        while await missing(app) != expected:  # noqa: ASYNC110 - readiness has no event
            await asyncio.sleep(0.01)

    await soon(look())
