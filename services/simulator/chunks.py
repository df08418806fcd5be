"""A stream's events with their documents, for those who change them."""

from collections.abc import Iterator

import msgspec

from services.simulator.arguments import Json
from services.simulator.chat import Event

Members = dict[str, Json]


class Chunk(msgspec.Struct):
    """An event of a stream with its document; `[DONE]` and what follows it have none."""

    event: Event
    document: Members | None

    @property
    def choices(self) -> list[Members]:
        """The choices of the document."""
        given = self.document.get("choices") if self.document is not None else None
        return [choice for choice in given if isinstance(choice, dict)] if isinstance(given, list) else []

    @property
    def deltas(self) -> list[Members]:
        """The deltas of the choices."""
        return [delta for choice in self.choices if isinstance(delta := choice.get("delta"), dict)]

    @property
    def fragments(self) -> list[Members]:
        """The fragments of tool calls."""
        return [call for delta in self.deltas for call in calls_of(delta)]

    def also(self, document: Members) -> "Chunk":
        """Return another event of the same moment."""
        return Chunk(msgspec.structs.replace(self.event, label="delta", advance=0), document)


def calls_of(output: Members) -> Iterator[Members]:
    """Return the tool calls of a delta or a message, or the fragments of them."""
    calls = output.get("tool_calls")
    yield from (call for call in calls if isinstance(call, dict)) if isinstance(calls, list) else ()


def function_of(call: Members) -> Members:
    """Return the function of a tool call."""
    function = call["function"]
    assert isinstance(function, dict)
    return function
