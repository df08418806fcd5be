"""Errors as bytes: the table, the headers, and the language."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.errors import TABLE, Language, event, language_of, render
from shared.errors import (
    FAMILY,
    Conflict,
    Forbidden,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    KeyReused,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RelayError,
    Repeated,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UpstreamFailed,
    UpstreamTimeout,
)

REQUEST_ID = "0190c2a8-0000-7000-8000-000000000001"

ROWS = [
    (InvalidRequest("invalid_value", param="n", problem="x"), 400, "invalid_request_error", False),
    (Unauthenticated("invalid_api_key"), 401, "authentication_error", False),
    (InsufficientFunds("insufficient_balance"), 402, "insufficient_quota", False),
    (Forbidden("model_not_allowed", model="m"), 403, "permission_error", False),
    (NotFound("model_not_found", model="m"), 404, "invalid_request_error", False),
    (
        MethodNotAllowed("method_not_allowed", method="GET", allowed="POST"),
        405,
        "invalid_request_error",
        False,
    ),
    (TooLarge("request_too_large", limit_bytes=1), 413, "invalid_request_error", False),
    (UnsupportedMedia("unsupported_media_type"), 415, "invalid_request_error", False),
    (Repeated("idempotency_key_in_use", id="r"), 409, "invalid_request_error", False),
    (KeyReused("idempotency_key_reused"), 422, "invalid_request_error", False),
    (RateLimited("balance_held", retry_after_seconds=2.0), 429, "rate_limit_error", True),
    (Internal("internal_error"), 500, "server_error", False),
    (UpstreamFailed("upstream_error"), 502, "upstream_error", False),
    (Unavailable("overloaded"), 503, "service_unavailable", True),
    (UpstreamTimeout("upstream_timeout", limit_seconds=60), 504, "upstream_timeout", False),
]


def shown(error: RelayError, *, should_retry: bool | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return the response with its headers by name; no name stands twice."""
    status, headers, body = render(error, language="en", request_id=REQUEST_ID, should_retry=should_retry)
    named = {name.decode(): value.decode() for name, value in headers}
    assert len(named) == len(headers)
    return status, named, body


@pytest.mark.parametrize(("error", "status", "kind", "is_retryable"), ROWS, ids=lambda value: str(value)[:20])
def test_each_class_has_its_status_type_and_retry_hint(
    error: RelayError, status: int, kind: str, is_retryable: bool
) -> None:
    """Status, type, all four members and the common headers follow the table."""
    got, headers, body = shown(error)
    assert got == status
    assert json.loads(body) == {
        "error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    }
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(body))
    assert headers["x-request-id"] == headers["request-id"] == REQUEST_ID
    assert headers["x-should-retry"] == ("true" if is_retryable else "false")
    assert ("retry-after" in headers) == ("retry-after-ms" in headers) == is_retryable


def test_the_table_has_every_class_that_http_may_meet() -> None:
    """Only Conflict, which concerns our own callers, has no row; 408 is never sent, and 409 for a repeat alone."""
    assert {row[0].kind for row in ROWS} == set(FAMILY) - {Conflict.kind}
    assert set(TABLE) == set(FAMILY.values()) - {Conflict}
    assert [kind for kind, row in TABLE.items() if row.status in (408, 409)] == [Repeated]


def test_an_error_that_http_must_not_meet_shows_as_a_fault_of_ours() -> None:
    """A Conflict tells the client nothing of the id it is about."""
    status, _, body = shown(Conflict("id_conflict", id="secret"))
    assert status == 500
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert b"secret" not in body


def test_a_subclass_takes_the_row_of_its_family() -> None:
    """A narrower class of a service needs no row of its own."""

    class Narrow(NotFound):
        """A narrower error."""

    assert shown(Narrow("not_found", what="thing"))[0] == 404


def test_the_caller_says_whether_a_502_and_a_503_may_be_repeated() -> None:
    """`should_retry` overrides the table in both directions, and the wait goes with it."""
    _, headers, _ = shown(UpstreamFailed("upstream_error"), should_retry=True)
    assert (headers["x-should-retry"], headers["retry-after"]) == ("true", "1")
    _, headers, _ = shown(Unavailable("overloaded", retry_after_seconds=5), should_retry=False)
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds"),
    [
        (0.0, "1", "1"),
        (-3.0, "1", "1"),
        (0.2, "1", "200"),
        (1.0001, "2", "1001"),
        (59.5, "60", "59500"),
        (3600.0, "60", "60000"),
        (float("inf"), "60", "60000"),
        (float("nan"), "1", "1"),
    ],
)
def test_a_wait_is_rounded_up_and_between_1_and_60_seconds(
    seconds: float, whole: str, milliseconds: str
) -> None:
    """`retry-after` is never 0, which SDKs take for no wait at all, and never above 60."""
    _, headers, _ = shown(RateLimited("balance_held", retry_after_seconds=seconds))
    assert (headers["retry-after"], headers["retry-after-ms"]) == (whole, milliseconds)


