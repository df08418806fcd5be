"""Quirks of tool calls (Q10–Q13) in a stream, and what a client gets: bytes in, bytes out."""

import pytest

from tests.dispatcher.chunks import (
    CALLED,
    DONE,
    MADE_UP,
    ROLE,
    begins,
    calls,
    delta,
    goes_on,
    read,
    relayed,
)


@pytest.mark.parametrize(
    "indexes",
    [("", ""), ('"index":1,', '"index":2,'), ('"index":0,', '"index":0,'), ('"index":3,', '"index":7,')],
)
def test_q10_calls_are_numbered_by_arrival(indexes: tuple[str, str]) -> None:
    """Without an index, from one, with one index for all, with gaps."""
    came = [
        calls(f'{{{indexes[0]}"id":"call_0","type":"function","function":{{"name":"f","arguments":"{{"}}}}'),
        calls(f'{{{indexes[0]}"function":{{"arguments":"}}"}}}}'),
        calls(
            f'{{{indexes[1]}"id":"call_1","type":"function","function":{{"name":"g","arguments":"{{}}"}}}}'
        ),
    ]
    goes = [calls(begins(0, "f", "{")), calls(goes_on(0, "}")), calls(begins(1, "g", "{}"))]
    assert read(relayed(ROLE, *came, CALLED, DONE)) == read(ROLE + b"".join(goes) + CALLED)


def test_q10_calls_of_one_chunk_without_any_number_are_told_apart() -> None:
    """As Gemini sends them: whole, without index, at times without id, and twice the same function."""
    whole = '{"type":"function","function":{"name":"f","arguments":"{}"}}'
    sent = read(relayed(ROLE, calls(whole, whole), CALLED, DONE))
    assert [call["index"] for call in sent[1]["choices"][0]["delta"]["tool_calls"]] == [0, 1]
    indexed = '{"index":0,"type":"function","function":{"name":"f","arguments":"{}"}}'
    sent = read(relayed(ROLE, calls(indexed), calls(indexed), CALLED, DONE))
    assert [chunk["choices"][0]["delta"]["tool_calls"][0]["index"] for chunk in sent[1:3]] == [0, 1]


def test_q10_fragments_that_alternate_stay_with_their_calls() -> None:
    """Parallel calls, in any order, by index or by id."""
    opening = calls(begins(0, "f"), begins(1, "g"))
    by_index = [
        calls(goes_on(1, "{")),
        calls(goes_on(0, "{")),
        calls(goes_on(1, "}")),
        calls(goes_on(0, "}")),
    ]
    assert relayed(ROLE, opening, *by_index, CALLED, DONE) == ROLE + opening + b"".join(by_index) + CALLED
    by_id = [
        calls(f'{{"id":"call_{at}","function":{{"arguments":"{part}"}}}}') for part in "{}" for at in (1, 0)
    ]
    goes = [calls(goes_on(at, part)) for part in "{}" for at in (1, 0)]
    assert read(relayed(ROLE, opening, *by_id, CALLED, DONE)) == read(
        ROLE + opening + b"".join(goes) + CALLED
    )


@pytest.mark.parametrize(
    "repeated",
    [
        '{"index":0,"id":"","type":"function","function":{"arguments":"}"}}',
        '{"index":0,"id":"call_0","type":"function","function":{"name":"f","arguments":"}"}}',
        '{"index":0,"id":"call_other","type":"function","function":{"name":"","arguments":"}"}}',
        '{"index":0,"type":"function","function":{"name":"f","arguments":"}"}}',
        '{"id":"call_0","function":{"name":"f","arguments":"}"}}',
    ],
)
def test_q11_id_type_and_name_stand_in_the_first_fragment_alone(repeated: str) -> None:
    """SDKs would add them up to call_0call_0 and ff."""
    opening = calls(begins(0, "f", "{"))
    came = (ROLE, opening, calls(repeated), CALLED, DONE)
    assert read(relayed(*came)) == read(ROLE + opening + calls(goes_on(0, "}")) + CALLED)


def test_q11_an_id_of_null_in_a_later_fragment_does_no_harm() -> None:
    """It goes on as it came, as vLLM sends it."""
    opening = calls(begins(0, "f", "{"))
    later = calls('{"index":0,"id":null,"type":null,"function":{"name":null,"arguments":"}"}}')
    assert relayed(ROLE, opening, later, CALLED, DONE) == ROLE + opening + later + CALLED


@pytest.mark.parametrize("given", ["", '"id":null,', '"id":"",'])
def test_q12_a_call_without_an_id_gets_one(given: str) -> None:
    """It is the same in no other fragment, since SDKs add up."""
    came = calls(f'{{"index":0,{given}"type":"function","function":{{"name":"f","arguments":"{{}}"}}}}')
    goes = calls(begins(0, "f", "{}", f"call_{MADE_UP}"))
    assert read(relayed(ROLE, came, CALLED, DONE)) == read(ROLE + goes + CALLED)


def test_q12_an_id_that_two_calls_share_is_left_to_the_first() -> None:
    """Results of tools are told apart by it."""
    came = calls(begins(0, "f", "{}", "x"), begins(1, "g", "{}", "x"))
    goes = calls(begins(0, "f", "{}", "x"), begins(1, "g", "{}", f"call_{MADE_UP}"))
    assert read(relayed(ROLE, came, CALLED, DONE)) == read(ROLE + goes + CALLED)


def test_q13_arguments_wait_for_the_name_of_their_call() -> None:
    """Nothing of the call goes out before; with the end at the latest it does."""
    early = [
        calls('{"index":0,"id":"call_0","type":"function","function":{"arguments":"{\\"a\\""}}'),
        calls('{"index":0,"function":{"arguments":":1"}}'),
    ]
    late = calls('{"index":0,"function":{"name":"f","arguments":"}"}}')
    whole = calls(begins(0, "f", '{"a":1}'))
    assert read(relayed(ROLE, *early, late, CALLED, DONE)) == read(ROLE + whole + CALLED)
    nameless = read(relayed(ROLE, *early, CALLED, DONE))
    assert nameless[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert nameless[-1]["choices"][0]["delta"]["tool_calls"][0]["function"] == {
        "name": "",
        "arguments": '{"a":1',
    }


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [('{"b":[1,"é"]}', '{"b":[1,"é"]}'), ('[1]', "[1]"), ('"{}"', "{}"), ("null", ""), ('""', "")],
)  # fmt: skip
def test_q13_arguments_are_a_text(arguments: str, sent: str) -> None:
    """An object is written as the text that it came from; null is an empty one."""
    came = calls(
        f'{{"index":0,"id":"call_0","type":"function","function":{{"name":"f","arguments":{arguments}}}}}'
    )
    goes = read(relayed(ROLE, came, delta("", '"length"'), DONE))
    assert goes[1]["choices"][0]["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": sent}


def test_q13_a_call_without_arguments_ends_with_none() -> None:
    """Readers parse them as JSON, which an empty text is not; a call that a limit cut off is left as it is."""
    opening = calls(begins(0, "f"))
    end = delta(f'"tool_calls":[{goes_on(0, "{}")}]', '"tool_calls"')
    assert read(relayed(ROLE, opening, CALLED, DONE)) == read(ROLE + opening + end)
    cut = delta("", '"length"')
    assert relayed(ROLE, opening, cut, DONE) == ROLE + opening + cut


def test_q13_a_call_in_one_chunk_is_canonical() -> None:
    """With its end in the same chunk, too."""
    whole = delta(f'"tool_calls":[{begins(0, "f", "{}")}]', '"tool_calls"')
    assert relayed(ROLE, whole, DONE) == ROLE + whole
