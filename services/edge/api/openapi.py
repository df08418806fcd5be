"""The OpenAPI document of the JSON API, written from its table."""

import re
from typing import Any

import msgspec

from services.edge.api.endpoint import Endpoint, Nothing

_PARAMETER = re.compile(r"{([a-z_]+)(:path)?}")
_REF = "#/components/schemas/{name}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def document(endpoints: tuple[Endpoint, ...], *, version: str) -> dict[str, Any]:
    """Return the document as plain values. Source: OpenAPI Specification 3.1.1."""
    structs = {each for one in endpoints for each in (one.takes, one.gives, one.query)}
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    schemas = {name: _openapi(schema) for name, schema in components.items()}
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        path = "/api" + _PARAMETER.sub(r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay",
            "version": version,
            "description": "Everything that the console does. Sign in with a management key: `Authorization: Bearer mk-relay-…`.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {
                "management_key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-relay-session"},
            },
        },
    }


def _operation(one: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    name = one.gives.__name__
    good: dict[str, Any] = {"description": one.gives.__doc__ or name}
    if one.media != "application/json":
        good["content"] = {one.media: {"schema": {"type": "string"}}}
    else:
        good["content"] = {one.media: {"schema": {"$ref": _REF.format(name=name)}}}
    operation: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "tags": [one.access],
        "parameters": [*_path_parameters(one), *_query_parameters(one, components)],
        "responses": {
            "200": good,
            "default": {
                "description": "What went wrong, in the language of `Accept-Language`",
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}},
            },
        },
    }
    if one.access != "public":
        operation["security"] = [{"session": []}, *([] if one.is_browser_only else [{"management_key": []}])]
    if one.method in ("POST", "PUT", "PATCH") and one.takes is not Nothing:
        schema = {"$ref": _REF.format(name=one.takes.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if one.is_dangerous:
        operation["description"] = (
            "Asks a session for the password or a second factor within the last minutes."
        )
    return operation


def _path_parameters(one: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name, _ in _PARAMETER.findall(one.path)
    ]


def _query_parameters(one: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    properties = components[one.query.__name__].get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": _openapi(schema)}
        for name, schema in properties.items()
    ]


def _openapi(schema: Any) -> Any:
    """Return the schema with descriptions that are one line, as they stand in docstrings."""
    if isinstance(schema, dict):
        return {
            name: " ".join(value.split())
            if name == "description" and isinstance(value, str)
            else _openapi(value)
            for name, value in schema.items()
        }
    return [_openapi(each) for each in schema] if isinstance(schema, list) else schema
