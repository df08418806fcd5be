"""The page at `/docs`: the OpenAPI document as people read it, written once, without a script."""

from html import escape
from typing import Any

Schema = dict[str, Any]

_GROUPS = (
    ("public", "Anybody may ask"),
    ("person", "Signed in, or with a management key"),
    ("operator", "Operators"),
)
_STYLE = """
:root { color-scheme: light dark; --edge: #8884; --faint: #8882; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 6rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--edge); padding-bottom: .3rem; }
code, .path { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; }
details { border: 1px solid var(--edge); border-radius: .6rem; margin: .6rem 0; padding: .55rem .9rem; }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: baseline; }
summary span:last-child { flex-basis: 16rem; flex-grow: 1; text-align: right; }
.method { font-weight: 700; min-width: 4.2rem; } .note { background: var(--faint); border-radius: .4rem; padding: .35rem .6rem; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem; } caption { text-align: left; font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--faint); }
td:first-child { white-space: nowrap; }
pre { overflow-x: auto; background: var(--faint); padding: .7rem .9rem; border-radius: .6rem; }
a { color: inherit; }
"""


def page(document: Schema, base_url: str) -> str:
    """Return the page as HTML; `base_url` is where this site is."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>Relay API</title><style>{_STYLE}</style><main><h1>Relay API</h1>",
        "<p>Everything that the console does can be scripted. Make a management key under <a href=/account>Account</a> and send it "
        "along; errors come as <code>{&quot;error&quot;: {message, type, param, code}}</code>. Models themselves are called at "
        f"<code>{escape(base_url)}/v1</code> with an API key, as <a href=/docs/start>the first steps</a> show. "
        "The same as a document: <a href=/openapi.json>openapi.json</a>.</p>",
        f"<pre>curl {escape(base_url)}/api/wallet -H 'Authorization: Bearer mk-relay-…'</pre>",
    ]
    for tag, title in _GROUPS:
        parts.append(f"<h2>{title}</h2>")
        parts += [
            _operation(method, path, operation, document["components"]["schemas"])
            for method, path, operation in operations
            if operation["tags"] == [tag]
        ]
    return "".join((*parts, "</main></html>"))


def _operation(method: str, path: str, operation: Schema, schemas: Schema) -> str:
    parts = [
        f"<details id={escape(operation['operationId'])}><summary><span class=method>{method.upper()}</span>"
        f"<span class=path>{escape(path)}</span><span>{escape(operation['summary'])}</span></summary>"
    ]
    if "description" in operation:
        parts.append(f"<p class=note>{escape(operation['description'])}</p>")
    if operation["parameters"]:
        rows = [
            (each["name"], _type(each["schema"], schemas), each["in"]) for each in operation["parameters"]
        ]
        parts.append(_table("Parameters", rows))
    if "requestBody" in operation:
        parts.append(
            _struct("Takes", operation["requestBody"]["content"]["application/json"]["schema"], schemas)
        )
    for media, content in operation["responses"]["200"]["content"].items():
        if media == "application/json":
            parts.append(_struct("Gives", content["schema"], schemas))
        else:
            parts.append(f"<p>Gives <code>{escape(media)}</code>.</p>")
    return "".join((*parts, "</details>"))


def _struct(title: str, schema: Schema, schemas: Schema) -> str:
    name = schema["$ref"].rpartition("/")[2]
    struct = schemas[name]
    required = struct.get("required", [])
    rows = [
        (field, _type(kind, schemas), "" if field in required else _default(kind))
        for field, kind in struct.get("properties", {}).items()
    ]
    text = escape(struct.get("description", ""))
    if not rows:
        return f"<p>{title} nothing.</p>"
    return f"<p>{title} <code>{escape(name)}</code>: {text}</p>" + _table("", rows)


def _table(caption: str, rows: list[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{escape(more)}</td></tr>"
        for name, kind, more in rows
    )
    return f"<table>{f'<caption>{caption}</caption>' if caption else ''}{cells}</table>"


def _default(kind: Schema) -> str:
    if "default" not in kind:
        return "optional"
    value = kind["default"]
    return "optional" if value in (None, [], {}) else f"optional, {value} by default"


def _type(kind: Schema, schemas: Schema) -> str:
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        struct = schemas[name]
        if "enum" in struct:
            return _choices(struct["enum"])
        inner = ", ".join(struct.get("properties", {}))
        return f"<span title='{escape(struct.get('description', ''), quote=True)}'>{escape(name)} {{{escape(inner)}}}</span>"
    if "anyOf" in kind:
        return " or ".join(_type(each, schemas) for each in kind["anyOf"])
    if "enum" in kind:
        return _choices(kind["enum"])
    if kind.get("type") == "array":
        return "list of " + _type(kind.get("items", {}), schemas)
    if kind.get("type") == "object" and isinstance(kind.get("additionalProperties"), dict):
        return "name → " + _type(kind["additionalProperties"], schemas)
    return escape(str(kind.get("type", "anything")))


def _choices(values: list[object]) -> str:
    return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
