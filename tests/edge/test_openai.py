"""Chat requests: what is accepted, what is refused and how, and what a prompt may cost at most."""

import pytest

from services.edge.openai import (
    LARGEST_OUTPUT,
    ChatRequest,
    parse,
)
from tests.edge.chat_bodies import HELLO, MINIMAL, NULLABLE, Json, encoded, message, part, refusal


def test_a_minimal_request_has_the_defaults_of_openai() -> None:
    """One choice, no stream, no bound."""
    assert parse(MINIMAL) == ChatRequest(
        model="m",
        is_stream=False,
        include_usage=False,
        output_tokens_wanted=None,
        choices=1,
        media_bytes=0,
        extra_tokens=0,
    )


def test_every_member_at_its_best_is_accepted() -> None:
    """A request with all known members, and one that is not known, gives its facts."""
    body = encoded(
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        max_completion_tokens=7,
        max_tokens=9,
        n=3,
        temperature=2,
        top_p=0.0,
        presence_penalty=-2,
        frequency_penalty=2.0,
        stop=["a", "b", "c", "d"],
        seed=-(2**63),
        logprobs=True,
        top_logprobs=20,
        logit_bias={"50256": -100, "1": 0.5},
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        tools=[{"type": "function", "function": {"name": "f"}}],
        functions=[],
        parallel_tool_calls=False,
        user="u",
        chat_template_kwargs={"enable_thinking": [1, {"deep": None}]},
    )
    request = parse(body)
    assert (request.is_stream, request.include_usage) == (True, True)
    assert (request.output_tokens_wanted, request.choices) == (7, 3)


@pytest.mark.parametrize("name", NULLABLE)
def test_null_stands_for_an_absent_member(name: str) -> None:
    """As at OpenAI; `stream: null` is no stream."""
    assert parse(encoded(**{name: None})) == parse(MINIMAL)


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({}, None),
        ({"max_tokens": 1}, 1),
        ({"max_completion_tokens": LARGEST_OUTPUT}, LARGEST_OUTPUT),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_the_newer_name_of_the_output_bound_is_preferred(
    members: dict[str, Json], wanted: int | None
) -> None:
    """`max_tokens` is deprecated in favour of `max_completion_tokens`."""
    assert parse(encoded(**members)).output_tokens_wanted == wanted


@pytest.mark.parametrize(
    ("stream", "options", "expected"),
    [
        (True, {"include_usage": True}, True),
        (True, {"include_usage": False}, False),
        (True, {"include_usage": None}, False),
        (True, {}, False),
        (True, None, False),
        (False, {"include_usage": True}, False),
        (None, {"include_usage": True}, False),
    ],
)
def test_usage_is_wanted_only_in_a_stream(stream: bool | None, options: Json, expected: bool) -> None:
    """`stream_options` without a stream means nothing."""
    assert parse(encoded(stream=stream, stream_options=options)).include_usage is expected


@pytest.mark.parametrize(
    "members",
    [
        {"role": "developer", "content": "x"},
        {"role": "system", "content": [{"type": "text", "text": "x"}]},
        {"content": "the role may come last", "role": "user"},
        {"role": "user", "content": [], "name": "n"},
        {"role": "assistant", "content": "x", "reasoning_content": "y"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "audio": {"id": "a"}},
        {"role": "tool", "content": "x", "tool_call_id": "c"},
        {"role": "function", "content": None, "name": "f"},
    ],
)
def test_each_role_takes_its_content(members: dict[str, Json]) -> None:
    """The shapes of OpenAI's SDK, whatever the order of members."""
    assert parse(message(**members)).model == "m"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model":"m"}', "messages"),
        (message(), "messages[0].role"),
        (encoded(messages=[HELLO, {"content": "x"}]), "messages[1].role"),
        (message(role="user"), "messages[0].content"),
        (message(role="tool", content="x"), "messages[0].tool_call_id"),
        (message(role="function", content="x"), "messages[0].name"),
        (part(text="x"), "messages[0].content[1].type"),
        (part(type="image_url", image_url={}), "messages[0].content[1].image_url.url"),
        (part(type="input_audio", input_audio={"format": "wav"}), "messages[0].content[1].input_audio.data"),
        (encoded(tools=[{}]), "tools[0].type"),
        (encoded(functions=[{}]), "functions[0].name"),
        (encoded(response_format={}), "response_format.type"),
    ],
)
def test_a_missing_member_is_named_by_its_path(body: bytes, param: str) -> None:
    """Code and path are OpenAI's."""
    error = refusal(body)
    assert (error.code, error.param) == ("missing_required_parameter", param)
    assert str(error) == f"Missing required parameter: '{param}'."


