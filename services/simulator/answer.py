"""What a model would have generated: the text in tokens, the tool calls, the usage.

A token of output is a run of whole characters of at most four bytes of UTF-8. So ASCII text of k bytes has ceil(k / 4)
tokens, and `out=k` makes k tokens of exactly four bytes each, some of them not ASCII. Only generated text counts:
content, reasoning and the arguments of tool calls.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from services.simulator.arguments import sample
from services.simulator.behaviour import LARGEST_TOKENS, Behaviour
from services.simulator.prompt import ChatRequest, count_prompt_tokens
from shared.errors import InvalidRequest

VOCABULARY = (
    " the", " sun", " né", " is ", " 语", "warm", "🙂", " and", " où", "soft", "ly, ", " £5", "but ", "öl ", " not", " で"
)  # fmt: skip
TOKEN_BYTES = 4
QUOTED_CHARACTERS = 80

Finish = Literal["stop", "length", "tool_calls"]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A run of tokens of one kind; those of a tool are its call's arguments."""

    kind: Literal["reasoning", "content", "tool"]
    tokens: tuple[str, ...]
    tool_index: int = 0
    call_id: str = ""
    name: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers, in the order of its generation."""

    segments: tuple[Segment, ...]
    finish: Finish


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider bills: `prompt_tokens` include cached and cache-written ones, `completion_tokens` reasoning."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_ttl: str = ""
    reasoning_tokens: int = 0
    web_searches: int = 0
    service_tier: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer before it becomes bytes."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage


def compose(request: ChatRequest, model: str, user_text: str, behaviour: Behaviour, seed: int) -> Answer:
    """Return the answer to a request; equal arguments give an equal answer.

    `model` and `user_text` are those of the request without directives.

    Raises: InvalidRequest when tool calls are asked for and the request offers no functions.
    """
    digest = hashlib.blake2b(f"{seed}\0{model}\0{user_text}".encode(), digest_size=12).hexdigest()
    count = behaviour.n or request.n or 1
    if count * ((behaviour.out or 0) + behaviour.reasoning) > LARGEST_TOKENS:
        raise InvalidRequest(
            "invalid_value", param="n", problem=f"the choices together exceed {LARGEST_TOKENS} tokens"
        )
    choices = tuple(_choice(request, behaviour, user_text, digest, index) for index in range(count))
    return Answer(
        id=f"chatcmpl-sim{digest}", model=model, choices=choices, usage=_usage(request, behaviour, choices)
    )


def tokenize(text: str) -> tuple[str, ...]:
    """Return the tokens of a text, by the rule of this module."""
    if text.isascii():
        return tuple(text[at : at + TOKEN_BYTES] for at in range(0, len(text), TOKEN_BYTES))
    tokens: list[str] = []
    start, size = 0, 0
    for at, character in enumerate(text):
        width = len(character.encode("utf-8", "surrogatepass"))
        if size + width > TOKEN_BYTES:
            tokens.append(text[start:at])
            start, size = at, 0
        size += width
    tokens.append(text[start:])
    return tuple(tokens)


def _choice(request: ChatRequest, behaviour: Behaviour, user_text: str, digest: str, index: int) -> Choice:
    shift = int(digest[:4], 16) + index
    segments = []
    if behaviour.reasoning:
        segments.append(Segment(kind="reasoning", tokens=_invent(behaviour.reasoning, shift + 1)))
    if behaviour.tools:
        segments += _tool_calls(request, behaviour.tools, f"{digest[:16]}{index}")
    else:
        text = _text(behaviour, user_text, shift)
        for stop in request.stops:
            text = text.partition(stop)[0]
        segments.append(Segment(kind="content", tokens=tokenize(text)))
    kept = _limit(segments, request.output_limit)
    if len(kept) < len(segments) or kept[-1] != segments[-1]:
        return Choice(segments=kept, finish="length")
    return Choice(segments=kept, finish="tool_calls" if behaviour.tools else "stop")


def _text(behaviour: Behaviour, user_text: str, shift: int) -> str:
    if behaviour.reply is not None:
        return behaviour.reply
    if behaviour.out is not None:
        return "".join(_invent(behaviour.out, shift))
    quoted = " ".join(user_text[: QUOTED_CHARACTERS * 4].split())
    if len(quoted) > QUOTED_CHARACTERS:
        quoted = quoted[: QUOTED_CHARACTERS - 1] + "…"
    return f"This is a simulated answer from Relay's built-in simulator; no model was called. You said: “{quoted}”"


def _invent(count: int, shift: int) -> tuple[str, ...]:
    return tuple(VOCABULARY[(shift + at) % len(VOCABULARY)] for at in range(count))


def _tool_calls(request: ChatRequest, count: int, stem: str) -> list[Segment]:
    functions = request.functions
    if not functions:
        raise InvalidRequest(
            "invalid_value", param="tools", problem="the simulator key 'tools' needs functions in the request"
        )
    return [
        Segment(
            kind="tool",
            tokens=tokenize(sample(bytes(function.parameters))),
            tool_index=index,
            call_id=f"call_sim{stem}x{index}",
            name=function.name,
        )
        for index, function in ((index, functions[index % len(functions)]) for index in range(count))
    ]


def _limit(segments: Sequence[Segment], limit: int | None) -> tuple[Segment, ...]:
    """Return the segments that fit into the limit; the first stays, even empty, so that a choice is never nothing."""
    if limit is None:
        return tuple(segments)
    kept: list[Segment] = []
    for segment in segments:
        if kept and limit == 0 and segment.tokens:
            break
        kept.append(msgspec.structs.replace(segment, tokens=segment.tokens[:limit]))
        limit -= len(kept[-1].tokens)
    return tuple(kept)


def _usage(request: ChatRequest, behaviour: Behaviour, choices: Sequence[Choice]) -> Usage:
    """A prompt is at least as long as what the directive says was read from and written to a cache."""
    written, _, ttl = (behaviour.cache_write or "0").partition(":")
    segments = [segment for choice in choices for segment in choice.segments]
    return Usage(
        prompt_tokens=max(count_prompt_tokens(request), behaviour.cached + int(written)),
        completion_tokens=sum(len(segment.tokens) for segment in segments),
        cached_tokens=behaviour.cached,
        cache_write_tokens=int(written),
        cache_write_ttl=ttl,
        reasoning_tokens=sum(len(segment.tokens) for segment in segments if segment.kind == "reasoning"),
        web_searches=int((behaviour.fees or ":0").partition(":")[2]),
        service_tier=behaviour.tier or "",
    )
