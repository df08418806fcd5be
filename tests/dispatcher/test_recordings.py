"""Recorded answers of real providers, replayed through the relay's reading and read by the official SDK."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.dispatcher.usage import Usage, merge
from tests.dispatcher.chunks import DONE, inspected, plain, read
from tests.dispatcher.recordings import (
    bodies,
    needs_recordings,
    parametrized,
    recorded,
    said_in_message,
    said_in_stream,
    streams,
)  # fmt: skip

# A member that providers give values of their own, which Relay passes on: the SDK's types list OpenAI's alone.
OWN_VALUES = ("service_tier",)


def _replayed(lines: list[bytes], *, include_usage: bool, step: int) -> tuple[Usage | None, bytes]:
    events = [b"data: %b\n\n" % line for line in lines]
    inspector, sent = inspected(*events, DONE, include_usage=include_usage, step=step)
    assert inspector.error is None
    assert inspector.saw_output
    assert inspector.finish().is_complete
    return inspector.usage, sent


def _typed(document: Any) -> Any:
    return {name: value for name, value in document.items() if name not in OWN_VALUES}


def _accumulated(documents: list[Any]) -> ChatCompletion:
    """Return what the SDK puts together from a stream, each chunk of which is one by its own types."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for document in documents:
        state.handle_chunk(ChatCompletionChunk.model_validate(_typed(document)))
    return state.get_final_completion()


@needs_recordings
@parametrized(streams())
@pytest.mark.parametrize("include_usage", [True, False])
def test_a_recorded_stream_says_the_same_to_the_sdk(path: Path, include_usage: bool) -> None:
    """Text, thoughts, tool calls and usage are the provider's, whatever the chunks of TCP; it ends once, with the usage last."""
    lines = recorded(path).splitlines()
    usage, sent = _replayed(lines, include_usage=include_usage, step=10**9)
    for step in (7, 1000):
        assert _replayed(lines, include_usage=include_usage, step=step) == (usage, sent)

    completion = _accumulated(read(sent))

    (choice,) = completion.choices
    assert said_in_message(choice.model_dump()) == said_in_stream(lines)
    assert choice.message.role == "assistant"
    assert usage is not None
    assert not usage.is_implausible
    if include_usage:
        assert completion.usage is not None
        assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (
            usage.input_tokens,
            usage.output_tokens,
        )
    else:
        assert not any("usage" in document for document in read(sent))
    assert [bool(document["choices"]) for document in read(sent)].count(False) == include_usage


@needs_recordings
@parametrized(
    [path for path in streams() if path.parts[-2:-1] in (("alibaba",), ("chat",)) and "xai" not in path.name]
)
def test_a_recorded_stream_that_is_canonical_goes_on_byte_for_byte(path: Path) -> None:
    """All of what OpenAI, Alibaba and DeepSeek sent, but for Azure's frame of a filter and a usage beside the finish."""
    lines = recorded(path).splitlines()
    _, sent = _replayed(lines, include_usage=True, step=10**9)

    odd = [
        line
        for line in lines
        if b'"prompt_filter_results"' in line or (b'"usage":{' in line and b'"choices":[{' in line)
    ]
    kept = [b"data: %b\n\n" % line for line in lines if line not in odd]
    assert len(odd) <= 1
    assert sent.startswith(b"".join(kept))


@needs_recordings
@parametrized(streams())
def test_a_recorded_stream_that_was_rewritten_is_canonical(path: Path) -> None:
    """Sent through a second relay, nothing of it changes any more."""
    lines = recorded(path).splitlines()
    _, sent = _replayed(lines, include_usage=True, step=10**9)

    _, again = inspected(sent, DONE, include_usage=True)

    assert again == sent


@needs_recordings
@parametrized(bodies())
def test_a_recorded_answer_says_the_same_to_the_sdk(path: Path) -> None:
    """It is one by the SDK's types, with the usage that is charged, and is rewritten only where it was not canonical."""
    body = recorded(path)
    result = plain(body.decode())

    assert result.error is None
    completion = ChatCompletion.model_validate(_typed(json.loads(result.body)))
    came = json.loads(body)
    assert [said_in_message(choice.model_dump()) for choice in completion.choices] == [
        said_in_message(choice) for choice in came["choices"]
    ]
    assert completion.usage is not None
    assert result.usage == merge(None, came["usage"])
    assert completion.usage.completion_tokens == result.usage.output_tokens
    assert plain(result.body.decode()).body == result.body
