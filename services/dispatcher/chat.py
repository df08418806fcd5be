"""The chat completions dialect towards a provider: the request as it is sent, the answer as it is read.

Nothing here does I/O. A member of the request or an event of the answer that Relay has no reason to change passes byte
for byte; what would surprise a client is made canonical (`normalise.py`); a provider's error becomes an `UpstreamError`, whose
text never goes on.
"""

import secrets
import time

import msgspec

from services.dispatcher.canonical import (
    NULL,
    Continuation,
    Members,
    decode_continuation,
    is_utf8,
    members_of,
    mended,
    value_of,
)
from services.dispatcher.choice import NotAChoice
from services.dispatcher.delivered import DeliveredText
from services.dispatcher.finish_reason import BrokenOff
from services.dispatcher.normalise import Origin, StreamedAnswer, rewrite_plain, without_null_usage
from services.dispatcher.output import measure
from services.dispatcher.overrides import Overrides
from services.dispatcher.sse import MAX_EVENT_BYTES, Event, EventTooLarge, SseParser
from services.dispatcher.surrogates import Halves
from services.dispatcher.tool_calls import TooManyCalls
from services.dispatcher.upstream_error import UpstreamError, classify_status, error_in
from services.dispatcher.usage import Usage
from shared.errors import InvalidRequest

BOUNDS = (
    "max_completion_tokens",
    "max_tokens",
)  # the two names for the most tokens of a choice, the newer one first

# What a body begins with that is no stream of events, though one was asked for: JSON, or a page.
_DOCUMENT_STARTS = (b"{", b"[", b'"', b"<")
_BLANKS = b"\xef\xbb\xbf \t\r\n"


# A document with one of these is an answer, and only an explicit error in it is one.
_MEMBERS_OF_ANSWERS = ("choices", "usage", "moderation")


