"""The response to an understood request: which kind it is, and its pieces with their moments."""

from random import Random

import msgspec

from services.simulator import chat, faults, pacing, shape, sse, usage
from services.simulator.answer import Answer, compose
from services.simulator.behaviour import Behaviour
from services.simulator.plan import Content, Piece, Plan, document, make_plan
from services.simulator.prompt import ChatRequest
from shared.errors import InvalidRequest, MethodNotAllowed, NotFound, RelayError, TooLarge, Unauthenticated

MODELS = ("simulated-large", "simulated-small")
EVENT_STREAM = "text/event-stream; charset=utf-8"

_STATUS: dict[type[RelayError], int] = {
    InvalidRequest: 400, Unauthenticated: 401, NotFound: 404, MethodNotAllowed: 405, TooLarge: 413,
}  # fmt: skip


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request, understood: what was asked, without directives, and how to answer it."""

    request: ChatRequest
    model: str
    user_text: str
    behaviour: Behaviour
    api_key: str


def render(case: Case, seed: int) -> Plan:
    """Return the plan of a case; equal cases and seeds give equal plans.

    Raises: InvalidRequest when the request does not fit the behaviour.
    """
    behaviour = case.behaviour
    answer = compose(case.request, case.model, case.user_text, behaviour, seed)
    if behaviour.redirect is not None:
        location = [("location", behaviour.redirect)]
        content = document(307, b"", at=pacing.head_at(behaviour), headers=location)
    elif _is_plain_error(case):
        content = _error(case)
    elif case.request.stream:
        content = _stream(case, answer, seed)
    else:
        content = _plain(case, answer, seed)
    return make_plan(content, behaviour)


def refuse(error: RelayError) -> Plan:
    """Return the plan of a refusal by the simulator itself, in OpenAI's shape."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    body = faults.openai_body(status, str(error), error.code, error.param)
    plan = make_plan(document(status, body), Behaviour())
    # The rest of a body that is too large is never read, so the connection cannot be used again.
    return msgspec.structs.replace(plan, ending="close") if status == 413 else plan


def reply(body: bytes) -> Plan:
    """Return the plan of a document of JSON."""
    return make_plan(document(200, body), Behaviour())


def list_models() -> Plan:
    """Return the plan of the list of models; any other name is answered too."""
    models = [
        {"id": name, "object": "model", "created": chat.CREATED, "owned_by": "simulator"} for name in MODELS
    ]
    return reply(msgspec.json.encode({"object": "list", "data": models}))


def chance(case: Case, seed: int, attempt: int = 0) -> Random:
    """Return the source of all chance in the answer to an attempt at a case."""
    return Random(f"{seed}|{case.model}|{case.user_text}|{attempt}")  # noqa: S311  # chance, not a secret


def _is_plain_error(case: Case) -> bool:
    behaviour = case.behaviour
    if behaviour.err_in is None:
        return behaviour.status is not None or behaviour.echo_secret
    return behaviour.err_in == "body200" or not case.request.stream


def _error(case: Case) -> Content:
    behaviour = case.behaviour
    hints = {
        "retry-after": behaviour.retry_after,
        "x-should-retry": None if behaviour.x_should_retry is None else str(behaviour.x_should_retry).lower(),
        "x-amzn-errortype": "ThrottlingException:" if behaviour.err_shape == "aws" else None,
    }
    body = faults.body(behaviour, case.api_key).ljust(behaviour.huge_body)
    return document(
        faults.status_of(behaviour) if behaviour.err_in is None else 200,
        body,
        at=pacing.head_at(behaviour),
        content_type=faults.CONTENT_TYPES.get(behaviour.err_shape, "application/json"),
        headers=[(name, value) for name, value in hints.items() if value is not None],
    )


def _stream(case: Case, answer: Answer, seed: int) -> Content:
    behaviour = case.behaviour
    events = shape.bend_stream(chat.events(answer, behaviour, case.request.includes_usage), behaviour)
    if behaviour.err_in is not None:
        events = faults.into_stream(events, behaviour, faults.body(behaviour, case.api_key))
    elif behaviour.is_spoilt:
        events = faults.spoil_stream(events, behaviour)
    times = pacing.event_times(events, behaviour, chance(case, seed))
    pieces = [
        Piece(label=event.label, data=data, at=at, tokens=event.tokens)
        for event, data, at in zip(events, sse.frame(events, behaviour), times, strict=True)
    ]
    pieces = _with_pings(pieces, times, behaviour, sse.comment("ping", behaviour))
    if behaviour.huge_body:
        padding = sse.padding(behaviour.huge_body, behaviour)
        pieces.insert(0, Piece(label="ping", data=padding, at=pacing.head_at(behaviour)))
    return Content(
        status=200,
        content_type=EVENT_STREAM,
        pieces=pieces,
        headers=[*_answer_headers(answer, behaviour), ("cache-control", "no-cache")],
        coding="chunked",
        head_at=pacing.head_at(behaviour),
        usage=answer.usage,
    )


def _plain(case: Case, answer: Answer, seed: int) -> Content:
    """A plain answer takes as long as its stream would; its pings are line breaks, which JSON readers skip."""
    behaviour = case.behaviour
    events = chat.events(answer, behaviour, include_usage=False) if _is_paced(behaviour) else []
    times = pacing.event_times(events, behaviour, chance(case, seed))
    generated = [
        Piece(label="generated", data=b"", at=at, tokens=event.tokens)
        for event, at in zip(events, times, strict=True)
    ]
    body = shape.bend_body(chat.body(answer, behaviour), behaviour)
    body = faults.spoil_body(body, behaviour).ljust(behaviour.huge_body)
    due = times[-1] if times else pacing.head_at(behaviour)
    generated.append(Piece(label="body", data=body, at=due, tokens=answer.usage.completion_tokens))
    pieces = _with_pings(generated, [*times, due], behaviour, b"\n")
    return Content(
        status=200,
        content_type="application/json",
        pieces=pieces,
        headers=_answer_headers(answer, behaviour),
        head_at=next((piece.at for piece in pieces if piece.data), due),
        usage=answer.usage,
    )


def _with_pings(pieces: list[Piece], times: list[float], behaviour: Behaviour, ping: bytes) -> list[Piece]:
    pings = [Piece(label="ping", data=ping, at=at) for at in pacing.ping_times(times, behaviour)]
    if not pings:
        return pieces
    tokens = 0
    merged = []
    for piece in sorted([*pings, *pieces], key=lambda piece: piece.at):
        tokens = max(tokens, piece.tokens)
        merged.append(msgspec.structs.replace(piece, tokens=tokens))
    return merged


def _is_paced(behaviour: Behaviour) -> bool:
    return bool(behaviour.tps or behaviour.ttft or behaviour.stall_at or behaviour.pre_ping)


def _answer_headers(answer: Answer, behaviour: Behaviour) -> list[tuple[str, str]]:
    return [("x-request-id", f"req_{answer.id}"), *usage.headers(answer.usage, behaviour)]
