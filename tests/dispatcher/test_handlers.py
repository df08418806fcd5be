"""What an operator can do with channels, and what nobody ever gets to see."""

import asyncio
from collections.abc import Awaitable

import asyncpg
import msgspec
import pytest

from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound
from tests.dispatcher.rig import World

SECRET = "sk-upstream-secret"


async def listed(world: World) -> dict[str, dispatcher.ChannelInfo]:
    """Return every channel by name."""
    infos = await world.operator.call(dispatcher.LIST_CHANNELS, Empty())
    return {info.name: info for info in infos.items}


async def test_a_new_channel_is_listed_and_offered(world: World) -> None:
    """With all that was given and the defaults for the rest; a slash at the end of the URL is no part of it."""
    made = await world.channel("https://api.example.com/v1/", "one", models={"b": "x", "a": "y"}, weight=3)

    assert await listed(world) == {"one": made}
    assert (made.base_url, made.weight, made.priority, made.version) == (
        "https://api.example.com/v1",
        3,
        0,
        1,
    )
    assert (made.abort_policy, made.output_parameter, made.state) == ("estimate", "max_tokens", "on")
    offered = await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
    assert [model.id for model in offered.items] == ["a", "b"]
    assert all(model.created_unix > 1_700_000_000 for model in offered.items)


async def test_a_name_is_taken_once(world: World) -> None:
    """The second is refused and changes nothing, also when both come at once."""
    answers = await asyncio.gather(
        *(world.channel(f"https://{number}.example/v1", "one") for number in range(5)), return_exceptions=True
    )

    refusals = [answer for answer in answers if isinstance(answer, InvalidRequest)]
    assert [refusal.code for refusal in refusals] == ["already_exists"] * 4
    assert len(await listed(world)) == 1


async def test_an_update_changes_what_is_given(world: World) -> None:
    """Everything else stays, and the version counts."""
    made = await world.channel("https://api.example.com/v1", "one", priority=2, weight=3)

    changed = await world.operator.call(
        dispatcher.UPDATE_CHANNEL,
        dispatcher.UpdateChannel(name="one", priority=-5, abort_policy="no_bill", state="off"),
    )

    assert changed == msgspec.structs.replace(
        made, priority=-5, abort_policy="no_bill", state="off", version=2
    )
    assert await listed(world) == {"one": changed}
    offered = await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
    assert offered.items == ()


async def test_states_are_given_to_several_at_once(world: World) -> None:
    """All of them, or none when one is unknown; each counts as a change."""
    for name in ("one", "two", "three"):
        await world.channel("https://api.example.com/v1", name, models={name: name})
    ask = dispatcher.SetStates(names=("two", "one", "one"), state="off")

    changed = await world.edge.call(dispatcher.SET_STATES, ask)
    with pytest.raises(NotFound):
        await world.edge.call(dispatcher.SET_STATES, dispatcher.SetStates(names=("three", "no"), state="off"))

    assert [(info.name, info.state, info.version) for info in changed.items] == [
        ("one", "off", 2),
        ("two", "off", 2),
    ]
    assert {name: info.state for name, info in (await listed(world)).items()} == {
        "one": "off", "two": "off", "three": "on"
    }  # fmt: skip
    offered = await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())
    assert [model.id for model in offered.items] == ["three"]


async def test_states_at_once_never_wait_for_each_other(world: World) -> None:
    """In whatever order their channels are named."""
    names = tuple(f"c{number}" for number in range(8))
    for name in names:
        await world.channel("https://api.example.com/v1", name)
    orders = [names, names[::-1], names[4:] + names[:4]] * 4

    states: list[dispatcher.ChannelState] = ["on", "off", "draining"]
    await asyncio.gather(
        *(
            world.edge.call(dispatcher.SET_STATES, dispatcher.SetStates(names=order, state=state))
            for order, state in zip(orders, states * 4, strict=True)
        )
    )

    infos = (await listed(world)).values()
    assert len({info.state for info in infos}) == 1, "one of them was the last, for all"
    assert {info.version for info in infos} == {13}


async def test_a_channel_can_begin_switched_off(world: World) -> None:
    """And then nothing is offered of it."""
    made = await world.channel("https://api.example.com/v1", "one", state="off")

    assert made.state == "off"
    assert (await world.edge.call(dispatcher.LIST_MODELS, dispatcher.ListModels())).items == ()


