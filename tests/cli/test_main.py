"""The command as a whole."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest

from services.cli.main import relay
from tests.cli.conftest import run
from tests.cli.subprocesses import relay_process

HEAVY = ("aiohttp", "asyncpg", "httpx", "nats", "rich", "starlette", "uvicorn", "uvloop", "cryptography")


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)


@pytest.mark.parametrize("path", list(_commands(relay)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    """With -h too, and one line for the list that is not cut."""
    result = run(*path, "-h", environment={})

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: relay {' '.join(path)} ")
    command = relay.commands[path[0]]
    for name in path[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.get_short_help_str(1000) == command.get_short_help_str(70)


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("key",), ("key", "create"), ("account", "balance", "x")]
)
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...]) -> None:
    """What is wrong, or the help, stands on standard error."""
    result = run(*arguments, environment={})

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


async def test_the_command_is_a_process() -> None:
    """It tells its version."""
    ended = await relay_process("--version")

    assert (ended.status, ended.output, ended.errors) == (0, f"relay, version {version('relay')}\n", "")


async def test_help_comes_at_once() -> None:
    """Because nothing heavy is imported for it."""
    program = "import sys, services.cli.main; print(*sys.modules)"
    process = await create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    output, _ = await process.communicate()

    assert not set(HEAVY) & set(output.decode().split())
