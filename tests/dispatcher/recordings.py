"""Recorded answers of real providers, where they stand beside a checkout; they are not part of it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "recordings"
PROVIDERS = [
    "openai", "deepseek", "groq", "xai", "mistral", "alibaba", "moonshotai", "perplexity", "azure", "openai-compatible",
]  # fmt: skip

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recorded provider traffic is not beside this checkout"
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says, however it is written: texts, and each tool call's name and arguments."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str | None = None


def streams() -> list[Path]:
    """Return the files of chat streams: the `data` of one event on each line."""
    return [path for path in _files("*.chunks.txt") if b'"choices"' in path.read_bytes().partition(b"\n")[0]]


def bodies() -> list[Path]:
    """Return the files of plain chat answers."""
    return [path for path in _files("*.json") if _is_chat(json.loads(path.read_bytes()))]


def recorded(path: Path) -> bytes:
    """Return a recording as it stands in its file."""
    return path.read_bytes()


def name_of(path: Path) -> str:
    """Return a name for a test of one recording."""
    return "-".join(path.relative_to(FOLDER).parts) if path.is_relative_to(FOLDER) else path.name


def parametrized(paths: list[Path]) -> pytest.MarkDecorator:
    """Return a mark that runs a test for each recording, or once, as skipped, where there are none."""
    return pytest.mark.parametrize("path", paths or [Path("absent")], ids=name_of)


def said_in_stream(lines: list[bytes]) -> Said:
    """Return what the recorded chunks of one choice say, read as loosely as their provider writes."""
    content, reasoning = "", ""
    finish_reason: str | None = None
    calls: list[list[str]] = []
    for choice in (choice for line in lines for choice in json.loads(line)["choices"]):
        delta = choice.get("delta") or {}
        content += delta.get("content") or ""
        reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
        finish_reason = choice.get("finish_reason") or finish_reason
        for call in delta.get("tool_calls") or []:
            if call["function"].get("name"):
                calls.append([call["function"]["name"], ""])
            calls[-1][1] += call["function"].get("arguments") or ""
    return Said(
        content=content,
        reasoning=reasoning,
        calls=tuple((name, arguments) for name, arguments in calls),
        finish_reason=finish_reason,
    )


def said_in_message(choice: Any) -> Said:
    """Return what the choice of a plain answer says, recorded or relayed."""
    message = choice["message"]
    content: Any
    content, reasoning = (
        message.get("content") or "",
        message.get("reasoning_content") or message.get("reasoning") or "",
    )
    if isinstance(content, list):
        thoughts = [
            text["text"] for part in content if part["type"] == "thinking" for text in part["thinking"]
        ]
        reasoning, content = (
            "".join(thoughts),
            "".join(part["text"] for part in content if part["type"] == "text"),
        )
    return Said(
        content=content,
        reasoning=reasoning,
        calls=tuple(
            (call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or []
        ),
        finish_reason=choice["finish_reason"],
    )


def _files(pattern: str) -> list[Path]:
    return [path for provider in PROVIDERS for path in sorted((FOLDER / provider).rglob(pattern))]


def _is_chat(document: Any) -> bool:
    choices = document.get("choices") if isinstance(document, dict) else None
    return isinstance(choices, list) and "message" in choices[0]
