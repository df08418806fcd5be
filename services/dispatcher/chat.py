"""The chat completions dialect towards a provider: the request as it is sent, the answer as it is read.

Nothing here does I/O. A member of the request or an event of the answer that Relay has no reason to change passes byte
for byte; a provider's error becomes an `UpstreamError`, whose text never goes on.
"""

import json
from typing import Any

import msgspec

from services.dispatcher.delivered import DeliveredText
from services.dispatcher.overrides import Overrides
from services.dispatcher.sse import Event, EventTooLarge, SseParser
from services.dispatcher.upstream_error import UpstreamError, classify_error, classify_status
from services.dispatcher.usage import Usage, merge
from shared.errors import InvalidRequest

MAX_CHOICES = 128  # the largest `n` of the API
LONGEST_FINISH_REASON = 64

_NULL_USAGE = b',"usage":null'
_NULL_USAGE_AT_END = _NULL_USAGE + b"}"

# Where text stands inside a content part or a tool call, of any provider.
_TEXT_MEMBERS = ("text", "thinking", "function", "custom", "name", "arguments", "input", "transcript")


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


class _Output(msgspec.Struct, gc=False):
    """A delta or a message. Its fields are not typed further, since a provider's oddity in one is no error."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: Any = 0
    delta: _Output | None = None
    message: _Output | None = None
    finish_reason: Any = None


class _Answer(msgspec.Struct, gc=False):
    """What is read of a chunk or of a plain answer; all else is skipped, not decoded."""

    choices: list[_Choice] | None = None
    usage: Any = msgspec.UNSET
    error: Any = None


_answers = msgspec.json.Decoder(_Answer)
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

    What the channel overrides is changed first. The bound replaces each bound that is given, or stands under `output_key` if none
    is; None leaves them. Every other member stays as it came, byte for byte and in order, without the white space between members.

    Raises: InvalidRequest when the body, or the `stream_options` of a streaming one, is no JSON object.
    """
    members = _object(body, "body")
    if overrides:
        overrides.apply(members)
    members["model"] = _raw(upstream_model)
    if max_output_tokens is not None:
        for key in _bounds(members) or [output_key]:
            members[key] = _raw(max_output_tokens)
    if not stream:
        members.pop("stream_options", None)
        return msgspec.json.encode(members)
    given = bytes(members.get("stream_options", b"null"))
    options = {} if given == b"null" else _object(given, "stream_options")
    options["include_usage"] = _raw(True)
    members["stream_options"] = _raw(options)
    return msgspec.json.encode(members)


