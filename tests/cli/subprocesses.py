"""The command line as a process of its own, as a shell starts it."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from shared.settings import environment
from tests.cli.conftest import NOWHERE

DEADLINE_SECONDS = 60.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, and what it wrote."""

    status: int | None
    output: str
    errors: str


@asynccontextmanager
async def started(*arguments: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a running `relay` with these arguments and variables, and pipes for what it writes; it has ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "services.cli.main", *arguments,
        env=environment(**(NOWHERE | variables)), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def relay_process(*arguments: str, **variables: str) -> Ended:
    """Return how `relay` ended with these arguments and variables."""
    async with asyncio.timeout(DEADLINE_SECONDS), started(*arguments, **variables) as process:
        output, errors = await process.communicate()
    return Ended(status=process.returncode, output=output.decode(), errors=errors.decode())
