"""Quirks of what a model said (Q15–Q19, Q43, Q45, Q48) in a stream, and what a client gets: bytes in, bytes out."""

import json

import pytest

from tests.dispatcher.chunks import (
    DONE,
    HEAD,
    LAST_USAGE,
    ROLE,
    STOP,
    USAGE,
    begins,
    calls,
    chunk,
    delta,
    event,
    inspected,
    read,
    relayed,
    text,
)

HI = text("Hi")


@pytest.mark.parametrize(
    "came",
    [
        '"reasoning":"Hm"',
        '"thinking":"Hm"',
        '"reasoning_details":[{"type":"reasoning.text","text":"H","index":0},{"type":"reasoning.summary","summary":"m"}]',
        '"reasoning":"Hm","reasoning_content":null',
    ],
)
def test_q15_thoughts_stand_in_reasoning_content_and_where_they_were(came: str) -> None:
    """The provider's own member stays: it may be needed in the next turn."""
    (_, thought, _) = read(relayed(ROLE, delta(came), STOP, DONE))
    (given,) = read(delta(came))
    assert thought["choices"][0]["delta"] == {**given["choices"][0]["delta"], "reasoning_content": "Hm"}


@pytest.mark.parametrize("thought", ['"Hé \\" \\u00e9"', '"\\"reasoning\\":"', '"😀"'])
@pytest.mark.parametrize("extra", ["", ',"x":{"reasoning":1}', ',"x" : 1', ',"reasoning" : null'])
def test_q15_thoughts_are_copied_as_they_are(thought: str, extra: str) -> None:
    """Whatever stands in them, and whatever else is called so."""
    came = delta(f'"reasoning":{thought}')[:-3] + extra.encode() + b"}\n\n"
    (_, sent, _) = read(relayed(ROLE, came, STOP, DONE))
    (given,) = read(came)
    given["choices"][0]["delta"]["reasoning_content"] = json.loads(thought)
    assert sent == given


def test_q15_thoughts_that_stand_in_both_places_go_on_as_they_came() -> None:
    """They are counted once."""
    both = delta('"reasoning":"Hm","reasoning_content":"Hm"')
    inspector, sent = inspected(ROLE, both, STOP, DONE)
    assert (sent, inspector.delivered.size_bytes) == (ROLE + both + STOP, 2)


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ('[{"type":"text","text":"Hi"}]', '"content":"Hi"'),
        ('[{"type":"text","text":"H"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"i"}]', '"content":"Hi"'),
        ('[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]', '"content":"","reasoning_content":"Hm"'),
        ('[{"type":"image_url","image_url":{"url":"data:,"}}]',
         '"content":"","images":[{"index":0,"type":"image_url","image_url":{"url":"data:,"}}]'),
        ('{"type":"text","text":"Hi"}', '"content":"Hi"'),
        ("[]", '"content":""'),
    ],
)  # fmt: skip
def test_q16_content_in_parts_becomes_a_text(came: str, goes: str) -> None:
    """Text, thoughts and images each have their place."""
    sent = relayed(ROLE, HI, delta(f'"content":{came}'), STOP, DONE)
    if came == "[]":
        assert sent == ROLE + HI + STOP
    else:
        assert sent == ROLE + HI + delta(goes) + STOP


@pytest.mark.parametrize("came", ['"delta":null,', ""])
def test_q17_a_delta_is_an_object(came: str) -> None:
    """With a finish reason it is empty; without one the chunk says nothing."""
    end = chunk(f'[{{"index":0,{came}"finish_reason":"stop"}}]')
    nothing = chunk(f'[{{"index":0,{came}"finish_reason":null}}]')
    assert read(relayed(ROLE, HI, nothing, end, DONE)) == read(ROLE + HI + STOP)


def test_q17_content_of_null_does_no_harm() -> None:
    """It goes on as it came."""
    null = delta('"content":null,"tool_calls":null')
    assert relayed(ROLE, null, HI, STOP, DONE) == ROLE + null + HI + STOP


