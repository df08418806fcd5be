"""The connection itself: opened, lost and found again, flushed, ended, and closed for good."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Bus, Link, Message, link
from shared.contracts.call import AUTH, EDGE, Call
from shared.errors import Unavailable
from shared.settings import Settings
from tests.shared.conftest import (
    ECHO,
    PATIENCE_SECONDS,
    TOLD,
    Connect,
    Text,
    echo,
    noting,
    serve,
    soon,
    until,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A server of this test alone, which may be stopped and started."""
    with EmbeddedNats(tmp_path / "nats", "") as running:
        yield running


async def test_who_has_flushed_is_heard_by_the_server(connect: Connect) -> None:
    """A call right after the flush always finds the subscription."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    for number in range(300):
        call = Call(f"test.flush.{number}", Text, Text, owner=AUTH, callers=(EDGE,))
        for extra in range(5):  # several commands are still unwritten when the flush begins
            await auth.control.subscribe(f"test.other.{number}.{extra}", _ignore)
        await auth.serve(call, echo)
        await auth.control.flush()
        assert await edge.call(call, Text(text="x")) == Text(text="x")


async def test_the_answer_to_a_flush_that_gave_up_does_no_harm(connect: Connect) -> None:
    """Whoever waited for it has gone; everything that comes after it on the connection is still heard."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    await serve(auth, echo)
    for _ in range(20):
        flush = asyncio.create_task(edge.control.flush())
        await asyncio.sleep(0)  # the PING is on its way, and its PONG cannot be here yet
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
        assert await edge.call(ECHO, Text(text="x")) == Text(text="x")


async def test_calls_come_back_after_a_restart_of_the_server(server: EmbeddedNats) -> None:
    """While it is away everything is refused at once; then the same subscriptions serve again."""
    async with Bus(Settings(nats_url=server.url), party=AUTH) as auth, Bus(
        Settings(nats_url=server.url), party=EDGE
    ) as edge:  # fmt: skip
        await serve(auth, echo)
        back = asyncio.Event()
        edge.control.on_reconnected(_setting(back))

        server.stop()
        await until(lambda: not edge.is_connected and not auth.is_connected)
        with pytest.raises(Unavailable, match="NATS"):
            await edge.call(ECHO, Text(text="away"), timeout_seconds=10 * PATIENCE_SECONDS)
        with pytest.raises(Unavailable, match="NATS"):
            await auth.publish(TOLD, Text(text="away"))

        server.start()
        await soon(back.wait())
        await until(lambda: edge.is_connected and auth.is_connected)
        await auth.control.flush()
        assert await edge.call(ECHO, Text(text="back")) == Text(text="back")
        assert not edge.control.closed.is_set()


async def test_what_was_refused_while_away_is_not_sent_later(server: EmbeddedNats) -> None:
    """A refused event never arrives: it would no longer be true."""
    async with Bus(Settings(nats_url=server.url), party=AUTH) as auth, Bus(
        Settings(nats_url=server.url), party=EDGE
    ) as edge:  # fmt: skip
        heard: list[str] = []
        await edge.listen(TOLD, noting(heard))
        server.stop()
        await until(lambda: not edge.is_connected and not auth.is_connected)
        with pytest.raises(Unavailable):
            await auth.publish(TOLD, Text(text="old"))

        server.start()
        await until(lambda: edge.is_connected and auth.is_connected)
        await edge.control.flush()
        await auth.publish(TOLD, Text(text="new"))

        await until(lambda: bool(heard))
        assert heard == ["new"]


