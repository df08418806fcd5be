"""Errors as providers shape them, and their way into a body or a stream."""

from http.client import responses

import msgspec

from services.simulator.arguments import Json
from services.simulator.behaviour import Behaviour
from services.simulator.chat import Event

HALF_OF_JSON = b'{"choices":[{"index":0,"delta":{"content":"'
NO_CHOICES = b'{"id":"chatcmpl-empty","object":"chat.completion.chunk","choices":[]}'

# The `type` and `code` of OpenAI's errors by status; every other status is the server's fault.
KINDS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "invalid_value"),
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_balance"),
    403: ("permission_error", "model_not_allowed"),
    404: ("invalid_request_error", "model_not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", "invalid_value"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
GOOGLE_WORDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
SERVER_FAULT = ("server_error", "internal_error")
CONTENT_TYPES = {"html": "text/html; charset=utf-8", "text": "text/plain; charset=utf-8"}


def status_of(behaviour: Behaviour) -> int:
    """Return the status of the error that the behaviour asks for."""
    return behaviour.status or (401 if behaviour.echo_secret else 500)


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return responses.get(status, "Error")


def body(behaviour: Behaviour, api_key: str) -> bytes:
    """Return the error of the behaviour in its shape."""
    status = status_of(behaviour)
    message = f"Simulated error with status {status}."
    if behaviour.echo_secret:
        message += f" Incorrect API key provided: {api_key}."
    if behaviour.retry_text is not None:
        message += f" Please retry in {behaviour.retry_text:g}s."
    if behaviour.err_shape == "openai":
        return openai_body(status, message, behaviour.code)
    if behaviour.err_shape == "html":
        title = f"{status} {phrase(status)}"
        return (
            f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{message}</body></html>".encode()
        )
    if behaviour.err_shape in ("text", "empty"):
        return message.encode() if behaviour.err_shape == "text" else b""
    return msgspec.json.encode(_shaped(behaviour, status, message))


def _shaped(behaviour: Behaviour, status: int, message: str) -> Json:
    """Return the error as a document of some provider; `code` replaces the one that it would have."""
    kind, usual_code = KINDS.get(status, SERVER_FAULT)
    code = behaviour.code or usual_code
    word = GOOGLE_WORDS.get(status, "INTERNAL")
    google: Json = {
        "error": {"code": status, "message": message, "status": behaviour.code or word, "details": []}
    }
    shapes: dict[str, Json] = {
        "vllm": {"error": {"message": message, "type": kind, "param": None, "code": status}},
        "detail": {"detail": message},
        "fastapi": {
            "detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": message, "input": 1}]
        },
        "string": {"error": message, "code": code},
        "flat": {"object": "error", "message": message, "type": kind, "param": None, "code": code},
        "zhipu": {"error": {"code": behaviour.code or "1302", "message": message}},
        "siliconflow": {"code": 20_015, "message": message, "data": None},
        "minimax200": {
            "choices": None,
            "base_resp": {"status_code": int(code) if code.isdigit() else 1000, "status_msg": message},
        },
        "dashscope200": {"code": behaviour.code or "Throttling", "message": message, "request_id": "sim"},
        "google": google,
        "google_array": [google],
        "anthropic": {"type": "error", "error": {"type": behaviour.code or kind, "message": message}},
        "aws": {"message": message},
        "azure": {
            "error": {
                "code": code,
                "message": message,
                "innererror": {"code": "Simulated", "content_filter_result": {}},
            }
        },
    }
    return shapes[behaviour.err_shape]


def openai_body(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """Return an error in OpenAI's shape: an object `error` with `message`, `type`, `param` and `code`."""
    kind, usual_code = KINDS.get(status, SERVER_FAULT)
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": param, "code": code or usual_code}}
    )


def into_stream(events: list[Event], behaviour: Behaviour, error: bytes) -> list[Event]:
    """Return the events with the error at the place `err_in` names, and nothing after it.

    A place that the stream never reaches leaves the events as they are.
    """
    place, _, count = (behaviour.err_in or "").partition(":")
    kept = 0
    if place == "mid":
        kept = _events_until(events, int(count))
    elif place == "after_finish":
        kept = max(at + 1 for at, event in enumerate(events) if event.label == "finish")
    if kept == len(events):
        return events
    tokens = events[kept - 1].tokens if kept else 0
    return [*events[:kept], Event(label="error", data=error, tokens=tokens)]


def spoil_stream(events: list[Event], behaviour: Behaviour) -> list[Event]:
    """Return the events of an answer that is empty, malformed, or declared done too early."""
    if behaviour.empty is not None:
        no_choices = [
            Event(label="usage", data=NO_CHOICES, tokens=0),
            Event(label="done", data=b"[DONE]", tokens=0),
        ]
        return no_choices if behaviour.empty == "choices" else []
    after = behaviour.malformed if behaviour.malformed is not None else behaviour.done_at
    if after is None:
        return events
    kept = events[: _events_until(events, after)]
    tokens = kept[-1].tokens
    if behaviour.malformed is not None:
        return [*kept, Event(label="error", data=HALF_OF_JSON, tokens=tokens)]
    return [*kept, Event(label="done", data=b"[DONE]", tokens=tokens)]


def spoil_body(body: bytes, behaviour: Behaviour) -> bytes:
    """Return the body of a plain answer that is empty or malformed; one that is done is done."""
    if behaviour.empty is not None:
        return NO_CHOICES if behaviour.empty == "choices" else b""
    return body[: len(body) // 2] if behaviour.malformed is not None else body


def _events_until(events: list[Event], tokens: int) -> int:
    """Return how many events there are until so many tokens are out, all of them when there are not so many tokens."""
    return next((at + 1 for at, event in enumerate(events) if event.tokens >= tokens), len(events))
