"""The shapes of other providers: each key changes what it says, and nothing else."""

import json
from typing import Any

import msgspec
import pytest

from services.simulator import chat, faults, shape
from services.simulator.answer import Answer, compose
from services.simulator.behaviour import Behaviour, parse, resolve
from services.simulator.prompt import decode

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}, "required": ["a"]}}
ARGUMENTS = '{"a":"text"}'


def _made(directive: str) -> tuple[Answer, Behaviour]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": FUNCTION}],
    }
    behaviour = resolve(parse(directive))
    return compose(decode(msgspec.json.encode(body)), "m", "hello", behaviour, 0), behaviour


def _datas(directive: str, *, include_usage: bool = True) -> list[bytes]:
    answer, behaviour = _made(directive)
    events = chat.events(answer, behaviour, include_usage)
    return [event.data for event in shape.bend_stream(events, behaviour)]


def _chunks(directive: str, *, include_usage: bool = True) -> list[Any]:
    return [json.loads(data) for data in _datas(directive, include_usage=include_usage) if data != b"[DONE]"]


def _of_choices(directive: str, name: str) -> list[Any]:
    """Return a member of each choice of a stream, "-" where it is missing."""
    chunks = _chunks(directive, include_usage=False)
    return [choice.get(name, "-") for chunk in chunks for choice in chunk["choices"]]


def _of_deltas(directive: str, name: str) -> list[Any]:
    return [delta.get(name, "-") for delta in _of_choices(directive, "delta")]


def _calls(directive: str) -> list[Any]:
    """Return index, id, name and arguments of each fragment, "-" for what is missing and "*" for an id."""
    fragments = [each for calls in _of_deltas(directive, "tool_calls") if calls != "-" for each in calls]
    return [
        (
            each.get("index", "-"),
            "*" if each.get("id") else each.get("id", "-"),
            each["function"].get("name", "-"),
            each["function"].get("arguments", "-"),
        )
        for each in fragments
    ]


def _body(directive: str) -> Any:
    answer, behaviour = _made(directive)
    return json.loads(shape.bend_body(chat.body(answer, behaviour), behaviour))


def test_without_a_shape_nothing_is_touched() -> None:
    """The usual answer is not even decoded."""
    answer, behaviour = _made("out=3")
    events = chat.events(answer, behaviour, include_usage=True)
    assert shape.bend_stream(events, behaviour) is events
    body = chat.body(answer, behaviour)
    assert shape.bend_body(body, behaviour) is body


@pytest.mark.parametrize(
    ("key", "roles"),
    [
        ("role=once", ["assistant", "-", "-", "-"]),
        ("role=never", ["-", "-", "-", "-"]),
        ("role=every", ["assistant"] * 4),
        ("role=empty", [""] * 4),
    ],
)
def test_roles(key: str, roles: list[object]) -> None:
    """Of the opening, two tokens, and the end."""
    assert _of_deltas(f"out=2 {key}", "role") == roles


@pytest.mark.parametrize(
    ("key", "reasons"),
    [
        ("finish=end_turn", [None, None, None, "end_turn"]),
        ("finish=empty_every", ["", "", "", "stop"]),
        ("finish=missing", [None, None, None]),
    ],
)
def test_finish_reasons(key: str, reasons: list[object]) -> None:
    """A literal, an empty one on each chunk, or none at all."""
    assert _of_choices(f"out=2 {key}", "finish_reason") == reasons


