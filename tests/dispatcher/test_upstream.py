"""One attempt after another: which channels are asked, how long they may be silent, and what breaks."""

import asyncio

import msgspec
import pytest

from services.dispatcher.settings import DispatcherSettings
from shared.contracts import billing
from shared.stream.actions import Failed, Failure
from tests.dispatcher.raw_server import RawServer, Reader, Writer, answering, once, serving
from tests.dispatcher.rig import World, hear, identity, is_whole, replica, two, until

# Which channels are tried


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        "status=500",
        "status=503 retry_after=3",
        "status=429",
        "status=429 code=insufficient_quota",
        "status=401",
        "status=403",
        "status=404",
        "status=502 err_shape=html",
        "status=500 err_shape=empty",
        "status=500 cut=headers",
        "err_in=body200",
        "err_in=first_event",
        "cut=headers",
        "cut=headers cut_mode=rst",
        "cut=first",
        "cut=first cut_mode=rst",
        "redirect=http://127.0.0.1:1/v1/chat/completions",
        "echo_secret=1",
    ],
)
async def test_the_next_channel_is_asked_when_one_cannot_answer(
    world: World, fault: str, is_stream: bool
) -> None:
    """Refused, failing, cut before the answer, an error inside a 200, a redirect: the client sees the good answer alone."""
    broken, good = await two(world, fault)

    heard = await world.ask(is_stream=is_stream)

    assert is_whole(heard)
    assert heard.claim.channel == "second"
    asked = [
        entry for entry in broken.journal if "hello" in entry.body
    ]  # the other one is a test of a doubtful key
    assert (len(asked), len(good.journal)) == (1, 1)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_the_next_channel_is_asked_when_a_page_comes_in_place_of_an_answer(
    world: World, is_stream: bool
) -> None:
    """HTML under a status of 200 reaches nobody."""
    page = b"<html><body>Sign in</body></html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page)
    async with serving(answering(head + page)) as portal:
        await world.channel(portal.url.removesuffix("/chat/completions"), priority=1)
        await world.channel(await world.simulator("reply=hi"), "second")

        heard = await world.ask(is_stream=is_stream)

    assert is_whole(heard)
    assert b"html" not in heard.data


async def test_the_next_channel_is_asked_when_nobody_listens(world: World) -> None:
    """A refused connection costs nothing: a repeat is invited when it was the only channel."""
    gone = await world.simulator()
    await world.channel(gone, "first", priority=1)
    await gone.close()
    error = (await world.ask()).error
    await world.channel(await world.simulator("reply=hi"), "second")

    assert (error.kind, error.retry_after_seconds) == ("upstream_failed", 1.0)
    assert is_whole(await world.ask())


@pytest.mark.parametrize("is_stream", [True, False])
async def test_what_the_client_did_wrong_is_told_at_once(world: World, is_stream: bool) -> None:
    """No other channel is asked, the upstream's own words stay out, and nothing is held any more."""
    broken, good = await two(world, "status=400 code=context_length_exceeded")

    answer = await world.open(is_stream=is_stream)
    heard = await hear(answer)

    assert (heard.error.kind, heard.error.code) == ("invalid_request", "context_length_exceeded")
    assert "Simulated" not in repr(heard.error)
    assert (len(broken.journal), len(good.journal)) == (1, 0)
    assert isinstance(await world.billing.end_of(identity(answer)), billing.Void)


@pytest.mark.parametrize(
    ("first", "second", "wait"),
    [
        ("status=500", "status=503", 1.0),
        ("status=429 retry_after=7", "status=429 retry_after=5", 5.0),
        ("status=500", "cut=headers", None),
        ("cut=headers", "status=500", None),
        ("status=504", "status=500", None),
        ("err_in=first_event", "err_in=body200", 1.0),
    ],
)
async def test_a_repeat_is_invited_only_when_nothing_can_have_been_billed(
    world: World, first: str, second: str, wait: float | None
) -> None:
    """All channels failed: what was cut or timed out after it was sent may cost, whichever of them it was."""
    await two(world, first, second)

    heard = await world.ask(is_stream=False)

    assert heard.error.kind == "upstream_failed"
    assert heard.error.retry_after_seconds == wait
    assert heard.tail.may_be_billed == (wait is None)
    assert heard.tail.claim is None