@pytest.mark.parametrize(
    ("members", "param", "problem"),
    [
        ({"model": ""}, "model", "`str` of length >= 1"),
        ({"model": "x" * 201}, "model", "`str` of length <= 200"),
        ({"model": None}, "model", "`str`, got `null`"),
        ({"model": "a\r\nb"}, "model", "printable"),
        ({"model": "a\0"}, "model", "printable"),
        ({"model": "a\u202eb"}, "model", "printable"),
        ({"messages": []}, "messages", "`array` of length >= 1"),
        ({"messages": None}, "messages", "`array`, got `null`"),
        ({"messages": "hi"}, "messages", "`array`, got `str`"),
        ({"messages": ["hi"]}, "messages[0]", "`object`, got `str`"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'developer', 'system'"),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role", "`str`"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "got `null`"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "got `int`"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]", "got `str`"),
        ({"stream": "true"}, "stream", "got `str`"),
        ({"stream": 1}, "stream", "got `int`"),
        ({"stream_options": True}, "stream_options", "got `bool`"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "got `str`"),
        ({"max_tokens": -1}, "max_tokens", "`int` >= 1"),
        ({"max_tokens": 0}, "max_tokens", "`int` >= 1"),
        ({"max_tokens": 2**63}, "max_tokens", "`int` <= 10000000"),
        ({"max_tokens": LARGEST_OUTPUT + 1}, "max_tokens", "`int` <= 10000000"),
        ({"max_tokens": 1e308}, "max_tokens", "got `float`"),
        ({"max_tokens": 1.5}, "max_tokens", "got `float`"),
        ({"max_tokens": "10"}, "max_tokens", "got `str`"),
        ({"max_tokens": True}, "max_tokens", "got `bool`"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "`int` >= 1"),
        ({"n": 0}, "n", "`int` >= 1"),
        ({"n": 129}, "n", "`int` <= 128"),
        ({"n": 10**9}, "n", "`int` <= 128"),
        ({"n": True}, "n", "got `bool`"),
        ({"temperature": 2.01}, "temperature", "`float` <= 2"),
        ({"temperature": -0.1}, "temperature", "`float` >= 0"),
        ({"temperature": "1"}, "temperature", "got `str`"),
        ({"temperature": True}, "temperature", "got `bool`"),
        ({"top_p": 1.1}, "top_p", "`float` <= 1"),
        ({"presence_penalty": 2.1}, "presence_penalty", "`float` <= 2"),
        ({"frequency_penalty": -2.1}, "frequency_penalty", "`float` >= -2"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "`array` of length <= 4"),
        ({"stop": 5}, "stop", "got `int`"),
        ({"stop": [None]}, "stop[0]", "got `null`"),
        ({"seed": 2**63}, "seed", "`int` <= 9223372036854775807"),
        ({"seed": -(2**63) - 1}, "seed", "`int` >= -9223372036854775808"),
        ({"seed": 1.0}, "seed", "got `float`"),
        ({"logprobs": 5}, "logprobs", "got `int`"),
        ({"top_logprobs": 21}, "top_logprobs", "`int` <= 20"),
        ({"logit_bias": {"5": 101}}, "logit_bias", "`float` <= 100"),
        ({"logit_bias": []}, "logit_bias", "got `array`"),
        ({"tools": [{"type": "function"}] * 129}, "tools", "`array` of length <= 128"),
        ({"tools": {}}, "tools", "got `object`"),
        ({"user": 5}, "user", "got `int`"),
    ],
)
def test_a_wrong_value_is_named_by_path_and_reason(
    members: dict[str, Json], param: str, problem: str
) -> None:
    """The sentence says what is expected and where."""
    error = refusal(encoded(**members))
    assert (error.code, error.param) == ("invalid_value", param)
    assert problem in str(error)
    assert str(error).endswith(f" at '{param}'.")


