"""How a secret is given to a command: on standard input, in a variable that is named, or typed without echo."""

import functools
import sys
from collections.abc import Callable

import click

from services.cli.session import Command
from shared.settings import variable

BYTES_MAX = 64 * 1024


def secret_option(name: str, *, is_required: bool, is_new: bool) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the keyword `name`: the secret, or None when no option asks for it.

    One that `is_required` is asked for by default; one that `is_new` is typed twice. All of this comes before the command
    itself, so that nothing waits, connected, for a person.
    """

    def decorate(function: Command) -> Command:
        @click.option(
            f"--{name}-stdin", "is_on_stdin", is_flag=True, help=f"Read the {name} from standard input."
        )
        @click.option(
            f"--{name}-env", "variable_name", metavar="VARIABLE", help=f"Take the {name} from this variable."
        )
        @click.option(f"--{name}-prompt", "is_typed", is_flag=True, help=f"Ask for the {name}.")
        @functools.wraps(function)
        def command(is_on_stdin: bool, variable_name: str | None, is_typed: bool, **options: object) -> None:
            if is_on_stdin + (variable_name is not None) + is_typed > 1:
                raise click.UsageError(f"Use only one of --{name}-stdin, --{name}-env and --{name}-prompt.")
            secret: str | None
            if is_on_stdin:
                secret = _on_stdin()
            elif variable_name is not None:
                secret = _in_variable(variable_name)
            else:
                secret = _typed(name, is_new=is_new) if is_typed or is_required else None
            function(**options, **{name: secret})

        return command

    return decorate


def _on_stdin() -> str:
    line = sys.stdin.buffer.readline(BYTES_MAX + 1).rstrip(b"\r\n")
    if not line:
        raise click.UsageError("Standard input is empty; the secret is expected there, on one line.")
    if len(line) > BYTES_MAX:
        raise click.UsageError(f"The secret on standard input is longer than {BYTES_MAX} bytes.")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError("The secret on standard input is not UTF-8 text.") from error


def _in_variable(name: str) -> str:
    value = variable(name)
    if value is None:
        raise click.UsageError(f"The environment variable {name} is not set.")
    return value


def _typed(name: str, *, is_new: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"There is no terminal to type the {name} on; use --{name}-stdin or --{name}-env."
        )
    return str(click.prompt(name.capitalize(), hide_input=True, confirmation_prompt=is_new, err=True))