def test_the_finish_may_come_after_the_usage() -> None:
    """Behind it only `[DONE]`."""
    chunks = _chunks("out=1 finish_late")
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False, False, True, False]


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        ("", [(0, "*", "f", ""), (0, "-", "-", '{"a"'), (0, "-", "-", ':"te'), (0, "-", "-", 'xt"}')]),
        ("tool_index=none", [("-", "*", "f", ""), *[("-", "-", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_index=from1", [(1, "*", "f", ""), *[(1, "-", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_id=none", [(0, "-", "f", ""), *[(0, "-", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_id=repeat", [(0, "*", "f", ""), *[(0, "*", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_id=empty_repeat", [(0, "*", "f", ""), *[(0, "", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_name=repeat", [(0, "*", "f", ""), *[(0, "-", "f", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_name=late", [(0, "*", "-", ""), (0, "-", "-", '{"a"'), (0, "-", "-", ':"te'), (0, "-", "f", 'xt"}')]),
        ("tool_args=null", [(0, "*", "f", None), *[(0, "-", "-", text) for text in ('{"a"', ':"te', 'xt"}')]]),
        ("tool_args=one_chunk", [(0, "*", "f", ARGUMENTS)]),
        ("tool_args=object", [(0, "*", "f", {"a": "text"})]),
        ("chunk_tokens=9 tools=2 tool_index=reuse", [(0, "*", "f", ""), (0, "-", "-", ARGUMENTS)] * 2),
        ("chunk_tokens=9 tools=2 tool_index=gaps",
         [(0, "*", "f", ""), (0, "-", "-", ARGUMENTS), (2, "*", "f", ""), (2, "-", "-", ARGUMENTS)]),
    ],
)  # fmt: skip
def test_fragments_of_tool_calls(key: str, calls: list[tuple[object, ...]]) -> None:
    """Numbers, ids, names and arguments where some providers put them."""
    assert _calls(f"tools=1 {key}") == calls


@pytest.mark.parametrize(
    ("key", "delta"),
    [
        ("reasoning", {"reasoning": "T"}),
        ("thinking", {"thinking": "T"}),
        ("details", {"reasoning_details": [{"type": "reasoning.text", "text": "T", "index": 0}]}),
        ("content_list", {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "T"}]}]}),
        ("think_tags", {"content": "<think>T"}),
    ],
)
def test_thoughts(key: str, delta: dict[str, object]) -> None:
    """What the model thinks stands under five other names."""
    thought = _of_deltas("reasoning=1 reply=x", "reasoning_content")[1]
    deltas = _of_choices(f"reasoning=1 reply=x reason_field={key}", "delta")
    assert deltas[1] == json.loads(json.dumps(delta).replace("T", thought))
    assert deltas[2] == {"content": "</think>x" if key == "think_tags" else "x"}
    message = _body(f"reasoning=1 reply=x reason_field={key}")["choices"][0]["message"]
    assert "reasoning_content" not in message


def test_frames_that_say_nothing() -> None:
    """Azure's filters send frames without id and object; others an empty list of choices."""
    objects = [
        (chunk["object"], bool(chunk["choices"])) for chunk in _chunks("out=1 first_chunk=azure_filter")
    ]
    usual = "chat.completion.chunk"
    assert objects == [("", False), (usual, True), (usual, True), ("", True), (usual, True), (usual, False)]
    assert _chunks("out=1 first_chunk=empty_choices")[0]["choices"] == []


def test_messages_in_place_of_deltas() -> None:
    """With the whole text so far, on each chunk or at the end."""
    beside = _of_choices("reply=abcdef cumulative_text=beside", "message")
    assert [message["content"] for message in beside] == ["", "abcd", "abcdef", "abcdef"]
    assert _of_deltas("reply=abcdef cumulative_text=beside", "content") == ["", "abcd", "ef", "-"]
    assert _of_choices("reply=abcdef cumulative_text=alone", "delta") == ["-"] * 4
    last = _chunks("reply=abcdef final_message_frame", include_usage=False)[-1]
    assert last["object"] == "chat.completion"
    assert last["choices"][0]["message"] == {"role": "assistant", "content": "abcdef"}


def test_names_of_the_answer() -> None:
    """Ids, moments and models that change, or are empty or of another type."""
    rotating = _chunks("out=1 id=rotate")
    assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in rotating}) == len(rotating)
    assert {(chunk["id"], chunk["model"]) for chunk in _chunks("out=1 id=empty")} == {("", "")}
    assert _chunks("created=zero")[0]["created"] == 0
    assert _chunks("created=float")[0]["created"] == 1.5e9
    assert _chunks("created=text")[0]["created"] == "1500000000"
    assert {chunk["object"] for chunk in _chunks("object=other")} == {"other"}


def test_small_oddities() -> None:
    """A null delta, content as a list, repeated ends, other log probabilities, extra members, half characters."""
    assert _of_choices("out=1 delta=null", "delta")[-1] is None
    assert _of_deltas("reply=hi content=list", "content")[1] == [{"type": "text", "text": "hi"}]
    datas = _datas("out=1 dup_last")
    assert (datas[2], datas[4]) == (datas[3], datas[5])
    assert "text_offset" in _of_choices("out=1 logprobs=legacy", "logprobs")[0]
    assert _of_choices("out=1 logprobs=missing", "logprobs")[0] == "-"
    assert all("x_extra" in chunk for chunk in _chunks("extra_fields"))
    assert all(chunk["error"] is None for chunk in _chunks("null_error"))
    halves = [data for data in _datas('reply="a🙂" chunk_tokens=2 half_characters') if b"\\u" in data]
    assert [rb"a\ud83d" in halves[0], rb"\ude42" in halves[1], len(halves)] == [True, True, 2]


def test_plain_answers_are_bent_too() -> None:
    """What has a meaning without a stream."""
    (choice,) = _body("tools=1 tool_args=object tool_id=none finish=tool_use role=never")["choices"]
    assert choice["finish_reason"] == "tool_use"
    assert choice["message"]["tool_calls"] == [{"function": {"name": "f", "arguments": {"a": "text"}}}]
    assert "role" not in choice["message"]
    assert _body("reply=hi content=list")["choices"][0]["message"]["content"] == [
        {"type": "text", "text": "hi"}
    ]
    assert "finish_reason" not in _body("finish=missing")["choices"][0]


@pytest.mark.parametrize(
    ("err_shape", "start"),
    [
        ("vllm", '{"error":{"message":"Simulated'),
        ("fastapi", '{"detail":[{"type"'),
        ("string", '{"error":"Simulated'),
        ("flat", '{"object":"error","message"'),
        ("zhipu", '{"error":{"code":"1302"'),
        ("siliconflow", '{"code":20015,"message"'),
        ("minimax200", '{"choices":null,"base_resp":{"status_code":1000'),
        ("dashscope200", '{"code":"Throttling"'),
        ("google", '{"error":{"code":429,"message"'),
        ("google_array", '[{"error":{"code":429'),
        ("anthropic", '{"type":"error","error":{"type":"rate_limit_error"'),
        ("aws", '{"message":"Simulated'),
        ("azure", '{"error":{"code":"rate_limit_exceeded"'),
    ],
)
def test_errors_have_the_shape_of_their_provider(err_shape: str, start: str) -> None:
    """And may say in their text when to come back."""
    body = faults.body(
        resolve(parse(f"status=429 retry_text=37.2 err_shape={err_shape}")), "sk-test"
    ).decode()
    assert body.startswith(start)
    assert "retry in 37.2s" in body
