"""Quirks of the beginning and the end of a choice (Q01–Q09) in a stream, and what a client gets: bytes in, bytes out."""

import pytest

from services.dispatcher.upstream_error import FaultKind, UpstreamError
from tests.dispatcher.chunks import (
    CALLED,
    DONE,
    LAST_USAGE,
    ROLE,
    STOP,
    begins,
    calls,
    chunk,
    delta,
    event,
    inspected,
    relayed,
    text,
)

HI = text("Hi")


def test_q01_a_first_frame_of_a_filter_is_swallowed() -> None:
    """It has no id, no model, no choices, and says nothing to a client of this API."""
    frame = event(
        '{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}'
    )
    assert relayed(frame, ROLE, HI, STOP, DONE) == ROLE + HI + STOP


def test_q02_frames_of_an_asynchronous_filter_are_swallowed() -> None:
    """Their choices have results of the filter, and no delta."""
    frame = event(
        '{"id":"","object":"","created":0,"model":"","choices":'
        '[{"index":0,"finish_reason":null,"content_filter_results":{},"content_filter_offsets":{"check_offset":4}}]}'
    )
    assert relayed(frame, ROLE, HI, frame, STOP, frame, DONE) == ROLE + HI + STOP


@pytest.mark.parametrize("role", ['"role":"",', '"role":null,', "", '"role":"model",'])
def test_q03_a_role_that_is_missing_is_given_once(role: str) -> None:
    """It stands in the first delta, whatever that carries."""
    opening = delta('"role":"assistant","content":"Hi"')
    assert relayed(delta(f'{role}"content":"Hi"'), text("!"), STOP, DONE) == opening + text("!") + STOP


def test_q03_a_role_on_every_chunk_is_left_in_the_first() -> None:
    """SDKs would add them up; a role of null adds nothing, and stays."""
    again, null = delta('"role":"assistant","content":"Hi"'), delta('"role":null,"content":"!"')
    assert relayed(ROLE, again, null, STOP, DONE) == ROLE + HI + null + STOP


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ('"role":"assistant"', '"role":"assistant","content":""'),
        ('"role":"assistant","reasoning_content":"Hm"', '"role":"assistant","reasoning_content":"Hm","content":""'),
        (f'"role":"assistant","tool_calls":[{begins(0, "f", "{}")}]',
         f'"role":"assistant","tool_calls":[{begins(0, "f", "{}")}],"content":null'),
        ('"role":"assistant","content":null', '"role":"assistant","content":null'),
    ],
)  # fmt: skip
def test_q04_a_first_delta_without_content_gets_one(came: str, goes: str) -> None:
    """Empty, or null beside a tool call, as OpenAI's own."""
    finish = CALLED if "tool_calls" in came else STOP
    assert relayed(delta(came), finish, DONE) == delta(goes) + finish


def test_q05_an_empty_finish_reason_is_null_and_a_missing_one_does_no_harm() -> None:
    """A chunk without the key goes on as it came."""
    empty = delta('"content":"Hi"', '""')
    missing = chunk('[{"index":0,"delta":{"content":"!"}}]')
    assert relayed(ROLE, empty, missing, STOP, DONE) == ROLE + HI + missing + STOP


@pytest.mark.parametrize(
    ("foreign", "canonical"),
    [
        *[(word, "stop") for word in ("end_turn", "stop_sequence", "pause_turn", "COMPLETE", "STOP_SEQUENCE", "eos", "eos_token",
                                      "STOP", "load", "unload")],
        *[(word, "length") for word in ("max_tokens", "MAX_TOKENS", "model_context_window_exceeded")],
        *[(word, "content_filter") for word in ("refusal", "ERROR_TOXIC", "SAFETY", "RECITATION", "sensitive",
                                                "guardrail_intervened", "content_filtered", "IMAGE_SAFETY")],
        ("malformed_function_call", "stop"),
    ],
)  # fmt: skip
def test_q06_foreign_finish_reasons_are_translated(foreign: str, canonical: str) -> None:
    """Into the five of the API."""
    inspector, sent = inspected(ROLE, HI, delta("", f'"{foreign}"'), DONE)
    assert sent == ROLE + HI + delta("", f'"{canonical}"')
    assert inspector.finish_reasons == {0: canonical}