async def test_a_subscription_that_ends_loses_no_message(connect: Connect) -> None:
    """A call on its way is answered, or the server says that nobody is there: none is met with silence."""
    edge, auth = await connect(EDGE), await connect(AUTH)

    async def answer(message: Message) -> None:
        await auth.control.publish(message.reply, message.payload)

    for number in range(50):
        subject = f"test.end.{number}"
        subscription = await auth.control.subscribe(subject, answer)
        await auth.control.flush()
        asked = [
            edge.control.request(subject, b"x", timeout_seconds=5.0, part="a lost call") for _ in range(20)
        ]
        waiting = asyncio.gather(*asked)
        await asyncio.sleep(0)
        await auth.control.end(subscription)
        answers = await waiting
        assert all(each.payload == b"x" or each.is_unanswered for each in answers)


async def test_who_stopped_serving_without_the_bus_stays_stopped(server: EmbeddedNats) -> None:
    """The connection brings its subscriptions back; a call that they catch is refused, to be repeated elsewhere."""
    async with Bus(Settings(nats_url=server.url), party=AUTH) as auth, Bus(
        Settings(nats_url=server.url), party=EDGE
    ) as edge:  # fmt: skip
        await serve(auth, echo)
        server.stop()
        await until(lambda: not edge.is_connected and not auth.is_connected)
        assert await soon(auth.stop_serving(timeout_seconds=PATIENCE_SECONDS)) == 0

        server.start()
        await until(lambda: edge.is_connected and auth.is_connected)
        await auth.control.flush()
        with pytest.raises(Unavailable):
            await edge.call(ECHO, Text(text=""))


async def test_a_connection_closed_for_good_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The server throws out who breaks its limits; without `closed` nobody would notice."""
    with EmbeddedNats(tmp_path, "max_payload: 1024") as server:
        connection = _link(server.url)
        await connection.open()
        await connection.publish("test.large", b"x" * 1020, error=True)  # the header makes it too large
        await soon(connection.closed.wait())

        assert not connection.is_connected
        with pytest.raises(Unavailable):
            await connection.publish("test.small", b"")
        await connection.close()
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


async def test_a_connection_that_we_close_is_not_lost(
    nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An ordinary end rings no alarm, and closing twice does no harm."""
    connection = _link(nats_url)
    await connection.open()
    await connection.close()
    await connection.close()
    assert not connection.closed.is_set()
    assert caplog.records == []


async def test_a_server_that_is_away_or_refuses_us_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening gives up, nothing counts as lost, and the same bus opens once it is let in."""
    monkeypatch.setattr(link, "OPEN_SECONDS", 0.3)
    server = EmbeddedNats(tmp_path, 'authorization { user: edge, password: "right" }')
    server.start()
    opening = Bus(Settings(nats_url=server.url, nats_user="edge"), party=EDGE)
    with pytest.raises(Unavailable, match="NATS"):  # no password
        await opening.__aenter__()
    server.stop()
    with pytest.raises(Unavailable, match="NATS"):  # no server
        await opening.__aenter__()
    assert not opening.is_connected
    assert not opening.control.closed.is_set()
    assert not opening.streams.closed.is_set()

    monkeypatch.setattr(link, "OPEN_SECONDS", PATIENCE_SECONDS)
    with EmbeddedNats(tmp_path, "", int(server.url.rpartition(":")[2])):
        async with opening as edge:
            with pytest.raises(Unavailable) as caught:
                await edge.call(ECHO, Text(text=""))
            assert caught.value.details == {"part": AUTH}


async def test_the_control_connection_is_closed_when_the_other_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bus is open or it is not."""
    monkeypatch.setattr(link, "OPEN_SECONDS", 0.3)
    with EmbeddedNats(tmp_path, "max_connections: 1") as server:
        opening = Bus(Settings(nats_url=server.url), party=EDGE)
        with pytest.raises(Unavailable):
            await opening.__aenter__()
        assert not opening.control.is_connected
        assert not opening.control.closed.is_set()


def _link(url: str) -> Link:
    return Link((url,), party=EDGE, user="", password="", name="test")


def _setting(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def set_it() -> None:
        event.set()

    return set_it


async def _ignore(message: Message) -> None:
    """Do nothing with it."""
