"""Channels over the API, with the real dispatcher."""

from typing import Any

import msgspec
import pytest

from services.edge.api import table
from services.edge.api.shapes import channels as shapes
from shared.contracts import dispatcher
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from tests.edge.api.conftest import Operator

CREDENTIAL = "sk-upstream-0123456789abcdef"
HEADER_SECRET = "tenant-secret-0123456789"
URL = "https://upstream.example/v1"
REST: dict[str, Any] = {
    "priority": 7,
    "weight": 3,
    "abort_policy": "no_bill",
    "output_parameter": "max_completion_tokens",
    "auth_header": "api-key",
    "headers": {"x-tenant": HEADER_SECRET},
    "set_parameters": {"temperature": "0.5"},
    "default_parameters": {"top_p": "0.9"},
    "drop_parameters": ("user",),
    "slow_seconds": 9.5,
}


def name_of(word: str) -> str:
    """Return a name that no other test has."""
    return f"{word} {uuid7().hex}"


async def made(op: Operator, word: str, **given: Any) -> shapes.Channel:
    """Return a new channel."""
    rest = {"base_url": URL, "credential": CREDENTIAL, "models": {"ours": "theirs"}, **given}
    channel: shapes.Channel = await op.do(table.MAKE_CHANNEL, shapes.MakeChannel(name=name_of(word), **rest))
    return channel


@pytest.mark.parametrize("state", ["on", "draining", "off"])
async def test_a_channel_begins_in_the_state_that_is_given(op: Operator, state: shapes.State) -> None:
    """And is found by its name, which may have any printable character."""
    channel = await made(op, "渠道 ?&/#", state=state)

    assert channel.state == state
    assert await op.do(table.CHANNEL, name=channel.name) == channel
    assert channel in (await op.do(table.CHANNELS)).items


async def test_a_channel_is_made_with_everything_that_is_given(op: Operator) -> None:
    """Each field of it."""
    channel = await made(op, "all", **REST)

    assert {name: getattr(channel, name) for name in REST} == REST
    assert [key.name for key in channel.keys] == ["default"]


async def test_a_copy_has_everything_but_the_credential(op: Operator) -> None:
    """It is off until somebody has looked at it, and its key is the one that was given."""
    source = await made(op, "source", **REST)
    await op.do(
        table.ADD_UPSTREAM_KEY, shapes.AddUpstreamKey(name="two", credential="sk-two"), name=source.name
    )
    ask = shapes.CopyChannel(name=name_of("copy"), credential="sk-other")

    copy: shapes.Channel = await op.do(table.COPY_CHANNEL, ask, name=source.name)

    same = set(shapes.Channel.__struct_fields__) - {"name", "state", "keys"}
    assert {name: getattr(copy, name) for name in same} == {name: getattr(source, name) for name in same}
    assert same | {"name", "state", "credential"} == set(dispatcher.CreateChannel.__struct_fields__), (
        "a new field of a channel is copied too"
    )
    assert (copy.name, copy.state, [key.name for key in copy.keys]) == (ask.name, "off", ["default"])


async def test_an_update_changes_what_is_given(op: Operator) -> None:
    """And the log knows what was before."""
    channel = await made(op, "old", **REST)

    ask = shapes.UpdateChannel(weight=9, credential="sk-new-0123456789")
    changed = await op.do(table.UPDATE_CHANNEL, ask, name=channel.name)

    assert changed == msgspec.structs.replace(channel, weight=9)
    action = await op.last_action()
    assert (action.action, action.object, action.result) == (
        "update_channel",
        f"channel {channel.name}",
        "done",
    )
    assert msgspec.json.decode(action.before)["weight"] == 3
    assert msgspec.json.decode(action.after) == {"weight": 9, "credential": "[hidden]"}


async def test_states_are_given_to_all_or_to_none(op: Operator) -> None:
    """An unknown name among them changes nothing."""
    one, two = await made(op, "one"), await made(op, "two")
    ask = shapes.SetStates(names=(two.name, one.name), state="draining")

    changed = await op.do(table.SET_CHANNEL_STATES, ask)
    with pytest.raises(NotFound):
        await op.do(table.SET_CHANNEL_STATES, shapes.SetStates(names=(one.name, "nobody"), state="off"))

    assert {each.name: each.state for each in changed.items} == {one.name: "draining", two.name: "draining"}
    assert (await op.do(table.CHANNEL, name=one.name)).state == "draining"
    for names in ((), tuple(str(number) for number in range(201))):
        with pytest.raises(InvalidRequest):
            await op.do(table.SET_CHANNEL_STATES, shapes.SetStates(names=names, state="off"))


