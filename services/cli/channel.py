"""`relay channel`: the upstream accounts that serve the models."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.answer import Answer, table
from services.cli.secret_input import secret_option
from services.cli.session import Command, over_the_bus
from shared.contracts import dispatcher
from shared.contracts.billing import AbortPolicy
from shared.contracts.call import Empty

if TYPE_CHECKING:
    from shared.bus import Bus


@click.group()
def channel() -> None:
    """Channels to the upstreams that serve the models."""


def channel_options(*, is_new: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds what can be said of a channel; a new one has defaults."""
    defaults = dispatcher.CreateChannel(name="", base_url="", credential="", models={})

    def default(value: str | int) -> str | int | None:
        return value if is_new else None

    options = (
        click.option("--base-url", required=is_new, metavar="URL", help="Such as https://api.openai.com/v1."),
        click.option(
            "--model", "models", type=parameters.served_model, multiple=True, required=is_new, metavar="OURS[=THEIRS]",
            callback=lambda context, option, pairs: parameters.served_models(pairs),
            help="Model it serves, with the upstream's name for it if that differs; may be repeated."
            + ("" if is_new else " Replaces all."),
        ),
        secret_option("credential", is_required=is_new, is_new=False),
        click.option("--priority", type=int, default=default(defaults.priority), help="Higher is tried first."),
        click.option("--weight", type=int, default=default(defaults.weight), help="Share among equals, 1 to 10000."),
        click.option(
            "--abort-policy", type=click.Choice(["estimate", "no_bill"]), default=default(defaults.abort_policy),
            help="What an answer whose client left is charged: an estimate, or nothing as the upstream bills nothing.",
        ),
        click.option(
            "--output-parameter", type=click.Choice(["max_tokens", "max_completion_tokens"]),
            default=default(defaults.output_parameter), help="How the upstream calls the bound on the output.",
        ),
    )  # fmt: skip

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@channel.command("create", context_settings={"show_default": True})
@click.argument("name")
@channel_options(is_new=True)
@over_the_bus
async def create_channel(
    bus: "Bus",
    name: str,
    base_url: str,
    models: dict[str, str],
    credential: str,
    priority: int,
    weight: int,
    abort_policy: AbortPolicy,
    output_parameter: str,
) -> Answer:
    """Make a channel. Its credential is asked for unless an option says where it is."""
    request = dispatcher.CreateChannel(
        name=name,
        base_url=base_url,
        credential=credential,
        models=models,
        priority=priority,
        weight=weight,
        abort_policy=abort_policy,
        output_parameter=output_parameter,
    )
    made = await bus.call(dispatcher.CREATE_CHANNEL, request)
    return Answer(document=made, text=f"Channel {made.name} is made; it serves {', '.join(made.models)}.")


@channel.command("update")
@click.argument("name")
@channel_options(is_new=False)
@over_the_bus
async def update_channel(
    bus: "Bus",
    name: str,
    base_url: str | None,
    models: dict[str, str],
    credential: str | None,
    priority: int | None,
    weight: int | None,
    abort_policy: AbortPolicy | None,
    output_parameter: str | None,
) -> Answer:
    """Change what is given of a channel, and leave the rest."""
    request = dispatcher.UpdateChannel(
        name=name,
        base_url=base_url,
        credential=credential,
        models=models or None,
        priority=priority,
        weight=weight,
        abort_policy=abort_policy,
        output_parameter=output_parameter,
    )
    if request == dispatcher.UpdateChannel(name=name):
        raise click.UsageError("There is nothing to change: give at least one option.")
    return await _update(bus, request, "changed")


@channel.command("enable")
@click.argument("name")
@over_the_bus
async def enable_channel(bus: "Bus", name: str) -> Answer:
    """Send requests to a channel again."""
    return await _update(bus, dispatcher.UpdateChannel(name=name, is_enabled=True), "enabled")


@channel.command("disable")
@click.argument("name")
@over_the_bus
async def disable_channel(bus: "Bus", name: str) -> Answer:
    """Send no new request to a channel; running ones go on."""
    return await _update(bus, dispatcher.UpdateChannel(name=name, is_enabled=False), "disabled")


@channel.command("delete")
@click.argument("name")
@over_the_bus
async def delete_channel(bus: "Bus", name: str) -> Answer:
    """Remove a channel and its credential; running requests go on."""
    await bus.call(dispatcher.DELETE_CHANNEL, dispatcher.ChannelName(name=name))
    return Answer(document=dispatcher.ChannelName(name=name), text=f"Channel {name} is deleted.")


@channel.command("list")
@over_the_bus
async def list_channels(bus: "Bus") -> Answer:
    """List channels by name, without their credentials."""
    channels = await bus.call(dispatcher.LIST_CHANNELS, Empty())
    columns = "NAME|STATUS|PRIORITY|WEIGHT|BASE URL|MODELS|ABORT POLICY|OUTPUT PARAMETER"
    return Answer(document=channels, text=table(columns, (_row(each) for each in channels.items)))


async def _update(bus: "Bus", request: dispatcher.UpdateChannel, done: str) -> Answer:
    info = await bus.call(dispatcher.UPDATE_CHANNEL, request)
    return Answer(document=info, text=f"Channel {info.name} is {done}.")


def _row(info: dispatcher.ChannelInfo) -> tuple[str, ...]:
    models = (ours if ours == theirs else f"{ours}={theirs}" for ours, theirs in info.models.items())
    return (
        info.name,
        "enabled" if info.is_enabled else "disabled",
        str(info.priority),
        str(info.weight),
        info.base_url,
        ", ".join(models),
        info.abort_policy,
        info.output_parameter,
    )
