"""The built console is what its sources make, and small enough."""

import filecmp
from pathlib import Path

import pytest

from tests import node
from tests.edge import console_build
from tests.edge.console_build import BUILT, LANGUAGES, TYPES

pytestmark = pytest.mark.xdist_group("console")
FIRST_PAGE_BYTES_MAX = 150_000


def test_the_committed_build_is_what_the_sources_make(tmp_path: Path) -> None:
    """A build into an empty folder gives the same files, byte for byte. Otherwise: `make console`, and commit what it made."""
    console_build.build(tmp_path)

    made, committed = _files(tmp_path), _files(BUILT)

    assert made == committed
    _, different, unreadable = filecmp.cmpfiles(tmp_path, BUILT, made, shallow=False)
    assert (different, unreadable) == ([], [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_is_small(language: str) -> None:
    """Everything that a visitor of `/` loads is below 150 KB compressed, and the charts are not in it."""
    files = console_build.first_page(BUILT, language)

    assert sum(files.values()) < FIRST_PAGE_BYTES_MAX, files
    assert not [file for file in files if "recharts" in (BUILT / file).read_text()]


def test_no_script_and_no_source_map_is_in_the_page() -> None:
    """`script-src 'self'` holds: the page names its scripts, and has none in it; nothing of the sources is shipped."""
    page = (BUILT / "index.html").read_text()

    assert "<script>" not in page
    assert page.count("<script ") == page.count('<script type="module" crossorigin src="/assets/') == 1
    assert not [file for file in _files(BUILT) if file.endswith(".map")]


def test_the_types_are_those_of_the_document(tmp_path: Path) -> None:
    """The console is compiled against the API's document as it is now. Otherwise: `make console`."""
    console_build.write_types(tmp_path / "types.ts")

    assert (tmp_path / "types.ts").read_text() == TYPES.read_text()


def test_the_sources_are_clean() -> None:
    """Types, style, accessibility and texts in the markup: the compiler and the linter find nothing."""
    try:
        console_build.check()
    except node.NodeFailed as error:
        pytest.fail(str(error))


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
