"""The console's files: what a browser keeps, what it is told, and which paths belong to the console."""

import gzip
from pathlib import Path

import pytest
from starlette.requests import Request

from services.edge.pages import Pages

SCRIPT = "export const answer = 42;\n" * 50


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    """A console of one page and one script."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Relay</title>")
    (tmp_path / "assets" / "app-1a2b3c4d.js").write_text(SCRIPT)
    return Pages("https://relay.example.com", tmp_path)


def request(path: str, **headers: str) -> Request:
    """Return a GET request."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": path, "headers": named})


def test_a_hashed_file_is_kept_for_ever_and_the_page_is_not(pages: Pages) -> None:
    """The page is asked for each time; its tag spares the body."""
    page = pages.answer(request("/"))
    script = pages.answer(request("/assets/app-1a2b3c4d.js"), "assets/app-1a2b3c4d.js")

    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    again = pages.answer(request("/", if_none_match=page.headers["etag"]))
    assert (again.status_code, again.body) == (304, b"")


def test_a_file_is_compressed_for_who_understands_it(pages: Pages) -> None:
    """The same bytes come out, and caches are told that there are two forms."""
    name = "assets/app-1a2b3c4d.js"
    plain = pages.answer(request("/" + name), name)
    zipped = pages.answer(request("/" + name, accept_encoding="br, gzip"), name)

    assert plain.body == SCRIPT.encode() == gzip.decompress(bytes(zipped.body))
    assert "content-encoding" not in plain.headers
    assert (zipped.headers["content-encoding"], zipped.headers["vary"]) == ("gzip", "accept-encoding")
    assert int(zipped.headers["content-length"]) == len(zipped.body) < len(plain.body) / 10


def test_every_answer_says_what_a_page_may_do(pages: Pages) -> None:
    """No script but our own files, no frame, no guessing of types, and TLS from now on."""
    for response in (pages.answer(request("/")), pages.answer(request("/", if_none_match="x"))):
        policy = response.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["strict-transport-security"].startswith("max-age=31536000")


@pytest.mark.parametrize(
    ("path", "accept", "is_wanted"),
    [
        ("/keys", "text/html,application/xhtml+xml", True),
        ("/nothing/here", "text/html", True),
        ("/keys", "application/json", False),
        ("/keys", "*/*", False),
        ("/api/nothing", "text/html", False),
        ("/v1/nothing", "text/html", False),
        ("/assets/old.js", "text/html", False),
    ],
)
def test_a_browser_that_goes_to_an_unknown_path_gets_the_console(
    pages: Pages, path: str, accept: str, is_wanted: bool
) -> None:
    """What speaks JSON gets its error as before."""
    assert pages.is_wanted(request(path, accept=accept)) is is_wanted


def test_without_a_console_nothing_is_shown(tmp_path: Path) -> None:
    """An unknown path stays unknown."""
    assert not Pages("http://localhost:8080", tmp_path / "absent").is_wanted(request("/", accept="text/html"))
