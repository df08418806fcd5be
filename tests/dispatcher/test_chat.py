"""The chat dialect: the request that is sent, and the plain answer."""

import msgspec
import pytest

from services.dispatcher.chat import PlainResult, inspect_plain, prepare
from services.dispatcher.delivered import DeliveredText
from services.dispatcher.upstream_error import UpstreamError
from services.dispatcher.usage import Usage
from shared.errors import InvalidRequest

USAGE = b'{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}'
SECRET = "sk-live-9f8e7d6c"


# --- the request


def test_other_members_keep_their_bytes_and_order() -> None:
    """What Relay does not set goes through byte for byte: numbers, escapes and unknown members included."""
    body = (
        rb'{"temperature":1.0,"model":"m","messages":[{"role":"user", "content":"\u00e9\ud83d\ude00"}],'
        rb'"seed":123456789012345678901234567890,"top_p":1e-2,"x_unknown":{"b": 1,"a":null}}'
    )
    sent = prepare(body, upstream_model="real/model", max_output_tokens=None, stream=False)
    assert sent == body.replace(b'"model":"m"', b'"model":"real/model"')


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    "given_bounds",
    [
        "",
        ',"max_tokens":100',
        ',"max_completion_tokens":100',
        ',"max_tokens":1,"max_completion_tokens":100',
        ',"max_tokens":null',
        ',"max_tokens":null,"max_completion_tokens":9',
        ',"max_completion_tokens":null,"max_tokens":null',
    ],
)
def test_q35_one_bound_goes_out_under_the_name_that_the_channel_wants(given_bounds: str, key: str) -> None:
    """Whatever the client gave and however it called it: providers refuse the other name, or both."""
    sent = prepare(
        b'{"model":"m"%b}' % given_bounds.encode(),
        upstream_model="m",
        max_output_tokens=7,
        stream=False,
        output_key=key,
    )
    assert sent == b'{"model":"m","%b":7}' % key.encode()


@pytest.mark.parametrize(
    ("given_bounds", "sent_bounds"),
    [
        ("", ""),
        (',"max_tokens":1,"x":2', ',"max_completion_tokens":1,"x":2'),
        (',"max_tokens":1,"max_completion_tokens":100,"x":2', ',"max_completion_tokens":100,"x":2'),
        (',"max_completion_tokens":100,"x":2,"max_tokens":1', ',"max_completion_tokens":100,"x":2'),
        (',"max_tokens":null', ""),
    ],
)
def test_q35_the_clients_own_bound_is_renamed_where_it_stood(given_bounds: str, sent_bounds: str) -> None:
    """Without a bound of ours the client's goes out, of two the newer; a null says nothing."""
    sent = prepare(
        b'{"model":"m"%b}' % given_bounds.encode(),
        upstream_model="m",
        max_output_tokens=None,
        stream=False,
        output_key="max_completion_tokens",
    )
    assert sent == b'{"model":"m"%b}' % sent_bounds.encode()


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("", '"stream_options":{"include_usage":true}'),
        (',"stream_options":null', '"stream_options":{"include_usage":true}'),
        (
            ',"stream_options":{"include_obfuscation": false}',
            '"stream_options":{"include_obfuscation":false,"include_usage":true}',
        ),
        (',"stream_options":{"include_usage":false}', '"stream_options":{"include_usage":true}'),
    ],
)
def test_a_stream_always_reports_its_usage(options: str, sent: str) -> None:
    """Usage is asked for whether or not the client did; the other options stay."""
    body = b'{"model":"m","stream":true%b}' % options.encode()
    prepared = prepare(body, upstream_model="m", max_output_tokens=None, stream=True)
    assert prepared == b'{"model":"m","stream":true,%b}' % sent.encode()


def test_a_plain_request_carries_no_stream_options() -> None:
    """Providers refuse `stream_options` without `stream`."""
    body = b'{"stream_options":{"include_usage":true},"model":"m"}'
    assert prepare(body, upstream_model="m", max_output_tokens=None, stream=False) == b'{"model":"m"}'


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a":1', b'{"a":' + b"[" * 100_000, b'{"\xff":1}'])
def test_a_body_that_is_no_object_is_an_invalid_request(body: bytes) -> None:
    """What cannot be read is the client's error, not ours."""
    with pytest.raises(InvalidRequest):
        prepare(body, upstream_model="m", max_output_tokens=1, stream=True)


def test_stream_options_that_are_no_object_are_an_invalid_request() -> None:
    """The error names the member."""
    with pytest.raises(InvalidRequest) as caught:
        prepare(b'{"stream_options":5}', upstream_model="m", max_output_tokens=1, stream=True)
    assert caught.value.param == "stream_options"


# --- the plain answer

PLAIN = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"Hello"},"finish_reason":"stop"}],"usage":%b}'
)


def test_a_plain_answer_is_read_and_kept() -> None:
    """The body is forwarded as it came, without the white space that some providers send while they think."""
    result = inspect_plain(200, "application/json", b"\n\n  " + PLAIN % USAGE + b"\n")
    assert result == PlainResult(
        body=PLAIN % USAGE,
        usage=Usage(input_tokens=10, output_tokens=5),
        finish_reasons={0: "stop"},
        saw_output=True,
        delivered=DeliveredText(size_bytes=5, kept=bytearray(b"Hello")),
    )


def test_a_plain_answer_may_lack_usage_and_output() -> None:
    """Missing and null usage are no usage; an empty message is no output."""
    for body in (PLAIN % b"null", PLAIN.replace(b',"usage":%b', b"")):
        assert inspect_plain(200, "", body).usage is None
    empty = inspect_plain(200, "", b'{"choices":[{"message":{"content":null},"finish_reason":null}]}')
    assert (empty.error, empty.saw_output, empty.finish_reasons) == (None, False, {0: "stop"})


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        (
            "application/json",
            b'{"error":{"message":"sk-live-9f8e7d6c","type":"rate_limit_error"}}',
            "rate_limited",
        ),
        ("application/json", b'{"error":"sk-live-9f8e7d6c"}', "failed"),
        ("application/json", b'{"choices":[],"error":"sk-live-9f8e7d6c"}', "failed"),
        ("text/html; charset=utf-8", b"<html>error code: 524</html>", "invalid"),
        ("text/html", PLAIN % USAGE, "invalid"),
        ("application/json", b"", "invalid"),
        ("application/json", b'{"choices":[', "invalid"),
        ("application/json", b"[]", "invalid"),
        ("application/json", b'{"code":"x","message":"sk-live-9f8e7d6c"}', "failed"),
        ("application/json", b'{"choices":[]}', "empty"),
        ("application/json", b'{"choices":[{"index":0}]}', "invalid"),
        ("application/json", b'{"x":' + b"[" * 100_000, "invalid"),
    ],
)
def test_an_error_under_a_good_status_is_an_error(content_type: str, body: bytes, kind: str) -> None:
    """A 200 with an error, a page or anything else than an answer is an error, of which nothing is forwarded."""
    result = inspect_plain(200, content_type, body)
    assert result.error is not None
    assert (result.error.kind, result.body) == (kind, b"")
    assert SECRET.encode() not in msgspec.json.encode(result)


def test_a_bad_status_is_classified() -> None:
    """A status that is none of the 2xx decides, even over a readable body."""
    assert inspect_plain(503, "application/json", PLAIN % USAGE).error == UpstreamError(
        kind="overloaded", status=503
    )
