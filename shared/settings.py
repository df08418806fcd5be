"""Settings: `RELAY_*` in the environment → one frozen struct per service. The only reader of the environment.

A field `drain_seconds` is read from `RELAY_DRAIN_SECONDS`, or from the file that `RELAY_DRAIN_SECONDS_FILE` names (for secrets
that are mounted, not exported). Defaults and units stand in the struct; `.env.example` is written from them.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

PREFIX = "RELAY_"
T = TypeVar("T", bound="Settings")


class SettingsError(Exception):
    """The environment cannot be used as it is; `str()` is one sentence that names the variable."""


class Secret(str):
    """A string that shows itself as stars; call `reveal()` where the value is really needed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if str.__len__(self) else "''"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def reveal(self) -> str:
        """Return the value itself."""
        return str.__str__(self)


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as a person reads it."""

    variable: str
    description: str
    default: str | None
    is_secret: bool


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service is told. Subclasses add their own fields."""

    nats_url: Annotated[
        str, msgspec.Meta(description="NATS server, or several separated by commas, as nats://host:port")
    ] = "nats://127.0.0.1:4222"
    nats_user: Annotated[str, msgspec.Meta(description="NATS user of this service; empty for none")] = ""
    nats_password: Annotated[Secret, msgspec.Meta(description="Password of the NATS user")] = Secret("")
    host: Annotated[str, msgspec.Meta(description="Address that the HTTP listener binds")] = "127.0.0.1"
    port: Annotated[
        int, msgspec.Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8080
    listen_fd: Annotated[
        int,
        msgspec.Meta(description="File descriptor of a listening socket that is already open; -1 for none"),
    ] = -1
    drain_seconds: Annotated[
        float,
        msgspec.Meta(description="Seconds that running streams and calls may go on after SIGTERM", ge=0),
    ] = 30.0
    log_level: Annotated[str, msgspec.Meta(description="debug, info, warning or error")] = "info"
    trace_endpoint: Annotated[
        str,
        msgspec.Meta(
            description="OpenTelemetry collector for traces over HTTP, as http://host:4318/v1/traces; empty for none. "
            "Needs the packages of relay[otel]"
        ),
    ] = ""
    trace_ratio: Annotated[
        float,
        msgspec.Meta(
            description="Share of the requests that are traced, 0 to 1; the edge's is used", ge=0, le=1
        ),
    ] = 0.01
    failpoints_dir: Annotated[
        str,
        msgspec.Meta(
            description="Directory in which tests let a process die at named points; empty, and so never, by default"
        ),
    ] = ""


def load(kind: type[T], environment: Mapping[str, str] | None = None) -> T:
    """Return `kind` filled from the environment (the process's own unless one is given).

    Raises: SettingsError naming the variable when a value is missing, malformed or out of range.
    """
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        variable = PREFIX + field.name.upper()
        text = _read(variable, source)
        if text is None:
            if field.required:
                raise SettingsError(f"{variable} is not set. It must be: {_description(kind, field.name)}.")
            continue
        values[field.name] = _convert(variable, text, field.type)
    return kind(**values)


def document(kind: type[Settings]) -> Iterator[Documented]:
    """Yield every setting of `kind` with its variable, description and default, in the struct's order."""
    for field in msgspec.structs.fields(kind):
        default = None if field.required else field.default
        yield Documented(
            variable=PREFIX + field.name.upper(),
            description=_description(kind, field.name),
            default=None if default is None else _default_text(default),
            is_secret=isinstance(default, Secret) or _plain(field.type) is Secret,
        )


def environment(**changes: str) -> dict[str, str]:
    """Return a copy of the process's environment with `changes`, to start a child process with."""
    return {**os.environ, **changes}


def variable(name: str) -> str | None:
    """Return one environment variable, or None when it is unset or empty. For what is not a setting of a service."""
    return os.environ.get(name) or None


def _read(variable_name: str, source: Mapping[str, str]) -> str | None:
    path = source.get(variable_name + "_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable_name}_FILE cannot be read: {error.strerror}.") from error
    return source.get(variable_name) or None


def _convert(variable_name: str, text: str, kind: object) -> object:
    plain = _plain(kind)
    if plain is Secret:
        return Secret(text)
    value: object = [part.strip() for part in text.split(",")] if get_origin(plain) is tuple else text
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{variable_name} is not usable: {error}.") from error


def _plain(kind: object) -> object:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _description(kind: type[Settings], name: str) -> str:
    hint = get_type_hints(kind, include_extras=True)[name]
    for extra in get_args(hint)[1:]:
        if isinstance(extra, msgspec.Meta) and extra.description:
            return extra.description
    return ""


def _default_text(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return default.reveal() if isinstance(default, Secret) else str(default)
