"""Answers as JSON: the canonical stream byte for byte, and where each mode puts the usage."""

import re

import msgspec
import pytest

from services.simulator import chat
from services.simulator.answer import Answer, compose
from services.simulator.behaviour import Behaviour, parse, resolve
from services.simulator.prompt import decode

TOOLS = [{"type": "function", "function": {"name": "f"}}]
CHUNK = (
    '{"id":"chatcmpl-simX","object":"chat.completion.chunk","created":1767225600,"model":"m",'
    '"system_fingerprint":"relay-simulator","choices":'
)
USAGE = (
    '{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4,"prompt_tokens_details":{"cached_tokens":0,'
    '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}'
)


def _made(directive: str, **members: object) -> tuple[Answer, Behaviour]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]} | members
    behaviour = resolve(parse(directive))
    answer = compose(decode(msgspec.json.encode(body)), "m", "hello", behaviour, 0)
    return msgspec.structs.replace(answer, id="chatcmpl-simX"), behaviour


def _stream(directive: str, include_usage: bool = False, **members: object) -> list[str]:
    return [event.data.decode() for event in chat.events(*_made(directive, **members), include_usage)]


def _usages(directive: str, include_usage: bool = False) -> list[object]:
    """Return for each chunk its total of tokens, None for null, and "-" where nothing is said."""
    told = []
    for data in _stream(f"out=2 {directive}", include_usage)[:-1]:
        usage = msgspec.json.decode(data).get("usage", "-")
        told.append(usage["total_tokens"] if isinstance(usage, dict) else usage)
    return told


def test_the_clean_stream_is_canonical() -> None:
    """Role, content, finish, usage, end: as OpenAI sends them, byte for byte."""
    role = '[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]'
    first = '[{"index":0,"delta":{"content":"a→"},"logprobs":null,"finish_reason":null}]'
    second = '[{"index":0,"delta":{"content":"c"},"logprobs":null,"finish_reason":null}]'
    finish = '[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]'
    assert _stream('reply="a→c"', True) == [
        CHUNK + role + ',"usage":null}',
        CHUNK + first + ',"usage":null}',
        CHUNK + second + ',"usage":null}',
        CHUNK + finish + ',"usage":null}',
        CHUNK + "[]" + ',"usage":' + USAGE + "}",
        "[DONE]",
    ]
    assert _stream('reply="a→c"')[0] == CHUNK + role + "}"
    assert len(_stream('reply="a→c"')) == 5


def test_the_plain_body_is_canonical() -> None:
    """One choice with its message, and the usage."""
    assert chat.body(*_made('reply="a→c"')).decode() == (
        CHUNK.replace(".chunk", "")
        + '[{"index":0,"message":{"role":"assistant","content":"a→c","refusal":null},'
        '"logprobs":null,"finish_reason":"stop"}],"usage":' + USAGE + "}"
    )


def test_tool_calls_are_named_once() -> None:
    """Id, type and name stand in the opening fragment, later ones have index and arguments."""
    calls = re.findall(r'"tool_calls":(\[.*?\}\}\])', "\n".join(_stream("tools=1", tools=TOOLS)))
    assert calls[0].endswith('"type":"function","function":{"name":"f","arguments":""}}]')
    assert calls[1:] == ['[{"index":0,"function":{"arguments":"{}"}}]']
    message = msgspec.json.decode(chat.body(*_made("tools=1", tools=TOOLS)))["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


def test_choices_alternate_and_each_finishes_once() -> None:
    """Choice 0 begins, then the choices come in turn."""
    choices = [msgspec.json.decode(data)["choices"][0] for data in _stream("out=2 n=2")[:-1]]
    assert [choice["index"] for choice in choices] == [0, 1] * 4
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["stop"] * 2


def test_chunks_hold_as_many_tokens_as_asked() -> None:
    """The last chunk holds the rest."""
    events = chat.events(*_made("out=5 chunk_tokens=2"), include_usage=False)
    assert [event.tokens for event in events if event.label == "delta"] == [2, 4, 5]


@pytest.mark.parametrize(
    ("directive", "include_usage", "expected"),
    [
        ("", False, ["-", "-", "-", "-"]),
        ("", True, [None, None, None, None, 4]),
        ("ignore_include_usage", True, ["-", "-", "-", "-"]),
        ("usage=never", True, ["-", "-", "-", "-"]),
        ("usage=last", False, [None, None, None, None, 4]),
        ("usage=every", False, [2, 3, 4, 4]),
        ("usage=after_finish", False, ["-", "-", "-", "-", 4]),
        ("usage=finish_chunk", False, [None, None, None, 4]),
        ("usage=x_groq", True, [None, None, None, None, 4]),
        ("usage=in_choice", True, ["-", "-", "-", "-"]),
        ("usage=placeholder_zero", False, [0, 0, 0, 0, 4]),
        ("usage=strings", True, [None, None, None, None, "4"]),
        ("usage=wrong_total", True, [None, None, None, None, 5]),
        ("usage=header", True, [None, None, None, None, 4]),
    ],
)
def test_each_mode_puts_the_usage_where_its_providers_do(
    directive: str, include_usage: bool, expected: list[object]
) -> None:
    """One value for each chunk of role, two tokens, finish and what follows."""
    assert _usages(directive, include_usage) == expected


def test_usage_can_stand_beside_or_inside_the_choice() -> None:
    """Groq and Moonshot tell it in places of their own, on the finish chunk."""
    groq = msgspec.json.decode(_stream("out=2 usage=x_groq")[-2])
    assert groq["x_groq"]["usage"]["completion_tokens"] == 2
    moonshot = msgspec.json.decode(_stream("out=2 usage=in_choice")[-2])
    assert moonshot["choices"][0]["usage"]["completion_tokens"] == 2


def test_usage_can_leave_parts_out() -> None:
    """As xAI does with reasoning, and others with the cache; the total keeps both."""
    answer, behaviour = _made("out=2 reasoning=3 cached=5 cache_write=2 reasoning_excluded cached_excluded")
    told = msgspec.json.decode(chat.body(answer, behaviour))["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (2, 2, 12)
    assert told["prompt_tokens_details"]["cache_write_tokens"] == 2


def test_extras_appear_where_asked() -> None:
    """The tier, the fees, one very long line, events after the end."""
    stream = _stream("out=2 tier=flex fees=web_search:3 big_line=5000 done=2 after_done=junk", True)
    assert stream[-3:] == ["[DONE]", "[DONE]", "junk"]
    assert all(msgspec.json.decode(data)["service_tier"] == "flex" for data in stream[:-3])
    assert msgspec.json.decode(stream[-4])["usage"]["server_tool_use"] == {"web_search_requests": 3}
    assert [len(data) > 5_000 for data in stream].index(True) == 1
    assert sum(len(data) > 5_000 for data in stream) == 1
    assert _stream("out=2 done=0")[-1].startswith("{")


def test_an_opening_is_as_long_as_asked() -> None:
    """Events without content stand between the role and the first token."""
    deltas = [
        msgspec.json.decode(event)["choices"][0]["delta"] for event in _stream("reply=hi opening=3")[:-2]
    ]

    assert [delta["content"] for delta in deltas] == ["", "", "", "", "hi"]
    assert [("role" in delta) for delta in deltas] == [True, False, False, False, False]
