"""Short ways to speak the protocol in tests: ids, frames in, frames out."""

from collections.abc import Sequence

from shared.stream.actions import CalleeAction, CallerAction, Failed, Failure, Send
from shared.stream.callee import CalleeStream
from shared.stream.caller import Call, CallerStream
from shared.stream.frames import (
    Accept,
    Content,
    Data,
    End,
    Fin,
    Frame,
    Head,
    Open,
    callee_tag,
    decode,
    encode,
)

CALLER = "e" * 24
CALLEE = "0001" + "d" * 20
OTHER = "0002" + "d" * 20
REQUEST = "0" * 32
WINDOW = 65_536
UNIX_MS = 1_800_000_000_000


def frame(
    content: Content, *, attempt: int = 1, callee: str | None = CALLEE, seq: int = 0, offset: int = 0
) -> Frame:
    """Return `content` as it arrives, after a trip through bytes."""
    tag = callee_tag(callee) if callee else 0
    decoded = decode(encode(content, attempt=attempt, callee=tag, seq=seq, offset=offset))
    assert decoded is not None
    return decoded


ACCEPT = Accept(callee=CALLEE, body_limit=10**6)
HEAD = frame(Head(head=b"200"), seq=1)
DATA = frame(Data(payload=b"abc"), seq=2)
END = frame(End(tail=b"usage", total_bytes=3), seq=3, offset=3)
FIN = frame(Fin(tail=b"settled"), seq=3, offset=3)


def sent(actions: Sequence[CallerAction | CalleeAction]) -> list[Frame]:
    """Return the frames that the actions send."""
    frames = [decode(action.frame) for action in actions if isinstance(action, Send)]
    return [each for each in frames if each is not None]


def contents(actions: Sequence[CallerAction | CalleeAction]) -> list[Content]:
    """Return the contents of the frames that the actions send."""
    return [each.content for each in sent(actions)]


def others(actions: Sequence[CallerAction | CalleeAction]) -> list[CallerAction | CalleeAction]:
    """Return the actions that send nothing."""
    return [action for action in actions if not isinstance(action, Send)]


def call(body: bytes = b"{}") -> Call:
    """Return a call with `body`."""
    return Call(request_id=REQUEST, caller=CALLER, head=b"call", body=body, deadline_unix_ms=UNIX_MS + 60_000)


def caller(body: bytes = b"{}", *, has_budget: bool = True, first_attempt: int = 1) -> CallerStream:
    """Return a caller that has not opened yet."""
    return CallerStream(call(body), window=WINDOW, may_reopen=lambda: has_budget, first_attempt=first_attempt)


def opening(body: bytes = b"{}", *, body_bytes: int | None = None, valid_ms: int = 1000) -> Open:
    """Return an OPEN whose body is the first part of `body_bytes` bytes."""
    return Open(
        caller=CALLER,
        request_id=REQUEST,
        valid_until_unix_ms=UNIX_MS + valid_ms,
        deadline_unix_ms=UNIX_MS + 60_000,
        head=b"call",
        body=body,
        body_bytes=len(body) if body_bytes is None else body_bytes,
        credit_limit=WINDOW,
    )


def callee(opened: Open | None = None, *, attempt: int = 1) -> CalleeStream:
    """Return a callee that has not accepted yet, at time 0."""
    return CalleeStream(
        opened or opening(), attempt=attempt, callee=CALLEE, body_window=100_000, now=0.0, unix_ms=UNIX_MS
    )


def failed(reason: Failure, *, attempt: int = 1, has_accept: bool = True) -> Failed:
    """Return the outcome Failed."""
    return Failed(reason=reason, attempt=attempt, has_accept=has_accept)


def accepted_caller(body: bytes = b"{}") -> CallerStream:
    """Return a caller that was accepted at time 0."""
    stream = caller(body)
    stream.open(0.0, UNIX_MS)
    stream.handle(frame(ACCEPT), 0.0)
    return stream


def ended_caller() -> CallerStream:
    """Return a caller that has had the whole answer at time 0."""
    stream = accepted_caller()
    for each in (HEAD, DATA, END):
        stream.handle(each, 0.0)
    return stream