async def test_keys_are_added_and_removed(op: Operator) -> None:
    """A channel keeps at least one; an error names the field of the API."""
    channel = await made(op, "keys")
    ask = shapes.AddUpstreamKey(name="clé 2", credential="sk-second")

    more = await op.do(table.ADD_UPSTREAM_KEY, ask, name=channel.name)
    with pytest.raises(InvalidRequest) as taken:
        await op.do(table.ADD_UPSTREAM_KEY, ask, name=channel.name)
    less = await op.do(table.REMOVE_UPSTREAM_KEY, name=channel.name, key="default")
    with pytest.raises(InvalidRequest):
        await op.do(table.REMOVE_UPSTREAM_KEY, name=channel.name, key="clé 2")

    assert [key.name for key in more.keys] == ["clé 2", "default"]
    assert taken.value.param == "name"
    assert [key.name for key in less.keys] == ["clé 2"]


async def test_a_test_tells_what_came_of_it(op: Operator) -> None:
    """Key by key, for the model that was asked for."""
    channel = await made(op, "tested", base_url="http://127.0.0.1:9/v1")

    tested: shapes.TestResults = await op.do(table.TEST_CHANNEL, shapes.TestChannel(), name=channel.name)
    with pytest.raises(InvalidRequest):
        await op.do(table.TEST_CHANNEL, shapes.TestChannel(model="nothing"), name=channel.name)

    assert tested.model == "ours"
    assert [(each.key, each.result == "completed") for each in tested.results] == [("default", False)]


async def test_a_deleted_channel_is_gone(op: Operator) -> None:
    """For each route that names it."""
    channel = await made(op, "gone")
    await op.do(table.DELETE_CHANNEL, name=channel.name)

    for endpoint, ask in (
        (table.CHANNEL, None),
        (table.UPDATE_CHANNEL, shapes.UpdateChannel(weight=1)),
        (table.COPY_CHANNEL, shapes.CopyChannel(name="x", credential="sk-x")),
        (table.TEST_CHANNEL, shapes.TestChannel()),
        (table.DELETE_CHANNEL, None),
        (table.ADD_UPSTREAM_KEY, shapes.AddUpstreamKey(name="k", credential="sk-k")),
    ):
        with pytest.raises(NotFound):
            await op.do(endpoint, ask, name=channel.name)


@pytest.mark.parametrize("name", ["", "x" * 101, "a\0b", "a\nb", "\u202e"])
async def test_what_is_no_name_is_not_found(op: Operator, name: str) -> None:
    """And never reaches the database."""
    for endpoint in (table.CHANNEL, table.DELETE_CHANNEL):
        with pytest.raises(NotFound):
            await op.do(endpoint, name=name)
    with pytest.raises(NotFound):
        await op.do(table.SET_CHANNEL_STATES, shapes.SetStates(names=(name,), state="off"))


async def test_no_credential_is_readable_anywhere(op: Operator) -> None:
    """In no answer and not in the log, neither whole nor its end; the log has no value of a header either."""
    channel = await made(op, "secret", **REST)
    ask = shapes.UpdateChannel(credential=f"{CREDENTIAL}-2", headers={"x-tenant": f"{HEADER_SECRET}-2"})
    answers: list[msgspec.Struct] = [channel, await op.do(table.UPDATE_CHANNEL, ask, name=channel.name)]
    key = shapes.AddUpstreamKey(name="more", credential=f"{CREDENTIAL}-3")
    answers.append(await op.do(table.ADD_UPSTREAM_KEY, key, name=channel.name))
    copy = shapes.CopyChannel(name=name_of("copy"), credential=f"{CREDENTIAL}-4")
    answers.append(await op.do(table.COPY_CHANNEL, copy, name=channel.name))
    answers.append(await op.do(table.CHANNELS))
    await op.do(table.DELETE_CHANNEL, name=channel.name)

    assert CREDENTIAL[-8:] not in msgspec.json.encode(answers).decode()
    log = await op.log()
    assert "x-tenant" in log
    assert CREDENTIAL[-8:] not in log
    assert HEADER_SECRET not in log
