"""Several keys of one channel: added, removed, used in turn, taken out when refused, and let in again by a test."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound
from tests.dispatcher.rig import World, is_whole

SECRET = "sk-upstream-secret"


async def add(world: World, key: str, credential: str, channel: str = "one") -> dispatcher.ChannelInfo:
    """Give a channel one more key."""
    ask = dispatcher.AddKey(channel=channel, key=key, credential=credential)
    return await world.operator.call(dispatcher.ADD_KEY, ask)


async def remove(world: World, key: str, channel: str = "one") -> dispatcher.ChannelInfo:
    """Remove a key of a channel."""
    return await world.operator.call(dispatcher.REMOVE_KEY, dispatcher.RemoveKey(channel=channel, key=key))


def names(info: dispatcher.ChannelInfo) -> list[str]:
    """Return the names of a channel's keys."""
    return [key.name for key in info.keys]


async def test_keys_are_used_in_turn(world: World) -> None:
    """All of them, by chance; the record names the key and never tells it."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await add(world, "second", "sk-second")
    info = await add(world, "third", "sk-third")

    heard = [await world.ask() for _ in range(40)]

    assert names(info) == ["default", "second", "third"]
    assert all(is_whole(each) for each in heard)
    used = Counter(entry.api_key for entry in upstream.journal)
    assert set(used) == {SECRET, "sk-second", "sk-third"}
    told = Counter(each.claim.attempts[0].credential for each in heard)
    assert (told["default"], told["second"], told["third"]) == (
        used[SECRET],
        used["sk-second"],
        used["sk-third"],
    )
    assert "sk-" not in repr([each.claim for each in heard])


async def test_a_removed_key_is_used_no_more(world: World) -> None:
    """Also the one that the channel was made with; the last one stays."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await add(world, "second", "sk-second")

    assert names(await remove(world, "default")) == ["second"]
    for _ in range(10):
        assert is_whole(await world.ask())
    with pytest.raises(InvalidRequest, match="at least one key"):
        await remove(world, "second")

    assert {entry.api_key for entry in upstream.journal} == {"sk-second"}
    assert await _stored(world, SECRET) == []


async def test_a_removed_default_can_be_given_again(world: World) -> None:
    """By its name, or as the channel's credential."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await add(world, "second", "sk-second")
    for _ in range(2):
        await remove(world, "default")
        assert names(await add(world, "default", "sk-again")) == ["default", "second"]
    await remove(world, "default")
    update = dispatcher.UpdateChannel(name="one", credential="sk-third")
    assert names(await world.operator.call(dispatcher.UPDATE_CHANNEL, update)) == ["default", "second"]
    await remove(world, "second")

    assert is_whole(await world.ask())
    assert upstream.journal[-1].api_key == "sk-third"


@pytest.mark.parametrize(
    ("key", "credential", "param"),
    [
        ("default", "sk-x", "key"),
        ("", "sk-x", "key"),
        ("a\nb", "sk-x", "key"),
        ("x" * 101, "sk-x", "key"),
        ("x", "", "credential"),
        ("x", "sk\r\nx", "credential"),
    ],
)
async def test_what_is_no_key_is_refused(world: World, key: str, credential: str, param: str) -> None:
    """By name, and nothing is stored."""
    made = await world.channel("https://api.example.com/v1", "one")

    with pytest.raises(InvalidRequest) as caught:
        await add(world, key, credential)

    assert caught.value.param == param
    (channel,) = (await world.operator.call(dispatcher.LIST_CHANNELS, Empty())).items
    assert channel == made


async def test_keys_of_nobody_are_not_found(world: World) -> None:
    """Neither a channel nor a key that is not there."""
    with pytest.raises(NotFound):
        await add(world, "x", "sk-x", "nobody")
    await world.channel("https://api.example.com/v1", "one")
    with pytest.raises(NotFound):
        await remove(world, "x")


async def test_two_keys_of_one_name_are_one(world: World) -> None:
    """Also when both come at once."""
    await world.channel("https://api.example.com/v1", "one")

    answers = await asyncio.gather(*(add(world, "x", f"sk-{n}") for n in range(5)), return_exceptions=True)

    assert sum(isinstance(answer, dispatcher.ChannelInfo) for answer in answers) == 1


async def test_another_key_answers_when_one_is_limited(world: World) -> None:
    """The same channel is asked with it, and no other channel."""
    upstream = await world.simulator("reply=hi")
    other = await world.simulator("reply=hi")
    await world.channel(upstream, "one", credential="sk-first", priority=1)
    await world.channel(other, "other")
    await add(world, "second", "sk-second")
    upstream.queue("status=429 retry_after=60", times=1)

    first = await world.ask()
    heard = [await world.ask() for _ in range(10)]

    results = [(tried.channel, tried.result) for tried in first.claim.attempts]
    assert results == [("one", "rate_limited"), ("one", "completed")]
    assert len({tried.credential for tried in first.claim.attempts}) == 2
    limited = upstream.journal[0].api_key
    assert all(is_whole(each) for each in heard)
    assert limited not in {entry.api_key for entry in upstream.journal[1:]}
    assert not other.journal


async def _stored(world: World, secret: str) -> list[str]:
    """Return the places in the database that hold `secret` in the clear or a removed key's sealed bytes."""
    connection = await asyncpg.connect(world.database_url)
    try:
        rows = await connection.fetch("SELECT name, sealed FROM dispatcher.credential")
        left = await connection.fetchval("SELECT sealed_credential FROM dispatcher.channel")
    finally:
        await connection.close()
    return [row["name"] for row in rows if secret.encode() in row["sealed"]] + (["channel"] if left else [])
