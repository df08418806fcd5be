"""Code that somebody copied from a page, run as it stands: in a file of its own, by the program that it is for."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from shared.settings import environment
from tests import node

Kind = Literal["curl", "python", "node"]

PATIENCE_SECONDS = 60
NODE_PACKAGES = Path(__file__).parent.parent / "sdk_node"  # has the official `openai` of npm, locked
LABELS: dict[Kind, str] = {"curl": "curl", "python": "Python", "node": "Node.js"}
_NAMES: dict[Kind, str] = {"curl": "copied.sh", "python": "copied.py", "node": "copied.mjs"}


async def run(kind: Kind, code: str, folder: Path) -> str:
    """Return what copied code printed; fail when it ended with an error. `folder` is where it lies."""
    file = folder / _NAMES[kind]
    file.write_text(code, encoding="utf-8")
    if kind == "node":
        _lend_packages(folder)
    ended = await asyncio.create_subprocess_exec(
        *_command(kind),
        str(file),
        cwd=folder,
        env=_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        printed, complaints = await ended.communicate()
    assert ended.returncode == 0, f"{code}\n{printed.decode()}\n{complaints.decode()}"
    return printed.decode()


async def run_all(codes: Mapping[Kind, str], folder: Path) -> dict[Kind, str]:
    """Return what the same in several languages printed; all run at once."""
    printed = await asyncio.gather(*(run(kind, code, folder) for kind, code in codes.items()))
    return dict(zip(codes, printed, strict=True))


def _command(kind: Kind) -> tuple[str, ...]:
    if kind == "python":
        return (sys.executable, "-I")
    if kind == "node":
        return (str(node.NODE),)
    assert shutil.which("curl"), "curl is needed to run what the pages show for it"
    return ("sh", "-e")


def _lend_packages(folder: Path) -> None:
    """Let a script in a folder find the packages; Node looks for them beside the script."""
    try:
        node.install(NODE_PACKAGES)
    except node.NodeFailed as error:
        pytest.fail(str(error))
    beside = folder / "node_modules"
    if not beside.exists():
        beside.symlink_to(NODE_PACKAGES / "node_modules")


def _environment() -> dict[str, str]:
    """Return what a shell has, without what would set up an SDK."""
    return {name: value for name, value in environment().items() if not name.startswith("OPENAI_")}
