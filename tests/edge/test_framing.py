"""F89: bytes that two readers could take for different requests, over a real listener.

Each is sent with a hidden request behind it. Either it is refused and the connection ends, or it is one request and the next
one is where it should be.
"""

import asyncio

import pytest

from tests.dispatcher.rig import until
from tests.edge.raw_client import Application, connected, error_code, in_bytes
from tests.edge.serving import served

HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /seen HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
NOTHING = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"

BAD_HEADS = {
    "CL and TE": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + NOTHING,
    "TE and CL": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n" + NOTHING,
    "CL twice, the same": POST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "CL twice, different": POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "CL with plus": POST + b"content-length: +5\r\n\r\nhello",
    "CL negative": POST + b"content-length: -5\r\n\r\nhello",
    "CL in two words": POST + b"content-length: 5 5\r\n\r\nhello",
    "CL as a list": POST + b"content-length: 5, 5\r\n\r\nhello",
    "CL in hex": POST + b"content-length: 0x5\r\n\r\nhello",
    "CL empty": POST + b"content-length:\r\n\r\nhello",
    "CL beyond 64 bits": POST + b"content-length: 18446744073709551621\r\n\r\nhello",
    "TE xchunked": POST + b"transfer-encoding: xchunked\r\n\r\n" + NOTHING,
    "TE chunked, identity": POST + b"transfer-encoding: chunked, identity\r\n\r\n" + NOTHING,
    "TE gzip, chunked": POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + NOTHING,
    "TE identity": POST + b"transfer-encoding: identity\r\n\r\n" + NOTHING,
    "TE twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n" + NOTHING,
    "TE twice, different": POST + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n" + NOTHING,
    "TE empty": POST + b"transfer-encoding:\r\n\r\n" + NOTHING,
    "TE quoted": POST + b'transfer-encoding: "chunked"\r\n\r\n' + NOTHING,
    "TE with a parameter": POST + b"transfer-encoding: chunked;q=1\r\n\r\n" + NOTHING,
    "TE with a vertical tab": POST + b"transfer-encoding: \x0bchunked\r\n\r\n" + NOTHING,
    "TE of a GET": b"GET /seen HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n",
    "TE in HTTP/1.0": b"POST /seen HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n" + HELLO,
    "folded line": POST + b"a: b\r\n c: d\r\n\r\n",
    "folded TE": POST + b"transfer-encoding:\r\n chunked\r\n\r\n" + NOTHING,
    "space before the first field": b"GET /seen HTTP/1.1\r\n a: b\r\nhost: x\r\n\r\n",
    "bare LF everywhere": b"GET /seen HTTP/1.1\nhost: x\n\n",
    "bare LF after the request line": b"GET /seen HTTP/1.1\nhost: x\r\n\r\n",
    "bare LF after a field": POST + b"a: b\nc: d\r\n\r\n",
    "bare LF at the end": POST + b"a: b\r\n\n",
    "bare CR in a field": POST + b"a: b\rc: d\r\n\r\n",
    "two CR": POST + b"a: b\r\r\n\r\n",
    "space before the colon": POST + b"content-length : 5\r\n\r\nhello",
    "tab before the colon": POST + b"content-length\t: 5\r\n\r\nhello",
    "no colon": POST + b"a\r\n\r\n",
    "no name": POST + b": a\r\n\r\n",
    "NUL in a name": POST + b"a\0: b\r\n\r\n",
    "NUL in a value": POST + b"traceparent: b\0c\r\n\r\n",
    "a control in a value": POST + b"openai-organization: b\x01c\r\n\r\n",
    "DEL in a value": POST + b"x-request-id: b\x7fc\r\n\r\n",
    "8 bits in a name": POST + b"a\xe9: b\r\n\r\n",
    "no host": b"GET /seen HTTP/1.1\r\n\r\n",
    "two hosts": POST + b"host: x\r\n\r\n",
    "a path as host": b"GET /seen HTTP/1.1\r\nhost: evil/\r\n\r\n",
    "a user in the host": b"GET /seen HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "a list of hosts": b"GET /seen HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "HTTP/0.9": b"GET /seen\r\n\r\n",
    "HTTP/0.9 by name": b"GET /seen HTTP/0.9\r\nhost: x\r\n\r\n",
    "HTTP/1.2": b"GET /seen HTTP/1.2\r\nhost: x\r\n\r\n",
    "HTTP/2.0": b"GET /seen HTTP/2.0\r\nhost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "CONNECT": b"CONNECT seen:443 HTTP/1.1\r\nhost: seen:443\r\n\r\n",
    "an unknown method": b"STEAL /seen HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method in small letters": b"get /seen HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tab after the method": b"GET\t/seen HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space in the target": b"GET /se en HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space after the version": b"GET /seen HTTP/1.1 \r\nhost: x\r\n\r\n",
    "8 bits in the target": b"GET /s\xe9en HTTP/1.1\r\nhost: x\r\n\r\n",
    "a control in the target": b"GET /s\x01een HTTP/1.1\r\nhost: x\r\n\r\n",
    "an absolute target without path": b"GET http://x HTTP/1.1\r\nhost: x\r\n\r\n",
}  # fmt: skip

