"""How every command reaches what it needs, answers and fails: the one place for the bus, `--json` and expected errors."""

import asyncio
import functools
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

import click
import msgspec

from services.cli.answer import Answer, show
from services.devstack.errors import ServerNotStarted
from services.devstack.settings import STACK_FILE, StackFile, StackSettings
from shared.contracts.call import OPERATOR
from shared.errors import RelayError, Unavailable
from shared.settings import Secret, Settings, SettingsError, load

if TYPE_CHECKING:
    from shared.bus import Bus

P = ParamSpec("P")
Command = Callable[..., None]
PROBE_SECONDS = 2.0


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn what is expected to go wrong at times into one sentence and exit status 1. Anything else is a fault of ours."""
    try:
        yield
    except (RelayError, SettingsError, ServerNotStarted) as error:
        raise click.ClickException(str(error)) from error
    except UnicodeEncodeError as error:
        raise click.ClickException("An argument is not valid UTF-8 text.") from error
    except OverflowError as error:
        raise click.ClickException("A number is out of range.") from error
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise click.ClickException(f"{error.strerror or type(error).__name__}{place}.") from error


def answering(work: Callable[P, Coroutine[Any, Any, Answer]]) -> Command:
    """Make `work` a command's function: it runs, what it answers is printed, and `--json` asks for JSON."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @functools.wraps(work)
    def command(as_json: bool, *positional: P.args, **options: P.kwargs) -> None:
        with expected_errors():
            answer = asyncio.run(work(*positional, **options))
        show(answer, as_json=as_json)

    return command


def over_the_bus(work: Callable[Concatenate["Bus", P], Coroutine[Any, Any, Answer]]) -> Command:
    """Make `work` a command's function, as `answering` does; it is given the bus, connected as the operator.

    What the command changes through it is in the log of operators' actions.
    """

    @functools.wraps(work)
    async def connected(*positional: P.args, **options: P.kwargs) -> Answer:
        from services.cli.trail import RecordingBus

        bus = RecordingBus(_access(), party=OPERATOR)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(bus)
            except Unavailable as error:
                raise click.ClickException(
                    "NATS does not answer, or does not let this user in. "
                    "Check RELAY_NATS_URL, RELAY_NATS_USER and RELAY_NATS_PASSWORD."
                ) from error
            return await work(bus, *positional, **options)

    return answering(connected)


def database_url() -> str:
    """Return the database of RELAY_DATABASE_URL, or else of the local stack. Raises: ClickException, SettingsError."""
    settings = load(StackSettings)
    url = settings.database_url.reveal()
    if url:
        return url
    local = local_stack(settings)
    if local is None:
        raise click.ClickException(
            "No database is named. Set RELAY_DATABASE_URL, or start Relay here with `relay up`."
        )
    return local.database_url


def local_stack(settings: StackSettings | None = None) -> StackFile | None:
    """Return what a stack in this data directory has noted when it last started, None when there never was one."""
    settings = settings or load(StackSettings)
    path = Path(settings.data_dir) / STACK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackFile)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{path} cannot be understood. Start `relay up` again.") from error


def _access() -> Settings:
    """Return how to reach the bus: by the environment, or else as the local stack has noted it."""
    settings = load(StackSettings)
    if settings.nats_url:
        return settings
    local = local_stack(settings)
    if local is None or not _is_listening(local.nats_url):
        raise click.ClickException(
            "Relay does not run here. Start it with `relay up`, or set RELAY_NATS_URL."
        )
    return Settings(
        nats_url=local.nats_url, nats_user=local.nats_user, nats_password=Secret(local.nats_password)
    )


def _is_listening(urls: str) -> bool:
    """Tell whether the first of `urls` has a server: the bus itself would try for seconds, as services start in any order."""
    address = urlsplit(urls.split(",")[0])
    try:
        socket.create_connection((address.hostname, address.port or 4222), PROBE_SECONDS).close()
    except OSError:
        return False
    return True
