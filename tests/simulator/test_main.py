"""The simulator as a process."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.simulator.wire import DEADLINE_SECONDS, chat_body, chat_request, http_request


async def _run(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.simulator", *options, stdout=PIPE, stderr=PIPE
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """One line tells the address, and a signal ends it with success."""
    process = await _run("--defaults", "reply=hm", "--seed", "7")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        line = (await process.stdout.readline()).decode()
        assert line.startswith("The simulator answers on http://127.0.0.1:")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(line.rpartition(":")[2]))
        writer.write(http_request("GET", "/_sim/health"))
        assert (await reader.read()).endswith(b'{"status":"ok"}')
        writer.close()
        process.send_signal(number)
        assert await process.wait() == 0
        assert await process.stdout.read() == b""


async def test_it_resets_connections_on_its_own_loop_too() -> None:
    """The command runs on uvloop, whose transports differ."""
    process = await _run()
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        port = int((await process.stdout.readline()).decode().rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat_request(chat_body("hello [[sim cut=tok:1 cut_mode=rst]]")))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--defaults", "nonsense=1"], b"'nonsense' is not known"),
        (["--host", "192.0.2.1"], b"cannot listen on"),
    ],
)
async def test_what_cannot_run_says_why(options: list[str], problem: bytes) -> None:
    """One sentence and a failure."""
    process = await _run(*options)
    async with asyncio.timeout(DEADLINE_SECONDS):
        _, errors = await process.communicate()
    assert problem in errors
    assert b"Traceback" not in errors
    assert process.returncode not in (0, None)
