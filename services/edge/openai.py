"""What the edge must know of a chat completion request: decoded once, checked as OpenAI checks it.

The body itself goes on as it came. Members that are not named here are the upstream's to understand, and what they hold is not
judged. Names, types and ranges are those of OpenAI's API reference and of its Python SDK 3.54.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.errors import InvalidRequest

LARGEST_OUTPUT = 10**7  # tokens, for one choice: above every model's limit, and far from overflowing a price

# One process serves everybody, and reads one body at a time. These bounds are far above what a model can read, and keep a body of
# 20 MB that consists of nothing else from holding up the others: a million parts take 0.2 s, a million biases 0.4 s.
MESSAGES_MAX = 100_000
PARTS_MAX = 100_000  # of all messages together
LOGIT_BIAS_BYTES_MAX = 1024 * 1024

# What a request may cost beyond the bytes of its text:
#   an image: gpt-4o-mini counts 2,833 + 8 tiles × 5,667, the dearest that we know of (GPT-4o 1,445, Qwen2-VL up to 16,384);
#   audio: Gemini counts 32 tokens/s, OpenAI 10; the slowest MP3 has 1,000 bytes/s, so a token has ≥ 41 characters of base64;
#   tools: some vendors explain them to the model in a prompt of their own, Anthropic in up to 530 tokens.
IMAGE_TOKENS = 48_169
AUDIO_CHARACTERS_PER_TOKEN = 41
TOOLS_TOKENS = 1_000

_IMAGE_DATA = "data:image/"
_KNOWN_PARTS = frozenset({"text", "refusal", "image_url", "input_audio"})
_ROLES = "'developer', 'system', 'user', 'assistant', 'tool' or 'function'"


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one valid request; the prompt is not among them.

    `output_tokens_wanted` is for one choice, None if the client named no bound. `include_usage` is whether the client wants the
    usage chunk of a stream. `media_bytes` of the body are base64 that no tokenizer reads as text; what the request
    may cost in their place, and for what no byte of the body shows, is `extra_tokens`.
    """

    model: str
    is_stream: bool
    include_usage: bool
    output_tokens_wanted: int | None
    choices: int
    media_bytes: int
    extra_tokens: int


