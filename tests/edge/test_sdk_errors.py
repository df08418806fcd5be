"""What the official Python SDK makes of our errors."""

import openai
import pytest
from starlette.types import Receive, Scope, Send

from services.edge.errors import event, render
from shared.errors import (
    Forbidden,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RelayError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UpstreamFailed,
    UpstreamTimeout,
)
from tests.edge.serving import served

SOON = 0.001


class Refusing:
    """An application that gives one error to every request, and counts them."""

    def __init__(self, error: RelayError, should_retry: bool | None = None) -> None:
        self.error = error
        self.should_retry = should_retry
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.calls += 1
        while (await receive()).get("more_body", False):
            pass
        status, headers, body = render(
            self.error, language="en", request_id="req-1", should_retry=self.should_retry
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def ask(port: int, *, stream: bool = False) -> None:
    """Make one call that may be repeated once, and read all of its stream."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-relay-x", max_retries=1
    ) as client:
        if not stream:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            return
        async for _ in await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        ):
            pass


@pytest.mark.parametrize(
    ("error", "should_retry", "status", "raised", "calls"),
    [
        (
            InvalidRequest("invalid_value", param="n", problem="x"),
            None,
            400,
            openai.BadRequestError,
            1,
        ),
        (Unauthenticated("invalid_api_key"), None, 401, openai.AuthenticationError, 1),
        (InsufficientFunds("insufficient_balance"), None, 402, openai.APIStatusError, 1),
        (Forbidden("model_not_allowed", model="m"), None, 403, openai.PermissionDeniedError, 1),
        (NotFound("model_not_found", param="model", model="m"), None, 404, openai.NotFoundError, 1),
        (
            MethodNotAllowed("method_not_allowed", method="PUT", allowed="POST"),
            None,
            405,
            openai.APIStatusError,
            1,
        ),
        (TooLarge("request_too_large", limit_bytes=1), None, 413, openai.APIStatusError, 1),
        (UnsupportedMedia("unsupported_media_type"), None, 415, openai.APIStatusError, 1),
        (RateLimited("balance_held", retry_after_seconds=SOON), None, 429, openai.RateLimitError, 2),
        (Internal("internal_error"), None, 500, openai.InternalServerError, 1),
        (UpstreamFailed("upstream_error"), None, 502, openai.InternalServerError, 1),
        (
            UpstreamFailed("upstream_error", retry_after_seconds=SOON),
            True,
            502,
            openai.InternalServerError,
            2,
        ),
        (Unavailable("overloaded", retry_after_seconds=SOON), None, 503, openai.InternalServerError, 2),
        (Unavailable("overloaded"), False, 503, openai.InternalServerError, 1),
        (UpstreamTimeout("upstream_timeout", limit_seconds=9), None, 504, openai.InternalServerError, 1),
    ],
    ids=lambda value: value.code if isinstance(value, RelayError) else None,
)
async def test_the_sdk_raises_its_own_class_and_repeats_only_what_may_be(
    error: RelayError, should_retry: bool | None, status: int, raised: type[openai.APIError], calls: int
) -> None:
    """Class, status, code, param, type, sentence and request id arrive; the server sees one call or two."""
    app = Refusing(error, should_retry)
    async with served(app) as port:
        with pytest.raises(openai.APIStatusError) as refused:
            await ask(port)
    got = refused.value
    assert type(got) is raised
    assert (got.status_code, got.code, got.param) == (status, error.code, error.param)
    assert got.type
    assert str(error) in got.message
    assert got.request_id == "req-1"
    assert app.calls == calls


async def test_the_sdk_raises_for_the_event_of_a_broken_stream() -> None:
    """A stream that ends with our event is an error of that code, and is not repeated."""
    calls = 0

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        chunk = b'data: {"id":"c","object":"chat.completion.chunk","choices":[]}\n\n'
        last = event(UpstreamFailed("upstream_disconnected"), "en")
        await send({"type": "http.response.body", "body": chunk + last})

    async with served(broken) as port:
        with pytest.raises(openai.APIError) as raised:
            await ask(port, stream=True)
    assert raised.value.code == "upstream_disconnected"
    assert raised.value.type == "upstream_error"
    assert calls == 1