class StreamInspector:
    """Reads a streamed answer on its way through: looks at each event once, and forwards whole events only.

    `include_usage` is whether the client asked for usage; if not, it is taken out, since Relay itself always asks.

    At any moment: `usage` is what is reported so far, `finish_reasons` are those of the choices by index, `saw_output`
    says that content, a tool call, reasoning or a refusal was forwarded, and `delivered` is its text. `error` is the
    error that ended the stream; nothing is forwarded after it, nor after `[DONE]`
    (`saw_done`), which is not forwarded itself.
    """

    def __init__(self, include_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finish_reasons: dict[int, str] = {}
        self.saw_done = False
        self.saw_output = False
        self.delivered = DeliveredText()
        self.error: UpstreamError | None = None
        self._include_usage = include_usage
        self._parser = SseParser()
        self._choices: set[int] = set()
        self._is_usage_last = False  # the usage was told in an event of its own, after the last output

    def feed(self, chunk: bytes) -> bytes:
        """Return what to forward of the events that `chunk` completes, a canonical and unchanged one as it came."""
        if self.error is not None or self.saw_done:
            return b""
        try:
            events = self._parser.feed(chunk)
        except EventTooLarge:
            self.error = UpstreamError(kind="invalid")
            return b""
        return self._forward(events)

    def finish(self) -> StreamEnd:
        """Return how the stream ended; called once, at its end or when the connection is lost.

        The answer is whole when every choice that was seen has its finish reason. `[DONE]` stands for reasons that were never given
        only after a last word on the usage: without either, some relay between has hidden a break. An unreadable last event that
        lacks its blank line was cut off: it is dropped, and is no error.
        """
        rest = b""
        if self.error is None and not self.saw_done:
            try:
                rest = self._forward(self._parser.flush())
            except EventTooLarge:
                self.error = UpstreamError(kind="invalid")
            else:
                self.error = None if self.error and self.error.kind == "invalid" else self.error
        is_finished = bool(self._choices) and self._choices <= self.finish_reasons.keys()
        is_told = self.saw_done and self._is_usage_last
        return StreamEnd(rest=rest, is_complete=self.error is None and (is_told or is_finished))

    def _forward(self, events: list[Event]) -> bytes:
        pieces: list[bytes] = []
        for event in events:
            pieces.append(self._inspect(event))
            if self.error is not None or self.saw_done:
                break
        return b"".join(pieces)

    def _inspect(self, event: Event) -> bytes:
        """Take note of `event` and return what to forward of it."""
        if event.data.strip() == b"[DONE]":
            self.saw_done = True
            return b""
        if not event.data:
            return b""
        answer = _decode(event.data)
        if event.event == b"error" or answer is None or answer.error:
            self.error = _error(answer, is_named=event.event == b"error")
            return b""
        is_reported = answer.usage is not msgspec.UNSET and answer.usage is not None
        if is_reported:
            self.usage = merge(self.usage, answer.usage)
            self._is_usage_last = self.saw_output
        if answer.choices:
            self._note(answer.choices)
        elif answer.choices is None and not is_reported:
            # No chunk at all. SDKs fail on it, and it may be an error in a shape of its own.
            return b""
        if self._include_usage or answer.usage is msgspec.UNSET:
            return event.raw
        return _without_usage(event, is_null=not is_reported) if answer.choices or not is_reported else b""

    def _note(self, choices: list[_Choice]) -> None:
        self._is_usage_last = False
        for choice in choices:
            self._choices.add(_index(choice))
            self.finish_reasons.update(_finish_reason(choice))
            if choice.delta is not None:
                self.saw_output = _take(choice.delta, self.delivered) or self.saw_output


def inspect_plain(status: int, content_type: str, body: bytes) -> PlainResult:
    """Return a plain answer's body to forward, without white space around it, or the error that it is.

    A provider may put an error, or a page in HTML, under a status of 200.
    """
    if not 200 <= status < 300:
        return PlainResult(error=classify_status(status, {}, body))
    body = body.strip()
    answer = None if "html" in content_type.lower() else _decode(body)
    if answer is None or answer.error:
        return PlainResult(error=_error(answer))
    if answer.choices is None:
        return PlainResult(error=UpstreamError(kind="invalid"))
    is_reported = answer.usage is not msgspec.UNSET and answer.usage is not None
    delivered = DeliveredText()
    taken = [_take(choice.message, delivered) for choice in answer.choices if choice.message is not None]
    return PlainResult(
        body=body,
        usage=merge(None, answer.usage) if is_reported else None,
        finish_reasons={
            key: reason for choice in answer.choices for key, reason in _finish_reason(choice).items()
        },
        saw_output=any(taken),
        delivered=delivered,
    )


def _decode(data: bytes) -> _Answer | None:
    """Return `data` as an answer, None when it is no JSON object of that shape."""
    try:
        return _answers.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(data)


def _decode_leniently(data: bytes) -> _Answer | None:
    """Return `data` as an answer even with half of a surrogate pair, invalid UTF-8 or a number beyond a double.

    msgspec refuses these; providers that cut a character over two chunks send them, and clients take them.
    """
    try:
        document = json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse_constant)
        return msgspec.convert(document, _Answer)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _index(choice: _Choice) -> int:
    is_index = type(choice.index) is int and 0 <= choice.index < MAX_CHOICES
    return choice.index if is_index else 0


def _finish_reason(choice: _Choice) -> dict[int, str]:
    """Return the finish reason by index; none when it is null, missing, or empty as some providers send it."""
    reason = choice.finish_reason
    return {_index(choice): reason[:LONGEST_FINISH_REASON]} if reason and isinstance(reason, str) else {}


def _error(answer: _Answer | None, *, is_named: bool = False) -> UpstreamError:
    if answer is None:
        return UpstreamError(kind="failed" if is_named else "invalid")
    return classify_error(answer.error)


def _without_usage(event: Event, *, is_null: bool) -> bytes:
    """Return the event as bytes to forward, without the top level's `usage`."""
    # A line end can only stand between tokens of JSON, where a space means the same.
    data = event.data.replace(b"\n", b" ")
    if is_null and data.endswith(_NULL_USAGE_AT_END):
        return b"data: %b}\n\n" % data[: -len(_NULL_USAGE_AT_END)]
    # Inside a string the quotes would be escaped, so a single occurrence is the member of the top level.
    if is_null and data.count(b'"usage"') == 1 and _NULL_USAGE in data:
        return b"data: %b\n\n" % data.replace(_NULL_USAGE, b"")
    try:
        members = _members.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return event.raw  # only a lenient reader reads it: a usage that was not asked for does no harm
    del members["usage"]
    return b"data: %b\n\n" % msgspec.json.encode(members)


def _take(output: _Output, delivered: DeliveredText) -> bool:
    """Add the text of `output` to what was delivered, and return whether there is any output."""
    values = [
        output.content,
        output.reasoning_content or output.reasoning,
        output.refusal,
        output.tool_calls,
        output.function_call,
        output.audio,
    ]
    waiting = [value for value in values if value]
    has_output = bool(waiting)
    waiting.reverse()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            delivered.add(value)
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            waiting += [value[name] for name in reversed(_TEXT_MEMBERS) if name in value]
    return has_output


def _bounds(members: dict[str, msgspec.Raw]) -> list[str]:
    """Return the members with which the client bounds the output."""
    given: list[str] = [key for key in ("max_completion_tokens", "max_tokens") if key in members]
    # A null beside a number says nothing, and some providers refuse two numbers.
    return [key for key in given if bytes(members[key]) != b"null"] or given[:1]


def _object(text: bytes, name: str) -> dict[str, msgspec.Raw]:
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "invalid_value", param=name, problem=f"'{name}' must be a JSON object"
        ) from error


def _raw(value: str | int | dict[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