async def test_no_channel_is_said_at_once(world: World) -> None:
    """With the model and when to come back, and the hold is given back."""
    heard = await world.ask(model="unheard-of")

    assert (heard.error.kind, heard.error.code) == ("unavailable", "no_channel_available")
    assert not heard.tail.may_be_billed
    assert isinstance(await world.billing.only_end(), billing.Void)


async def test_a_connection_lost_while_idle_is_replaced_without_a_failure(world: World) -> None:
    """The upstream closes a pooled connection just as it is used again: the same channel is asked once more."""
    body = b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
    whole = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(whole)
        await writer.drain()
        await server.read_request(reader)

    async with serving(behaviour) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"))
        first = await world.ask(is_stream=False)
        second = await world.ask(is_stream=False)

    assert is_whole(first)
    assert is_whole(second)
    assert upstream.connections == 2


async def test_the_connection_of_a_finished_stream_serves_the_next(world: World) -> None:
    """Also when the body's end comes in a packet of its own, after `[DONE]`."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    body = event + b"data: [DONE]\n\n"

    async def behaviour(server: RawServer, reader: Reader, writer: Writer) -> None:
        for _ in range(2):
            await server.read_request(reader)
            writer.write(head + b"%x\r\n%b\r\n" % (len(body), body))
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    async with serving(behaviour) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"))
        first = await world.ask()
        second = await world.ask()

    assert is_whole(first)
    assert is_whole(second)
    assert upstream.connections == 1


# Limits


@pytest.mark.parametrize("directive", ["ttft=60000", "stall_at=0:60000 opening=3"])
async def test_silence_before_the_first_output_is_a_timeout(
    around: World, settings: DispatcherSettings, directive: str
) -> None:
    """Pings are no output, and neither are opening events; the upstream is told."""
    async with replica(msgspec.structs.replace(settings, first_output_seconds=0.2)):
        silent = await around.simulator(f"{directive} ping_every=20 comments=processing")
        await around.channel(silent)

        heard = await around.ask()

        assert (heard.head, heard.data) == (None, b"")
        assert (heard.error.kind, heard.error.retry_after_seconds) == ("upstream_timeout", None)
        assert heard.tail.may_be_billed
        assert heard.tail.claim is None
        await until(lambda: silent.journal[0].is_closed_early)


async def test_silence_in_a_running_answer_breaks_it(
    around: World, settings: DispatcherSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge hears that it is not complete, and the user does not pay."""
    monkeypatch.setattr("services.dispatcher.silence.CHECK_SECONDS", 0.05)
    async with replica(msgspec.structs.replace(settings, idle_seconds=0.2)):
        silent, good = await two(around, "out=20 tps=1000 stall_at=5:60000")

        heard = await around.ask()

        assert b"data: " in heard.data
        assert heard.error.kind == "upstream_timeout"
        assert heard.claim.outcome == "upstream_failed"
        await until(lambda: silent.journal[0].is_closed_early)
        assert not good.journal


