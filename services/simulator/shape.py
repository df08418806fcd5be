"""An answer of the chat completions API as other providers shape it: canonical JSON in, odd JSON out.

Each key of the group "shape" has one function here, which changes the documents of a stream in place or returns another list of
them. Equal documents and behaviours give equal ones, and without such a key nothing is decoded at all.
"""

import json

import msgspec

from services.simulator.arguments import Json
from services.simulator.behaviour import Behaviour
from services.simulator.chat import Event
from services.simulator.chunks import Chunk, Members, calls_of
from services.simulator.tool_shape import bend_tool_calls, bend_whole_call

_SHAPE = (
    "role", "reason_field", "finish", "finish_late", "tool_index", "tool_id", "tool_name", "tool_args", "first_chunk",
    "final_message_frame", "object", "id", "created", "delta", "content", "cumulative_text", "logprobs", "half_characters",
    "dup_last", "null_error", "extra_fields",
)  # fmt: skip
_CANONICAL = Behaviour()
_LEGACY_LOGPROBS: Json = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": [0]}
_SAFE: Json = {"hate": {"filtered": False, "severity": "safe"}}


def bend_stream(events: list[Event], behaviour: Behaviour) -> list[Event]:
    """Return the events of a stream in the shape that the behaviour asks for."""
    if not _is_bent(behaviour):
        return events
    chunks = [
        Chunk(
            event, msgspec.json.decode(event.data) if event.label not in ("done", "after", "error") else None
        )
        for event in events
    ]
    for bend in (
        bend_tool_calls, _half_characters, _frames, _outputs, _cumulative, _finish, _roles, _final_frame, _duplicates,
        _documents,
    ):  # fmt: skip
        chunks = bend(chunks, behaviour)
    return [
        chunk.event
        if chunk.document is None
        else msgspec.structs.replace(chunk.event, data=_encode(chunk.document))
        for chunk in chunks
    ]


def bend_body(body: bytes, behaviour: Behaviour) -> bytes:
    """Return a plain answer in the shape that the behaviour asks for."""
    if not _is_bent(behaviour):
        return body
    document: Members = msgspec.json.decode(body.rstrip())
    chunk = Chunk(Event(label="delta", data=b"", tokens=0), document)
    for choice in chunk.choices:
        message = choice["message"]
        assert isinstance(message, dict)
        _output(message, behaviour)
        if behaviour.role in ("never", "empty"):
            _set_or_drop(message, "role", "" if behaviour.role == "empty" else None)
        for call in calls_of(message):
            bend_whole_call(call, behaviour)
        if behaviour.finish is not None:
            word = {"missing": None, "empty_every": ""}.get(behaviour.finish, behaviour.finish)
            _set_or_drop(choice, "finish_reason", word)
        _logprobs(choice, behaviour)
    _identity(document, behaviour, 0)
    return _encode(document)


def _is_bent(behaviour: Behaviour) -> bool:
    return any(getattr(behaviour, key) != getattr(_CANONICAL, key) for key in _SHAPE)


def _encode(document: Members) -> bytes:
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()  # half a character, as an escape


# Text, and where it stands