@pytest.mark.parametrize("word", ["tool_use", "TOOL_CALL", "tool_call"])
def test_q06_foreign_words_for_tool_calls_are_translated(word: str) -> None:
    """As the others are."""
    opening = calls(begins(0, "f", "{}"))
    assert relayed(ROLE, opening, delta("", f'"{word}"'), DONE) == ROLE + opening + CALLED


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("network_error", "failed"),
        ("error", "failed"),
        ("ERROR", "failed"),
        ("abort", "failed"),
        ("insufficient_system_resource", "overloaded"),
    ],
)
def test_q06_a_finish_reason_that_means_broken_is_an_error(word: str, kind: FaultKind) -> None:
    """An answer that was not finished must not look as if it were."""
    inspector, sent = inspected(ROLE, HI, delta("", f'"{word}"'), DONE)
    assert (sent, inspector.error) == (ROLE + HI, UpstreamError(kind=kind))
    assert not inspector.finish().is_complete


def test_q06_a_call_that_nobody_could_read_is_an_error_when_there_is_nothing_else() -> None:
    """With other output before it, the answer ends there."""
    inspector, _ = inspected(ROLE, delta("", '"MALFORMED_FUNCTION_CALL"'), DONE)
    assert inspector.error == UpstreamError(kind="failed")


def test_q06_an_unknown_finish_reason_goes_on_as_it_came() -> None:
    """It may be a new one of the API."""
    new = delta("", '"some_new_reason"')
    assert relayed(ROLE, HI, new, DONE) == ROLE + HI + new


@pytest.mark.parametrize("came", ["stop", "STOP", "eos"])
def test_q07_a_stop_after_tool_calls_is_one_for_tool_calls(came: str) -> None:
    """Also when the call came long before; a limit that was reached stays one."""
    opening = calls(begins(0, "f", "{}"))
    assert relayed(ROLE, opening, HI, delta("", f'"{came}"'), DONE) == ROLE + opening + HI + CALLED
    cut = delta("", '"length"')
    assert relayed(ROLE, opening, cut, DONE) == ROLE + opening + cut


def test_q08_tool_calls_that_nobody_made_are_a_stop() -> None:
    """A legacy function call is one of its own."""
    assert relayed(ROLE, HI, CALLED, DONE) == ROLE + HI + STOP
    legacy = delta('"function_call":{"name":"f","arguments":"{}"}')
    assert relayed(ROLE, legacy, CALLED, DONE) == ROLE + legacy + delta("", '"function_call"')


def test_q09_an_answer_that_ends_without_a_reason_gets_one() -> None:
    """The usage after the last output and `[DONE]` are the provider's word that it is over: for each choice."""
    end = chunk('[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]')
    assert relayed(ROLE, HI, LAST_USAGE, DONE) == ROLE + HI + end
    assert relayed(ROLE, HI, LAST_USAGE, DONE, include_usage=True) == ROLE + HI + end + LAST_USAGE
    opening = calls(begins(0, "f", "{}"))
    assert relayed(ROLE, opening, LAST_USAGE, DONE) == ROLE + opening + end.replace(
        b'"stop"', b'"tool_calls"'
    )


def test_q09_done_alone_proves_nothing() -> None:
    """An upstream that stops in the middle can say it as well."""
    inspector, sent = inspected(ROLE, HI, DONE)
    assert (sent, inspector.finish().is_complete) == (ROLE + HI, False)


def test_q09_an_end_without_a_word_is_a_cut() -> None:
    """Without `[DONE]` nobody knows whether there was more."""
    inspector, sent = inspected(ROLE, HI)
    assert (sent, inspector.finish().is_complete) == (ROLE + HI, False)
