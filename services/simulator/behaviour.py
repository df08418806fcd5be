"""How one request is answered: the directive language and its frozen form.

A directive is a list of `key=value` pairs. It reaches the simulator, from strongest to weakest, as a queued scenario, in
the last user text as `[[sim key=value key="two words"]]`, as a model suffix `name@key=value,key=value`, through an
upstream key `sk-sim-<profile>` (`profiles.json`), or as the simulator's defaults. For each key the strongest source that
names it wins. A key alone means `key=1`. Delays are milliseconds, sizes are bytes, `tps` is tokens per second.
"""

import re
import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.errors import InvalidRequest

LARGEST_BYTES = 64 * 1024 * 1024
LARGEST_TOKENS = 100_000

Directive = Mapping[str, str]
Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]
Tokens = Annotated[int, Meta(ge=0, le=LARGEST_TOKENS)]
Size = Annotated[int, Meta(ge=0, le=LARGEST_BYTES)]
HeaderText = Annotated[str, Meta(pattern=r"^[ -~]*\Z", max_length=2_000)]
LineText = Annotated[str, Meta(pattern=r"^[^\r\n]*\Z", max_length=2_000)]

_IN_PROMPT = re.compile(r"\[\[sim\s+(.*?)\]\]", re.DOTALL)
_KEY_PREFIX = "sk-sim-"
_FIELD_OF_PROBLEM = re.compile(r" - at `\$\.(\w+)`\Z")
_EOL = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be asked of one answer; the defaults are a fast, correct OpenAI."""

    # Volume: `out` asks for that many made-up tokens, `reply` for this text; without both the answer quotes the user.
    out: Tokens | None = None
    reply: Annotated[str, Meta(max_length=LARGEST_TOKENS)] | None = None
    reasoning: Tokens = 0
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    tools: Annotated[int, Meta(ge=0, le=64)] = 0
    opening: Annotated[int, Meta(ge=0, le=10_000)] = (
        0  # events without content between the role and the first token
    )

    # Timing: `stall_at=tok:ms`, `pre_ping=n:ms` (n pings, one each ms, before the first token).
    header_delay: Milliseconds = 0
    ttft: Milliseconds = 0
    tps: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0
    stall_at: Annotated[str, Meta(pattern=r"^\d{1,6}:\d{1,7}\Z")] | None = None
    pre_ping: Annotated[str, Meta(pattern=r"^\d{1,4}:\d{1,7}\Z")] | None = None
    ping_every: Annotated[float, Meta(ge=1, le=3_600_000)] | None = None

    # Framing: what is legal or seen in the wild, though no canonical OpenAI server sends it.
    chunk_tokens: Annotated[int, Meta(ge=1, le=LARGEST_TOKENS)] = 1
    split: Annotated[int, Meta(ge=1, le=LARGEST_BYTES)] | None = None
    coalesce: Annotated[int, Meta(ge=1, le=LARGEST_TOKENS)] = 1
    eol: Literal["lf", "crlf", "cr"] = "lf"
    space: bool = True
    bom: bool = False
    event_names: bool = False
    id_lines: bool = False
    retry_line: bool = False
    comments: LineText | None = None
    multiline_data: bool = False
    final_blank: bool = True
    done: Literal[0, 1, 2] = 1
    after_done: LineText | None = None
    gzip: bool = False
    te: Literal["chunked", "length", "close"] | None = None
    ct: HeaderText | None = None
    big_line: Size = 0
    huge_body: Size = 0
    http10: bool = False
    close_conn: bool = False

    # Usage: where it is told, and what of it is told wrongly; the ledger always knows the truth.
    usage: Literal[
        "auto", "never", "every", "last", "after_finish", "finish_chunk", "x_groq", "in_choice",
        "placeholder_zero", "strings", "wrong_total", "header",
    ] = "auto"  # fmt: skip
    ignore_include_usage: bool = False
    cached: Tokens = 0
    cache_write: Annotated[str, Meta(pattern=r"^\d{1,6}(:(5m|30m|1h|12h))?\Z")] | None = None
    reasoning_excluded: bool = False
    cached_excluded: bool = False
    tier: HeaderText | None = None
    fees: Annotated[str, Meta(pattern=r"^web_search:\d{1,6}\Z")] | None = None

    # Shape: what providers of this dialect make of a chunk or of a message, though OpenAI does not (`shape.py`).
    role: Literal["once", "never", "every", "empty"] = "once"
    reason_field: Literal[
        "reasoning_content", "reasoning", "details", "think_tags", "content_list", "thinking"
    ] = "reasoning_content"
    finish: Annotated[str, Meta(pattern=r"^[A-Za-z_]{1,64}\Z")] | None = (
        None  # a literal, `missing` or `empty_every`
    )
    finish_late: bool = False
    tool_index: Literal["ok", "none", "from1", "reuse", "gaps"] = "ok"
    tool_id: Literal["ok", "none", "empty_repeat", "repeat"] = "ok"
    tool_name: Literal["once", "repeat", "late"] = "once"
    tool_args: Literal["string", "object", "null", "one_chunk"] = "string"
    first_chunk: Literal["normal", "azure_filter", "empty_choices"] = "normal"
    final_message_frame: bool = False
    object: LineText | None = None
    id: Literal["stable", "rotate", "empty"] = "stable"
    created: Literal["int", "zero", "float", "text"] = "int"
    delta: Literal["object", "null"] = "object"
    content: Literal["string", "list"] = "string"
    cumulative_text: Literal["no", "beside", "alone"] = "no"
    logprobs: Literal["null", "missing", "legacy"] = "null"
    half_characters: bool = False
    dup_last: bool = False
    null_error: bool = False
    extra_fields: bool = False

    # Errors and cuts; `fail_first` and `fail_rate` limit all of them to some of the attempts. `tok:0` and `mid:0` are
    # after the role. A plain body is torn in its middle, unless the place is `headers`, `first` or `mid_utf8`. After so many
    # tokens `malformed` sends half an object of JSON as a whole event, and `done_at` a `[DONE]`, and nothing else follows; a
    # plain body is half an object. `empty` answers with a body of nothing, or with no choices.
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    err_shape: Literal[
        "openai", "vllm", "detail", "fastapi", "string", "flat", "zhipu", "siliconflow", "minimax200", "dashscope200",
        "google", "google_array", "anthropic", "aws", "azure", "html", "empty", "text",
    ] = "openai"  # fmt: skip
    code: HeaderText | None = None
    retry_after: HeaderText | None = None
    retry_text: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    x_should_retry: bool | None = None
    err_in: Annotated[str, Meta(pattern=r"^(body200|first_event|after_finish|mid:\d{1,6})\Z")] | None = None
    fail_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    fail_first: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    cut: (
        Annotated[
            str,
            Meta(pattern=r"^(headers|first|tok:\d{1,6}|before_usage|before_done|mid_utf8|mid_json)\Z"),
        ]
        | None
    ) = None
    cut_mode: Literal["fin", "rst", "bad_chunk", "hang"] = "fin"
    malformed: Tokens | None = None
    done_at: Tokens | None = None
    empty: Literal["body", "choices"] | None = None
    ignore_abort: bool = False
    echo_secret: bool = False
    redirect: HeaderText | None = None

    @property
    def eol_bytes(self) -> bytes:
        """The end of a line in a stream of events."""
        return _EOL[self.eol]

    @property
    def has_fault(self) -> bool:
        """Whether the answer is an error, a redirect, a cut or spoilt."""
        return bool(
            self.status or self.err_in or self.cut or self.redirect or self.echo_secret or self.is_spoilt
        )

    @property
    def is_spoilt(self) -> bool:
        """Whether the answer says less than a good one, or nothing that can be read."""
        return self.malformed is not None or self.done_at is not None or self.empty is not None

    def without_faults(self) -> "Behaviour":
        """Return the same behaviour for an attempt that succeeds."""
        return msgspec.structs.replace(
            self, status=None, err_in=None, cut=None, redirect=None, echo_secret=False, malformed=None, done_at=None,
            empty=None, fail_first=None, fail_rate=None,
        )  # fmt: skip


def resolve(*layers: Directive) -> Behaviour:
    """Return the behaviour that the layers ask for together; the first layer that names a key decides it.

    Raises: InvalidRequest, with the key as `param`, for an unknown key or a value that it cannot have.
    """
    merged: dict[str, str] = {}
    for layer in reversed(layers):
        merged |= layer
    for key in merged:
        if key not in Behaviour.__struct_fields__:
            raise _refusal(key, "is not known")
    try:
        behaviour = msgspec.convert(merged, Behaviour, strict=False)
    except msgspec.ValidationError as error:
        field = _FIELD_OF_PROBLEM.search(str(error))
        key = field.group(1) if field else "?"
        problem = _FIELD_OF_PROBLEM.sub("", str(error))
        raise _refusal(key, f"has the value {merged.get(key, '')[:60]!r}: {problem}") from error
    if (behaviour.out or 0) * (behaviour.n or 1) > LARGEST_TOKENS:
        raise _refusal("out", f"times 'n' exceeds {LARGEST_TOKENS} tokens")
    return behaviour


def parse(text: str) -> Directive:
    """Return the pairs of `key=value key="two words" flag`.

    Raises: InvalidRequest when a quotation does not end.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidRequest(
            "invalid_value", problem=f"the simulator directive {text[:60]!r}: {error}"
        ) from error
    return _pairs(words)


