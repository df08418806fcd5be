"""Calls, services and events over a real NATS server."""

import asyncio

import pytest

from shared.bus import MESSAGE_BYTES_MAX, Bus, Message, bus
from shared.contracts.call import AUTH, EDGE
from shared.errors import FAMILY, Internal, NotFound, RelayError, Unavailable
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


async def test_a_call_returns_the_owners_answer(connect: Connect) -> None:
    """Whatever the text is."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    await serve(auth, echo)

    for text in ("", "hello", "\x00\r\nPUB x 0\r\n", "中文 𝄞"):
        assert await edge.call(ECHO, Text(text=text)) == Text(text=text)


async def test_many_calls_at_once_get_their_own_answers(connect: Connect) -> None:
    """The handlers run side by side: the first waits for the last."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    last = asyncio.Event()

    async def wait_for_the_last(ask: Text) -> Text:
        if ask.text == "99":
            last.set()
        await last.wait()
        return ask

    await serve(auth, wait_for_the_last)
    answers = await asyncio.gather(*(edge.call(ECHO, Text(text=str(number))) for number in range(100)))

    assert [answer.text for answer in answers] == [str(number) for number in range(100)]
    await until(lambda: auth.running == 0)


@pytest.mark.parametrize("family", FAMILY.values(), ids=FAMILY)
async def test_an_error_is_raised_again_at_the_caller(connect: Connect, family: type[RelayError]) -> None:
    """As the same class with all its fields."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    raised = family("not_found", param="model", retry_after_seconds=0.5, wording="not_found", what="key", n=2)

    async def refuse(ask: Text) -> Text:
        raise raised

    await serve(auth, refuse)
    with pytest.raises(family) as caught:
        await edge.call(ECHO, Text(text=""))

    assert type(caught.value) is family
    assert caught.value.to_body() == raised.to_body()


async def test_a_fault_of_a_handler_stays_in_its_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns that there was one and nothing else; the service goes on."""
    edge, auth = await connect(EDGE), await connect(AUTH)

    async def fail(ask: Text) -> Text:
        if ask.text == "bad":
            raise ZeroDivisionError("the detail")
        return ask

    await serve(auth, fail)
    with pytest.raises(Internal) as caught:
        await edge.call(ECHO, Text(text="bad"))

    assert caught.value.to_body() == Internal("internal_error").to_body()
    assert "the detail" in caplog.text
    assert await edge.call(ECHO, Text(text="good")) == Text(text="good")


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x81\xa4text\x01", b"\x81\xa4text\xa1\xff", b"\x93" * 2000]
)
async def test_a_message_that_cannot_be_read_is_answered_with_an_error(
    connect: Connect, payload: bytes
) -> None:
    """Empty, malformed, of the wrong type, not UTF-8, nested too deep: never silence."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    await serve(auth, echo)

    answer = await edge.control.request(
        ECHO.subject, payload, timeout_seconds=PATIENCE_SECONDS, part="the test"
    )

    assert answer.error is not None
    assert await edge.call(ECHO, Text(text="still here")) == Text(text="still here")


async def test_an_answer_that_cannot_be_read_is_an_internal_error(connect: Connect) -> None:
    """The caller meets the family of errors alone."""
    edge, auth = await connect(EDGE), await connect(AUTH)

    async def answer_garbage(message: Message) -> None:
        await auth.control.publish(message.reply, b"\xc1")

    await auth.control.subscribe(ECHO.subject, answer_garbage)
    await auth.control.flush()
    with pytest.raises(Internal):
        await edge.call(ECHO, Text(text=""))


async def test_a_call_ends_at_its_deadline(connect: Connect) -> None:
    """As Unavailable, naming who was silent; the answer that comes too late disturbs nobody."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    go_on = asyncio.Event()

    async def wait(ask: Text) -> Text:
        await go_on.wait()
        return ask

    await serve(auth, wait)
    with pytest.raises(Unavailable) as caught:
        await edge.call(ECHO, Text(text="late"), timeout_seconds=0.05)

    assert caught.value.details == {"part": AUTH}
    assert caught.value.retry_after_seconds == 2
    go_on.set()
    assert await edge.call(ECHO, Text(text="in time")) == Text(text="in time")


async def test_a_cancelled_call_leaves_nothing_behind(connect: Connect) -> None:
    """Its late answer finds nobody, and the next call works."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def wait(ask: Text) -> Text:
        entered.set()
        await go_on.wait()
        return ask

    await serve(auth, wait)
    call = asyncio.create_task(edge.call(ECHO, Text(text="")))
    await soon(entered.wait())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    assert await edge.call(ECHO, Text(text="next")) == Text(text="next")


async def test_a_call_that_nobody_serves_fails_at_once(connect: Connect) -> None:
    """The server says so; the deadline is not waited for."""
    edge = await connect(EDGE)
    with pytest.raises(Unavailable) as caught:
        await soon(edge.call(ECHO, Text(text=""), timeout_seconds=10 * PATIENCE_SECONDS))
    assert caught.value.details == {"part": AUTH}


async def test_calls_beyond_the_limit_are_refused_as_overloaded(connect: Connect) -> None:
    """The ones at work finish, and then there is room again."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    go_on = asyncio.Event()

    async def wait(ask: Text) -> Text:
        await go_on.wait()
        return ask

    await serve(auth, wait)
    calls = [asyncio.create_task(edge.call(ECHO, Text(text=""))) for _ in range(bus.HANDLERS_MAX)]
    await until(lambda: auth.running == bus.HANDLERS_MAX)
    with pytest.raises(Unavailable) as caught:
        await edge.call(ECHO, Text(text="one too many"))

    assert caught.value.code == "overloaded"
    go_on.set()
    assert len(await asyncio.gather(*calls)) == bus.HANDLERS_MAX
    assert await edge.call(ECHO, Text(text="room")) == Text(text="room")


