"""What HTTP itself shows, seen by a client that hides nothing: shapes of refusals, request ids, limits."""

from uuid import UUID

import pytest

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import BALANCE_NANO_USD, Operator, Tenant
from tests.e2e.wire import Received, ask, chat_body, exchange, http_request

pytestmark = pytest.mark.xdist_group("e2e")

CHAT = "/v1/chat/completions"
LIMIT_BYTES = 20 * 1024 * 1024
ERROR_MEMBERS = {"message", "type", "param", "code"}


def _check_refusal(answer: Received, status: int, code: str) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.error) == ERROR_MEMBERS
    assert answer.error["code"] == code
    assert answer.error["message"]
    UUID(answer.headers["x-request-id"])
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_a_wrong_route_is_refused_in_openais_shape(
    stack: RunningStack, tenant: Tenant, method: str, path: str, status: int, code: str
) -> None:
    """An unknown path and a wrong method get the error object, not a page of the framework."""
    answer = await exchange(stack, http_request(method, path, key=tenant.key))

    _check_refusal(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_refused(
    stack: RunningStack, tenant: Tenant, content_type: str
) -> None:
    """A body that is not said to be JSON is a 415."""
    request = http_request("POST", CHAT, chat_body(tenant, "hi"), key=tenant.key, content_type=content_type)

    _check_refusal(await exchange(stack, request), 415, "unsupported_media_type")


async def test_a_body_beyond_the_limit_is_refused(stack: RunningStack, tenant: Tenant) -> None:
    """The client that has sent all of it reads why it is a 413."""
    body = chat_body(tenant, "x" * LIMIT_BYTES)

    answer = await exchange(stack, http_request("POST", CHAT, body, key=tenant.key))

    _check_refusal(answer, 413, "request_too_large")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"model":', "invalid_json"),
        (b"{}", "missing_required_parameter"),
        (b"[]", "invalid_value"),
    ],
)
async def test_a_malformed_body_is_refused(
    stack: RunningStack, tenant: Tenant, body: bytes, code: str
) -> None:
    """What is not a chat completion request is a 400."""
    answer = await exchange(stack, http_request("POST", CHAT, body, key=tenant.key))

    _check_refusal(answer, 400, code)


async def test_every_answer_has_a_request_id_of_its_own(stack: RunningStack, tenant: Tenant) -> None:
    """Plain, streamed, refused, listed: each names itself, and no two alike."""
    answers = [
        await ask(stack, tenant, "hi", is_stream=False),
        await ask(stack, tenant, "hi", is_stream=True),
        await ask(stack, tenant, "[[sim status=500]]"),
        await exchange(stack, http_request("GET", "/v1/models", key=tenant.key)),
        await exchange(stack, http_request("POST", CHAT, chat_body(tenant, "hi"))),
        await exchange(stack, http_request("GET", "/nowhere")),
    ]

    assert [answer.status for answer in answers] == [200, 200, 502, 200, 401, 404]
    assert len({UUID(answer.headers["x-request-id"]) for answer in answers}) == len(answers)


async def test_an_error_speaks_the_clients_language(stack: RunningStack, operator: Operator) -> None:
    """Chinese for those who ask for it; the code stays the same."""
    request = http_request("GET", "/v1/nowhere").replace(
        b"host: test", b"host: test\r\naccept-language: zh-CN"
    )

    answer = await exchange(stack, request)

    assert answer.error["code"] == "unknown_url"
    assert "未知" in (answer.error["message"] or "")


@pytest.mark.parametrize(
    ("directive", "is_stream"),
    [("err_in=body200", False), ("err_in=first_event", True), ("ct=text/html reply=<html>", False)],
)
async def test_an_error_inside_a_200_becomes_a_real_status(
    stack: RunningStack, operator: Operator, tenant: Tenant, directive: str, is_stream: bool
) -> None:
    """An upstream that says 200 and means failure is a 502 for the client, who pays nothing."""
    answer = await ask(stack, tenant, f"hi [[sim {directive}]]", is_stream=is_stream)

    assert answer.status == 502
    assert answer.error["type"] == "upstream_error"
    await operator.settled(tenant, 0)
    assert (await operator.balance(tenant)).posted_nano_usd == BALANCE_NANO_USD


async def test_no_secret_of_the_upstream_reaches_the_client(stack: RunningStack, tenant: Tenant) -> None:
    """An upstream that repeats its credential in an error is not quoted."""
    answer = await ask(stack, tenant, "hi [[sim echo_secret]]", is_stream=False)

    assert answer.status == 502
    assert tenant.credential.encode() not in answer.data
