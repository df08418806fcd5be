"""The chat dialect: the streamed answer on its way through."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.chat import StreamInspector
from services.dispatcher.normalise import Origin
from services.dispatcher.upstream_error import UpstreamError
from services.dispatcher.usage import Usage

ORIGIN = Origin(model="m", new_id=lambda: "new", now=lambda: 1.0)
DONE = b"data: [DONE]\n\n"
USAGE = b'{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}'
SECRET = "sk-live-9f8e7d6c"


HEAD = '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m"'


def _event(choices: str, rest: str = "") -> bytes:
    return f'data: {HEAD},"choices":{choices}{rest}}}\n\n'.encode()


def _content(text: str, rest: str = "") -> bytes:
    return _event(f'[{{"index":0,"delta":{{"content":{json.dumps(text)}}},"finish_reason":null}}]', rest)


def _begun(*, include_usage: bool) -> StreamInspector:
    """Return an inspector that has forwarded the first chunk of an answer."""
    inspector = StreamInspector(include_usage)
    assert inspector.feed(ROLE) == ROLE
    return inspector


ROLE = _event('[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]')
FINISH = _event('[{"index":0,"delta":{},"finish_reason":"stop"}]')
LAST_USAGE = _event("[]", ',"usage":' + USAGE.decode())


# --- the stream


def test_a_canonical_stream_goes_through_byte_for_byte() -> None:
    """Every event but `[DONE]` is forwarded as it came, and all that is to know has been read."""
    stream = ROLE + _content("Hé") + _content("llo") + FINISH + LAST_USAGE
    inspector = StreamInspector(include_usage=True)
    assert inspector.feed(stream + DONE) == stream
    assert inspector.usage == Usage(input_tokens=10, output_tokens=5)
    assert inspector.finish_reasons == {0: "stop"}
    assert (inspector.saw_done, inspector.saw_output, inspector.delivered.size_bytes) == (True, True, 6)
    end = inspector.finish()
    assert (end.rest, end.is_complete, inspector.error) == (b"", True, None)


def test_a_single_canonical_event_is_not_copied() -> None:
    """The usual chunk is forwarded as the same object."""
    inspector = _begun(include_usage=False)
    chunk = _content("b")
    assert inspector.feed(chunk) is chunk


def test_only_whole_events_are_forwarded() -> None:
    """What has come of an event waits for its end."""
    inspector = _begun(include_usage=False)
    chunk = _content("a")
    assert inspector.feed(chunk[:-1]) == b""
    assert inspector.feed(chunk[-1:] + chunk[:9]) == chunk


def test_other_forms_of_an_event_are_forwarded_in_the_canonical_one() -> None:
    """Comments, ids, carriage returns and missing spaces do not reach the client."""
    stream = b": OPENROUTER PROCESSING\n\n" + ROLE.replace(b"data: ", b"id: 1\r\ndata:").replace(
        b"\n\n", b"\r\n\r\n"
    )
    assert StreamInspector(include_usage=True).feed(b"\xef\xbb\xbf" + stream) == ROLE


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        pytest.param(LAST_USAGE, b"", id="the usage chunk is dropped"),
        pytest.param(_content("a", ',"usage":null'), _content("a"), id="null at the end"),
        pytest.param(_content("a", ',"usage":null,"x":1'), _content("a", ',"x":1'), id="null in the middle"),
        pytest.param(
            _content("a", ', "usage": null, "x":1'), _content("a", ',"x":1'), id="null with white space"
        ),
        pytest.param(
            f'data: {{"usage":null,{HEAD[1:]},"choices":[{{"index":0,"delta":{{"content":"a"}}}}]}}\n\n'.encode(),
            f'data: {HEAD},"choices":[{{"index":0,"delta":{{"content":"a"}}}}]}}\n\n'.encode(),
            id="null in front",
        ),
        pytest.param(
            _event('[{"index":0,"delta":{"content":"a"},"usage":null}]', ',"usage":null,"x":1'),
            _event('[{"index":0,"delta":{"content":"a"},"usage":null}]', ',"x":1'),
            id="a nested one stays",
        ),
        pytest.param(
            _event('[{"index":0,"delta":{"content":"a"},"usage":null}]', ',"x":1'),
            _event('[{"index":0,"delta":{"content":"a"},"usage":null}]', ',"x":1'),
            id="only a nested one",
        ),
        pytest.param(
            _content(',"usage":null', ',"usage":null,"x":1'),
            _content(',"usage":null', ',"x":1'),
            id="in the text",
        ),
        pytest.param(
            _content("a", ',\ndata: "usage":null'),
            _content("a"),
            id="over two lines",
        ),
        pytest.param(
            _content("a", ',\ndata: "x":1,"usage":null'),
            _content("a", ', "x":1'),
            id="at the end of two lines",
        ),
        pytest.param(FINISH.replace(b"}\n", b',"usage":null}\n'), FINISH, id="at the end of the answer"),
    ],
)
def test_usage_is_taken_out_for_a_client_that_did_not_ask(came: bytes, goes: bytes) -> None:
    """Nothing but the usage of the top level is removed; who asked gets the event as it came."""
    assert _begun(include_usage=False).feed(came) == goes
    if b"\ndata" not in came:
        inspector = _begun(include_usage=True)
        assert inspector.feed(came) == (b"" if came == LAST_USAGE else came)  # before the end, it waits


def test_usage_with_choices_gets_a_chunk_of_its_own() -> None:
    """Whoever asked reads it last, without choices; with the text it stands as null, and others never see it."""
    came = _content("a", ',"usage":' + USAGE.decode())
    assert _begun(include_usage=False).feed(came) == _content("a")
    inspector = _begun(include_usage=True)
    assert inspector.feed(came) == _content("a", ',"usage":null')
    assert inspector.feed(FINISH + DONE) == FINISH + LAST_USAGE


def test_usage_on_every_chunk_is_the_last_one() -> None:
    """Running totals overwrite each other, as Perplexity sends them."""
    inspector = _begun(include_usage=False)
    for tokens in (1, 2, 3):
        usage = f',"usage":{{"prompt_tokens":10,"completion_tokens":{tokens}}}'
        assert inspector.feed(_content("a", usage)) == _content("a")
    assert inspector.usage == Usage(input_tokens=10, output_tokens=3)


@pytest.mark.parametrize(
    ("delta", "text_bytes"),
    [
        ('{"content":"abc"}', 3),
        ('{"content":"é😀"}', 6),
        ('{"reasoning_content":"abc"}', 3),
        ('{"reasoning":"abc"}', 3),
        ('{"reasoning":"abc","reasoning_content":"abc"}', 3),
        ('{"refusal":"no"}', 2),
        (
            '{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}',
            3,
        ),
        ('{"content":[{"type":"thinking","thinking":[{"type":"text","text":"abc"}]}]}', 3),
        (r'{"content":"a\ud83d"}', 1),
        ('{"audio":{"id":"a","data":"AAAA"}}', 0),
    ],
)
def test_real_output_is_noticed_and_measured(delta: str, text_bytes: int) -> None:
    """Text, reasoning, refusals and tool calls are output; their text is counted in bytes of UTF-8."""
    inspector = _begun(include_usage=False)
    assert inspector.feed(_event(f'[{{"index":0,"delta":{delta}}}]'))
    assert (inspector.saw_output, inspector.delivered.size_bytes) == (True, text_bytes)


@pytest.mark.parametrize(
    "choice",
    [
        '{"delta":{"role":"assistant","content":""}}',
        '{"delta":{"content":null,"tool_calls":[]}}',
        '{"delta":null}',
        "{}",
        '{"delta":{},"finish_reason":"stop"}',
    ],
)
def test_an_empty_delta_is_no_output(choice: str) -> None:
    """A role, a null or an end is not yet an answer, so that a failover is still possible."""
    inspector = StreamInspector(include_usage=False)
    inspector.feed(_event(f"[{choice}]"))
    assert not inspector.saw_output


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": SECRET, "type": "server_error", "code": None}},
        {"error": SECRET},
        {"choices": [{"delta": {"content": SECRET}, "finish_reason": "error"}], "error": {"code": 502}},
    ],
)
def test_nothing_is_forwarded_from_an_error_on(error: dict[str, object]) -> None:
    """The events before an error are forwarded, the error and all after it are not, wherever it comes."""
    failing = b"data: %b\n\n" % json.dumps(error).encode()
    for before in (b"", ROLE + _content("a")):
        inspector = StreamInspector(include_usage=True)
        assert inspector.feed(before + failing + _content("b") + DONE) == before
        assert inspector.feed(_content("c")) == b""
        assert inspector.error is not None
        assert inspector.error.kind == "failed"
        assert SECRET.encode() not in msgspec.json.encode(inspector.error)
        assert not inspector.finish().is_complete


def test_an_event_of_type_error_is_an_error_whatever_it_holds() -> None:
    """`event: error` is believed even without a readable object."""
    for data in (b"plain words", b'{"message":"x"}', b'{"choices":[]}'):
        inspector = StreamInspector(include_usage=True)
        assert inspector.feed(b"event: error\ndata: %b\n\n" % data) == b""
        assert inspector.error == UpstreamError(kind="failed")


def test_a_null_error_is_none() -> None:
    """`error: null` stands in every chunk of some providers."""
    inspector = _begun(include_usage=True)
    assert inspector.feed(_content("a", ',"error":null')) == _content("a", ',"error":null')
    assert inspector.error is None


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"{",
        b"[]",
        b"5",
        b'""',
        b'[{"x":1}]',
        b'{"choices":5}',
        b'{"choices":[5]}',
        b'{"a":NaN}',
        b'{"choices":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_what_is_no_chunk_is_an_invalid_answer(data: bytes) -> None:
    """Malformed JSON and JSON of another shape end the stream with an error."""
    inspector = _begun(include_usage=True)
    assert inspector.feed(_content("a") + b"data: %b\n\n" % data) == _content("a")
    assert inspector.error == UpstreamError(kind="invalid")


def test_an_event_that_is_too_large_is_an_invalid_answer() -> None:
    """A line without end is given up, not collected."""
    inspector = _begun(include_usage=True)
    forwarded = inspector.feed(_content("a") + b"data: ")
    for _ in range(33):
        forwarded += inspector.feed(b"x" * 1024 * 1024)
    assert (forwarded, inspector.error) == (_content("a"), UpstreamError(kind="invalid"))


@pytest.mark.parametrize(
    "data", [b"", b'{"type":"ping"}', b'{"code":0}', b'{"choices":null}', b'{"choices":[],"usage":null}']
)
def test_an_object_that_is_no_chunk_is_swallowed(data: bytes) -> None:
    """An event without choices or usage would break SDKs."""
    inspector = StreamInspector(include_usage=True)
    assert inspector.feed(b"data: %b\n\n" % data) == b""
    assert inspector.error is None


def test_data_after_done_is_ignored() -> None:
    """A repeated end, or anything after it, changes nothing."""
    inspector = _begun(include_usage=True)
    assert inspector.feed(FINISH + DONE + _content("late")) == FINISH
    assert inspector.feed(DONE + b"data: <html>\n\n") == b""
    assert (inspector.error, inspector.finish().is_complete, inspector.saw_output) == (None, True, False)


@pytest.mark.parametrize(
    ("stream", "rest", "is_complete"),
    [
        pytest.param(b"", b"", False, id="nothing"),
        pytest.param(ROLE + _content("a"), b"", False, id="cut after text"),
        pytest.param(ROLE + _content("a") + FINISH, b"", True, id="finish without DONE"),
        pytest.param(ROLE + _content("a") + DONE, b"", False, id="DONE alone"),
        pytest.param(ROLE + _content("a") + LAST_USAGE + DONE, b"", True, id="DONE after the usage"),
        pytest.param(
            ROLE + _content("a") + LAST_USAGE + _content("b") + DONE, b"", False, id="DONE after more"
        ),
        pytest.param(ROLE + LAST_USAGE + DONE, b"", False, id="DONE after nothing but usage"),
        pytest.param(DONE, b"", False, id="DONE of nothing"),
        pytest.param(ROLE + _content("a") + FINISH[:-2], FINISH, True, id="no last blank line"),
        pytest.param(ROLE + _content("a") + FINISH + DONE.strip(), b"", True, id="DONE without a line end"),
        pytest.param(ROLE + _content("a") + FINISH[:-20], b"", False, id="cut inside an event"),
        pytest.param(ROLE + FINISH + LAST_USAGE[:-20], b"", True, id="cut inside the usage"),
        pytest.param(
            _event('[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{}}]'),
            b"",
            False,
            id="one of two",
        ),
        pytest.param(_event('[{"index":0,"delta":{},"finish_reason":""}]'), b"", False, id="empty reason"),
    ],
)
def test_the_end_tells_a_whole_answer_from_a_cut_one(stream: bytes, rest: bytes, is_complete: bool) -> None:
    """An answer is whole after a finish reason for each choice; `[DONE]` replaces them only after a last word on the usage."""
    inspector = StreamInspector(include_usage=True)
    inspector.feed(stream)
    end = inspector.finish()
    assert (end.rest, end.is_complete) == (rest, is_complete)
    assert inspector.error is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "choices": _JSON
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": _JSON,
                    "finish_reason": _JSON,
                    "delta": _JSON
                    | st.fixed_dictionaries(
                        {}, optional={"content": _JSON, "tool_calls": _JSON, "reasoning": _JSON}
                    ),
                },
            ),
            max_size=2,
        ),
        "usage": _JSON,
        "error": _JSON,
    },
)


@given(chunks=st.lists(_CHUNKS, max_size=4), cut=st.integers(min_value=0, max_value=300), asked=st.booleans())
def test_no_stream_breaks_the_inspector(chunks: list[dict[str, object]], cut: int, asked: bool) -> None:
    """Any objects in any shape, cut anywhere, are read without an exception, in one way for every chunking."""
    stream = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    whole, parts = StreamInspector(asked, ORIGIN), StreamInspector(asked, ORIGIN)
    forwarded = whole.feed(stream)
    assert parts.feed(stream[:cut]) + parts.feed(stream[cut:]) == forwarded
    assert (parts.error, parts.usage, parts.finish_reasons) == (
        whole.error,
        whole.usage,
        whole.finish_reasons,
    )
    assert whole.finish() == parts.finish()
    if not asked:
        events = [json.loads(event[6:]) for event in forwarded.split(b"\n\n") if event]
        assert not any("usage" in event for event in events)