def from_prompt(text: str) -> tuple[Directive, str]:
    """Return the directive of a user's text, and the text without it.

    Raises: InvalidRequest as `parse` does.
    """
    if "[[sim" not in text:
        return {}, text
    directive: dict[str, str] = {}
    for inside in _IN_PROMPT.findall(text):
        directive |= parse(inside)
    return directive, _IN_PROMPT.sub("", text).strip()


def from_model(model: str) -> tuple[Directive, str]:
    """Return the directive of a model's suffix, and the bare model; a suffix without `=` belongs to the name."""
    name, _, suffix = model.partition("@")
    if "=" not in suffix:
        return {}, model
    return _pairs(suffix.split(",")), name


def from_key(api_key: str) -> Directive:
    """Return the profile of an upstream key: `sk-sim-<profile>`, or `sk-sim-<profile>-<anything>`.

    A key that names no profile asks for nothing.
    """
    if not api_key.startswith(_KEY_PREFIX):
        return {}
    words = api_key.removeprefix(_KEY_PREFIX).split("-")
    for length in range(len(words), 0, -1):
        profile = PROFILES.get("-".join(words[:length]))
        if profile is not None:
            return profile
    return {}


def _pairs(words: list[str]) -> Directive:
    pairs = {}
    for word in words:
        key, separator, value = word.partition("=")
        pairs[key] = value if separator else "1"
    return pairs


def _refusal(key: str, problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_value", param=key, problem=f"the simulator key '{key}' {problem}")


PROFILES: dict[str, Directive] = msgspec.json.decode(
    resources.files(__package__).joinpath("profiles.json").read_bytes(), type=dict[str, dict[str, str]]
)