def _half_characters(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """Cut each text with a character beyond U+FFFF between its two surrogates, as two events."""
    if not behaviour.half_characters:
        return chunks
    cut = []
    for chunk in chunks:
        delta = chunk.deltas[0] if chunk.deltas else {}
        text = delta.get("content")
        place = (
            next((at for at, letter in enumerate(text) if letter > "\uffff"), -1)
            if isinstance(text, str)
            else -1
        )
        if place < 0 or not isinstance(text, str) or chunk.document is None:
            cut.append(chunk)
            continue
        units = text[place].encode("utf-16-be")
        first, second = (units[at : at + 2].decode("utf-16-be", "surrogatepass") for at in (0, 2))
        later: Members = msgspec.json.decode(msgspec.json.encode(chunk.document))
        delta["content"] = text[:place] + first
        other = chunk.also(later)
        other.deltas[0]["content"] = second + text[place + 1 :]
        cut += [chunk, other]
    return cut


def _outputs(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    is_thinking = False
    for chunk in chunks:
        for delta in chunk.deltas:
            thought = delta.get("reasoning_content")
            _output(delta, behaviour)
            if behaviour.reason_field != "think_tags":
                continue
            if isinstance(thought, str):
                delta["content"] = thought if is_thinking else f"<think>{thought}"
                is_thinking = True
            elif is_thinking and delta.get("content"):
                delta["content"] = f"</think>{delta['content']}"
                is_thinking = False
        for choice in chunk.choices:
            _logprobs(choice, behaviour)
    return chunks


def _output(output: Members, behaviour: Behaviour) -> None:
    """Bend a delta or a message: where its thoughts stand, and what its content is."""
    thought, content = output.get("reasoning_content"), output.get("content")
    parts: list[Json] = []
    if isinstance(thought, str) and behaviour.reason_field != "reasoning_content":
        del output["reasoning_content"]
        if behaviour.reason_field in ("reasoning", "thinking"):
            output[behaviour.reason_field] = thought
        elif behaviour.reason_field == "details":
            output["reasoning_details"] = [{"type": "reasoning.text", "text": thought, "index": 0}]
        elif behaviour.reason_field == "content_list":
            parts.append({"type": "thinking", "thinking": [{"type": "text", "text": thought}]})
        else:
            output["content"] = content = f"<think>{thought}</think>{content or ''}"
    if isinstance(content, str) and content and (behaviour.content == "list" or parts):
        parts.append({"type": "text", "text": content})
    if parts:
        output["content"] = parts


def _cumulative(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """Give each choice a message with the whole text so far, beside its delta or alone."""
    if behaviour.cumulative_text == "no":
        return chunks
    texts: dict[Json, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        delta, number = choice["delta"], str(choice["index"])
        assert isinstance(delta, dict)
        texts[number] = texts.get(number, "") + str(delta.get("content") or "")
        choice["message"] = {"role": "assistant", "content": texts[number]}
        if behaviour.cumulative_text == "alone":
            del choice["delta"]
    return chunks


def _roles(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    for delta in (delta for chunk in chunks for delta in chunk.deltas):
        if behaviour.role == "never":
            delta.pop("role", None)
        elif behaviour.role != "once":
            delta["role"] = "assistant" if behaviour.role == "every" else ""
    return chunks


def _logprobs(choice: Members, behaviour: Behaviour) -> None:
    if behaviour.logprobs != "null":
        _set_or_drop(choice, "logprobs", _LEGACY_LOGPROBS if behaviour.logprobs == "legacy" else None)


# The end of a choice


def _finish(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    if behaviour.finish == "missing":
        chunks = [chunk for chunk in chunks if chunk.event.label != "finish"]
    elif behaviour.finish is not None:
        for chunk in chunks:
            _set_finish(chunk, behaviour.finish)
    if behaviour.delta == "null":
        for choice in (
            choice for chunk in chunks if chunk.event.label == "finish" for choice in chunk.choices
        ):
            choice["delta"] = None
    if behaviour.finish_late:
        late = [chunk for chunk in chunks if chunk.event.label == "finish"]
        chunks = [chunk for chunk in chunks if chunk.event.label != "finish"]
        at = next((at for at, chunk in enumerate(chunks) if chunk.document is None), len(chunks))
        chunks[at:at] = late
    return chunks


def _set_finish(chunk: Chunk, finish: str) -> None:
    for choice in chunk.choices:
        if finish == "empty_every":
            choice["finish_reason"] = choice["finish_reason"] or ""
        elif chunk.event.label == "finish":
            choice["finish_reason"] = finish


def _final_frame(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """End each choice with a frame that has the whole message in place of a delta, as MiniMax does."""
    if not behaviour.final_message_frame:
        return chunks
    texts: dict[Json, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            delta, number = choice.get("delta"), str(choice["index"])
            if isinstance(delta, dict):
                texts[number] = texts.get(number, "") + str(delta.get("content") or "")
            if chunk.event.label == "finish" and chunk.document is not None:
                choice.pop("delta", None)
                choice["message"] = {"role": "assistant", "content": texts.get(number, "")}
                chunk.document["object"] = "chat.completion"
    return chunks


def _duplicates(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    if not behaviour.dup_last:
        return chunks
    return [
        again
        for chunk in chunks
        for again in ([chunk, chunk] if chunk.event.label in ("finish", "usage") else [chunk])
    ]


# Whole documents


def _frames(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """Add the frames that Azure's filters send: before everything, and before the end of a choice."""
    if behaviour.first_chunk == "normal" or chunks[0].document is None:
        return chunks
    if behaviour.first_chunk == "empty_choices":
        return [chunks[0].also({**chunks[0].document, "choices": []}), *chunks]
    nobody: Members = {"id": "", "object": "", "created": 0, "model": ""}
    prompt: Json = {"prompt_index": 0, "content_filter_results": _SAFE}
    offsets: Members = {"content_filter_results": _SAFE, "content_filter_offsets": {"check_offset": 0}}
    framed = [chunks[0].also({**nobody, "choices": [], "prompt_filter_results": [prompt]})]
    for chunk in chunks:
        if chunk.event.label == "finish":
            choice: Members = {"index": chunk.choices[0]["index"], "finish_reason": None, **offsets}
            framed.append(chunk.also({**nobody, "choices": [choice]}))
        framed.append(chunk)
    return framed


def _documents(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    for number, document in enumerate(
        document for chunk in chunks if (document := chunk.document) is not None
    ):
        _identity(document, behaviour, number)
    return chunks


def _identity(document: Members, behaviour: Behaviour, number: int) -> None:
    if behaviour.object is not None:
        document["object"] = behaviour.object
    if behaviour.id == "empty":
        document.update(id="", model="")
    elif behaviour.id == "rotate":
        created = document["created"]
        assert isinstance(created, int)
        document.update(
            id=f"{document['id']}-{number}", model=f"{document['model']}-{number}", created=created + number
        )
    if behaviour.created != "int":
        moments: Members = {"zero": 0, "float": 1.5e9, "text": "1500000000"}
        document["created"] = moments[behaviour.created]
    if behaviour.null_error:
        document["error"] = None
    if behaviour.extra_fields:
        document["x_extra"] = {"numbers": [1.0, 10**30], "null": None}


def _set_or_drop(members: Members, name: str, value: Json) -> None:
    if value is None:
        members.pop(name, None)
    else:
        members[name] = value
