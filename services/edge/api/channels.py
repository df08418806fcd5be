"""Channels, as operators see and change them. No credential is ever read out."""

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import name_of, renamed, seconds_or_none
from services.edge.api.shapes import channels as shapes
from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.errors import NotFound

NOT_COPIED = ("name", "credential", "state")


async def list_channels(context: Context, ask: Nothing, query: Nothing) -> shapes.Channels:
    """Return every channel, by name."""
    infos = await context.bus.call(dispatcher.LIST_CHANNELS, Empty())
    return shapes.Channels(items=tuple(_shown(info) for info in infos.items))


async def get_channel(context: Context, ask: Nothing, query: Nothing) -> shapes.Channel:
    """Return the channel of the path."""
    return _shown(await _find(context))


async def make_channel(context: Context, ask: shapes.MakeChannel, query: Nothing) -> shapes.Channel:
    """Make a channel."""
    request = dispatcher.CreateChannel(**msgspec.structs.asdict(ask))
    return _shown(await context.bus.call(dispatcher.CREATE_CHANNEL, request))


async def update_channel(context: Context, ask: shapes.UpdateChannel, query: Nothing) -> shapes.Channel:
    """Change what is given of a channel."""
    info = await _find(context)
    context.before = _shown(info)
    request = dispatcher.UpdateChannel(name=info.name, **msgspec.structs.asdict(ask))
    return _shown(await context.bus.call(dispatcher.UPDATE_CHANNEL, request))


async def set_states(context: Context, ask: shapes.SetStates, query: Nothing) -> shapes.Channels:
    """Give several channels a state, or none of them if one is unknown."""
    known = (await list_channels(context, Nothing(), Nothing())).items
    context.before = States(items={each.name: each.state for each in known if each.name in ask.names})
    request = dispatcher.SetStates(names=ask.names, state=ask.state)
    infos = await context.bus.call(dispatcher.SET_STATES, request)
    return shapes.Channels(items=tuple(_shown(info) for info in infos.items))


async def copy_channel(context: Context, ask: shapes.CopyChannel, query: Nothing) -> shapes.Channel:
    """Make a channel like the one of the path, with a credential of its own, switched off until somebody has looked at it."""
    info = await _find(context)
    same = {
        name: getattr(info, name)
        for name in dispatcher.CreateChannel.__struct_fields__
        if name not in NOT_COPIED
    }
    request = dispatcher.CreateChannel(name=ask.name, credential=ask.credential, state="off", **same)
    return _shown(await context.bus.call(dispatcher.CREATE_CHANNEL, request))


async def test_channel(context: Context, ask: shapes.TestChannel, query: Nothing) -> shapes.TestResults:
    """Send a small real request through a channel, with each of its keys."""
    request = dispatcher.TestChannel(name=_name(context), model=ask.model)
    tested = await context.bus.call(dispatcher.TEST_CHANNEL, request)
    results = tuple(shapes.TestResult(**msgspec.structs.asdict(each)) for each in tested.results)
    return shapes.TestResults(model=tested.model, results=results)


async def delete_channel(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """Delete a channel; requests that run on it go on."""
    info = await _find(context)
    context.before = _shown(info)
    await context.bus.call(dispatcher.DELETE_CHANNEL, dispatcher.ChannelName(name=info.name))
    return Nothing()


async def add_key(context: Context, ask: shapes.AddUpstreamKey, query: Nothing) -> shapes.Channel:
    """Give a channel one more key."""
    request = dispatcher.AddKey(channel=_name(context), key=ask.name, credential=ask.credential)
    with renamed(key="name"):
        return _shown(await context.bus.call(dispatcher.ADD_KEY, request))


async def remove_key(context: Context, ask: Nothing, query: Nothing) -> shapes.Channel:
    """Take a key from a channel, which keeps at least one."""
    request = dispatcher.RemoveKey(channel=_name(context), key=name_of("key", context.path["key"]))
    return _shown(await context.bus.call(dispatcher.REMOVE_KEY, request))


class States(msgspec.Struct, frozen=True, kw_only=True):
    """The state of each channel by name, for the log of actions."""

    items: dict[str, str]


async def _find(context: Context) -> dispatcher.ChannelInfo:
    name = _name(context)
    infos = await context.bus.call(dispatcher.LIST_CHANNELS, Empty())
    for info in infos.items:
        if info.name == name:
            return info
    raise NotFound("not_found", what="channel")


def _name(context: Context) -> str:
    return name_of("channel", context.path["name"])


def _shown(info: dispatcher.ChannelInfo) -> shapes.Channel:
    given = {name: getattr(info, name) for name in shapes.Channel.__struct_fields__ if name != "keys"}
    return shapes.Channel(keys=tuple(_key(key) for key in info.keys), **given)


def _key(info: dispatcher.KeyInfo) -> shapes.UpstreamKey:
    return shapes.UpstreamKey(
        name=info.name,
        refused_as=info.refused_as,
        refused=seconds_or_none(info.refused_unix),
        tested=seconds_or_none(info.tested_unix),
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.CHANNELS: list_channels,
    table.MAKE_CHANNEL: make_channel,
    table.SET_CHANNEL_STATES: set_states,
    table.CHANNEL: get_channel,
    table.UPDATE_CHANNEL: update_channel,
    table.COPY_CHANNEL: copy_channel,
    table.TEST_CHANNEL: test_channel,
    table.DELETE_CHANNEL: delete_channel,
    table.ADD_UPSTREAM_KEY: add_key,
    table.REMOVE_UPSTREAM_KEY: remove_key,
}
