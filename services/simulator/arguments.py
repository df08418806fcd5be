"""Arguments for a simulated tool call: the smallest value that a JSON schema admits.

A constant or the first member of an `enum` comes first, then only the required members of an object, the least number
and length allowed. `$ref` reaches into the schema itself; `anyOf` and `oneOf` take their first branch, `allOf` all.
"""

from typing import cast

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = dict[str, Json]

DEEPEST = 16


def sample(schema_json: bytes) -> str:
    """Return compact JSON of the smallest value of the schema; without a type it is an object."""
    root = msgspec.json.decode(schema_json)
    schema: Schema = root if isinstance(root, dict) else {}
    return msgspec.json.encode(_value({"type": "object", **schema}, schema, 0)).decode()


def _value(schema: Json, root: Schema, depth: int) -> Json:
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    branch = _branch(schema, root)
    if branch is not None:
        return _value(branch, root, depth + 1)
    return _of_type(schema, root, depth)


def _branch(schema: Schema, root: Schema) -> Json:
    """Return the schema that stands in for this one, None when it stands for itself."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _resolve(reference, root)
    for key in ("anyOf", "oneOf"):
        branches = schema.get(key)
        if isinstance(branches, list) and branches:
            return branches[0]
    parts = schema.get("allOf")
    if isinstance(parts, list):
        joined = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            joined |= part if isinstance(part, dict) else {}
        return joined
    return None


def _resolve(reference: str, root: Schema) -> Json:
    found: Json = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) and name else found
    return found


def _of_type(schema: Schema, root: Schema, depth: int) -> Json:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and "properties" in schema):
        return _object(schema, root, depth)
    if kind == "array":
        return [_value(schema.get("items", {}), root, depth + 1)] * min(_least(schema, "minItems", 0), 100)
    if kind in ("integer", "number"):
        return _least(schema, "minimum", _least(schema, "exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return "text".ljust(min(_least(schema, "minLength", 0), 1_000), "t")[: _least(schema, "maxLength", 1_000)]


def _object(schema: Schema, root: Schema, depth: int) -> Json:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(required, list):
        return {}
    known = properties if isinstance(properties, dict) else {}
    return {name: _value(known.get(name, {}), root, depth + 1) for name in cast("list[str]", required)}


def _least(schema: Schema, key: str, otherwise: int) -> int:
    bound = schema.get(key)
    return int(-(-bound // 1)) if isinstance(bound, int | float) else otherwise
