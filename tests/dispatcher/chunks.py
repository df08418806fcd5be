"""Chunks of a chat answer as bytes, and what the relay makes of them."""

import itertools
import json
from typing import Any

from services.dispatcher.chat import PlainResult, StreamInspector, inspect_plain
from services.dispatcher.normalise import Origin

MADE_UP = f"{0:024}"  # the first id that the relay makes up
HEAD = '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m"'
DONE = b"data: [DONE]\n\n"
USAGE = '{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}'


def _origin() -> Origin:
    numbers = itertools.count()
    return Origin(model="asked", new_id=lambda: f"{next(numbers):024}", now=lambda: 7.9)


def event(data: str) -> bytes:
    """Return an event with `data`."""
    return f"data: {data}\n\n".encode()


def chunk(choices: str, rest: str = "", head: str = HEAD) -> bytes:
    """Return an event with a chunk of `choices` in JSON, and `rest` after them."""
    return event(f'{head},"choices":{choices}{rest}}}')


def delta(members: str, finish: str = "null", index: int = 0) -> bytes:
    """Return an event with one choice whose delta has `members`."""
    return chunk(f'[{{"index":{index},"delta":{{{members}}},"finish_reason":{finish}}}]')


def text(content: str) -> bytes:
    """Return an event with a piece of text."""
    return delta(f'"content":{json.dumps(content)}')


def calls(*fragments: str) -> bytes:
    """Return an event with fragments of tool calls in JSON."""
    return delta(f'"tool_calls":[{",".join(fragments)}]')


def begins(index: int, name: str, arguments: str = "", call_id: str = "") -> str:
    """Return the first fragment of a tool call in its canonical form."""
    function = json.dumps({"name": name, "arguments": arguments}, separators=(",", ":"))
    return f'{{"index":{index},"id":"{call_id or f"call_{index}"}","type":"function","function":{function}}}'


def goes_on(index: int, arguments: str) -> str:
    """Return a later fragment of a tool call in its canonical form."""
    function = json.dumps({"arguments": arguments}, separators=(",", ":"))
    return f'{{"index":{index},"function":{function}}}'


ROLE = delta('"role":"assistant","content":""')
STOP = delta("", '"stop"')
CALLED = delta("", '"tool_calls"')
LAST_USAGE = chunk("[]", f',"usage":{USAGE}')


def relayed(*events: bytes, include_usage: bool = False, step: int = 0) -> bytes:
    """Return what a client gets for a stream of these events, which must end well, in pieces of `step` bytes."""
    inspector, sent = inspected(*events, include_usage=include_usage, step=step)
    assert inspector.error is None, inspector.error
    return sent


def inspected(*events: bytes, include_usage: bool = False, step: int = 0) -> tuple[StreamInspector, bytes]:
    """Return the inspector of a stream after its end, and all that it forwarded."""
    stream = b"".join(events)
    inspector = StreamInspector(include_usage, _origin())
    step = step or len(stream) or 1
    sent = b"".join(inspector.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    return inspector, sent + inspector.finish().rest


def read(sent: bytes) -> list[Any]:
    """Return the documents of a stream that was sent."""
    events = sent.split(b"\n\n")
    assert events.pop() == b""
    return [json.loads(each.removeprefix(b"data: ")) for each in events]


def plain(body: str) -> PlainResult:
    """Return what the relay makes of a plain answer."""
    return inspect_plain(200, "application/json", body.encode(), _origin())