def test_a_refusal_does_not_repeat_the_value() -> None:
    """Not even when the value looks like a part of msgspec's own sentence."""
    error = refusal(message(role="x' - at `$.secret`", content="hello"))
    assert (error.code, error.param) == ("invalid_value", "messages[0].role")
    assert "secret" not in str(error)


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"text"'])
def test_a_body_that_is_no_object_is_an_invalid_value(body: bytes) -> None:
    """It is JSON, but has no member to name."""
    error = refusal(body)
    assert (error.code, error.param) == ("invalid_value", None)
    assert "expected `object`" in str(error)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"hello", "invalid character"),
        (MINIMAL[:-1] + b",}", "trailing comma"),
        (MINIMAL + b"x", "trailing characters"),
        (MINIMAL[:-1] + b',"x":NaN}', "invalid character"),
        (MINIMAL[:-1] + b',"x":-Infinity}', "invalid"),
        (MINIMAL[:-1] + b',"x":01}', "invalid number"),
        (MINIMAL[:-1] + b',"x":"a\nb"}', "invalid character"),
        (b"\xef\xbb\xbf" + MINIMAL, "invalid character"),
        (MINIMAL.decode().encode("utf-16"), "not UTF-8"),
        (MINIMAL.replace(b"hello", b"\xff"), "not UTF-8"),
        (MINIMAL.replace(b"hello", b"\xed\xa0\x80"), "not UTF-8"),
        (MINIMAL[:-1] + b',"x":"\xff"}', "not UTF-8"),
        (MINIMAL[:-1] + b',"\xff":1}', "not UTF-8"),
        (MINIMAL.replace(b"hello", b"\\ud800"), ""),
        (MINIMAL.replace(b"hello", b"\\ud800 is alone"), ""),
        (MINIMAL.replace(b"hello", b"\\udc00\\ud800"), ""),
        (MINIMAL[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (MINIMAL[:-1] + b',"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested too deeply"),
        (b"[" * 100_000, ""),
    ],
    ids=lambda value: repr(value[-20:]),
)
def test_what_is_no_json_in_utf8_is_refused(body: bytes, problem: str) -> None:
    """Broken, bottomless or in another encoding: one code, no other exception."""
    error = refusal(body)
    assert error.code in ("invalid_json", "invalid_value")
    assert problem in str(error)


@pytest.mark.parametrize(
    "member",
    [
        b'"x":' + b"9" * 5_000,
        b'"x":1e99999',
        b'"x":"\\u0000"',
        b'"x":"\\ud83d\\ude00"',
        b'"x":' + b"[" * 100 + b"]" * 100,
        b'"temperature":0.' + b"1" * 5_000,
        '"x":"\u6f22\U0001f600"'.encode(),
        b",".join(b'"k%d":1' % number for number in range(100_000)),
    ],
    ids=lambda value: repr(value[-20:]),
)
def test_odd_but_valid_json_goes_through(member: bytes) -> None:
    """What we do not read is not ours to refuse."""
    assert parse(MINIMAL[:-1] + b"," + member + b"}").model == "m"


def test_a_number_of_5000_digits_is_refused_where_a_number_is_read() -> None:
    """Python's limit on converting digits is never met."""
    for name in (b"max_tokens", b"seed", b"n", b"temperature", b"top_logprobs"):
        error = refusal(MINIMAL[:-1] + b',"' + name + b'":' + b"9" * 5_000 + b"}")
        assert (error.code, error.param) == ("invalid_value", name.decode())


def test_of_a_member_that_is_given_twice_the_last_one_counts() -> None:
    """But every one of them is checked."""
    assert parse(MINIMAL[:-1] + b',"model":"last","n":1,"n":2}').model == "last"
    assert refusal(MINIMAL[:-1] + b',"n":0,"n":1}').param == "n"