class _Json(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object of the body. It is in no cycle, and untracked: 20 MB of tiny objects decode in a fifth of the time."""


class _ImageUrl(_Json, frozen=True, kw_only=True):
    url: str


class _InputAudio(_Json, frozen=True, kw_only=True):
    data: str


class _Part(_Json, frozen=True, kw_only=True):
    type: str
    image_url: _ImageUrl | None = None
    input_audio: _InputAudio | None = None


class _Message(_Json, frozen=True, kw_only=True, tag_field="role"):
    content: str | tuple[_Part, ...] | None


class _Developer(_Message, frozen=True, kw_only=True, tag="developer"):
    content: str | tuple[_Part, ...]


class _System(_Message, frozen=True, kw_only=True, tag="system"):
    content: str | tuple[_Part, ...]


class _User(_Message, frozen=True, kw_only=True, tag="user"):
    content: str | tuple[_Part, ...]


class _Assistant(_Message, frozen=True, kw_only=True, tag="assistant"):
    # May be absent: a turn can consist of tool calls, a refusal, audio, or of one vendor's reasoning alone.
    content: str | tuple[_Part, ...] | None = None


class _Tool(_Message, frozen=True, kw_only=True, tag="tool"):
    content: str | tuple[_Part, ...]
    tool_call_id: str


class _Function(_Message, frozen=True, kw_only=True, tag="function"):
    content: str | None
    name: str


class _Typed(_Json, frozen=True, kw_only=True):
    type: str


class _Named(_Json, frozen=True, kw_only=True):
    name: str


class _StreamOptions(_Json, frozen=True, kw_only=True):
    include_usage: bool | None = None


_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Tokens = Annotated[int, Meta(ge=1, le=LARGEST_OUTPUT)]


class _Body(_Json, frozen=True, kw_only=True):
    """The members that we check. A null stands for an absent member, as it does at OpenAI."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[
        tuple[_Developer | _System | _User | _Assistant | _Tool | _Function, ...],
        Meta(min_length=1, max_length=MESSAGES_MAX),
    ]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: _Tokens | None = None
    max_tokens: _Tokens | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    stop: str | Annotated[tuple[str, ...], Meta(max_length=4)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: msgspec.Raw = msgspec.Raw(b"null")  # read by itself, for its size must be known first
    response_format: _Typed | None = None
    tools: Annotated[tuple[_Typed, ...], Meta(max_length=128)] | None = None
    functions: Annotated[tuple[_Named, ...], Meta(max_length=128)] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None


_DECODER = msgspec.json.Decoder(_Body)
_LOGIT_BIAS = msgspec.json.Decoder(dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None)


def parse(body: bytes) -> ChatRequest:
    """Return the facts of the request that `body` holds; what passes here is JSON in UTF-8 all through.

    Of a member that is given twice the last one counts.

    Raises: InvalidRequest with the code `invalid_json`, `missing_required_parameter` or `invalid_value`, and for the
    latter two `param` in OpenAI's form, such as `messages[0].role`.
    """
    decoded = _decoded(body)
    if not decoded.model.isprintable():  # no line break for a log, no NUL for PostgreSQL, nothing invisible
        raise _invalid("model", "expected printable characters only")
    media_bytes, extra_tokens = _media(decoded)
    options = decoded.stream_options
    return ChatRequest(
        model=decoded.model,
        is_stream=decoded.stream is True,
        include_usage=decoded.stream is True and options is not None and options.include_usage is True,
        output_tokens_wanted=decoded.max_completion_tokens or decoded.max_tokens,
        choices=decoded.n or 1,
        media_bytes=media_bytes,
        extra_tokens=extra_tokens + (TOOLS_TOKENS if decoded.tools or decoded.functions else 0),
    )


def input_tokens_bound(body_bytes: int, request: ChatRequest) -> int:
    """Return a number of tokens that the prompt of `request`, with a body of `body_bytes`, does not exceed.

    A byte of text is at most one token, because a token of a byte-level BPE covers at least one byte. The JSON around it pays for
    what a chat template adds. Images and audio in base64 count by what vendors charge for them instead.
    """
    return body_bytes - request.media_bytes + request.extra_tokens


def _decoded(body: bytes) -> _Body:
    try:
        if not body.isascii():
            body.decode()  # msgspec checks only the strings that it keeps
        decoded = _DECODER.decode(body)
        _check_logit_bias(decoded.logit_bias)
        return decoded
    except msgspec.ValidationError as error:
        raise _translated(str(error)) from error
    except msgspec.DecodeError as error:
        problem = str(error).removeprefix("JSON is malformed: ")
        raise InvalidRequest("invalid_json", problem=problem[:1].lower() + problem[1:]) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("invalid_json", problem=f"not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise InvalidRequest("invalid_json", problem="nested too deeply") from error


def _check_logit_bias(text: msgspec.Raw) -> None:
    if memoryview(text).nbytes > LOGIT_BIAS_BYTES_MAX:
        raise _invalid("logit_bias", f"expected at most {LOGIT_BIAS_BYTES_MAX} bytes")
    try:
        _LOGIT_BIAS.decode(text)
    except msgspec.ValidationError as error:
        raise _translated(str(error), "logit_bias") from error


def _translated(message: str, member: str = "") -> InvalidRequest:
    """Return msgspec's words, such as ``Expected `int` >= 1 - at `$.n` ``, as OpenAI's code and path, without the value itself.

    `member` is where the text stood that they speak of.
    """
    problem, _, place = message.rpartition(" - at `$") if " - at `$" in message else (message, "", "")
    path = member + place.rstrip("`").lstrip(".").partition("[...]")[0]
    _, _, missing = problem.partition("missing required field `")
    if missing:
        name = f"{path}.{missing.rstrip('`')}".lstrip(".")
        return InvalidRequest("missing_required_parameter", param=name, name=name)
    if problem.startswith("Invalid value"):  # the one member with a fixed set of values
        problem = f"expected {_ROLES}"
    return _invalid(path or None, problem[:1].lower() + problem[1:])


def _invalid(param: str | None, problem: str) -> InvalidRequest:
    place = "" if param is None else f" at '{param}'"
    return InvalidRequest("invalid_value", param=param, problem=problem + place)


def _media(body: _Body) -> tuple[int, int]:
    """Return how many bytes of the body are base64 media, and the tokens that all parts but text may cost."""
    parts = media_bytes = extra_tokens = 0
    for message in body.messages:
        if isinstance(message.content, tuple):
            parts += len(message.content)
            if parts > PARTS_MAX:
                raise _invalid("messages", f"expected at most {PARTS_MAX} content parts")
            for part in message.content:
                held, tokens = _part_media(part)
                media_bytes += held
                extra_tokens += tokens
    return media_bytes, extra_tokens


def _part_media(part: _Part) -> tuple[int, int]:
    """Return the same for one part.

    A part that we do not know counts as an image and by its bytes, and so does a file: it may be text, which can cost a token
    for each byte. An image that is not shown to be one may be anything, so its bytes count too.
    """
    held = tokens = 0
    if part.image_url is not None:
        url = part.image_url.url
        held = len(url) if url[: len(_IMAGE_DATA)].lower() == _IMAGE_DATA else 0
        tokens = IMAGE_TOKENS
    if part.input_audio is not None:
        held += len(part.input_audio.data)
        tokens += len(part.input_audio.data) // AUDIO_CHARACTERS_PER_TOKEN + 1
    if part.type not in _KNOWN_PARTS:
        tokens += IMAGE_TOKENS
    return held, tokens
