"""The browser of the tests: one that is installed, else the distribution's, else Playwright's own download."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared.settings import environment

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge")
PLACES = (
    Path("/usr/lib/chromium/chromium"),
    Path("/snap/bin/chromium"),
    Path("/opt/google/chrome/chrome"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
# Without these it calls home on its own, which a closed network refuses; root has no sandbox.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_BROWSER = (
    "There is no browser for the tests in tests/browser ({why}): install Chromium (Debian: apt-get install chromium), "
    "or leave these tests out with `make test BROWSER=no`."
)
NO_CHINESE_FONT = (
    "There is no font for Chinese, so its texts are drawn as boxes (Debian: apt-get install fonts-noto-cjk)."
)
INSTALL_SECONDS = 600
VERSION_SECONDS = 30


class NoBrowserError(Exception):
    """No browser is there and none can be had; the sentence says what to do."""


def _from_distribution() -> str:
    return _apt("chromium")


def _from_playwright() -> str:
    return _run([sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"])


INSTALLERS: Mapping[str, Callable[[], str]] = {"apt-get": _from_distribution, "playwright": _from_playwright}


def find(
    downloaded: Path,
    *,
    path: str | None = None,
    places: tuple[Path, ...] = PLACES,
    installers: Mapping[str, Callable[[], str]] = INSTALLERS,
) -> Path:
    """Return a browser that starts, on `path` or in `places`; it is installed if there is none. One process at a time looks.

    `downloaded` is where Playwright keeps its own. An installer returns in a word how it went.

    Raises: NoBrowserError.
    """
    candidates = (*places, downloaded)
    with _one_at_a_time():
        if (found := _first(path, candidates)) is not None:
            return found
        tried = []
        for name, install in installers.items():
            tried.append(f"{name} {install()}")
            if (found := _first(path, candidates)) is not None:
                return found
    raise NoBrowserError(NO_BROWSER.format(why="; ".join(tried)))


def has_chinese_font() -> bool:
    """Whether Chinese can be drawn; the distribution's font for it is installed if that is possible."""
    with _one_at_a_time():
        if _knows_chinese():
            return True
        _apt("fonts-noto-cjk")
    return _knows_chinese()


def _first(path: str | None, candidates: tuple[Path, ...]) -> Path | None:
    named = (shutil.which(name, path=path) for name in NAMES)
    for candidate in (*(Path(each) for each in named if each), *candidates):
        if _starts(candidate):
            return candidate
    return None


def _starts(candidate: Path) -> bool:
    """Whether a program is there and is a browser: some distributions ship a script that only says where to get one."""
    try:
        done = subprocess.run(
            [candidate, "--version"], capture_output=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _knows_chinese() -> bool:
    program = shutil.which("fc-list")
    if program is None:
        return False
    done = subprocess.run([program, ":lang=zh-cn", "family"], capture_output=True, check=False)
    return bool(done.stdout.strip())


def _apt(package: str) -> str:
    program = shutil.which("apt-get")
    if program is None:
        return "is not there"
    if os.geteuid() != 0:
        return "needs root"
    _run([program, "update", "-qq"])
    return _run([program, "install", "-y", "-qq", "--no-install-recommends", package])


def _run(command: list[str]) -> str:
    """Return in a word how it went."""
    quiet = environment() | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=quiet, capture_output=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "did not end"
    return "gave none that starts" if done.returncode == 0 else "has failed"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"relay-browser-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