def test_q18_a_last_frame_with_the_whole_message_repeats_no_text() -> None:
    """Its finish reason and its usage count."""
    frame = event(
        '{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
        f'{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],"usage":{USAGE}}}'
    )
    inspector, sent = inspected(ROLE, HI, frame, DONE, include_usage=True)
    *before, end, usage = read(sent)
    assert before == read(ROLE + HI)
    assert end["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert [usage] == read(LAST_USAGE)
    assert inspector.usage is not None


def test_q18_calls_that_only_the_last_frame_has_are_not_lost() -> None:
    """Text that was streamed is left out of it, calls that were not are kept."""
    message = f'{{"role":"assistant","content":"Hi","tool_calls":[{begins(0, "f", "{}")}]}}'
    frame = chunk(f'[{{"index":0,"message":{message},"finish_reason":"tool_calls"}}]')
    *_, last = read(relayed(ROLE, HI, frame, DONE))
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert last["choices"][0]["delta"] == read(calls(begins(0, "f", "{}")))[0]["choices"][0]["delta"]


def test_q18_an_answer_in_one_frame_is_a_stream_of_one_chunk() -> None:
    """Some providers have nothing to stream; some send it without any framing, as if no stream had been asked for."""
    body = (
        '{\n "id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",\n'
        f'"content":null,"tool_calls":[{begins(0, "f", "{}")}]}},"finish_reason":"tool_calls"}}],\r\n"usage":{USAGE}}}\n'
    )
    for stream in (event(body.replace("\n", " ").replace("\r", " ")) + DONE, b"\n" + body.encode()):
        (whole, usage) = read(relayed(stream, include_usage=True))
        assert whole["object"] == "chat.completion.chunk"
        assert whole["choices"][0]["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
        assert whole["choices"][0]["finish_reason"] == "tool_calls"
        assert [usage] == read(LAST_USAGE)


def test_q19_a_message_beside_a_delta_is_left_out() -> None:
    """The delta is what is new."""
    beside = chunk(
        '[{"index":0,"delta":{"content":"Hi"},"message":{"role":"assistant","content":"Hi"},"finish_reason":null}]'
    )
    assert relayed(ROLE, beside, STOP, DONE) == ROLE + HI + STOP


def test_q19_of_messages_that_repeat_all_text_only_what_is_new_is_sent() -> None:
    """Each is longer than the one before; the last one may not be."""
    texts = ["Hi", "Hi, you", "Hi, you"]
    came = [
        chunk(f'[{{"index":0,"message":{{"role":"assistant","content":"{each}"}},"finish_reason":null}}]')
        for each in texts
    ]
    sent = read(relayed(*came, STOP, DONE))
    assert [each["choices"][0]["delta"].get("content") for each in sent] == ["Hi", ", you", None]


def test_q43_chunks_without_choices_are_skipped() -> None:
    """Nothing a client could do with them; an empty text does no harm, and goes on."""
    empty = text("")
    nothing = [chunk("[]"), chunk("null"), event(HEAD + "}"), chunk("[]", ',"usage":null')]
    assert relayed(*nothing, ROLE, *nothing, empty, STOP, *nothing, DONE) == ROLE + empty + STOP


def test_q43_the_result_of_a_moderation_is_no_empty_chunk() -> None:
    """It is OpenAI's own, and comes without choices."""
    result = chunk("[]", ',"moderation":{"input":{}}')
    assert relayed(ROLE, HI, STOP, result, DONE) == ROLE + HI + STOP + result


def test_q45_a_repeated_end_is_left_out() -> None:
    """The same chunk twice, another reason, `[DONE]` twice, and anything after it."""
    last = delta('"content":"!"', '"stop"')
    assert relayed(ROLE, HI, last, last, STOP, DONE, DONE, HI, event("junk")) == ROLE + HI + last


def test_q45_text_after_the_finish_is_not_lost() -> None:
    """A provider that names a reason on each chunk has an answer, too; it has one end."""
    each = [delta(f'"content":"{letter}"', '"stop"') for letter in "ab"]
    assert relayed(ROLE, *each, DONE) == ROLE + each[0] + text("b")


@pytest.mark.parametrize("logprobs", ['{"tokens":["a"],"token_logprobs":[-1]}', "[]", '{"content":5}', "{}"])
def test_q48_log_probabilities_of_another_form_are_null(logprobs: str) -> None:
    """SDKs read those of the chat API as objects; missing ones do no harm."""
    came = chunk(f'[{{"index":0,"delta":{{"content":"Hi"}},"logprobs":{logprobs},"finish_reason":null}}]')
    null = came.replace(logprobs.encode(), b"null")
    assert relayed(ROLE, came, STOP, DONE) == ROLE + null + STOP


@pytest.mark.parametrize(
    "logprobs", ['{"content":[{"token":"Hi","logprob":-0.1}],"refusal":null}', '{"refusal":[]}', "null"]
)
def test_q48_log_probabilities_of_the_chat_api_stay(logprobs: str) -> None:
    """As they came."""
    came = chunk(f'[{{"index":0,"delta":{{"content":"Hi"}},"logprobs":{logprobs},"finish_reason":null}}]')
    assert relayed(ROLE, came, STOP, DONE) == ROLE + came + STOP
