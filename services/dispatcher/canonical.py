"""The canonical form of a chunk, as a type: what decodes as `Continuation` is what SDKs read without surprise.

Nearly every event of a stream continues a choice, or ends one, so only that is a type. A member that makes an event something
else, such as a role, a usage, an error or a name that only some providers use, may only be null here: the one decode that an
event needs anyway then finds every quirk, at no cost for an event without one. Two quirks of every other provider are mended in the
bytes (`mend`): a moment that moves on, and thoughts under the name `reasoning`.
"""

import json
import math
from typing import Literal

import msgspec

from services.dispatcher.surrogates import Halves, without_surrogates
from services.dispatcher.usage import Json

Members = dict[str, msgspec.Raw]
NULL = msgspec.Raw(b"null")


class Function(msgspec.Struct, gc=False):
    """The function of a fragment of a tool call."""

    name: str | None = None
    arguments: str = ""


class ToolCall(msgspec.Struct, gc=False):
    """A fragment of a tool call."""

    index: int
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct, gc=False):
    """What a choice goes on with."""

    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    role: None = None
    function_call: None = None
    audio: None = None
    images: None = None
    reasoning: str | None = None
    reasoning_details: None = None
    thinking: None = None


class _Skipped(msgspec.Struct, gc=False):
    """An object whose members do not matter here."""


class Logprobs(msgspec.Struct, gc=False):
    """Log probabilities in the form of the chat API."""

    content: list[_Skipped] | None


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk."""

    index: int
    delta: Delta
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None = None
    logprobs: Logprobs | None = None
    message: None = None
    usage: None = None


class _Groq(msgspec.Struct, gc=False):
    usage: None = None


class _MiniMax(msgspec.Struct, gc=False):
    status_code: Literal[0] = 0


class Continuation(msgspec.Struct, gc=False):
    """A chunk that continues or ends choices, and says nothing else."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[Choice]
    usage: msgspec.UnsetType | None = msgspec.UNSET
    error: None = None
    base_resp: _MiniMax | None = None
    x_groq: _Groq | None = None


def mend(data: bytes, chunk: Continuation, created: int) -> bytes | None:
    """Return `data`, which is `chunk`, with the moment `created` and its thoughts in `reasoning_content` too; None if it cannot be.

    `data` itself, if nothing is to mend. Inside a string the quotes of a name would be escaped, so one that stands in `data` once
    is the name of the member that was read.
    """
    if chunk.created != created:
        moved = data.replace(b'"created":%d' % chunk.created, b'"created":%d' % created)
        if moved == data or data.count(b'"created"') != 1:
            return None
        data = moved
    for choice in chunk.choices:
        delta = choice.delta
        if delta.reasoning and not delta.reasoning_content:
            if data.count(b'"reasoning":') != 1 or b'"reasoning_content"' in data:
                return None
            delta.reasoning_content = delta.reasoning
            thoughts = b'"reasoning_content":%b,"reasoning":' % msgspec.json.encode(delta.reasoning)
            data = data.replace(b'"reasoning":', thoughts)
    return data


decode_continuation = msgspec.json.Decoder(Continuation).decode
_decode_members = msgspec.json.Decoder(Members).decode


def is_utf8(data: bytes) -> bool:
    """Whether `data` is text; a decoder does not look at what it skips."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def members_of(data: bytes) -> Members | None:
    """Return the members of a JSON object, each as it came; None when `data` is none, or is no UTF-8."""
    try:
        return _decode_members(data) if data.isascii() or is_utf8(data) else None
    except (msgspec.DecodeError, RecursionError):
        return None


def value_of(data: bytes | msgspec.Raw | None) -> Json:
    """Return what `data` says, a number beyond a double as infinity; null when it is no JSON, or nothing."""
    if data is None:
        return None
    try:
        decoded: Json = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            decoded = json.loads(bytes(data))
        except (ValueError, RecursionError):
            return None
    return decoded


def mended(data: bytes, halves: Halves) -> bytes | None:
    """Return `data` as JSON that every reader takes, None when it is no JSON at all.

    Halves of a surrogate pair are joined over chunks by `halves`, invalid UTF-8 and what stays a half become U+FFFD, and a
    number beyond a double null. Some readers refuse these, and providers that cut a character over two chunks send them.
    """
    try:
        document: Json = json.loads(
            data.decode("utf-8", "replace"), parse_constant=_refuse, parse_float=_finite
        )
        halves.join(document)
        return without_surrogates(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode()
    except (ValueError, RecursionError):
        return None


def raw(value: Json) -> msgspec.Raw:
    """Return `value` as JSON that stands in for a member."""
    return msgspec.Raw(msgspec.json.encode(value))


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(numeral: str) -> float | None:
    number = float(numeral)
    return number if math.isfinite(number) else None
