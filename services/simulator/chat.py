"""An answer as JSON of the chat completions API: one body, or the chunks of a stream.

Without special behaviour the stream is canonical: the role chunk first, with empty content and for choice 0 first; call
id, type and name once; one finish chunk per choice with an empty delta; with `include_usage` a usage chunk without
choices last, and `usage: null` on all others.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from services.simulator.answer import Answer, Choice, Segment
from services.simulator.behaviour import Behaviour
from services.simulator.usage import ON_EVERY_CHUNK, ON_FINISH, JsonUsage, placeholder, so_far, tell

CREATED = 1_767_225_600  # always the same moment, so that equal requests give equal bytes
FINGERPRINT = "relay-simulator"

Label = Literal["role", "delta", "finish", "usage", "done", "after", "error"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream: its data, the tokens emitted with it in all, and those generated just before it."""

    label: Label
    data: bytes
    tokens: int
    advance: int = 0


class _Function(msgspec.Struct, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    arguments: str


class _ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: _Function


class _Delta(msgspec.Struct, frozen=True, kw_only=True):
    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[_ToolCall] | UnsetType = UNSET


class _ChunkChoice(msgspec.Struct, frozen=True):
    index: int
    delta: _Delta
    logprobs: None = None
    finish_reason: str | None = None
    usage: JsonUsage | UnsetType = UNSET


class _BodyChoice(msgspec.Struct, frozen=True):
    index: int
    message: _Delta
    logprobs: None
    finish_reason: str


class _Groq(msgspec.Struct, frozen=True):
    id: str
    usage: JsonUsage


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk or a whole completion."""

    id: str
    object: str
    created: int = CREATED
    model: str
    system_fingerprint: str = FINGERPRINT
    service_tier: str | UnsetType = UNSET
    choices: list[_ChunkChoice] | list[_BodyChoice]
    usage: JsonUsage | UnsetType | None = UNSET
    x_groq: _Groq | UnsetType = UNSET
    padding: str | UnsetType = UNSET


def body(answer: Answer, behaviour: Behaviour) -> bytes:
    """Return the whole answer as the body of a plain response."""
    document = _Document(
        id=answer.id,
        object="chat.completion",
        model=answer.model,
        service_tier=answer.usage.service_tier or UNSET,
        choices=[
            _BodyChoice(index, _message(choice), None, choice.finish)
            for index, choice in enumerate(answer.choices)
        ],
        usage=UNSET if behaviour.usage == "never" else tell(answer.usage, behaviour),
        padding="x" * behaviour.big_line or UNSET,
    )
    return msgspec.json.encode(document)


def events(answer: Answer, behaviour: Behaviour, include_usage: bool) -> list[Event]:
    """Return the whole answer as the events of a stream, `[DONE]` included."""
    writer = _ChunkWriter(answer, behaviour, include_usage and not behaviour.ignore_include_usage)
    for index in range(len(answer.choices)):
        writer.write("role", [_ChunkChoice(index, _Delta(role="assistant", content="", refusal=None))])
    for _ in range(behaviour.opening):
        writer.write("role", [_ChunkChoice(0, _Delta(content=""))])
    rows = zip_longest(*(_deltas(choice, behaviour.chunk_tokens) for choice in answer.choices))
    for row in rows:
        advance = max(size for _, size in filter(None, row))
        for index, item in enumerate(row):
            if item is not None:
                writer.write("delta", [_ChunkChoice(index, item[0])], tokens=item[1], advance=advance)
                advance = 0
    for index, choice in enumerate(answer.choices):
        writer.write_finish(index, choice.finish, is_last=index == len(answer.choices) - 1)
    writer.write_end()
    return writer.events


class _ChunkWriter:
    """Turns choices into events and knows where the usage belongs."""

    def __init__(self, answer: Answer, behaviour: Behaviour, include_usage: bool) -> None:
        self.events: list[Event] = []
        self._answer = answer
        self._behaviour = behaviour
        self._mode = behaviour.usage
        self._has_usage_chunk = _has_usage_chunk(behaviour, include_usage)
        self._is_null_elsewhere = self._has_usage_chunk or self._mode == "finish_chunk"
        self._padding = "x" * behaviour.big_line
        self._tokens = 0

    def write(
        self,
        label: Label,
        choices: list[_ChunkChoice],
        *,
        tokens: int = 0,
        advance: int = 0,
        usage: JsonUsage | UnsetType = UNSET,
        groq: _Groq | UnsetType = UNSET,
    ) -> None:
        """Append a chunk; `usage` replaces what the mode of the stream would put there."""
        self._tokens += tokens
        padding: str | UnsetType = UNSET
        if label == "delta" and self._padding:
            padding, self._padding = self._padding, ""
        document = _Document(
            id=self._answer.id,
            object="chat.completion.chunk",
            model=self._answer.model,
            service_tier=self._answer.usage.service_tier or UNSET,
            choices=choices,
            usage=self._usual_usage() if usage is UNSET else usage,
            x_groq=groq,
            padding=padding,
        )
        self.events.append(
            Event(label=label, data=msgspec.json.encode(document), tokens=self._tokens, advance=advance)
        )

    def write_finish(self, index: int, finish: str, *, is_last: bool) -> None:
        """Append the finish chunk of a choice, with the usage where the mode wants it on the last one."""
        mode = self._mode if is_last and self._mode in ON_FINISH else ""
        told = tell(self._answer.usage, self._behaviour) if mode else UNSET
        choice = _ChunkChoice(
            index, _Delta(), finish_reason=finish, usage=told if mode == "in_choice" else UNSET
        )
        self.write(
            "finish",
            [choice],
            usage=told if mode == "finish_chunk" else UNSET,
            groq=_Groq(self._answer.id, told) if mode == "x_groq" and told is not UNSET else UNSET,
        )

    def write_end(self) -> None:
        """Append what follows the finish chunks."""
        told = tell(self._answer.usage, self._behaviour)
        if self._mode == "after_finish":
            self.write("usage", [_ChunkChoice(0, _Delta())], usage=told)
        elif self._has_usage_chunk:
            self.write("usage", [], usage=told)
        for _ in range(self._behaviour.done):
            self.events.append(Event(label="done", data=b"[DONE]", tokens=self._tokens))
        if self._behaviour.after_done is not None:
            self.events.append(
                Event(label="after", data=self._behaviour.after_done.encode(), tokens=self._tokens)
            )

    def _usual_usage(self) -> JsonUsage | UnsetType | None:
        if self._mode == "every":
            return tell(so_far(self._answer.usage, self._tokens), self._behaviour)
        if self._mode == "placeholder_zero":
            return placeholder(self._answer.usage, self._behaviour)
        return None if self._is_null_elsewhere else UNSET


def _has_usage_chunk(behaviour: Behaviour, include_usage: bool) -> bool:
    if behaviour.usage in ("last", "placeholder_zero"):
        return True
    exceptions = ("never", "after_finish", "finish_chunk", "in_choice", *ON_EVERY_CHUNK)
    return include_usage and behaviour.usage not in exceptions


def _deltas(choice: Choice, chunk_tokens: int) -> Iterator[tuple[_Delta, int]]:
    """Yield the deltas of a choice, each with the number of its tokens."""
    for segment in choice.segments:
        if segment.kind == "tool":
            function = _Function(name=segment.name, arguments="")
            call = _ToolCall(index=segment.tool_index, id=segment.call_id, type="function", function=function)
            yield _Delta(tool_calls=[call]), 0
        for at in range(0, len(segment.tokens), chunk_tokens):
            tokens = segment.tokens[at : at + chunk_tokens]
            yield _delta(segment, "".join(tokens)), len(tokens)


def _delta(segment: Segment, text: str) -> _Delta:
    if segment.kind == "content":
        return _Delta(content=text)
    if segment.kind == "reasoning":
        return _Delta(reasoning_content=text)
    return _Delta(tool_calls=[_ToolCall(index=segment.tool_index, function=_Function(arguments=text))])


def _message(choice: Choice) -> _Delta:
    texts = {
        kind: "".join("".join(segment.tokens) for segment in choice.segments if segment.kind == kind)
        for kind in ("content", "reasoning")
    }
    calls = [
        _ToolCall(
            id=segment.call_id,
            type="function",
            function=_Function(name=segment.name, arguments="".join(segment.tokens)),
        )
        for segment in choice.segments
        if segment.kind == "tool"
    ]
    return _Delta(
        role="assistant",
        content=None if calls else texts["content"],
        refusal=None,
        reasoning_content=texts["reasoning"] or UNSET,
        tool_calls=calls or UNSET,
    )
