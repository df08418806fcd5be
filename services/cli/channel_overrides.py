"""What a channel changes in requests, as the command line says it."""

from collections.abc import Callable

import click

from services.cli import parameters
from services.cli.session import Command
from shared.contracts import dispatcher

# What `channel update --clear` empties: the field, and its empty value.
CLEARABLE: dict[str, tuple[str, dict[str, str] | tuple[str, ...]]] = {
    "header": ("headers", {}),
    "set": ("set_parameters", {}),
    "default": ("default_parameters", {}),
    "drop": ("drop_parameters", ()),
}


def override_options(replaces: str) -> tuple[Callable[[Command], Command], ...]:
    """Return the options; `replaces` ends their help."""
    return (
        click.option(
            "--header", "headers", type=parameters.header, multiple=True, metavar="NAME=VALUE", callback=parameters.by_name,
            help="Header that is sent with every request; may be repeated. It is shown, so it is no place for a secret." + replaces,
        ),
        click.option(
            "--set", "set_parameters", type=parameters.member, multiple=True, metavar="NAME=VALUE", callback=parameters.by_name,
            help="Parameter that every request is sent with, whatever its client says; JSON, or else a text." + replaces,
        ),
        click.option(
            "--default", "default_parameters", type=parameters.member, multiple=True, metavar="NAME=VALUE",
            callback=parameters.by_name, help="Parameter for requests whose client gave none." + replaces,
        ),
        click.option(
            "--drop", "drop_parameters", multiple=True, metavar="NAME",
            help="Parameter that is taken out of every request." + replaces,
        ),
    )  # fmt: skip


def overrides_told(info: dispatcher.ChannelInfo) -> list[str]:
    """Return what a channel changes in requests, as the options say it."""
    told = [f"auth-header={info.auth_header}"] if info.auth_header != "authorization" else []
    told += [f"header {name}={value}" for name, value in info.headers.items()]
    told += [f"set {name}={value}" for name, value in info.set_parameters.items()]
    told += [f"default {name}={value}" for name, value in info.default_parameters.items()]
    told += [f"drop {name}" for name in info.drop_parameters]
    return told + ([f"slow-seconds={info.slow_seconds:g}"] if info.slow_seconds else [])
