"""What the dispatcher answers on the bus beside streams: its channels, for the operator, and the models they offer."""

import msgspec

from services.dispatcher import fields, store
from services.dispatcher.channels import CREDENTIAL, Channels
from shared.bus import Bus
from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.db import Connection, Pool, transaction
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from shared.sealing import Sealer

DEFAULT_KEY = "default"  # the key that a channel is made with


class Handlers:
    """The dispatcher's calls. A change is stored, then told to every dispatcher and edge."""

    def __init__(self, bus: Bus, pool: Pool, sealer: Sealer, channels: Channels) -> None:
        self._bus = bus
        self._pool = pool
        self._sealer = sealer
        self._channels = channels

    async def serve(self) -> None:
        """Answer every call of the contract from now on."""
        serve = self._bus.serve
        await serve(dispatcher.LIST_MODELS, self.list_models)
        await serve(dispatcher.CREATE_CHANNEL, self.create_channel)
        await serve(dispatcher.UPDATE_CHANNEL, self.update_channel)
        await serve(dispatcher.SET_STATES, self.set_states)
        await serve(dispatcher.DELETE_CHANNEL, self.delete_channel)
        await serve(dispatcher.ADD_KEY, self.add_key)
        await serve(dispatcher.REMOVE_KEY, self.remove_key)
        await serve(dispatcher.LIST_CHANNELS, self.list_channels)

    async def list_models(self, request: dispatcher.ListModels) -> dispatcher.OfferedModels:
        """List what the channels offer."""
        return dispatcher.OfferedModels(items=self._channels.offered)

    async def create_channel(self, request: dispatcher.CreateChannel) -> dispatcher.ChannelInfo:
        """Make a channel; its credential is sealed before it is stored."""
        given = msgspec.structs.asdict(request)
        secret = given.pop("credential")
        given["base_url"] = request.base_url.rstrip("/")
        info = dispatcher.ChannelInfo(
            id=str(uuid7()), version=1, keys=(dispatcher.KeyInfo(name=DEFAULT_KEY),), **given
        )
        fields.check(info)
        sealed = self._seal(info.id, DEFAULT_KEY, secret)
        async with transaction(self._pool) as connection:
            if not await store.insert_channel(connection, info, sealed):
                raise InvalidRequest("already_exists", param="name", what="channel", name=info.name)
        await self._changed(info.name)
        return info

    async def update_channel(self, request: dispatcher.UpdateChannel) -> dispatcher.ChannelInfo:
        """Change what is given of a channel."""
        async with transaction(self._pool) as connection:
            row = await _locked(connection, request.name)
            info = _updated(row.info, request)
            fields.check(info)
            await store.update_channel(connection, info)
            if request.credential is not None:
                sealed = self._seal(info.id, DEFAULT_KEY, request.credential)
                await store.set_default_key(connection, info.id, sealed)
            info = (await _locked(connection, request.name)).info
        await self._changed(info.name)
        return info

    async def set_states(self, request: dispatcher.SetStates) -> dispatcher.ChannelInfos:
        """Give several channels a state, all at once."""
        names = sorted(set(request.names))
        if not 1 <= len(names) <= fields.STATES_MAX:
            problem = f"1 to {fields.STATES_MAX} channels are changed at once"
            raise InvalidRequest("invalid_value", param="names", problem=problem)
        async with transaction(self._pool) as connection:
            # In the order of their names, so that two changes never wait for each other.
            rows = [await _locked(connection, name) for name in names]
            await store.set_states(connection, [row.info.id for row in rows], request.state)
            infos = tuple([(await _locked(connection, name)).info for name in names])
        await self._changed(*names)
        return dispatcher.ChannelInfos(items=infos)

    async def add_key(self, request: dispatcher.AddKey) -> dispatcher.ChannelInfo:
        """Give a channel one more key."""
        async with transaction(self._pool) as connection:
            row = await _locked(connection, request.channel)
            if len(row.keys) >= fields.CREDENTIALS_MAX:
                problem = f"a channel has at most {fields.CREDENTIALS_MAX} keys"
                raise InvalidRequest("invalid_value", param="key", problem=problem)
            if any(key.name == request.key for key in row.keys):
                raise InvalidRequest("already_exists", param="key", what="key", name=request.key)
            if request.key == DEFAULT_KEY:  # where the former release looks for it
                sealed = self._seal(row.info.id, request.key, request.credential)
                await store.set_default_key(connection, row.info.id, sealed)
            else:
                key_id = str(uuid7())
                sealed = self._seal(key_id, request.key, request.credential)
                await store.insert_key(connection, row.info.id, key_id, request.key, sealed)
            await store.count_version(connection, row.info.id)
            info = (await _locked(connection, request.channel)).info
        await self._changed(info.name)
        return info

    async def remove_key(self, request: dispatcher.RemoveKey) -> dispatcher.ChannelInfo:
        """Remove a key; calls that run on it go on."""
        async with transaction(self._pool) as connection:
            row = await _locked(connection, request.channel)
            if not any(key.name == request.key for key in row.keys):
                raise NotFound("not_found", what="key")
            if len(row.keys) == 1:
                problem = "a channel keeps at least one key; delete the channel, or replace the key"
                raise InvalidRequest("invalid_value", param="key", problem=problem)
            await store.delete_key(connection, row.info.id, request.key)
            await store.count_version(connection, row.info.id)
            info = (await _locked(connection, request.channel)).info
        await self._changed(info.name)
        return info

    async def delete_channel(self, request: dispatcher.ChannelName) -> Empty:
        """Remove a channel; calls that run on it go on."""
        async with transaction(self._pool) as connection:
            if not (fields.is_name(request.name) and await store.delete_channel(connection, request.name)):
                raise NotFound("not_found", what="channel")
        await self._changed(request.name)
        return Empty()

    async def list_channels(self, request: Empty) -> dispatcher.ChannelInfos:
        """List every channel without its keys' secrets."""
        async with transaction(self._pool) as connection:
            rows = await store.list_channels(connection)
        return dispatcher.ChannelInfos(items=tuple(row.info for row in rows))

    async def _changed(self, *names: str) -> None:
        try:
            await self._channels.read()
        finally:  # it is stored, so the others hear of it in any case
            for name in names:
                await self._bus.publish(dispatcher.CHANNEL_CHANGED, dispatcher.ChannelChanged(name=name))

    def _seal(self, key_id: str, name: str, secret: str) -> bytes:
        fields.check_key(name, secret)
        return self._sealer.seal(secret.encode(), purpose=CREDENTIAL, row_id=key_id)


async def _locked(connection: Connection, name: str) -> store.Row:
    # What cannot be a name is no channel's, and PostgreSQL would refuse some of it.
    row = await store.lock_channel(connection, name) if fields.is_name(name) else None
    if row is None:
        raise NotFound("not_found", what="channel")
    return row


def _updated(info: dispatcher.ChannelInfo, request: dispatcher.UpdateChannel) -> dispatcher.ChannelInfo:
    given = msgspec.structs.asdict(request)
    changes = {
        name: value
        for name, value in given.items()
        if value is not None and name not in ("name", "credential")
    }
    if "base_url" in changes:
        changes["base_url"] = changes["base_url"].rstrip("/")
    if request.slow_seconds == 0:
        changes["slow_seconds"] = None
    return msgspec.structs.replace(info, version=info.version + 1, **changes)
