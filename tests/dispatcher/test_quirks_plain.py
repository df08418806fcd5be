"""Quirks of a plain answer, and the answer that a client gets in its place."""

import json
from typing import Any

import pytest

from services.dispatcher.upstream_error import FaultKind
from services.dispatcher.usage import Usage
from tests.dispatcher.chunks import MADE_UP, USAGE, plain

HEAD = '"id":"c1","object":"chat.completion","created":1,"model":"m"'
HI = '"role":"assistant","content":"Hi"'
CALL = '{"id":"call_0","type":"function","function":{"name":"f","arguments":"{}"}}'


def _answer(
    message: str, rest: str = ',"finish_reason":"stop"', *, head: str = HEAD, usage: str = USAGE
) -> str:
    return f'{{{head},"choices":[{{"index":0,"message":{{{message}}}{rest}}}],"usage":{usage}}}'


def _choice(message: str, rest: str = ',"finish_reason":"stop"') -> Any:
    """Return the choice that a client gets."""
    return json.loads(plain(_answer(message, rest)).body)["choices"][0]


@pytest.mark.parametrize(
    "body",
    [
        _answer(HI),
        _answer(f'{HI},"refusal":null,"annotations":[],"x":{{"b": 1.0}}', ',"logprobs":null,"finish_reason":"length"'),
        _answer(f'"role":"assistant","content":null,"tool_calls":[{CALL}]', ',"finish_reason":"tool_calls"'),
        _answer(f'{HI},"tool_calls":null,"reasoning_content":"Hm"', ',"finish_reason":"some_new_reason"'),
        _answer(HI).replace(":", " :  ").replace(",", " ,\n"),
        _answer(HI) + '',
    ],
)  # fmt: skip
def test_a_canonical_answer_is_kept_byte_for_byte(body: str) -> None:
    """White space between its tokens included."""
    assert plain(body).body == body.encode()


def test_an_answer_that_was_rewritten_is_canonical() -> None:
    """A second relay on the way changes nothing any more."""
    odd = _answer(
        '"content":[{"type":"text","text":"Hi"}],"reasoning":"Hm"', ',"finish_reason":"eos"', head='"id":""'
    )
    once = plain(odd).body
    assert plain(once.decode()).body == once


@pytest.mark.parametrize("role", ["", '"role":null,', '"role":"",'])
def test_q03_q17_a_message_has_a_role_and_a_content(role: str) -> None:
    """The content may be null."""
    assert _choice(f'{role}"refusal":null')["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
    }


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ('"end_turn"', "stop"), ('"MAX_TOKENS"', "length"), ('"SAFETY"', "content_filter"), ('""', "stop"), ("null", "stop"),
        ('"tool_calls"', "stop"), ('"malformed_function_call"', "stop"),
    ],
)  # fmt: skip
def test_q05_q06_q08_q09_an_answer_has_a_finish_reason_of_the_api(reason: str, sent: str) -> None:
    """Translated, made up, or put right."""
    assert _choice(HI, f',"finish_reason":{reason}')["finish_reason"] == sent
    assert plain(_answer(HI, f',"finish_reason":{reason}')).finish_reasons == {0: sent}
    assert _choice(HI, "")["finish_reason"] == "stop"


@pytest.mark.parametrize("reason", ["stop", "STOP", "tool_use", ""])
def test_q07_a_call_is_named_as_the_reason(reason: str) -> None:
    """Whatever its provider says."""
    message = f'"role":"assistant","content":null,"tool_calls":[{CALL}]'
    assert _choice(message, f',"finish_reason":"{reason}"')["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("error", "failed"), ("network_error", "failed"), ("insufficient_system_resource", "overloaded")],
)
def test_q06_an_answer_that_was_broken_off_is_an_error(reason: str, kind: FaultKind) -> None:
    """Another channel may finish it."""
    result = plain(_answer(HI, f',"finish_reason":"{reason}"'))
    assert result.error is not None
    assert (result.error.kind, result.body) == (kind, b"")


