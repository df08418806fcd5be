"""What a provider's error means, and that none of its words go on."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.upstream_error import FaultKind, UpstreamError, classify_status, error_in
from services.dispatcher.usage import Json

SECRET = "sk-live-9f8e7d6c for account ACME at https://internal.example"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (307, "misconfigured"),
        (400, "invalid_request"),
        (401, "credential"),
        (402, "billing"),
        (403, "credential"),
        (404, "misconfigured"),
        (408, "timeout"),
        (409, "failed"),
        (413, "invalid_request"),
        (415, "invalid_request"),
        (422, "invalid_request"),
        (424, "failed"),
        (429, "rate_limited"),
        (498, "overloaded"),
        (500, "failed"),
        (502, "failed"),
        (503, "overloaded"),
        (504, "timeout"),
        (520, "failed"),
        (524, "timeout"),
        (529, "overloaded"),
    ],
)
def test_a_status_alone_has_a_meaning(status: int, kind: FaultKind) -> None:
    """Each status has one kind, whatever the body is."""
    for body in (
        b"",
        b"<html>error code: 524</html>",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'"text"',
        b"\xff\xfe",
    ):
        assert classify_status(status, {}, body) == UpstreamError(kind=kind, status=status)


@pytest.mark.parametrize(
    "code",
    [
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    ],
)
def test_a_used_up_account_is_no_rate_limit(code: str) -> None:
    """A 429 with a billing code is the channel's fault, one with a throttling code is not."""
    used_up = classify_status(429, {}, _body(code=code))
    assert (used_up.kind, used_up.is_channel_fault) == ("billing", True)
    throttled = classify_status(429, {}, _body(code="rate_limit_exceeded"))
    assert (throttled.kind, throttled.is_channel_fault, throttled.is_client_fault) == (
        "rate_limited",
        False,
        False,
    )


def test_an_unknown_code_of_the_billing_type_is_billing() -> None:
    """OpenAI keeps the type of all its billing codes, including those to come."""
    assert classify_status(429, {}, _body(code="new_limit", type="insufficient_quota")).kind == "billing"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_api_key", "credential"),
        (413, "rate_limit_exceeded", "rate_limited"),
        (400, "model_not_found", "misconfigured"),
        (500, "rate_limit_exceeded", "failed"),
    ],
)
def test_a_code_may_say_more_than_its_status(status: int, code: str, kind: FaultKind) -> None:
    """A known code of a 4xx decides: the client is not blamed for our key, our limit or our model name."""
    assert classify_status(status, {}, _body(code=code)).kind == kind


def test_code_and_parameter_go_on_when_they_are_plain_names() -> None:
    """A client learns which parameter was refused, and why in one word."""
    error = classify_status(400, {}, _body(code="invalid_value", param="messages[0].content", message=SECRET))
    assert (error.code, error.param, error.is_client_fault) == ("invalid_value", "messages[0].content", True)


@pytest.mark.parametrize("text", [SECRET, "Has Space", "UPPER", "x" * 65, "", "ends_in\n", "a-b", "é"])
def test_nothing_else_of_the_body_goes_on(text: str) -> None:
    """Anything that could be prose, a key or a host is dropped wherever it stands."""
    error = classify_status(400, {}, _body(code=text, param=text, message=text, type=text))
    assert error == UpstreamError(kind="invalid_request", status=400)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"error": {"message": "m", "code": 1302}}, "1302"),
        ({"object": "error", "message": "m", "code": "bad_thing"}, "bad_thing"),
        ({"error": "text", "code": "bad_thing"}, "bad_thing"),
        ([{"error": {"code": "bad_thing"}}], "bad_thing"),
        ({"detail": [{"msg": "m"}]}, None),
        ("just text", None),
        ({"error": {"code": True}}, None),
        ({"error": {"code": ["x"]}}, None),
    ],
)
def test_codes_are_found_in_the_shapes_of_providers(document: Json, code: str | None) -> None:
    """Nested, flat, listed and textual errors are all read."""
    assert classify_status(400, {}, json.dumps(document).encode()).code == code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, None),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood, bounded, and otherwise ignored."""
    assert classify_status(429, headers, b"").retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "invalid_request_error", "message": SECRET}, "invalid_request"),
        ({"type": "server_error", "message": SECRET}, "failed"),
        ({"type": "overloaded_error"}, "overloaded"),
        ({"code": 429, "message": SECRET}, "rate_limited"),
        ({"code": "503"}, "overloaded"),
        ({"code": "insufficient_quota"}, "billing"),
        (SECRET, "failed"),
        ([SECRET], "failed"),
    ],
)
def test_an_error_inside_an_answer_has_a_meaning(error: Json, kind: FaultKind) -> None:
    """Without a status the type or the code decides; the text stays behind."""
    for is_answer in (False, True):
        classified = error_in({"error": error}, is_answer=is_answer)
        assert classified is not None
        assert classified.kind == kind
        assert SECRET.encode() not in msgspec.json.encode(classified)


@given(
    status=st.integers(min_value=100, max_value=999),
    body=st.binary(max_size=60),
    headers=st.text(max_size=20),
)
def test_no_answer_breaks_the_reading(status: int, body: bytes, headers: str) -> None:
    """Any status, header and body has some meaning."""
    assert classify_status(status, {"retry-after": headers, "date": headers}, body).status == status


def _body(**members: str) -> bytes:
    return json.dumps({"error": members}).encode()
