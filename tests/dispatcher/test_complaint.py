"""Errors in the shapes of providers (Q27, Q30, Q34): what each means, and that none of its words go on."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.upstream_error import FaultKind, classify_status, error_in
from services.dispatcher.usage import Json

SECRET = "sk-live-9f8e7d6c for account ACME at https://internal.example"
BUSY = "Rate limit reached for model m. " + SECRET


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        pytest.param(400, {"error": {"message": SECRET, "type": "BadRequestError", "code": 400}}, "invalid_request", id="vLLM"),
        pytest.param(400, {"object": "error", "message": SECRET, "type": "invalid_request_error", "code": 400},
                     "invalid_request", id="old vLLM"),
        pytest.param(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": SECRET}]},
                     "invalid_request", id="FastAPI"),
        pytest.param(401, {"detail": SECRET}, "credential", id="FastAPI text"),
        pytest.param(422, {"object": "error", "message": {"detail": [{"loc": ["body"]}]}, "type": "invalid_request_error"},
                     "invalid_request", id="Mistral"),
        pytest.param(429, {"error": BUSY, "code": "resource-exhausted"}, "rate_limited", id="xAI"),
        pytest.param(403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None},
                     "credential", id="SiliconFlow, not at the start"),
        pytest.param(403, {"code": 30001, "message": "Insufficient balance " + SECRET, "data": None}, "billing",
                     id="SiliconFlow"),
        pytest.param(401, "Invalid token", "credential", id="SiliconFlow text"),
        pytest.param(429, {"error": {"code": "1302", "message": SECRET}}, "rate_limited", id="Zhipu"),
        pytest.param(429, {"error": {"code": "1113", "message": SECRET}}, "billing", id="Zhipu, used up"),
        pytest.param(400, {"error": {"code": "1301", "message": SECRET}}, "filtered", id="Zhipu, filtered"),
        pytest.param(400, {"error": {"code": "1211", "message": SECRET}}, "misconfigured", id="Zhipu, no such model"),
        pytest.param(429, {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}},
                     "rate_limited", id="Google"),
        pytest.param(400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], "credential",
                     id="Google array"),
        pytest.param(400, {"error": {"code": 400, "message": SECRET, "status": "INVALID_ARGUMENT",
                                     "details": [{"reason": "API_KEY_INVALID"}]}}, "credential", id="Google details"),
        pytest.param(529, {"type": "error", "error": {"type": "overloaded_error", "message": SECRET}}, "overloaded",
                     id="Anthropic"),
        pytest.param(400, {"type": "error", "error": {"type": "invalid_request_error", "message":
                     "Your credit balance is too low to access the Anthropic API."}}, "billing", id="Anthropic, used up"),
        pytest.param(400, {"code": "Arrearage", "message": "Access denied", "request_id": "r"}, "billing", id="DashScope"),
        pytest.param(400, {"error": {"code": "data_inspection_failed", "message": SECRET}}, "filtered", id="DashScope, filtered"),
        pytest.param(429, {"code": "Throttling.RateQuota", "message": SECRET}, "rate_limited", id="DashScope, throttled"),
        pytest.param(400, {"__type": "com.amazon.coral.service#ThrottlingException", "message": SECRET}, "rate_limited",
                     id="AWS"),
        pytest.param(400, {"error": {"code": "content_filter", "message": SECRET, "innererror": {
            "code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}}}, "filtered", id="Azure"),
        pytest.param(400, {"error": {"code": None, "message": SECRET, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
                     "filtered", id="Azure, inner"),
        pytest.param(400, {"msg": SECRET}, "invalid_request", id="msg"),
        pytest.param(400, {"err": "Rate limit exceeded"}, "rate_limited", id="err"),
        pytest.param(400, {"error_msg": "No balance", "error_code": 4}, "billing", id="error_msg"),
        pytest.param(400, {"header": {"code": 11200, "message": "Invalid token"}}, "credential", id="header"),
        pytest.param(400, {"errors": [{"code": 10000, "message": "Authentication error"}]}, "invalid_request", id="errors"),
        pytest.param(404, {"error": {"message": SECRET, "type": "invalid_request_error", "code": None}}, "misconfigured",
                     id="a wrong path"),
        pytest.param(403, {"error": {"message": SECRET, "type": "invalid_request_error"}}, "credential", id="a forbidden one"),
        pytest.param(403, {"error": {"code": 403, "message": "Input was flagged for violence"}}, "filtered", id="OpenRouter"),
        pytest.param(434, {"error": {"message": SECRET}}, "credential", id="434"),
        pytest.param(435, {"error": {"message": SECRET}}, "invalid_request", id="435"),
    ],
)  # fmt: skip
def test_q30_errors_in_every_shape_are_classified(status: int, document: Json, kind: FaultKind) -> None:
    """Whoever says it, and however: our key, our account, our pace, the client's request, its content, or the provider's state."""
    classified = classify_status(status, {}, json.dumps(document).encode())
    assert classified.kind == kind
    assert SECRET.encode() not in msgspec.json.encode(classified)


def test_q30_the_type_of_an_aws_error_may_stand_in_a_header() -> None:
    """Its body then has nothing but a message."""
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    assert classify_status(400, headers, b'{"message":null}').kind == "rate_limited"


def test_q30_a_refused_parameter_is_named_from_a_list_of_details() -> None:
    """FastAPI says where in the body it is; the client learns which member was refused."""
    body = {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 0, "name"], "msg": SECRET}]}
    error = classify_status(422, {}, json.dumps(body).encode())
    assert (error.kind, error.param) == ("invalid_request", "messages.0.name")


def test_q30_refused_content_has_one_code() -> None:
    """A client can rely on `content_filter`, whatever the provider calls it."""
    error = classify_status(400, {}, b'{"error":{"code":"data_inspection_failed"}}')
    assert (error.code, error.is_client_fault, error.is_channel_fault) == ("content_filter", True, False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, b"{}"),
        (402, b'{"error":{"type":"invalid_request_error","code":"insufficient_balance"}}'),
        (403, b'{"message":"Insufficient balance"}'),
        (429, b'{"error":{"type":"insufficient_quota","code":"credit_balance_exhausted"}}'),
        (400, b'{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}'),
        (400, b'{"code":"Arrearage"}'),
    ],
)
def test_q33_a_used_up_account_is_never_the_clients_fault(status: int, body: bytes) -> None:
    """It is the operator's trouble: another channel is asked, and the client is told nothing of a balance."""
    error = classify_status(status, {}, body)
    assert (error.kind, error.is_channel_fault, error.is_client_fault) == ("billing", True, False)


