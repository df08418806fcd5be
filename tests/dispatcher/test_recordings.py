"""Recorded streams of real providers, replayed through the inspector.

The recordings stand beside a checkout, not in it; where they are absent these tests say so.
"""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from services.dispatcher.chat import StreamInspector

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings"
PROVIDERS = [
    "openai", "deepseek", "groq", "xai", "mistral", "alibaba", "moonshotai", "perplexity", "azure", "openai-compatible",
]  # fmt: skip
FILES = [
    path
    for provider in PROVIDERS
    for path in sorted((RECORDINGS / provider).rglob("*.chunks.txt"))
    if b'"choices"' in path.read_bytes().partition(b"\n")[0]
]


class _Choice(TypedDict, total=False):
    delta: dict[str, object]


class _Chunk(TypedDict, total=False):
    choices: list[_Choice]
    usage: object


def _text(objects: list[_Chunk]) -> list[object]:
    """Return all that the deltas carry, in order."""
    deltas = [choice.get("delta", {}) for each in objects for choice in each["choices"]]
    return [
        delta[name]
        for delta in deltas
        for name in ("content", "reasoning_content", "reasoning", "tool_calls")
        if name in delta
    ]


def _replayed(lines: list[bytes], include_usage: bool, step: int) -> tuple[StreamInspector, list[_Chunk]]:
    stream = b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    inspector = StreamInspector(include_usage)
    forwarded = b"".join(inspector.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    assert inspector.error is None
    assert inspector.finish().is_complete
    return inspector, [
        json.loads(event.removeprefix(b"data: ")) for event in forwarded.split(b"\n\n") if event
    ]


@pytest.mark.skipif(not FILES, reason="the recorded provider traffic is not beside this checkout")
@pytest.mark.parametrize("path", FILES or [Path("absent")], ids=lambda path: path.stem)
def test_a_recorded_stream_keeps_its_text(path: Path) -> None:
    """What the client can read of a real stream is what the provider sent, for every chunking and either choice of usage."""
    lines = path.read_bytes().splitlines()
    came: list[_Chunk] = [json.loads(line) for line in lines]
    for step in (7, 1000, 10**9):
        inspector, objects = _replayed(lines, True, step)
        assert objects == came
        assert _text(objects) == _text(came)
        assert inspector.saw_output
        assert set(inspector.finish_reasons) == {0}
        assert inspector.usage is not None or not any(each.get("usage") for each in came)
        assert inspector.usage is None or not inspector.usage.is_implausible
        _, objects = _replayed(lines, False, step)
        assert _text(objects) == _text(came)
        assert not any("usage" in each for each in objects)
