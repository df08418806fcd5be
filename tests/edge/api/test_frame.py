"""Queries of the JSON API: what stands behind the question mark, as a struct or as an error that names the parameter."""

import msgspec
import pytest

from services.edge.api.endpoint import Nothing
from services.edge.api.frame import query_of
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
