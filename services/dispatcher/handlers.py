"""What the dispatcher answers on the bus beside streams: its channels, for the operator, and the models they offer."""

import httpx
import msgspec

from services.dispatcher import store
from services.dispatcher.channels import CREDENTIAL, Channels
from services.dispatcher.sealing import Sealer
from shared.bus import Bus
from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.db import Pool, transaction
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7

NAME_LENGTH_MAX = 100
MODEL_LENGTH_MAX = 200
MODELS_MAX = 2000
CREDENTIAL_LENGTH_MAX = 4096
URL_LENGTH_MAX = 2000
OUTPUT_PARAMETERS = ("max_tokens", "max_completion_tokens")


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
        await serve(dispatcher.DELETE_CHANNEL, self.delete_channel)
        await serve(dispatcher.LIST_CHANNELS, self.list_channels)

    async def list_models(self, request: dispatcher.ListModels) -> dispatcher.OfferedModels:
        """List what the channels offer."""
        return dispatcher.OfferedModels(items=self._channels.offered)

    async def create_channel(self, request: dispatcher.CreateChannel) -> dispatcher.ChannelInfo:
        """Make a channel; its credential is sealed before it is stored."""
        info = dispatcher.ChannelInfo(
            id=str(uuid7()),
            name=request.name,
            base_url=request.base_url.rstrip("/"),
            models=request.models,
            priority=request.priority,
            weight=request.weight,
            abort_policy=request.abort_policy,
            output_parameter=request.output_parameter,
            is_enabled=True,
            version=1,
        )
        _check(info)
        sealed = self._seal(info.id, request.credential)
        async with transaction(self._pool) as connection:
            if not await store.insert_channel(connection, info, sealed):
                raise InvalidRequest("already_exists", param="name", what="channel", name=info.name)
        await self._changed(info.name)
        return info

    async def update_channel(self, request: dispatcher.UpdateChannel) -> dispatcher.ChannelInfo:
        """Change what is given of a channel."""
        async with transaction(self._pool) as connection:
            row = await store.lock_channel(connection, request.name)
            if row is None:
                raise NotFound("not_found", what="channel")
            info = _updated(row.info, request)
            _check(info)
            sealed = row.sealed_credential
            if request.credential is not None:
                sealed = self._seal(info.id, request.credential)
            await store.update_channel(connection, info, sealed)
        await self._changed(info.name)
        return info

    async def delete_channel(self, request: dispatcher.ChannelName) -> Empty:
        """Remove a channel; calls that run on it go on."""
        async with transaction(self._pool) as connection:
            if not await store.delete_channel(connection, request.name):
                raise NotFound("not_found", what="channel")
        await self._changed(request.name)
        return Empty()

    async def list_channels(self, request: Empty) -> dispatcher.ChannelInfos:
        """List every channel without its credential."""
        async with transaction(self._pool) as connection:
            rows = await store.list_channels(connection)
        return dispatcher.ChannelInfos(items=tuple(row.info for row in rows))

    async def _changed(self, name: str) -> None:
        try:
            await self._channels.read()
        finally:  # it is stored, so the others hear of it in any case
            await self._bus.publish(dispatcher.CHANNEL_CHANGED, dispatcher.ChannelChanged(name=name))

    def _seal(self, channel_id: str, credential: str) -> bytes:
        if (
            not 1 <= len(credential) <= CREDENTIAL_LENGTH_MAX
            or not credential.isascii()
            or not credential.isprintable()
        ):
            raise InvalidRequest(
                "invalid_value", param="credential", problem="it must be printable ASCII text"
            )
        return self._sealer.seal(credential.encode(), purpose=CREDENTIAL, row_id=channel_id)


def _updated(info: dispatcher.ChannelInfo, request: dispatcher.UpdateChannel) -> dispatcher.ChannelInfo:
    given = {
        "base_url": None if request.base_url is None else request.base_url.rstrip("/"),
        "models": request.models,
        "priority": request.priority,
        "weight": request.weight,
        "abort_policy": request.abort_policy,
        "output_parameter": request.output_parameter,
        "is_enabled": request.is_enabled,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(info, version=info.version + 1, **changes)


def _check(info: dispatcher.ChannelInfo) -> None:
    problems = {
        "name": not 1 <= len(info.name) <= NAME_LENGTH_MAX or not info.name.isprintable(),
        "base_url": not _is_base_url(info.base_url),
        "models": not 1 <= len(info.models) <= MODELS_MAX
        or not all(_is_model(ours) and _is_model(theirs) for ours, theirs in info.models.items()),
        "priority": abs(info.priority) > 1_000_000,
        "weight": not 1 <= info.weight <= 10_000,
        "output_parameter": info.output_parameter not in OUTPUT_PARAMETERS,
    }
    for param, is_wrong in problems.items():
        if is_wrong:
            raise InvalidRequest("invalid_value", param=param, problem=_RULES[param])


def _is_base_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return (
        len(text) <= URL_LENGTH_MAX
        and url.scheme in ("http", "https")
        and bool(url.host)
        and (url.port or 1) <= 65_535
        and not (url.userinfo or url.query or url.fragment)
    )


def _is_model(name: str) -> bool:
    return 1 <= len(name) <= MODEL_LENGTH_MAX and name.isprintable()


_RULES = {
    "name": f"a channel's name has 1 to {NAME_LENGTH_MAX} printable characters",
    "base_url": "the base URL is http:// or https:// with a host, without user and query, such as https://api.openai.com/v1",
    "models": f"a channel has 1 to {MODELS_MAX} models, with names of 1 to {MODEL_LENGTH_MAX} printable characters",
    "priority": "priority must be from -1000000 to 1000000",
    "weight": "weight must be from 1 to 10000",
    "output_parameter": "the output parameter is max_tokens or max_completion_tokens",
}
