"""F86: requests that come before the last one is answered."""

import pytest

from services.edge.connection import WAITING_MAX
from tests.dispatcher.rig import until
from tests.edge.raw_client import Application, RawClient, connected
from tests.edge.serving import served


def get(path: str) -> bytes:
    """Return a request for `path`."""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


async def until_begun(app: Application, client: RawClient, *, requests: int = 1) -> None:
    """Return when the application has seen so many requests of `client`."""
    await until(lambda: len(app.of(client)) == requests and app.of(client)[-1].body is not None)


async def test_requests_in_a_row_are_answered_in_order() -> None:
    """F86: one at a time, each with its own body."""
    app = Application()
    app.may_answer.clear()
    async with served(app) as port, connected(port) as client:
        body = b"content-length: 5\r\n\r\nhello"
        await client.send(get("/1") + b"POST /2 HTTP/1.1\r\nhost: x\r\n" + body + get("/3"))
        await until_begun(app, client)
        app.may_answer.set()
        answers = [await client.answer() for _ in range(3)]

        assert answers == [(200, b"/1"), (200, b"/2"), (200, b"/3")]
        assert [seen.body for seen in app.of(client)] == [b"", b"hello", b""]

        await client.send(get("/4"))
        assert await client.answer() == (200, b"/4")


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_client_that_leaves_during_its_first_request_is_noticed(is_reset: bool) -> None:
    """F86: also when others wait behind, which then never begin."""
    app = Application()
    app.may_answer.clear()
    async with served(app) as port, connected(port) as client:
        await client.send(get("/1"))
        await until_begun(app, client)
        await client.send(get("/2"), get("/3"))
        if is_reset:
            client.writer.transport.abort()
        else:
            client.writer.close()
        await until(lambda: app.of(client)[0].is_left)

    assert [seen.path for seen in app.of(client)] == ["/1"]


async def test_few_requests_may_wait() -> None:
    """F86: those that have room are answered, then the connection closes, so that the client knows what to repeat."""
    app = Application()
    app.may_answer.clear()
    async with served(app) as port, connected(port) as client:
        await client.send(*(get(f"/{number}") for number in range(1000)))
        await until_begun(app, client)
        app.may_answer.set()
        answer = await client.rest()

    assert [seen.path for seen in app.of(client)] == [f"/{number}" for number in range(WAITING_MAX + 1)]
    assert answer.count(b"HTTP/1.1 200 ") == WAITING_MAX + 1
    assert answer.endswith(f"/{WAITING_MAX}".encode())
    assert answer.count(b"connection: close") == 1


async def test_a_large_body_does_not_wait() -> None:
    """F86: it is not kept in memory behind another request; the connection closes after the answer to that one."""
    app = Application()
    app.may_answer.clear()
    async with served(app) as port, connected(port) as client:
        await client.send(get("/1") + b"POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n")
        await until_begun(app, client)
        await client.send(*[b"x" * 100_000] * 5)
        await until(lambda: app.of(client)[0].body is not None)
        app.may_answer.set()
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [seen.path for seen in app.of(client)] == ["/1"]
