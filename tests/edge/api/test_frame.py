"""Queries of the JSON API: what stands behind the question mark, as a struct or as an error that names the parameter."""

import msgspec
import pytest
from starlette.routing import Match

from services.edge.api import table
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.frame import FrameAt, query_of, routes
from services.edge.api.shapes.wallet import CallsQuery, OverviewQuery
from shared.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (b"", CallsQuery()),
        (b"limit=20&cursor=abc", CallsQuery(limit=20, cursor="abc")),
        (b"model=%E4%BD%A0&state=failed&cursor=", CallsQuery(model="你", state="failed")),
        (b"days=30", OverviewQuery(days=30)),
        (b"", Nothing()),
    ],
)
def test_query(text: bytes, query: msgspec.Struct) -> None:
    """Numbers are read from text, and an empty value is none."""
    assert query_of(text, type(query)) == query


@pytest.mark.parametrize(
    ("text", "kind", "code", "param"),
    [
        (b"limit=many", CallsQuery, "invalid_value", "limit"),
        (b"state=lost", CallsQuery, "invalid_value", "state"),
        (b"days=8", OverviewQuery, "invalid_value", "days"),
        (b"colour=red", CallsQuery, "unknown_parameter", "colour"),
        (b"limit=1&limit=2", CallsQuery, "invalid_value", "limit"),
        (b"cursor=%FF", CallsQuery, "invalid_value", "query"),
        (b"cursor=\xff", CallsQuery, "invalid_value", "query"),
        (b"&".join(b"limit=1" for _ in range(40)), CallsQuery, "invalid_value", "query"),
        (b"cursor=" + b"x" * 5000, CallsQuery, "invalid_value", "query"),
        (b"x=1", Nothing, "unknown_parameter", "x"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(
    text: bytes, kind: type[msgspec.Struct], code: str, param: str
) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequest) as caught:
        query_of(text, kind)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("endpoint", "path", "params"),
    [
        (table.CHANNEL, "/operator/channels/one", {"name": "one"}),
        (table.CHANNEL, "/operator/channels/a%2Fb%20%3F%25", {"name": "a/b ?%"}),
        (table.CHANNEL, "/operator/channels/%E6%B8%A0", {"name": "渠"}),
        (table.CHANNEL, "/operator/channels/%252F", {"name": "%2F"}),
        (
            table.REMOVE_UPSTREAM_KEY,
            "/operator/channels/a%2Fkeys/keys/k%2F1",
            {"name": "a/keys", "key": "k/1"},
        ),
        (table.PRICE_VERSIONS, "/operator/prices/maker/model%2Fx", {"model": "maker/model/x"}),
        (table.CHANNEL, "/operator/channels/a/b", None),
        (table.CHANNEL, "/operator/channels/%FF", None),
        (table.CHANNEL, "/operator/channels/", None),
    ],
)
def test_names_in_paths_are_decoded_one_by_one(
    endpoint: Endpoint, path: str, params: dict[str, str] | None
) -> None:
    """A slash in a name is sent as %2F; nothing is decoded twice, and what is no UTF-8 is no route."""
    (route,) = routes((endpoint,), FrameAt())
    scope = {"type": "http", "method": endpoint.method, "path": "", "raw_path": f"/api{path}".encode()}

    match, found = route.matches(scope)

    assert found.get("path_params") == params
    assert (match is Match.FULL) == (params is not None)
