"""What was asked: the typed view of a chat completion request, and what it counts as input.

A token of input is four bytes of UTF-8, rounded up for each text; an image is 85 tokens, audio 10 tokens a second (of
16-bit mono PCM at 16 kHz), the tools a quarter of their compact JSON. Nothing else in a request counts.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from shared.errors import InvalidRequest

IMAGE_TOKENS = 85
AUDIO_TOKENS_PER_SECOND = 10
AUDIO_BYTES_PER_SECOND = 32_000

T = TypeVar("T")


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """The sound of a part, in base64."""

    data: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a message's content."""

    type: str
    text: str = ""
    input_audio: Audio | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call, with the JSON schema of its arguments."""

    name: str
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the request; only functions are ever called."""

    type: str = "function"
    function: Function | None = None


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream carries besides the text."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a chat completion request that change the simulator's answer; others are ignored."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    tools: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def includes_usage(self) -> bool:
        """Whether the caller asked for usage in the stream."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def output_limit(self) -> int | None:
        """The most tokens that one choice may have."""
        limits = [limit for limit in (self.max_completion_tokens, self.max_tokens) if limit is not None]
        return min(limits, default=None)

    @property
    def stops(self) -> list[str]:
        """The texts before which an answer ends."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [text for text in stop if text]

    @property
    def functions(self) -> list[Function]:
        """The functions that may be called.

        Raises: InvalidRequest when the tools are malformed.
        """
        raw = bytes(self.tools)
        tools = [] if raw == b"null" else _decode(raw, list[Tool])
        return [tool.function for tool in tools if tool.function is not None]

    @property
    def last_user_text(self) -> str:
        """The text of the last message of the user, empty without one."""
        for message in reversed(self.messages):
            if message.role == "user":
                return _text(message)
        return ""


def decode(body: bytes) -> ChatRequest:
    """Return the request of a body.

    Raises: InvalidRequest when it is not JSON, or a member that matters is missing or has the wrong type.
    """
    return _decode(body, ChatRequest)


def count_prompt_tokens(request: ChatRequest) -> int:
    """Return the tokens of input, by the rule of this module."""
    count = sum(_message_tokens(message) for message in request.messages)
    tools = msgspec.json.format(bytes(request.tools), indent=-1)
    return count if tools in (b"null", b"[]") else count + _quarter(len(tools))


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest("invalid_value", problem=str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("invalid_json", problem=str(error)) from error


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


def _message_tokens(message: Message) -> int:
    if isinstance(message.content, list):
        return sum(_part_tokens(part) for part in message.content)
    return _quarter(len((message.content or "").encode()))


def _part_tokens(part: Part) -> int:
    if part.type == "image_url":
        return IMAGE_TOKENS
    if part.input_audio is not None:
        audio_bytes = len(part.input_audio.data) * 3 // 4
        return -(-audio_bytes * AUDIO_TOKENS_PER_SECOND // AUDIO_BYTES_PER_SECOND)
    return _quarter(len(part.text.encode()))


def _quarter(size: int) -> int:
    return -(-size // 4)
