"""Properties of what the relay makes of a stream, whatever comes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.chunks import DONE, USAGE, begins, chunk, delta, goes_on, inspected, read, relayed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
EXTRAS = st.sampled_from(
    ["", ',"system_fingerprint":"fp"', ',"usage":null', ',"x":[1.0, 1e-2, {"usage":null}]', ',"error":null']
)


def _continuation(index: int, name: str, value: str, extra: str) -> bytes:
    members = f'"{name}":{json.dumps(value, ensure_ascii=False)}'
    return chunk(f'[{{"index":{index},"delta":{{{members}}},"logprobs":null,"finish_reason":null}}]', extra)


@st.composite
def _canonical_streams(draw: st.DrawFn) -> list[bytes]:
    """Draw the events of a canonical stream, as OpenAI and those who follow it closely send them."""
    count = draw(st.integers(1, 3))
    events = [delta('"role":"assistant","content":"","refusal":null', index=index) for index in range(count)]
    made = [0] * count
    for _ in range(draw(st.integers(0, 6))):
        index = draw(st.integers(0, count - 1))
        name = draw(st.sampled_from(["content", "reasoning_content", "refusal", "call", "more"]))
        if name == "call":
            fragment = begins(made[index], "f", "{}", f"call_{index}_{made[index]}")
            events.append(delta(f'"tool_calls":[{fragment}]', index=index))
            made[index] += 1
        elif name == "more" and made[index]:
            events.append(
                delta(f'"tool_calls":[{goes_on(draw(st.integers(0, made[index] - 1)), " ")}]', index=index)
            )
        elif name != "more":
            events.append(_continuation(index, name, draw(TEXTS), draw(EXTRAS)))
    for index in range(count):
        reason = draw(
            st.sampled_from(["tool_calls", "length"] if made[index] else ["stop", "length", "content_filter"])
        )
        events.append(delta("", f'"{reason}"', index))
    if draw(st.booleans()):
        events.append(chunk("[]", f',"usage":{USAGE}'))
    return events


@given(events=_canonical_streams(), step=st.integers(1, 400))
def test_a_canonical_stream_goes_on_byte_for_byte_under_every_chunking(
    events: list[bytes], step: int
) -> None:
    """Whoever asked for usage gets exactly what came."""
    assert relayed(*events, DONE, include_usage=True, step=step) == b"".join(events)


@given(events=_canonical_streams())
def test_who_did_not_ask_gets_the_same_without_usage(events: list[bytes]) -> None:
    """Each chunk with choices, but for a null that it may have had."""
    expected = [each for each in read(b"".join(events)) if each["choices"]]
    for each in expected:
        each.pop("usage", None)
    assert read(relayed(*events, DONE)) == expected


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "f", "x", "stop"])
)
_FUNCTIONS = st.fixed_dictionaries(
    {}, optional={"name": _SCALARS, "arguments": _SCALARS | st.dictionaries(st.just("a"), _SCALARS)}
)
_FRAGMENTS = st.fixed_dictionaries(
    {}, optional={"index": _SCALARS, "id": _SCALARS, "type": _SCALARS, "function": _FUNCTIONS | _SCALARS}
)
_TEXTS = _SCALARS | st.lists(
    st.fixed_dictionaries({}, optional={"type": st.sampled_from(["text", "thinking"]), "text": _SCALARS})
)
_OUTPUTS = st.fixed_dictionaries(
    {},
    optional={
        "role": _SCALARS,
        "content": _TEXTS,
        "reasoning": _TEXTS,
        "reasoning_content": _SCALARS,
        "tool_calls": st.lists(_FRAGMENTS, max_size=3) | _SCALARS,
    },
)
_CHOICES: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {},
    optional={
        "index": _SCALARS,
        "delta": _OUTPUTS | st.none(),
        "message": _OUTPUTS | st.none(),
        "finish_reason": st.sampled_from([None, "", "stop", "tool_use", "eos", "STOP"]),
        "logprobs": _SCALARS | st.just({"content": []}),
    },
)
_DOCUMENTS = st.fixed_dictionaries(
    {"choices": st.lists(_CHOICES, max_size=2) | st.none()},
    optional={
        "id": _SCALARS,
        "object": _SCALARS,
        "created": _SCALARS,
        "model": _SCALARS,
        "usage": st.none() | st.just({"prompt_tokens": 3, "completion_tokens": "2"}),
    },
)


@given(documents=st.lists(_DOCUMENTS, max_size=5), asked=st.booleans(), step=st.integers(1, 200))
def test_what_was_made_canonical_stays_as_it_is(documents: list[object], asked: bool, step: int) -> None:
    """Normalising twice changes nothing, and every chunking gives the same."""
    events = [b"data: %b\n\n" % json.dumps(document).encode() for document in documents]
    inspector, sent = inspected(*events, DONE, include_usage=asked)
    _, in_pieces = inspected(*events, DONE, include_usage=asked, step=step)
    assert in_pieces == sent
    if inspector.error is None:
        again, twice = inspected(sent, DONE, include_usage=asked)
        assert (twice, again.error) == (sent, None)
        assert again.delivered.size_bytes == inspector.delivered.size_bytes
        assert again.saw_output == inspector.saw_output


@given(documents=st.lists(_DOCUMENTS, max_size=5), asked=st.booleans())
def test_every_chunk_that_is_sent_has_the_form_that_sdks_count_on(
    documents: list[object], asked: bool
) -> None:
    """One identity, choices without gaps, one role and one reason each, whole fragments, and the usage last."""
    events = [b"data: %b\n\n" % json.dumps(document).encode() for document in documents]
    inspector, sent = inspected(*events, DONE, include_usage=asked)
    chunks = read(sent)
    assert len({(each["id"], each["object"], each["created"], each["model"]) for each in chunks}) <= 1
    seen: dict[int, dict[str, int]] = {}
    for each in chunks:
        assert asked or "usage" not in each
        assert each["choices"] or each is chunks[-1]
        for choice in each["choices"]:
            begun = seen.setdefault(choice["index"], {"roles": 0, "ends": 0, "calls": 0})
            begun["roles"] += bool(choice["delta"].get("role"))
            begun["ends"] += bool(choice.get("finish_reason"))
            assert begun["roles"] == 1
            assert isinstance(choice["delta"].get("content") or "", str)
            for call in choice["delta"].get("tool_calls") or []:
                assert isinstance(call["function"]["arguments"], str)
                begun["calls"] += "id" in call and call["id"] is not None
                assert 0 <= call["index"] < begun["calls"]
    assert sorted(seen) == list(range(len(seen)))
    if inspector.finish().is_complete:
        assert all(begun["ends"] == 1 for begun in seen.values())
