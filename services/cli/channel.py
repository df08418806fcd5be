"""`relay channel`: the upstream accounts that serve the models."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, table
from services.cli.channel_key import key, key_state
from services.cli.channel_overrides import CLEARABLE, override_options, overrides_told
from services.cli.secret_input import secret_option
from services.cli.session import Command, over_the_bus
from shared.contracts import dispatcher
from shared.contracts.call import Empty

if TYPE_CHECKING:
    from shared.bus import Bus


@click.group()
def channel() -> None:
    """Channels to the upstreams that serve the models."""


channel.add_command(key)


def channel_options(*, is_new: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds what can be said of a channel; a new one has defaults."""
    defaults = dispatcher.CreateChannel(name="", base_url="", credential="", models={})
    replaces = "" if is_new else " Replaces all."

    def default(value: str | int) -> str | int | None:
        return value if is_new else None

    options: tuple[Callable[[Command], Command], ...] = (
        click.option("--base-url", required=is_new, metavar="URL", help="Such as https://api.openai.com/v1."),
        click.option(
            "--model", "models", type=parameters.served_model, multiple=True, required=is_new, metavar="OURS[=THEIRS]",
            callback=lambda context, option, pairs: parameters.served_models(pairs),
            help="Model it serves, with the upstream's name for it if that differs; may be repeated." + replaces,
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
        click.option(
            "--auth-header", type=click.Choice(["authorization", "api-key", "x-api-key"]),
            default=default(defaults.auth_header), help="Where a key is sent: as a bearer token, or bare as Azure wants it.",
        ),
        *override_options(replaces),
        click.option(
            "--slow-seconds", type=float,
            help="Seconds without output after which another channel is tried" + ("." if is_new else "; 0 for the setting's."),
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
async def create_channel(bus: "Bus", /, name: str, **given: object) -> Answer:
    """Make a channel. Its credential is asked for unless an option says where it is.

    The credential becomes the channel's first key, named default.
    """
    made = await bus.call(
        dispatcher.CREATE_CHANNEL, msgspec.convert({"name": name, **given}, dispatcher.CreateChannel)
    )
    return Answer(document=made, text=f"Channel {made.name} is made; it serves {', '.join(made.models)}.")


@channel.command("update")
@click.argument("name")
@channel_options(is_new=False)
@click.option(
    "--clear",
    "cleared",
    type=click.Choice(list(CLEARABLE)),
    multiple=True,
    help="Take all of these out; may be repeated.",
)
@over_the_bus
async def update_channel(bus: "Bus", /, name: str, cleared: tuple[str, ...], **given: object) -> Answer:
    """Change what is given of a channel, and leave the rest."""
    changes = {field: value for field, value in given.items() if value not in (None, {}, ())}
    for option in cleared:
        field, nothing = CLEARABLE[option]
        if field in changes:
            raise click.UsageError(f"Use only one of --{option} and --clear {option}.")
        changes[field] = nothing
    if not changes:
        raise click.UsageError("There is nothing to change: give at least one option.")
    return await _update(bus, msgspec.convert({"name": name, **changes}, dispatcher.UpdateChannel), "changed")


@channel.command("on")
@click.argument("name")
@over_the_bus
async def turn_on(bus: "Bus", name: str) -> Answer:
    """Send requests to a channel again."""
    return await _update(bus, dispatcher.UpdateChannel(name=name, state="on"), "on")


@channel.command("drain")
@click.argument("name")
@over_the_bus
async def drain_channel(bus: "Bus", name: str) -> Answer:
    """Send no new request to a channel for now.

    Running ones go on, and its keys are still tested.
    """
    return await _update(bus, dispatcher.UpdateChannel(name=name, state="draining"), "draining")


@channel.command("off")
@click.argument("name")
@over_the_bus
async def turn_off(bus: "Bus", name: str) -> Answer:
    """Send nothing more to a channel, not even tests.

    Running requests go on.
    """
    return await _update(bus, dispatcher.UpdateChannel(name=name, state="off"), "off")


@channel.command("test")
@click.argument("name")
@click.option("--model", help="Model to ask, by our name; the first one unless given.")
@click.option("--key", "key_name", metavar="NAME", help="Only with this key.")
@over_the_bus
async def test_channel(bus: "Bus", name: str, model: str | None, key_name: str | None) -> Answer:
    """Send a small real request through a channel.

    It is sent with each of its keys. One that was out and answers is in again, and one that is refused is out.
    """
    request = dispatcher.TestChannel(name=name, model=model, key=key_name)
    tested = await bus.call(dispatcher.TEST_CHANNEL, request)
    failed = sum(result.result != "completed" for result in tested.results)
    rows = (
        (each.key, each.result, _or_dash(each.status), _or_dash(each.first_output_ms), str(each.took_ms))
        for each in tested.results
    )
    return Answer(
        document=tested,
        text=table("KEY|RESULT|STATUS|FIRST OUTPUT MS|TOOK MS", rows),
        failure=f"{failed} of {len(tested.results)} keys did not pass with {tested.model}."
        if failed
        else None,
    )


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
    columns = "NAME|STATE|PRIORITY|WEIGHT|BASE URL|MODELS|KEYS|ABORT POLICY|OUTPUT PARAMETER|OVERRIDES"
    return Answer(document=channels, text=table(columns, (_row(each) for each in channels.items)))


async def _update(bus: "Bus", request: dispatcher.UpdateChannel, done: str) -> Answer:
    info = await bus.call(dispatcher.UPDATE_CHANNEL, request)
    return Answer(document=info, text=f"Channel {info.name} is {done}.")


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _row(info: dispatcher.ChannelInfo) -> tuple[str, ...]:
    models = (ours if ours == theirs else f"{ours}={theirs}" for ours, theirs in info.models.items())
    return (
        info.name,
        info.state,
        str(info.priority),
        str(info.weight),
        info.base_url,
        ", ".join(models),
        ", ".join(f"{key.name} ({key_state(key)})" if key.refused_as else key.name for key in info.keys),
        info.abort_policy,
        info.output_parameter,
        ", ".join(overrides_told(info)),
    )