@pytest.mark.parametrize(
    "message", ["messages.0.content: 'Insufficient balance' is not allowed", "Unknown tool 'invalid api key'"]
)
def test_q30_a_client_cannot_switch_off_a_channel_by_what_it_sends(message: str) -> None:
    """A provider may quote the request: only the beginning of its text counts."""
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    assert classify_status(400, {}, body).kind == "invalid_request"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1001, "timeout"), (1002, "rate_limited"), (1039, "rate_limited"), (1041, "rate_limited"), (2056, "rate_limited"),
        (1004, "credential"), (2049, "credential"), (1008, "billing"), (1026, "filtered"), (1027, "filtered"),
        (2013, "invalid_request"), (1042, "invalid_request"), (1000, "failed"),
    ],
)  # fmt: skip
def test_q27_minimax_says_it_in_a_status_of_its_own(code: int, kind: FaultKind) -> None:
    """Beside the members of an answer, or without them; zero is no error."""
    document: Json = {"choices": None, "base_resp": {"status_code": code, "status_msg": SECRET}}
    for is_answer in (False, True):
        error = error_in(document, is_answer=is_answer)
        assert error is not None
        assert error.kind == kind
        assert SECRET.encode() not in msgspec.json.encode(error)
    assert error_in({"base_resp": {"status_code": 0, "status_msg": "success"}}) is None


@pytest.mark.parametrize(
    "document",
    [None, {}, [], "", 5, {"type": "ping"}, {"error": None}, {"error": {}}, {"id": "x", "code": 0}],
)
def test_q55_what_does_not_look_like_an_error_is_none(document: Json) -> None:
    """Null, empty and heartbeats are no errors."""
    assert error_in(document) is None


def test_an_error_inside_an_answer_is_the_clients_only_when_its_code_agrees() -> None:
    """A gateway that calls everything an invalid request blames nobody's request for its own failures."""
    for code in (401, 402, 403, 404, 429, 500, 503):
        error = error_in({"error": {"type": "invalid_request_error", "code": code}})
        assert error is not None
        assert not error.is_client_fault
        assert error.status == code


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"message": "Quota exceeded. Please retry in 37.2s."}, 37.2),
        ({"message": "Please try again in 6m0s. " + SECRET}, 360.0),
        ({"message": "try again in 1h2m3.5s"}, 3723.5),
        ({"message": "Please try again in 250ms"}, 0.25),
        ({"message": "Retry after 12 seconds"}, 12.0),
        ({"message": "retry after 12"}, 12.0),
        ({"message": "Please wait for 2 minutes"}, 120.0),
        ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.2s"}]}, 37.2),
        ({"details": [{"retryDelay": 5}], "message": "busy"}, None),
        ({"retry_after": 9}, 9.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"message": "try again in 99999999s"}, 86_400.0),
        ({"message": "try again in a moment"}, None),
        ({"message": "try again in 9.9.9.9"}, None),
        ({"message": "try again later"}, None),
        ({"message": "in 5 s"}, None),
        ({"retry_after": True}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": 10**400}, None),
    ],
)
def test_q34_a_wait_in_the_body_is_read_when_no_header_has_one(error: Json, seconds: float | None) -> None:
    """Google's RetryInfo, members of their own, and sentences; a header is believed first."""
    body = json.dumps({"error": error}).encode()
    assert classify_status(429, {}, body).retry_after_seconds == pytest.approx(seconds)
    assert classify_status(429, {"retry-after": "3"}, body).retry_after_seconds == 3.0


_WORDS = st.sampled_from(
    [
        "error",
        "code",
        "message",
        "type",
        "detail",
        "base_resp",
        "header",
        "errors",
        "details",
        "status",
        "loc",
    ]
)
_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("retry in 5s"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(document=_DOCUMENTS, is_answer=st.booleans())
def test_no_document_breaks_the_search_for_an_error(document: Json, is_answer: bool) -> None:
    """Any JSON is an error of some kind, or none."""
    error = error_in(document, is_answer=is_answer)
    assert error is None or 0 <= (error.retry_after_seconds or 0) <= 86_400