def test_what_is_away_without_a_time_is_asked_again_after_a_second() -> None:
    """A 503 always invites to come back."""
    _, headers, _ = shown(Unavailable("overloaded"))
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")


def test_a_limit_that_waiting_does_not_help_with_is_not_retried() -> None:
    """Otherwise an SDK would send a request twice more that can never be admitted."""
    _, headers, _ = shown(RateLimited("tokens_per_minute_exceeded", scope="key"))
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


@pytest.mark.parametrize(("seconds", "reset"), [(0.2, "1s"), (12.0, "12s"), (60.4, "1m1s")])
def test_a_limit_per_minute_shows_in_the_headers(seconds: float, reset: str) -> None:
    """As OpenAI writes them: the limit, what is left, and when there is room again."""
    details: dict[str, str | int] = {
        "limit_name": "requests_per_minute",
        "limit": 7,
        "remaining": 0,
        "scope": "key",
    }
    error = RateLimited("requests_per_minute_exceeded", retry_after_seconds=seconds)
    error.details.update(details)
    _, headers, _ = shown(error)
    told = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    assert told == {
        "x-ratelimit-limit-requests": "7",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": reset,
    }


def test_401_names_the_scheme_and_405_the_methods() -> None:
    """RFC 9110 §15.5.2 and §15.5.6 ask for these headers."""
    assert shown(Unauthenticated("missing_api_key"))[1]["www-authenticate"] == "Bearer"
    assert shown(MethodNotAllowed("method_not_allowed", method="PUT", allowed="GET, POST"))[1]["allow"] == (
        "GET, POST"
    )


@pytest.mark.parametrize(
    "error",
    [
        TooLarge("request_too_large", limit_bytes=1),
        UnsupportedMedia("unsupported_media_type"),
        InvalidRequest("request_timeout", limit_seconds="30"),
        InvalidRequest("invalid_http"),
    ],
    ids=lambda error: str(error.code),
)
def test_an_error_that_leaves_the_body_unread_closes_the_connection(error: RelayError) -> None:
    """The rest of a refused body is never read as the next request."""
    assert shown(error)[1]["connection"] == "close"


def test_other_errors_keep_the_connection() -> None:
    """A mistake in a parameter costs the client no new connection."""
    assert "connection" not in shown(InvalidRequest("invalid_value", problem="x"))[1]


def test_the_event_of_a_broken_stream_is_one_data_line() -> None:
    """The SDKs raise for it, so it has the `error` wrapper, a blank line, and no `[DONE]`."""
    raw = event(UpstreamFailed("upstream_disconnected"), "zh")
    assert raw.startswith(b'data: {"error":{')
    assert raw.endswith(b"\n\n")
    assert raw.count(b"\n") == 2
    told = json.loads(raw.removeprefix(b"data: "))["error"]
    assert told["message"] == UpstreamFailed("upstream_disconnected").message("zh")
    assert told["code"] == "upstream_disconnected"


@given(text=st.text(st.characters(exclude_categories=[])))
def test_no_value_can_break_the_error_about_it(text: str) -> None:
    """Lone surrogates, NUL and line breaks in a detail still give a valid JSON body on one line."""
    error = NotFound("model_not_found", param=text, model=text)
    for raw in (shown(error)[2], event(error, "zh").removeprefix(b"data: ").removesuffix(b"\n\n")):
        assert b"\n" not in raw
        assert json.loads(raw)["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("header", "default", "expected"),
    [
        ("", "en", "en"),
        ("", "zh", "zh"),
        ("zh", "en", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "en", "zh"),
        ("en-US,en;q=0.9", "zh", "en"),
        ("en;q=0.3, zh;q=0.7", "en", "zh"),
        ("ZH-hant ; q=0.7 , EN;Q=0.1", "en", "zh"),
        ("zh,en", "en", "zh"),
        ("en,zh", "zh", "en"),
        ("fr, de;q=0.5", "zh", "zh"),
        ("fr, *;q=0.5", "zh", "zh"),
        ("en;q=0, *", "en", "zh"),
        ("en;q=0", "en", "en"),
        ("zh;q=0, en;q=0.1", "zh", "en"),
        ("zh;q=2, en;q=0.5", "zh", "en"),
        ("zh;q=, en;q=nan, *;q=-1", "en", "en"),
        (";;;,,,=q;zh", "en", "en"),
        ("english", "zh", "zh"),
        ("zh;q=٠.٩, en;q=0.1", "zh", "en"),
        ("," * 100_000 + "zh", "en", "en"),
    ],
)
def test_language_follows_quality_values(header: str, default: Language, expected: Language) -> None:
    """RFC 9110 §12.5.4, and rubbish is passed over."""
    assert language_of(header, default) == expected


@given(header=st.text(), default=st.sampled_from(["en", "zh"]))
def test_any_accept_language_gives_a_language(header: str, default: Language) -> None:
    """No value of the header is an error."""
    assert language_of(header, default) in ("en", "zh")