async def test_replicas_share_the_work(connect: Connect) -> None:
    """Each call reaches one of them, and each of them gets some."""
    edge, first, second = await connect(EDGE), await connect(AUTH), await connect(AUTH)
    handled: dict[str, list[str]] = {"first": [], "second": []}

    async def note_first(ask: Text) -> Text:
        handled["first"].append(ask.text)
        return ask

    async def note_second(ask: Text) -> Text:
        handled["second"].append(ask.text)
        return ask

    await serve(first, note_first)
    await serve(second, note_second)
    await asyncio.gather(*(edge.call(ECHO, Text(text=str(number))) for number in range(200)))

    assert sorted(handled["first"] + handled["second"]) == sorted(str(number) for number in range(200))
    assert all(handled.values())


async def test_every_listener_hears_an_event_in_order(connect: Connect) -> None:
    """All replicas do, one event after another, and one that cannot be read is passed over."""
    auth, first, second = await connect(AUTH), await connect(EDGE), await connect(EDGE)
    heard: list[list[str]] = [[], []]
    for listener, notes in zip((first, second), heard, strict=True):
        await listener.listen(TOLD, noting(notes))
        await listener.control.flush()

    await auth.control.publish(TOLD.subject, b"\xc1")
    for number in range(50):
        await auth.publish(TOLD, Text(text=str(number)))

    await until(lambda: all(len(notes) == 50 for notes in heard))
    assert heard == [[str(number) for number in range(50)]] * 2


async def test_a_listener_that_fails_hears_the_next_event(connect: Connect) -> None:
    """Its fault is counted and logged, not fatal."""
    auth, edge = await connect(AUTH), await connect(EDGE)
    heard: list[str] = []

    async def fail_first(event: Text) -> None:
        if event.text == "bad":
            raise ValueError(event.text)
        heard.append(event.text)

    await edge.listen(TOLD, fail_first)
    await edge.control.flush()
    for text in ("bad", "good"):
        await auth.publish(TOLD, Text(text=text))

    await until(lambda: heard == ["good"])
    assert edge.control.errors_total == 1


async def test_a_message_that_is_too_large_is_refused_and_the_connection_lives(connect: Connect) -> None:
    """The server would cut the connection for good; so it never sees such a message, in either direction."""
    edge, auth = await connect(EDGE), await connect(AUTH)

    async def grow(ask: Text) -> Text:
        return Text(text="x" * int(ask.text))

    await serve(auth, grow)
    with pytest.raises(Internal):
        await edge.call(ECHO, Text(text="1".rjust(MESSAGE_BYTES_MAX)))
    with pytest.raises(Internal):
        await edge.call(ECHO, Text(text=str(MESSAGE_BYTES_MAX)))

    fits = MESSAGE_BYTES_MAX - 32
    assert len((await edge.call(ECHO, Text(text=str(fits)))).text) == fits


async def test_who_stops_serving_finishes_what_runs_and_takes_nothing_new(connect: Connect) -> None:
    """The running call is answered; the next one finds nobody."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def wait(ask: Text) -> Text:
        entered.set()
        await go_on.wait()
        return ask

    await serve(auth, wait)
    call = asyncio.create_task(edge.call(ECHO, Text(text="running")))
    await soon(entered.wait())
    stopping = asyncio.create_task(auth.stop_serving(timeout_seconds=PATIENCE_SECONDS))
    await until_unserved(edge)
    assert not stopping.done()
    go_on.set()

    assert await call == Text(text="running")
    assert await stopping == 0


async def test_who_stops_serving_cuts_off_what_does_not_end(connect: Connect) -> None:
    """After the limit handlers are cancelled and counted, so that they can clean up."""
    edge, auth = await connect(EDGE), await connect(AUTH)
    entered, cleaned_up = asyncio.Event(), asyncio.Event()

    async def hang(ask: Text) -> Text:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()
        return ask

    await serve(auth, hang)
    call = asyncio.create_task(edge.call(ECHO, Text(text=""), timeout_seconds=1.0))
    await soon(entered.wait())

    assert await auth.stop_serving(timeout_seconds=0.05) == 1
    assert cleaned_up.is_set()
    assert auth.running == 0
    with pytest.raises(Unavailable):
        await call


async def test_an_error_of_the_family_keeps_its_cause_out_of_the_message(connect: Connect) -> None:
    """What was chained at the owner stays there."""
    edge, auth = await connect(EDGE), await connect(AUTH)

    async def refuse(ask: Text) -> Text:
        raise NotFound("not_found", what="key") from ValueError("the row")

    await serve(auth, refuse)
    with pytest.raises(NotFound) as caught:
        await edge.call(ECHO, Text(text=""))
    assert caught.value.__cause__ is None
    assert "row" not in repr(caught.value.to_body())


async def until_unserved(edge: Bus) -> None:
    """Return when the server knows that nobody takes ECHO any more."""
    is_unserved = False
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_unserved:
            answer = await edge.control.request(ECHO.subject, b"", timeout_seconds=5.0, part="auth")
            is_unserved = answer.is_unanswered
