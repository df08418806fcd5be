"""How secrets come in."""

import asyncio
import contextlib
import os
import pty
import sys
from pathlib import Path

import pytest

from shared.settings import environment
from tests.cli.conftest import NOWHERE, run

DEADLINE_SECONDS = 30.0
CREATE = ("user", "create", "a@b.c")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (b"", "Standard input is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b"x" * 70_000, "longer than"),
    ],
)
def test_a_secret_that_is_none_is_a_wrong_call(given: bytes, problem: str) -> None:
    """Exit status 2, before anything is asked of Relay."""
    result = run(*CREATE, "--password-stdin", given=given, environment={})

    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in result.stderr


async def test_a_typed_secret_is_not_echoed(tmp_path: Path) -> None:
    """It is asked for on a terminal, twice when it is new."""
    terminal, its_end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.main", *CREATE, "--password-prompt",
        env=environment(**(NOWHERE | {"RELAY_DATA_DIR": str(tmp_path)})), stdin=its_end, stdout=its_end, stderr=its_end,
        start_new_session=True,
    )  # fmt: skip
    os.close(its_end)
    shown = ""
    async with asyncio.timeout(DEADLINE_SECONDS):
        for prompt in ("Password:", "Repeat for confirmation:"):
            while prompt not in shown:
                shown += await asyncio.to_thread(_read, terminal)
            os.write(terminal, b"correct horse\n")
        while text := await asyncio.to_thread(_read, terminal):
            shown += text
        assert await process.wait() == 1
    os.close(terminal)

    assert "Relay does not run here." in shown
    assert "correct horse" not in shown


def _read(terminal: int) -> str:
    """Return what was written to the terminal, nothing once its other end is closed."""
    with contextlib.suppress(OSError):
        return os.read(terminal, 4096).decode()
    return ""
