"""docs/console.md shows requests that the API takes: its routes exist, and so does every member and parameter."""

import re
from pathlib import Path

import msgspec

from services.edge.api.endpoint import Endpoint
from services.edge.api.frame import query_of
from services.edge.api.table import ENDPOINTS

TEXT = (Path(__file__).parents[3] / "docs/console.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
REQUEST = re.compile(r"(?:\bapi|\bcurl)\b[^|\n]*\"\$RELAY_URL/api(?P<path>/[^\"]*)\"(?P<rest>[^|)\n]*)")
BODY = re.compile(r"-d '(\{.*?\})'")
PARAMETER = re.compile(r"(?:-d|--data-urlencode) \"?([a-z_]+)=([^\s\"]*)")
NAMED = re.compile(r"`/api(/[^`…]*)`")
PLACE = re.compile(r"\{[^}]+\}")


def requests() -> list[tuple[str, str, str]]:
    """Return method, path and options of every request of the document."""
    found = []
    for block in BLOCK.findall(TEXT):
        for request in REQUEST.finditer(block.replace("\\\n", " ")):
            text = request[0]
            named = re.search(r"-X ([A-Z]+)", text)
            method = named[1] if named else "POST" if BODY.search(text) else "GET"
            found.append((method, request["path"], text))
    return found


def is_path_of(path: str, endpoint: Endpoint) -> bool:
    """Tell whether `path` is one of the route, with anything in the place of its parameters."""
    return re.fullmatch(PLACE.sub("[^/]+", endpoint.path), path) is not None


def route(method: str, path: str) -> Endpoint:
    """Return the route of a request, whose parameters may stand in it as variables of the shell."""
    sought = path.replace("$", "")
    (found,) = [each for each in ENDPOINTS if each.method == method and is_path_of(sought, each)]
    return found


def test_every_request_is_one_that_its_route_takes() -> None:
    """Bodies and parameters are read as the server reads them."""
    shown = requests()

    assert len(shown) >= 8
    for method, path, text in shown:
        endpoint = route(method, path)
        for body in BODY.findall(text):
            msgspec.json.decode(body, type=endpoint.takes)
        if "-G" in text:
            given = "&".join(
                f"{name}={'' if value.startswith('$') else value}" for name, value in PARAMETER.findall(text)
            )
            query_of(given.encode(), endpoint.query)


def test_every_route_that_the_text_names_exists() -> None:
    """With what stands in its path."""
    named = NAMED.findall(BLOCK.sub("", TEXT))

    assert named
    assert [path for path in named if not any(is_path_of(path, each) for each in ENDPOINTS)] == []
