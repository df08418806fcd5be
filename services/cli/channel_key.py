"""`relay channel key`: the upstream keys of a channel."""

from typing import TYPE_CHECKING

import click

from services.cli.answer import Answer, moment, table
from services.cli.secret_input import secret_option
from services.cli.session import over_the_bus
from shared.contracts import dispatcher
from shared.contracts.call import Empty
from shared.errors import NotFound

if TYPE_CHECKING:
    from shared.bus import Bus

STATES = {None: "good", "credential": "refused", "billing": "unpaid"}


@click.group()
def key() -> None:
    """Keys of a channel, used in turn.

    One that is refused or unpaid is out until a test of it succeeds.
    """


@key.command("add")
@click.argument("channel")
@click.argument("name")
@secret_option("credential", is_required=True, is_new=False)
@over_the_bus
async def add_key(bus: "Bus", channel: str, name: str, credential: str) -> Answer:
    """Give a channel one more key.

    It is asked for unless an option says where it is.
    """
    info = await bus.call(
        dispatcher.ADD_KEY, dispatcher.AddKey(channel=channel, key=name, credential=credential)
    )
    return Answer(
        document=info, text=f"Channel {info.name} has the key {name}; it has {len(info.keys)} in all."
    )


@key.command("remove")
@click.argument("channel")
@click.argument("name")
@over_the_bus
async def remove_key(bus: "Bus", channel: str, name: str) -> Answer:
    """Remove a key of a channel; running requests go on."""
    info = await bus.call(dispatcher.REMOVE_KEY, dispatcher.RemoveKey(channel=channel, key=name))
    return Answer(
        document=info, text=f"Channel {info.name} has no key {name} any more; it has {len(info.keys)} left."
    )


@key.command("list")
@click.argument("channel")
@over_the_bus
async def list_keys(bus: "Bus", channel: str) -> Answer:
    """List the keys of a channel, and which are out."""
    channels = await bus.call(dispatcher.LIST_CHANNELS, Empty())
    info = next((each for each in channels.items if each.name == channel), None)
    if info is None:
        raise NotFound("not_found", what="channel")
    rows = (
        (each.name, key_state(each), moment(each.refused_unix), moment(each.tested_unix))
        for each in info.keys
    )
    return Answer(document=info, text=table("NAME|STATE|OUT SINCE|TESTED", rows))


def key_state(info: dispatcher.KeyInfo) -> str:
    """Return how a key stands, as people call it."""
    return STATES[info.refused_as]
