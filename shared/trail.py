"""What an operator's action is called, on what it is done, and what of it may be written down. Pure.

The log of actions keeps what was asked for, but no secret: a field that carries one is declared with `SecretText`, and a mapping
whose values may be secrets with `SecretValues`. The declaration is part of the field's type, so it goes wherever the shape goes.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

HIDDEN = "[hidden]"
OBJECT_CHARACTERS_MAX = 200
BYTES_MAX = 200_000  # of one side of an action; two of them fit into one message
_MARK = {"is_secret": True}

SecretText = Annotated[str, msgspec.Meta(extra=_MARK, extra_json_schema={"format": "password"})]
SecretBytes = Annotated[bytes, msgspec.Meta(extra=_MARK)]
SecretValues = Annotated[dict[str, str], msgspec.Meta(extra=_MARK)]


class ActionKind(msgspec.Struct, frozen=True):
    """How an action is called, such as `make_channel`, and `on` what it is done: a text with names in braces, `channel {name}`."""

    name: str
    on: str

    def object_of(self, values: Mapping[str, object]) -> str:
        """Return what this action is done on, for people to read. Raises: KeyError when `values` lack a name."""
        return printable(self.on.format_map({name: _named(value) for name, value in values.items()}))


def _named(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "anybody" if value is None else str(value)


def printable(text: str) -> str:
    """Return `text` as one line of at most OBJECT_CHARACTERS_MAX characters."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:OBJECT_CHARACTERS_MAX]
    )


def redacted(value: msgspec.Struct) -> bytes:
    """Return `value` as JSON without secrets, and without what has its default.

    What would be larger than BYTES_MAX is left out, and the JSON says how large it was.
    """
    text = msgspec.json.encode(_plain(value))
    if len(text) > BYTES_MAX:
        return msgspec.json.encode({"left_out_bytes": len(text)})
    return text


@cache
def secret_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields of `kind` that are declared to carry secrets."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for name in kind.__struct_fields__ if _is_marked(hints[name]))


def _is_marked(hint: object) -> bool:
    if isinstance(hint, msgspec.Meta):
        return bool((hint.extra or {}).get("is_secret"))
    return any(_is_marked(part) for part in (*get_args(hint), *getattr(hint, "__metadata__", ())))


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        secret = secret_fields(type(value))
        return {
            field.encode_name: _hidden(given) if field.name in secret else _plain(given)
            for field in msgspec.structs.fields(value)
            if not _is_default(given := getattr(value, field.name), field)
        }
    if isinstance(value, Mapping):
        return {_plain(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    # PostgreSQL's JSON has every character but this one.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _is_default(given: object, field: msgspec.structs.FieldInfo) -> bool:
    if given is msgspec.UNSET:
        return True
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(given == field.default_factory())
    return field.default is not msgspec.NODEFAULT and bool(given == field.default)


def _hidden(value: object) -> object:
    if value is None:
        return None
    return {_plain(name): HIDDEN for name in value} if isinstance(value, Mapping) else HIDDEN
