"""F90, F91, F92: bodies that are made to break a parser, a number or a type, sent to a running edge."""

import asyncio

import httpx
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from services.edge.openai import LOGIT_BIAS_BYTES_MAX, MESSAGES_MAX, PARTS_MAX
from services.edge.settings import EdgeSettings
from shared.errors import InvalidRequest
from tests.dispatcher.rig import World
from tests.edge.chat_bodies import FIELDS, MESSAGES, MINIMAL, NULLABLE, VALUES, Json, encoded, outcome
from tests.edge.rig import Around, Edge, edge_of, error_of

HEAD = b'{"model":"m","messages":[{"role":"user","content":"hello"}],'
DEPTH = 100_000
MEMBERS = 1_000_000

BOMBS = {
    "arrays in arrays": HEAD + b'"x":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "objects in objects": HEAD + b'"x":' + b'{"x":' * DEPTH + b"1" + b"}" * DEPTH + b"}",
    "an array without end": b"[" * DEPTH,
    "objects without end": b'{"messages":[' * DEPTH,
    "a body that is an array": b"[" * 10 + b"]" * 10,
    "a million biases": HEAD + b'"logit_bias":{' + b'"1":1,' * (MEMBERS - 1) + b'"2":1}}',
    "half a million messages": b'{"model":"m","messages":[' + b'{"role":"assistant"},' * (MEMBERS // 2) + b'{"role":"assistant"}]}',
    "a million stop words": HEAD + b'"stop":[' + b'"a",' * (MEMBERS - 1) + b'"a"]}',
    "a million tools": HEAD + b'"tools":[' + b'{"type":"a"},' * (MEMBERS - 1) + b'{"type":"a"}]}',
    "NaN": HEAD + b'"temperature":NaN}',
    "NaN where nobody looks": HEAD + b'"x":NaN}',
    "Infinity": HEAD + b'"temperature":-Infinity}',
    "a number beyond any float": HEAD + b'"temperature":1e999}',
    "a number of 5,000 digits": HEAD + b'"seed":' + b"9" * 5_000 + b"}",
    "a number of 5,000 digits as bound": HEAD + b'"max_tokens":' + b"9" * 5_000 + b"}",
    "half a surrogate as model": b'{"model":"\\ud800","messages":[{"role":"user","content":"a"}]}',
    "half a surrogate where nobody looks": HEAD + b'"x":"\\ud800"}',
    "half a surrogate in bytes": b'{"model":"m","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "NUL as model": b'{"model":"\\u0000","messages":[{"role":"user","content":"a"}]}',
    "NUL itself": b'{"model":"m\0","messages":[{"role":"user","content":"a"}]}',
    "a byte that is no UTF-8": HEAD + b'"x":"\xff"}',
    "a byte order mark": b"\xef\xbb\xbf" + MINIMAL,
    "UTF-16": MINIMAL.decode().encode("utf-16"),
    "a comma too many": HEAD + b"}",
    "a comment": b"/* */" + MINIMAL,
    "two bodies": MINIMAL + MINIMAL,
    "a key that is no string": b'{1:2}',
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "a word that was long": b'{"model":"' + b"m" * 10_000 + b'","messages":[{"role":"user","content":"a"}]}',
}  # fmt: skip

NUMBERS: list[tuple[str, str]] = [
    *((name, text) for name in ("max_tokens", "max_completion_tokens") for text in (
        "-1", "0", "0.5", "9223372036854775808", "18446744073709551616", "1e308", "1e400", '"10"', "true", "[]", "{}",
    )),
    *(("n", text) for text in ("0", "-1", "129", "1000000000", "1.5", '"1"', "true")),
    *(("stream", text) for text in ('"true"', '"false"', "1", "0", "[]", "{}")),
    *(("messages", text) for text in ("[]", "{}", "null", '"hello"', "[null]", "[[]]", '["hello"]', "[{}]")),
    *(("temperature", text) for text in ("-0.1", "2.1", '"1"', "true", "1e308")),
    *(("model", text) for text in ("null", "1", "[]", '""', '"a\\nb"', '"a\\r\\nb"', '"\\u202e"')),
]  # fmt: skip


async def send(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    """Return the answer to a body."""
    return await client.post("/v1/chat/completions", content=body)


def check_refusal(answer: httpx.Response) -> None:
    """A 400 in OpenAI's shape, which no SDK repeats, and which does not echo what was sent."""
    assert answer.status_code == 400, answer.text[:500]
    error = error_of(answer)
    assert error["type"] == "invalid_request_error"
    assert error["code"] in ("invalid_json", "invalid_value", "missing_required_parameter")
    assert answer.headers["x-should-retry"] == "false"
    assert len(answer.content) < 1_000


async def test_a_bomb_is_a_refusal(around: Around, settings: EdgeSettings) -> None:
    """F90: depth, number of members, digits, bytes that are no text: a 400 each, no hold, and the next one is served."""
    async with edge_of(around, settings) as edge, edge.client() as client:
        for name, body in BOMBS.items():
            answer = await send(client, body)
            try:
                check_refusal(answer)
            except AssertionError as error:
                raise AssertionError(name) from error

    assert around.billing.reserves == []


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b'"x":{' + b",".join(b'"%d":1' % number for number in range(MEMBERS)) + b"}}",
        HEAD + b'"n":2,' * MEMBERS + b'"n":1}',
        HEAD + b'"x":' + b"9" * MEMBERS + b"}",
        HEAD + b'"x":"\\u0000"}',
    ],
    ids=["a million members", "one member a million times", "a million digits", "NUL"],
)
def test_what_is_odd_where_nobody_looks_is_a_request(body: bytes) -> None:
    """F90: members that are the upstream's to understand are not judged; of one that is given twice the last one counts."""
    request = outcome(body)
    assert not isinstance(request, InvalidRequest)
    assert request.choices == 1


def test_there_is_no_need_to_count_further() -> None:
    """F90: at the bounds a body is a request, beyond them it is refused before more is done with it."""
    bias = b'"logit_bias":{"1":%s1}}' % (b" " * (LOGIT_BIAS_BYTES_MAX - len('{"1":1}')))
    for body, more in (
        (_parts(PARTS_MAX), _parts(PARTS_MAX + 1)),
        (_messages(MESSAGES_MAX), _messages(MESSAGES_MAX + 1)),
        (HEAD + bias, HEAD + bias.replace(b" 1}", b"  1}")),
    ):
        assert not isinstance(outcome(body), InvalidRequest)
        assert isinstance(outcome(more), InvalidRequest)


async def test_a_number_or_type_out_of_range_is_a_refusal(around: Around, settings: EdgeSettings) -> None:
    """F91, F92: bounds, counts, switches and lists; the member is named, and nothing is held."""
    async with edge_of(around, settings) as edge, edge.client() as client:
        for name, text in NUMBERS:
            members = {"model": '"m"', "messages": '[{"role":"user","content":"a"}]', name: text}
            body = "{" + ",".join(f'"{member}":{value}' for member, value in members.items()) + "}"
            answer = await send(client, body.encode())
            check_refusal(answer)
            assert (error_of(answer)["param"] or "").startswith(name), body

    assert around.billing.reserves == []


@pytest.mark.parametrize("name", NULLABLE)
def test_a_null_bound_is_no_bound(name: str) -> None:
    """F91: as at OpenAI."""
    assert not isinstance(outcome(encoded(**{name: None})), InvalidRequest)


async def test_whatever_is_sent_is_answered_in_shape(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """F92: any value in any member, and any bytes, are refused or go on to routing; never a 500, and each answer has an id."""
    async with edge_of(around, settings) as edge:
        await asyncio.to_thread(_send_anything, edge)


def _send_anything(edge: Edge) -> None:
    headers = {"authorization": f"Bearer {edge.key}", "content-type": "application/json"}
    with httpx.Client(base_url=edge.url, headers=headers, timeout=30.0) as client:

        @effort(max_examples=100, deadline=None)
        @given(
            body=st.builds(lambda name, value: encoded(**{name: value}), st.sampled_from(FIELDS), VALUES)
            | st.builds(_with_messages, MESSAGES)
            | st.binary(max_size=200)
        )
        @example(body=encoded(model="\ud800"))
        @example(body=encoded(logit_bias={"\ud800": 1}))
        def check(body: bytes) -> None:
            answer = client.post("/v1/chat/completions", content=body)
            if answer.status_code != 503:  # no channel: the request was good
                check_refusal(answer)
            assert error_of(answer)

        check()


def _with_messages(messages: list[Json]) -> bytes:
    return encoded(messages=messages)


def _messages(count: int) -> bytes:
    return b'{"model":"m","messages":[' + b",".join([b'{"role":"assistant"}'] * count) + b"]}"


def _parts(count: int) -> bytes:
    parts = b",".join([b'{"type":"text"}'] * count)
    return b'{"model":"m","messages":[{"role":"user","content":[' + parts + b"]}]}"
