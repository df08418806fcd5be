"""What a channel changes in a request on its way upstream: members of the body, and headers. Pure.

An operator's word stands above the client's, and below what Relay itself must set: the model, the bound on the output that money is
held for, and the report of usage.
"""

import json
import re
from collections.abc import Mapping, Sequence

import msgspec

from shared.contracts.dispatcher import AuthHeader

HEADERS_MAX = 32
PARAMETERS_MAX = 64
HEADER_LENGTH_MAX = 1000
VALUE_LENGTH_MAX = 16_384
NAME_LENGTH_MAX = 100

# Members that decide what is held, charged or streamed: nobody but Relay may put a value there.
RESERVED = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"}
)
REQUIRED = frozenset({"model", "messages", "stream", "stream_options"})

# Of one connection (RFC 9110 §7.6.1), written by the transport, or the credential, which is kept sealed.
FORBIDDEN_HEADERS = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "content-length", "content-type", "content-encoding", "accept",
        "accept-encoding", "expect", "authorization", "api-key", "x-api-key", "cookie",
    }
)  # fmt: skip

_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to the members of a request: `drop` takes them out, `default` is for those not given, `set` for all."""

    set: dict[str, msgspec.Raw] = {}
    default: dict[str, msgspec.Raw] = {}
    drop: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.default or self.drop)

    def apply(self, members: dict[str, msgspec.Raw]) -> None:
        """Change `members` in place; what is there keeps its order."""
        for name in self.drop:
            members.pop(name, None)
        for name, value in self.default.items():
            members.setdefault(name, value)
        members.update(self.set)


def overrides_of(
    set_parameters: Mapping[str, str], default_parameters: Mapping[str, str], drop_parameters: Sequence[str]
) -> Overrides:
    """Return the changes whose values are given as texts of JSON."""
    return Overrides(
        set={name: msgspec.Raw(text.encode()) for name, text in set_parameters.items()},
        default={name: msgspec.Raw(text.encode()) for name, text in default_parameters.items()},
        drop=tuple(drop_parameters),
    )


def auth_of(auth_header: AuthHeader, secret: str) -> tuple[str, str]:
    """Return the header that carries a channel's key, and its value."""
    return auth_header, f"Bearer {secret}" if auth_header == "authorization" else secret


def problem_of_headers(headers: Mapping[str, str]) -> str | None:
    """Return what is wrong with the headers of a channel, None if nothing is."""
    if len(headers) > HEADERS_MAX:
        return f"a channel sets at most {HEADERS_MAX} headers"
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            return f"{name[:40]!r} is not the name of a header in lower case"
        if name in FORBIDDEN_HEADERS:
            return f"the header {name!r} is not for a channel to set; a key is added with its own command"
        if (
            len(value) > HEADER_LENGTH_MAX
            or not value.isascii()
            or not value.isprintable()
            or value != value.strip()
        ):
            return f"the value of the header {name!r} must be up to {HEADER_LENGTH_MAX} printable ASCII characters"
    return None


def problem_of_values(values: Mapping[str, str]) -> str | None:
    """Return what is wrong with parameters that a channel sets, or gives by default; their values are texts of JSON."""
    for name, text in values.items():
        if name in RESERVED:
            return f"{name!r} is Relay's own to set"
        if len(text) > VALUE_LENGTH_MAX or not _is_json(text):
            return f"the value of {name[:40]!r} must be JSON of up to {VALUE_LENGTH_MAX} characters"
    return _problem_of_names(tuple(values))


def problem_of_drop(names: Sequence[str]) -> str | None:
    """Return what is wrong with parameters that a channel drops."""
    for name in names:
        if name in REQUIRED:
            return f"{name!r} is needed by every request"
    return _problem_of_names(names)


def _problem_of_names(names: Sequence[str]) -> str | None:
    if len(names) > PARAMETERS_MAX:
        return f"at most {PARAMETERS_MAX} parameters are changed"
    if not all(1 <= len(name) <= NAME_LENGTH_MAX and name.isprintable() for name in names):
        return f"a parameter's name has 1 to {NAME_LENGTH_MAX} printable characters"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
        text.encode()
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