async def test_comments_keep_a_running_answer_alive(
    around: World, settings: DispatcherSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that thinks for long says so between its events: that is not silence."""
    monkeypatch.setattr("services.dispatcher.silence.CHECK_SECONDS", 0.05)
    async with replica(msgspec.structs.replace(settings, idle_seconds=0.5)):
        upstream = await around.simulator("out=6 tps=1000 stall_at=3:1000 ping_every=20 comments=thinking")
        await around.channel(upstream)

        assert is_whole(await around.ask())


async def test_an_answer_beyond_the_limit_is_an_error(around: World, settings: DispatcherSettings) -> None:
    """It is not read to its end, another channel is asked, and it may have cost."""
    async with replica(msgspec.structs.replace(settings, answer_bytes_max=64 * 1024)):
        await around.channel(await around.simulator("huge_body=2000000"))

        heard = await around.ask(is_stream=False)

        assert heard.error.code == "upstream_invalid_response"
        assert heard.tail.may_be_billed


async def test_a_body_of_an_error_that_never_ends_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status has said enough for the next channel to be asked."""
    monkeypatch.setattr("services.dispatcher.upstream.ERROR_SECONDS", 0.1)
    await two(world, "status=500 cut=mid_json cut_mode=hang")

    assert is_whole(await world.ask())


async def test_the_deadline_of_a_call_holds_even_when_the_edge_forgets_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream is told, the user does not pay, the edge hears that it is not complete."""
    monkeypatch.setattr("services.dispatcher.answering.DEADLINE_GRACE_SECONDS", 0.1)
    upstream = await world.simulator("out=5000 tps=50")
    await world.channel(upstream)

    heard = await world.ask(deadline_seconds=0.2)

    assert isinstance(heard.outcome, Failed)
    assert heard.outcome.reason is Failure.ABORTED
    claim = await world.billing.only_end()
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "upstream_failed"
    await until(lambda: upstream.journal[0].is_closed_early)


# What breaks in a running answer


@pytest.mark.parametrize("mode", ["fin", "rst", "bad_chunk"])
@pytest.mark.parametrize("place", ["tok:5", "mid_utf8"])
async def test_a_cut_answer_ends_as_broken(world: World, place: str, mode: str) -> None:
    """What came before is passed on as whole events, then an error; the claim lets nobody pay."""
    _, good = await two(
        world, f"reply='one two three four five six seven eight é nine' tps=500 cut={place} cut_mode={mode}"
    )

    heard = await world.ask()

    assert heard.data.startswith(b"data: {")
    assert heard.data.endswith(b"}\n\n")
    assert heard.error.code == "upstream_disconnected"
    assert (heard.claim.outcome, heard.claim.channel) == ("upstream_failed", "first")
    assert await world.billing.only_end() == heard.claim
    assert not good.journal


@pytest.mark.parametrize("mode", ["fin", "rst", "bad_chunk"])
async def test_a_plain_answer_that_is_cut_is_asked_for_elsewhere(world: World, mode: str) -> None:
    """Nothing of it has gone out."""
    await two(world, f"reply='one two three' cut=tok:1 cut_mode={mode}")

    heard = await world.ask(is_stream=False)

    assert is_whole(heard)
    assert heard.claim.channel == "second"


@pytest.mark.parametrize("mode", ["fin", "rst", "bad_chunk"])
async def test_an_answer_whose_end_was_lost_is_whole_when_it_had_finished(world: World, mode: str) -> None:
    """Every choice had its finish reason: only the upstream's last word is missing, and the usage that it had told counts."""
    await world.channel(await world.simulator(f"reply=hi tps=500 cut=before_done cut_mode={mode}"))

    heard = await world.ask()

    assert is_whole(heard)
    assert heard.claim.usage is not None


async def test_an_error_event_in_a_running_answer_ends_it(world: World) -> None:
    """It reaches the edge as ours, without the upstream's words."""
    await two(world, "out=20 tps=500 err_in=mid:5")

    heard = await world.ask()

    assert heard.error.code == "upstream_error"
    assert b"Simulated" not in heard.data
    assert heard.claim.outcome == "upstream_failed"


async def test_an_answer_of_no_events_is_no_answer(world: World) -> None:
    """Only `[DONE]` and nothing before it: another channel is asked."""
    done = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: [DONE]\n\n"
    async with serving(once(done)) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"), priority=1)
        await world.channel(await world.simulator("reply=hi"), "second")

        assert (await world.ask()).claim.channel == "second"


@pytest.mark.parametrize(
    ("prompt_tokens", "input_tokens", "is_doubtful"),
    [(b"7", 7, False), (b"-7", 0, True), (b'"many"', 0, True), (b"7.5", 7, True), (b"null", 0, False)],
)
async def test_a_usage_of_figures_that_are_no_counts_is_claimed_as_doubtful(
    world: World, prompt_tokens: bytes, input_tokens: int, is_doubtful: bool
) -> None:
    """What it says is put in order here, and billing must not take it for what the upstream said."""
    body = (
        b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":%b,"completion_tokens":3}}' % prompt_tokens
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with serving(answering(head + body)) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"))
        claim = (await world.ask(is_stream=False)).claim

    assert claim.usage == billing.Usage(input_tokens=input_tokens, output_tokens=3)
    assert claim.is_usage_doubtful == is_doubtful


async def test_half_an_event_is_no_answer(world: World) -> None:
    """A first event that its upstream never finished does not commit us to it."""
    half = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}'
    )
    async with serving(once(half)) as upstream:
        await world.channel(upstream.url.removesuffix("/chat/completions"), priority=1)
        await world.channel(await world.simulator("reply=hi"), "second")

        assert (await world.ask()).claim.channel == "second"
