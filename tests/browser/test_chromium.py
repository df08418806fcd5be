"""Where the browser of the tests comes from, and what is said when there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.chromium import NoBrowserError, find

NOWHERE = Path("/nowhere/chrome")


def _program(folder: Path, name: str, status: int = 0) -> Path:
    """Return a program that ends with this status."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)
    return program


def _installs(folder: Path, name: str) -> Callable[[], str]:
    def install() -> str:
        _program(folder, name)
        return "gave none that starts"

    return install


def _never() -> str:
    raise AssertionError("nothing need be installed")


def test_an_installed_browser_is_taken(tmp_path: Path) -> None:
    """By its name on the path; nothing is installed then."""
    chromium = _program(tmp_path / "bin", "chromium")

    found = find(NOWHERE, path=str(tmp_path / "bin"), places=(), installers={"nobody": _never})

    assert found == chromium


def test_what_only_says_where_to_get_a_browser_is_passed_over(tmp_path: Path) -> None:
    """A program of that name that does not start is none; the next place is looked at."""
    _program(tmp_path / "bin", "chromium-browser", status=1)
    chrome = _program(tmp_path / "opt", "chrome")

    assert find(NOWHERE, path=str(tmp_path / "bin"), places=(chrome,), installers={}) == chrome


def test_the_distribution_is_asked_before_a_download(tmp_path: Path) -> None:
    """The first installer that brings a browser ends the search."""
    installers = {"first": _installs(tmp_path / "bin", "chromium"), "second": _never}

    found = find(NOWHERE, path=str(tmp_path / "bin"), places=(), installers=installers)

    assert found == tmp_path / "bin" / "chromium"


def test_a_download_is_found_where_playwright_keeps_it(tmp_path: Path) -> None:
    """The place is Playwright's own."""
    installers = {"first": lambda: "needs root", "second": _installs(tmp_path / "cache", "chrome")}

    found = find(tmp_path / "cache" / "chrome", path=str(tmp_path), places=(), installers=installers)

    assert found == tmp_path / "cache" / "chrome"


def test_without_a_browser_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    """How to get one, how to do without, and why none was found."""
    with pytest.raises(NoBrowserError) as raised:
        find(NOWHERE, path=str(tmp_path), places=(), installers={"apt-get": lambda: "needs root"})

    assert str(raised.value) == (
        "There is no browser for the tests in tests/browser (apt-get needs root): install Chromium "
        "(Debian: apt-get install chromium), or leave these tests out with `make test BROWSER=no`."
    )