@pytest.mark.parametrize(
    ("came", "function"),
    [
        ('{"function":{"name":"f","arguments":{"a":[1]}}}', {"name": "f", "arguments": '{"a":[1]}'}),
        ('{"id":"","function":{"name":"f","arguments":null}}', {"name": "f", "arguments": "{}"}),
        ('{"id":null,"type":null,"function":{"name":"f"}}', {"name": "f", "arguments": "{}"}),
    ],
)
def test_q12_q13_a_call_has_an_id_a_type_and_arguments_as_text(came: str, function: dict[str, str]) -> None:
    """A list of one may come as the one."""
    for calls in (f"[{came}]", came):
        (call,) = _choice(f'"content":null,"tool_calls":{calls}')["message"]["tool_calls"]
        assert call == {"id": f"call_{MADE_UP}", "type": "function", "function": function}


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ('"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"Hi"}]',
         {"content": "Hi", "reasoning_content": "Hm"}),
        ('"content":"Hi","reasoning":"Hm"', {"content": "Hi", "reasoning": "Hm", "reasoning_content": "Hm"}),
        ('"content":"Hi","thinking":"Hm"', {"content": "Hi", "thinking": "Hm", "reasoning_content": "Hm"}),
    ],
)  # fmt: skip
def test_q15_q16_text_and_thoughts_have_their_places(came: str, goes: dict[str, str]) -> None:
    """As in a stream."""
    assert _choice(f'"role":"assistant",{came}')["message"] == {"role": "assistant", **goes}


def test_q20_q54_the_usage_is_the_one_that_is_paid_for() -> None:
    """Found where it stands, in numbers, with the sum that they have."""
    words = '{"prompt_tokens":"10","completion_tokens":"5","total_tokens":"99"}'
    assert json.loads(plain(_answer(HI, usage=words)).body)["usage"] == json.loads(USAGE)
    groq = plain(_answer(HI, usage=f'null,"x_groq":{{"usage":{USAGE}}}'))
    assert (groq.usage, json.loads(groq.body)["usage"]) == (
        Usage(input_tokens=10, output_tokens=5),
        json.loads(USAGE),
    )
    assert plain(_answer(HI, usage="null")).usage is None


def test_q23_half_a_character_is_replaced() -> None:
    """And so is invalid UTF-8."""
    assert _choice(r'"role":"assistant","content":"a\ud83d"')["message"]["content"] == "a\ufffd"


def test_q44_q54_an_answer_has_a_name() -> None:
    """What is missing is made up, what has another type is put right."""
    sent = json.loads(plain(_answer(HI, head='"id":"","object":"text","created":1.5e9')).body)
    assert (sent["id"], sent["object"]) == (f"chatcmpl-{MADE_UP}", "chat.completion")
    assert (sent["created"], sent["model"]) == (1_500_000_000, "asked")


def test_q48_log_probabilities_of_another_form_are_null() -> None:
    """As in a stream."""
    assert _choice(HI, ',"logprobs":{"tokens":[]},"finish_reason":"stop"')["logprobs"] is None


def test_several_choices_keep_their_numbers() -> None:
    """One without a number has that of its place."""
    choices = ",".join(f'{{"index":{at},"message":{{{HI}}},"finish_reason":"stop"}}' for at in (1, "null", 0))
    sent = json.loads(plain(f'{{{HEAD},"choices":[{choices}]}}').body)["choices"]
    assert [choice["index"] for choice in sent] == [1, 1, 0]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"base_resp":{"status_code":1008,"status_msg":"sk-x"}}', "billing"),
        ('{"choices":null,"base_resp":{"status_code":1002,"status_msg":"sk-x"}}', "rate_limited"),
        ('{"code":"Throttling.RateQuota","message":"sk-x","request_id":"r"}', "rate_limited"),
        ('[{"error":{"code":503,"message":"sk-x","status":"UNAVAILABLE"}}]', "overloaded"),
        ('{"type":"error","error":{"type":"overloaded_error","message":"sk-x"}}', "overloaded"),
        ('{"error":"Rate limit exceeded","code":"x"}', "rate_limited"),
        ('"Invalid token"', "credential"),
        ('{"detail":[{"loc":["body"],"msg":"sk-x"}]}', "invalid_request"),
        ('<html>sk-x</html>', "invalid"),
    ],
)  # fmt: skip
def test_q26_q27_an_error_under_a_good_status_is_classified(body: str, kind: FaultKind) -> None:
    """In any shape."""
    result = plain(body)
    assert result.error is not None
    assert (result.error.kind, result.body) == (kind, b"")


def test_q55_a_null_error_beside_an_answer_is_none() -> None:
    """Nor is MiniMax's status of zero one."""
    body = _answer(HI, usage=f'{USAGE},"error":null,"base_resp":{{"status_code":0,"status_msg":"success"}}')
    assert plain(body).body == body.encode()