async def test_updates_at_once_are_each_applied(world: World) -> None:
    """None of them overwrites another with what it had read before."""
    await world.channel("https://api.example.com/v1", "one")

    changes = [
        dispatcher.UpdateChannel(name="one", priority=7),
        dispatcher.UpdateChannel(name="one", weight=9),
        dispatcher.UpdateChannel(name="one", output_parameter="max_completion_tokens"),
        dispatcher.UpdateChannel(name="one", models={"n": "x"}),
    ]
    await asyncio.gather(*(world.operator.call(dispatcher.UPDATE_CHANNEL, change) for change in changes))

    info = (await listed(world))["one"]
    assert (info.priority, info.weight, info.output_parameter, info.models, info.version) == (
        7, 9, "max_completion_tokens", {"n": "x"}, 5,
    )  # fmt: skip


async def test_a_new_credential_is_used_from_then_on(world: World) -> None:
    """The old one is gone."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await world.ask()
    await world.operator.call(
        dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one", credential="sk-new")
    )
    await world.ask()

    assert [entry.api_key for entry in upstream.journal] == [SECRET, "sk-new"]


async def test_a_deleted_channel_is_gone(world: World) -> None:
    """It is neither listed nor called, and cannot be changed or deleted again."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, "one")
    await world.operator.call(dispatcher.DELETE_CHANNEL, dispatcher.ChannelName(name="one"))

    assert await listed(world) == {}
    assert (await world.ask()).error.code == "no_channel_available"
    with pytest.raises(NotFound):
        await world.operator.call(dispatcher.DELETE_CHANNEL, dispatcher.ChannelName(name="one"))
    with pytest.raises(NotFound):
        await world.operator.call(dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name="one"))


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "line\nbreak"),
        ("base_url", "api.example.com/v1"),
        ("base_url", "ftp://api.example.com"),
        ("base_url", "https://"),
        ("base_url", "https://[::1"),
        ("base_url", "https://api.example.com:99999/v1"),
        ("base_url", "https://api.example.com:port/v1"),
        ("base_url", "https://exa\nmple.com/v1"),
        ("base_url", "https://user:password@api.example.com/v1"),
        ("base_url", "https://api.example.com/v1?key=1"),
        ("base_url", "https://api.example.com/v1#part"),
        ("base_url", "https://api.example.com/" + "x" * 2000),
        ("models", {}),
        ("models", {"": "x"}),
        ("models", {"m": "x" * 201}),
        ("models", {"m\x00": "x"}),
        ("models", {str(number): "x" for number in range(2001)}),
        ("priority", 1_000_001),
        ("weight", 0),
        ("weight", 10_001),
        ("output_parameter", "max_output"),
        ("credential", ""),
        ("credential", "sk-with\r\nheader: injected"),
        ("credential", "sk-schlüssel"),
        ("credential", "x" * 4097),
    ],
)
async def test_what_cannot_work_is_refused(world: World, param: str, value: object) -> None:
    """By name, for a new channel and for a change, and nothing is stored."""
    with pytest.raises(InvalidRequest) as caught:
        await _channel(world, param, value)
    assert caught.value.param == param
    assert await listed(world) == {}

    if param != "name":
        made = await world.channel("https://api.example.com/v1", "one")
        change = msgspec.convert({"name": "one", param: value}, dispatcher.UpdateChannel)
        with pytest.raises(InvalidRequest):
            await world.operator.call(dispatcher.UPDATE_CHANNEL, change)
        assert await listed(world) == {"one": made}


async def test_a_credential_is_stored_sealed_and_never_shown(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the table, not in an answer, not in an error, not in a log."""
    caplog.set_level("DEBUG")
    seen: list[object] = [await world.channel("https://api.example.com/v1", "one"), await listed(world)]
    seen.append(await _refusal(world.channel("https://api.example.com/v1", "one")))
    seen.append(await _refusal(world.channel("ftp://x", "two")))
    connection = await asyncpg.connect(world.database_url)
    try:
        rows = await connection.fetch("SELECT * FROM dispatcher.channel")
    finally:
        await connection.close()

    assert len(rows) == 1
    assert SECRET.encode() not in bytes(rows[0]["sealed_credential"])
    assert SECRET not in repr(seen) + repr(rows) + caplog.text


async def _channel(world: World, param: str, value: object) -> None:
    fields = {
        "name": "one",
        "base_url": "https://api.example.com/v1",
        "credential": SECRET,
        "models": {"m": "x"},
    }
    wrong = msgspec.convert({**fields, param: value}, dispatcher.CreateChannel)
    await world.operator.call(dispatcher.CREATE_CHANNEL, wrong)


async def _refusal(waiting: Awaitable[object]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await waiting
    return repr(caught.value.to_body()) + str(caught.value)
