"""Tool calls as providers other than OpenAI number, name and fill them."""

import msgspec

from services.simulator.arguments import Json
from services.simulator.behaviour import Behaviour
from services.simulator.chunks import Chunk, Members, function_of


def bend_tool_calls(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """Return the chunks of a stream with their fragments of tool calls as the behaviour wants them."""
    for bend in (_tool_args, _tool_names, _tool_ids, _tool_indexes):
        chunks = bend(chunks, behaviour)
    return chunks


def _tool_args(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    if behaviour.tool_args == "null":
        for function in (function_of(call) for chunk in chunks for call in chunk.fragments if "id" in call):
            function["arguments"] = None
    return _whole(chunks, behaviour) if behaviour.tool_args in ("object", "one_chunk") else chunks


def _whole(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    """Put all arguments of a call into its first fragment, as text or as an object."""
    opening: dict[str, Members] = {}
    for call in (call for chunk in chunks for call in chunk.fragments):
        first = opening.setdefault(str(call["index"]), function_of(call))
        if first is not call["function"]:
            first["arguments"] = f"{first['arguments']}{function_of(call)['arguments']}"
    if behaviour.tool_args == "object":
        for function in opening.values():
            function["arguments"] = msgspec.json.decode(str(function["arguments"]))
    return [chunk for chunk in chunks if all("id" in call for call in chunk.fragments)]


def _tool_names(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    if behaviour.tool_name == "once":
        return chunks
    names: dict[str, Json] = {}
    last: dict[str, Members] = {}
    for call in (call for chunk in chunks for call in chunk.fragments):
        index, function = str(call["index"]), function_of(call)
        names.setdefault(index, function.get("name"))
        last[index] = function
        if behaviour.tool_name == "repeat":
            function["name"] = names[index]
        else:
            function.pop("name", None)
    if behaviour.tool_name == "late":
        for number, function in last.items():
            function["name"] = names[number]
    return chunks


def _tool_ids(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    ids: dict[str, Json] = {}
    for call in (call for chunk in chunks for call in chunk.fragments):
        is_first = "id" in call
        ids.setdefault(str(call["index"]), call.get("id"))
        if behaviour.tool_id == "none":
            call.pop("id", None)
            call.pop("type", None)
        elif behaviour.tool_id == "repeat":
            call.update(id=ids[str(call["index"])], type="function")
        elif behaviour.tool_id == "empty_repeat" and not is_first:
            call.update(id="", type="function")
    return chunks


def _tool_indexes(chunks: list[Chunk], behaviour: Behaviour) -> list[Chunk]:
    for call in (call for chunk in chunks for call in chunk.fragments):
        index = call["index"]
        assert isinstance(index, int)
        if behaviour.tool_index == "none":
            del call["index"]
        else:
            call["index"] = {"from1": index + 1, "reuse": 0, "gaps": index * 2}.get(
                behaviour.tool_index, index
            )
    return chunks


def bend_whole_call(call: Members, behaviour: Behaviour) -> None:
    """Change a call of a plain answer in place."""
    if behaviour.tool_id == "none":
        del call["id"], call["type"]
    function = function_of(call)
    if behaviour.tool_args == "object":
        function["arguments"] = msgspec.json.decode(str(function["arguments"]))
    elif behaviour.tool_args == "null":
        function["arguments"] = None