class PlainResult(msgspec.Struct, frozen=True, kw_only=True):
    """A plain answer: either `error`, or the `body` to forward with what was read from it."""

    error: UpstreamError | None = None
    body: bytes = b""
    usage: Usage | None = None
    finish_reasons: dict[int, str] = {}
    saw_output: bool = False
    delivered: DeliveredText = msgspec.field(default_factory=DeliveredText)


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream ended: the bytes still to forward, and whether the answer is whole or was cut."""

    rest: bytes
    is_complete: bool


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def prepare(
    body: bytes,
    *,
    upstream_model: str,
    max_output_tokens: int | None,
    stream: bool,
    output_key: str = "max_tokens",
    overrides: Overrides | None = None,
) -> bytes:
    """Return the request to send: `body` for `upstream_model`, bounded to `max_output_tokens`, reporting its usage.

    What the channel overrides is changed first. Exactly one bound goes out, under `output_key`: providers refuse the other name,
    or a request with both. It is `max_output_tokens`, or if that is None the client's own, if it gave one. Every other member stays
    as it came, byte for byte and in order, without the white space between members.

    Raises: InvalidRequest when the body, or the `stream_options` of a streaming one, is no JSON object.
    """
    members = _object(body, "body")
    if overrides:
        overrides.apply(members)
    members = _bounded(members, output_key, max_output_tokens)
    members["model"] = _raw(upstream_model)
    if not stream:
        members.pop("stream_options", None)
        return msgspec.json.encode(members)
    given = bytes(members.get("stream_options", b"null"))
    options = {} if given == b"null" else _object(given, "stream_options")
    options["include_usage"] = _raw(True)
    members["stream_options"] = _raw(options)
    return msgspec.json.encode(members)


def _new_id() -> str:
    return secrets.token_hex(12)


ORIGIN = Origin(model="", new_id=_new_id, now=time.time)
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def named(model: str) -> Origin:
    """Return how an answer is called whose provider names neither it nor its model: new, of now, and `model`."""
    return msgspec.structs.replace(ORIGIN, model=model)


class StreamInspector:
    """Reads a streamed answer on its way through: looks at each event once, and forwards whole canonical events only.

    `include_usage` is whether the client asked for usage; if not, it is taken out, since Relay itself always asks.
    `origin` names the answer where the provider does not.

    At any moment: `usage` is what is reported so far, `finish_reasons` are those of the choices by index, `saw_output`
    says that content, a tool call, reasoning or a refusal was forwarded, and `delivered` is its text.
    `error` is the error that ended the stream; nothing is forwarded after it, nor after `[DONE]`
    (`saw_done`), which is not forwarded itself.
    """

    def __init__(self, include_usage: bool, origin: Origin | None = None) -> None:
        self.saw_done = False
        self.error: UpstreamError | None = None
        self._include_usage = include_usage
        self._parser = SseParser()
        self._answer = StreamedAnswer(origin or ORIGIN, include_usage=include_usage)
        self._halves = Halves()
        self._is_begun = False
        self._document: bytearray | None = None  # a body that is no stream of events

    @property
    def usage(self) -> Usage | None:
        """What is reported so far."""
        return self._answer.usage

    @property
    def finish_reasons(self) -> dict[int, str]:
        """The finish reasons so far, by the index of the choice."""
        return self._answer.finish_reasons

    @property
    def saw_output(self) -> bool:
        """Whether content, a tool call, reasoning or a refusal was forwarded."""
        return self._answer.has_output

    @property
    def delivered(self) -> DeliveredText:
        """The text that was forwarded."""
        return self._answer.delivered

    def feed(self, chunk: bytes) -> bytes:
        """Return what to forward of the events that `chunk` completes, a canonical and unchanged one as it came."""
        if self.error is not None or self.saw_done:
            return b""
        if not self._is_begun or self._document is not None:
            chunk = self._events_of(chunk)
        try:
            events = self._parser.feed(chunk)
        except EventTooLarge:
            self.error = UpstreamError(kind="invalid")
            return b""
        if len(events) == 1:
            return self._inspect(events[0])
        return self._forward(events)

    def finish(self) -> StreamEnd:
        """Return how the stream ended; called once, at its end or when the connection is lost.

        The answer is whole when every choice that was seen has its finish reason, or the usage came after the last output and
        `[DONE]` after that; `[DONE]` alone proves nothing. An unreadable last event that lacks its blank line was cut off: it is
        dropped, and is no error.
        """
        rest = b""
        if self.error is None and not self.saw_done:
            rest = self._last()
        is_complete = self.error is None and (
            self._answer.is_finished or (self.saw_done and self._answer.is_usage_last)
        )
        if is_complete and not self.saw_done:
            rest += _framed(self._answer.end(is_done=False))
        return StreamEnd(rest=rest, is_complete=is_complete)

    def _events_of(self, chunk: bytes) -> bytes:
        """Return the part of a chunk that events can stand in: nothing of a body that turns out to be a document."""
        if self._document is None:
            start = chunk.lstrip(_BLANKS)
            if not start:
                return chunk
            self._is_begun = True
            if not start.startswith(_DOCUMENT_STARTS):
                return chunk
            self._document = bytearray()
        self._document += chunk
        if len(self._document) > MAX_EVENT_BYTES:
            self.error = UpstreamError(kind="invalid")
        return b""

    def _last(self) -> bytes:
        """Return what to forward of the rest: a document as a whole, or an event without its blank line."""
        if self._document is not None:
            data = bytes(self._document).strip(_BLANKS)
            return self._inspect_closely(Event(data=data, raw=b"data: %b\n\n" % data))
        try:
            rest = self._forward(self._parser.flush())
        except EventTooLarge:
            self.error = UpstreamError(kind="invalid")
            return b""
        if self.error is not None and self.error.kind == "invalid":
            self.error = None
        return rest

    def _forward(self, events: list[Event]) -> bytes:
        pieces: list[bytes] = []
        for event in events:
            pieces.append(self._inspect(event))
            if self.error is not None or self.saw_done:
                break
        return b"".join(pieces)

    def _inspect(self, event: Event) -> bytes:
        """Take note of `event` and return what to forward of it: the way of nearly every event, which continues a choice."""
        data = event.data
        if event.event is not None or self._halves.waiting or not (data.isascii() or is_utf8(data)):
            return self._inspect_closely(event)
        try:
            chunk: Continuation = decode_continuation(data)
        except (msgspec.DecodeError, RecursionError):
            return self._inspect_closely(event)
        sent = self._answer.take(chunk, data)
        if sent is None:
            return self._inspect_closely(event)
        is_asked = self._include_usage or chunk.usage is msgspec.UNSET
        if is_asked and sent is data:
            return event.raw
        sent = _in_one_line(sent)
        return b"data: %b\n\n" % (sent if is_asked else without_null_usage(sent))

    def _inspect_closely(self, event: Event) -> bytes:
        """Take note of any event, and return what to forward of it."""
        data = _in_one_line(event.data)
        stripped = data.strip()
        if stripped == b"[DONE]":
            self.saw_done = True
            is_whole = self._answer.is_finished or self._answer.is_usage_last
            return _framed(self._answer.end(is_done=True)) if is_whole else b""
        if not stripped:
            return b""
        members = None if self._halves.waiting else members_of(data)
        is_mended = members is None
        if members is None:
            data = mended(data, self._halves) or data
            members = members_of(data)
        self.error = _error_in_event(event, data, members)
        if self.error is not None or members is None:
            return b""
        try:
            sent = self._answer.rewrite(data, members, is_changed=is_mended)
        except (NotAChoice, TooManyCalls):
            self.error = UpstreamError(kind="invalid")
            return b""
        except BrokenOff as broken:
            self.error = UpstreamError(kind=broken.kind)
            return b""
        return event.raw if sent is data and not is_mended else _framed([sent] if sent else [])


def inspect_plain(status: int, content_type: str, body: bytes, origin: Origin | None = None) -> PlainResult:
    """Return a plain answer's body to forward, without white space around it, or the error that it is.

    A provider may put an error, or a page in HTML, under a status of 200.
    """
    if not 200 <= status < 300:
        return PlainResult(error=classify_status(status, {}, body))
    body = body.strip()
    if "html" in content_type.lower():
        return PlainResult(error=UpstreamError(kind="invalid"))
    members = members_of(body)
    is_mended = members is None
    if members is None:
        body = mended(body, Halves()) or body
        members = members_of(body)
    error = _error_in_document(body, members)
    if error is not None or members is None:
        return PlainResult(error=error or UpstreamError(kind="invalid"))
    if bytes(members.get("choices", b"")) == b"[]":
        return PlainResult(error=UpstreamError(kind="empty"))
    try:
        sent, choices, usage = rewrite_plain(body, members, origin or ORIGIN, is_changed=is_mended)
    except (NotAChoice, TooManyCalls):
        return PlainResult(error=UpstreamError(kind="invalid"))
    except BrokenOff as broken:
        return PlainResult(error=UpstreamError(kind=broken.kind))
    delivered = DeliveredText()
    taken = [
        measure(message, delivered) for choice in choices if isinstance(message := choice["message"], dict)
    ]
    return PlainResult(
        body=sent,
        usage=usage,
        finish_reasons={
            number: reason
            for choice in choices
            if isinstance(number := choice["index"], int)
            and isinstance(reason := choice["finish_reason"], str)
        },
        saw_output=any(taken),
        delivered=delivered,
    )


def _error_in_event(event: Event, data: bytes, members: Members | None) -> UpstreamError | None:
    """Return the error that an event is, if it is one. An event of the type `error` is believed, whatever it holds."""
    error = _error_in_document(data, members)
    if event.event == b"error" and (error is None or error.kind == "invalid"):
        return UpstreamError(kind="failed")
    return error


def _error_in_document(data: bytes, members: Members | None) -> UpstreamError | None:
    """Return the error that a document is, if it is one; what is no JSON object is an answer that nobody understands."""
    if members is None:
        document = value_of(data)
        return (error_in(document) if document else None) or UpstreamError(kind="invalid")
    if not any(name in members and members[name] != NULL for name in _MEMBERS_OF_ANSWERS):
        return error_in(value_of(data))
    if "error" not in members and "base_resp" not in members:
        return None
    return error_in(
        {name: value_of(members.get(name)) for name in ("error", "base_resp", "code")}, is_answer=True
    )


def _framed(events: list[bytes]) -> bytes:
    return b"".join(b"data: %b\n\n" % data for data in events)


def _in_one_line(data: bytes) -> bytes:
    # A line end can only stand between tokens of JSON, where a space means the same.
    return data.translate(_LINE_ENDS) if b"\n" in data or b"\r" in data else data


def _bounded(members: Members, output_key: str, tokens: int | None) -> Members:
    """Return the members with one bound on the output, where the first one stood or else last."""
    given = next((members[name] for name in BOUNDS if bytes(members.get(name, b"null")) != b"null"), None)
    bound = given if tokens is None else _raw(tokens)
    bounded: Members = {}
    for name, value in members.items():
        if name not in BOUNDS:
            bounded[name] = value
        elif bound is not None:
            bounded[output_key] = bound
    if bound is not None:
        bounded[output_key] = bound
    return bounded


def _object(text: bytes, name: str) -> Members:
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "invalid_value", param=name, problem=f"'{name}' must be a JSON object"
        ) from error


def _raw(value: str | int | Members) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