BAD_BODIES = {
    "chunk size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size with plus": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size with space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "bare LF after a chunk size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "bare LF after an extension": CHUNKED + b"5;a\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a line break in a quoted extension": CHUNKED + b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    "nothing after a chunk": CHUNKED + b"5\r\nhello0\r\n\r\n",
    "more than its size in a chunk": CHUNKED + b"5\r\nhello!!\r\n0\r\n\r\n",
    "bare LF at the end": CHUNKED + b"5\r\nhello\r\n0\n\n",
    "CL as trailer": CHUNKED + b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
    "TE as trailer": CHUNKED + b"5\r\nhello\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
    "NUL in a trailer": CHUNKED + b"5\r\nhello\r\n0\r\na: b\0\r\n\r\n",
    "an endless extension": CHUNKED + b"5;" + b"a" * 100_000,
    "an endless trailer": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 20_000,
}

ONE_REQUEST = {
    "CL": (POST + b"content-length: 5\r\n\r\nhello", b"hello"),
    "CL with zeros": (POST + b"content-length: 005\r\n\r\nhello", b"hello"),
    "CL with space behind": (POST + b"content-length: 5 \r\n\r\nhello", b"hello"),
    "CL of a GET": (b"GET /seen HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "CL with underscore is no CL": (POST + b"content_length: 5\r\n\r\n", b""),
    "chunks": (CHUNKED + HELLO, b"hello"),
    "TE in capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + HELLO, b"hello"),
    "a chunk size in many digits": (CHUNKED + b"0" * 100 + HELLO, b"hello"),
    "a chunk extension": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "a trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nauthorization: Bearer other\r\n\r\n", b"hello"),
    "empty lines before": (b"\r\n\r\n" + POST + b"content-length: 5\r\n\r\nhello", b"hello"),
    "empty lines behind": (POST + b"content-length: 5\r\n\r\nhello\r\n\r\n", b"hello"),
    "an empty host": (b"GET /seen HTTP/1.1\r\nhost:\r\n\r\n", b""),
    "an address as host": (b"GET /seen HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n", b""),
    "an absolute target": (b"GET http://evil/seen HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    "8 bits in a value": (b"GET /seen HTTP/1.1\r\nhost: x\r\na: \xe9\r\n\r\n", b""),
    "an offer of HTTP/2": (
        POST + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\ncontent-length: 33\r\n\r\n" + HIDDEN[:33],
        HIDDEN[:33],
    ),
    "an offer of HTTP/2 with chunks": (
        POST + b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n\r\n" + HELLO,
        b"hello",
    ),
    "an offer of WebSocket": (
        b"GET /seen HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"",
    ),
    "CONNECT to a path": (b"CONNECT /seen HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
}  # fmt: skip


@pytest.mark.parametrize("is_dripped", [False, True])
async def test_a_head_that_could_be_read_in_two_ways_is_refused(is_dripped: bool) -> None:
    """F89: one 400 in OpenAI's shape and the end of the connection; the application sees nothing, in whatever pieces it came."""
    app = Application()
    async with served(app) as port:

        async def check(name: str, request: bytes) -> None:
            async with connected(port) as client:
                data = request + HIDDEN
                await client.send(*(in_bytes(data) if is_dripped else [data]))
                answer = await client.rest()
                assert answer.startswith(b"HTTP/1.1 400 "), (name, answer)
                assert answer.count(b"HTTP/1.1 ") == 1, name
                assert error_code(answer) == "invalid_http", name
                assert app.of(client) == [], name

        await asyncio.gather(*(check(name, request) for name, request in BAD_HEADS.items()))


@pytest.mark.parametrize("is_dripped", [False, True])
async def test_a_body_whose_end_is_unclear_is_refused(is_dripped: bool) -> None:
    """F89: the request that has begun never gets a whole body, and nothing behind it is a request."""
    app = Application()
    async with served(app) as port:

        async def check(name: str, request: bytes) -> None:
            async with connected(port) as client:
                data = request + HIDDEN
                await client.send(*(in_bytes(data) if is_dripped and len(data) < 1000 else [data]))
                answer = await client.rest()
                assert answer.startswith(b"HTTP/1.1 400 "), (name, answer)
                assert answer.count(b"HTTP/1.1 ") == 1, name
                assert error_code(answer) in ("invalid_http", "head_too_large"), name
                assert [(seen.path, seen.body, seen.is_left) for seen in app.of(client)] in (
                    [("/seen", None, True)],
                    [],
                ), name

        await asyncio.gather(*(check(name, request) for name, request in BAD_BODIES.items()))


@pytest.mark.parametrize("is_dripped", [False, True])
async def test_what_can_be_read_in_one_way_is_one_request(is_dripped: bool) -> None:
    """F89: and the next request is where it ends, in whatever pieces it came."""
    app = Application()
    async with served(app) as port:

        async def check(name: str, request: bytes, body: bytes) -> None:
            async with connected(port) as client:
                data = request + b"GET /next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
                await client.send(*(in_bytes(data) if is_dripped else [data]))
                assert await client.answer() == (200, b"/seen"), name
                assert await client.answer() == (200, b"/next"), name
                assert await client.rest() == b"", name
                assert [(seen.path, seen.body) for seen in app.of(client)] == [
                    ("/seen", body),
                    ("/next", b""),
                ], name
                assert (b"authorization", b"Bearer other") not in app.of(client)[0].headers

        await asyncio.gather(*(check(name, *case) for name, case in ONE_REQUEST.items()))


@pytest.mark.parametrize(
    "garbage", [b"hello!", b"\0", b"GET /hidden HTTP/1.1\r\n\r\n", b"GET /hidden\r\n\r\n"]
)
async def test_what_stands_behind_a_request_does_not_spoil_its_answer(garbage: bytes) -> None:
    """F89: the answer is given first, then the connection closes; a refusal would be taken for the answer."""
    app = Application()
    app.may_answer.clear()
    async with served(app) as port, connected(port) as client:
        await client.send(POST + b"content-length: 5\r\n\r\nhello", garbage, HIDDEN)
        await until(lambda: app.of(client) and app.of(client)[0].body)
        app.may_answer.set()
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [seen.body for seen in app.of(client)] == [b"hello"]


async def test_nothing_follows_a_request_that_closes() -> None:
    """F89: a request behind `Connection: close` is not one."""
    app = Application()
    async with served(app) as port, connected(port) as client:
        await client.send(b"GET /seen HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" + HIDDEN)
        answer = await client.rest()

    assert answer.count(b"HTTP/1.1 ") == 1
    assert [seen.path for seen in app.of(client)] == ["/seen"]
