"""How a chat request ends when something goes wrong in it: upstreams that break, clients that leave, and long silence."""

import asyncio
import socket

import msgspec
import pytest
from starlette.types import Message

from services.edge.settings import EdgeSettings
from shared.bus import Attempt
from shared.contracts import billing
from shared.contracts.dispatcher import AnswerHead, AnswerTail
from shared.errors import UpstreamFailed
from shared.stream.flow import MAX_WINDOW_BYTES
from tests.dispatcher.rig import World, chat, replica, settings_of, soon, until
from tests.edge.rig import Around, answering, edge_of, error_of, provider, stream, until_metric

HEAD = msgspec.msgpack.encode(AnswerHead(content_type="text/event-stream; charset=utf-8"))


# What breaks in a running answer


@pytest.mark.parametrize(
    ("directive", "code"),
    [
        ("cut=tok:5 cut_mode=fin", "upstream_disconnected"),
        ("cut=tok:5 cut_mode=rst", "upstream_disconnected"),
        ("cut=tok:5 cut_mode=bad_chunk", "upstream_disconnected"),
        ("done_at=5", "upstream_disconnected"),
        ("malformed=5", "upstream_invalid_response"),
        ("err_in=mid:5", "upstream_error"),
    ],
)
async def test_a_broken_stream_looks_broken(
    around: Around, upstreams: World, settings: EdgeSettings, directive: str, code: str
) -> None:
    """What came, an error event, no `[DONE]`, and a body without its end; the user does not pay."""
    await provider(upstreams, f"out=20 tps=500 {directive}")
    async with edge_of(around, settings) as edge:
        answer = await stream(edge)
        claim = await around.billing.only_end()

    assert answer.status == 200
    assert len(answer.events) >= 2
    assert answer.error["code"] == code
    assert not answer.is_finished
    assert b"[DONE]" not in answer.data
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "upstream_failed"


async def test_silence_in_a_running_stream_breaks_it(
    around: Around,
    providers: World,
    nats_url: str,
    dispatcher_url: str,
    settings: EdgeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the reason in its last event."""
    monkeypatch.setattr("services.dispatcher.silence.CHECK_SECONDS", 0.05)
    impatient = settings_of(nats_url, dispatcher_url, idle_seconds=0.2)
    async with replica(impatient), edge_of(around, settings) as edge:
        await provider(providers, "out=20 tps=500 stall_at=5:60000")
        answer = await stream(edge)

    assert answer.error["type"] == "upstream_timeout"
    assert not answer.is_finished
    assert b"[DONE]" not in answer.data


async def test_a_request_beyond_its_deadline_ends_visibly(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """A stream with an error event, a plain answer with a status; the upstreams are told."""
    upstream = await provider(upstreams, "out=5000 tps=100")
    async with edge_of(around, msgspec.structs.replace(settings, request_seconds_max=1.5)) as edge:
        streamed, plain = await asyncio.gather(stream(edge, max_tokens=5000), edge.post(max_tokens=5000))
        await until(lambda: len(around.billing.ends) == 2)

    assert streamed.error["code"] == "deadline_exceeded"
    assert not streamed.is_finished
    assert (plain.status_code, error_of(plain)["code"]) == (504, "deadline_exceeded")
    assert plain.headers["x-should-retry"] == "false"
    await until(lambda: all(entry.is_closed_early for entry in upstream.journal))


async def test_a_lost_lease_cuts_its_streams_visibly(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Their money is not held any more."""
    upstream = await provider(upstreams, "out=5000 tps=100")
    async with edge_of(around, msgspec.structs.replace(settings, lease_renew_seconds=0.05)) as edge:
        running = asyncio.create_task(stream(edge, max_tokens=5000))
        await until(lambda: upstream.journal and upstream.journal[0].tokens_emitted >= 20)
        around.billing.end_lease(around.billing.reserves[0].lease_id)
        answer = await soon(running)
        claim = await around.billing.only_end()

    assert answer.error["code"] == "stream_interrupted"
    assert not answer.is_finished
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "platform_failed"


# Waiting


async def test_a_stream_that_waits_gets_its_status_and_comments(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Early, so that nobody in between gives it up; the answer follows as if nothing had been."""
    await provider(upstreams, "reply=hi ttft=500")
    lively = msgspec.structs.replace(settings, status_held_seconds=0.2, keep_alive_seconds=0.1)
    async with edge_of(around, lively) as edge:
        answer = await stream(edge)

    assert answer.is_whole
    assert answer.data.startswith(b": keep-alive\n\n")
    assert answer.data.count(b": keep-alive\n\n") >= 2
    assert len(answer.events) == 4


async def test_a_failure_after_the_early_status_is_an_error_event(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """The status is gone by then, but the error is not."""
    await provider(upstreams, "status=500 header_delay=300")
    lively = msgspec.structs.replace(settings, status_held_seconds=0.1, keep_alive_seconds=0.1)
    async with edge_of(around, lively) as edge:
        answer = await stream(edge)

    assert answer.status == 200
    assert answer.error["code"] == "upstream_error"
    assert not answer.is_finished
    assert b"[DONE]" not in answer.data


async def test_a_plain_answer_is_waited_for_in_silence(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Its status stays true to the end."""
    await provider(upstreams, "status=500 header_delay=400")
    lively = msgspec.structs.replace(settings, status_held_seconds=0.1, keep_alive_seconds=0.1)
    async with edge_of(around, lively) as edge:
        answer = await edge.post()

    assert answer.status_code == 502
    assert b"keep-alive" not in answer.content


async def test_an_answer_without_a_head_is_a_fault(around: Around, settings: EdgeSettings) -> None:
    """It says that it is complete, and is nothing: never an empty success."""

    async def serve(attempt: Attempt) -> None:
        await attempt.end(msgspec.msgpack.encode(AnswerTail()))
        await attempt.finish(b"settled")

    async with answering(around.dispatcher, serve), edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=True)

    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")


@pytest.mark.parametrize("may_be_billed", [True, False])
async def test_a_repeat_is_invited_only_when_nothing_can_have_been_billed(
    around: Around, settings: EdgeSettings, may_be_billed: bool
) -> None:
    """Whatever time the error names."""
    error = UpstreamFailed("upstream_error", retry_after_seconds=3).to_body()

    async def serve(attempt: Attempt) -> None:
        await attempt.end(msgspec.msgpack.encode(AnswerTail(error=error, may_be_billed=may_be_billed)))
        await attempt.finish(b"settled")

    async with answering(around.dispatcher, serve), edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=True)

    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")
    assert answer.headers["x-should-retry"] == ("false" if may_be_billed else "true")


# Clients that leave, or do not read


class Flood:
    """A dispatcher that sends as much as it has credit for."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    async def serve(self, attempt: Attempt) -> None:
        """Answer until it is cancelled."""
        await attempt.send_head(HEAD)
        writing = asyncio.create_task(self._write(attempt))
        await attempt.cancelled
        writing.cancel()
        await attempt.end(msgspec.msgpack.encode(AnswerTail()))
        await attempt.finish(b"settled")

    async def _write(self, attempt: Attempt) -> None:
        while True:
            await attempt.send(bytes(4096))
            self.sent_bytes += 4096


class Hesitant:
    """A client that takes nothing of an answer before it is told to, and then half a window at most until it is told again."""

    def __init__(self) -> None:
        self.written_bytes = 0
        self.may_start = asyncio.Event()
        self.may_take = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether so much is written that credit for it would be worth a message."""
        return 2 * self.written_bytes >= MAX_WINDOW_BYTES

    async def send(self, message: Message) -> None:
        """Take a message of the edge."""
        if message["type"] == "http.response.start":
            await self.may_start.wait()
            return
        self.written_bytes += len(message["body"])
        if self.is_full:
            await self.may_take.wait()


async def test_credit_follows_what_the_client_has_taken(around: Around, settings: EdgeSettings) -> None:
    """While the client reads nothing no more than one window comes; then as much again."""
    flood, client = Flood(), Hesitant()
    asked: asyncio.Queue[Message] = asyncio.Queue()
    await asked.put({"type": "http.request", "body": chat("hello"), "more_body": False})
    async with answering(around.dispatcher, flood.serve), edge_of(around, settings) as edge:
        headers = [(b"authorization", b"Bearer " + edge.key.encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        running = asyncio.create_task(edge.app(scope, asked.get, client.send))
        await until(lambda: flood.sent_bytes == MAX_WINDOW_BYTES)
        await asyncio.sleep(0.1)  # the last of it is on its way to the edge
        client.may_start.set()
        await until(lambda: client.is_full)
        await asyncio.sleep(0.2)  # credit that was given too early would be used
        assert flood.sent_bytes == MAX_WINDOW_BYTES

        client.may_take.set()
        await until(lambda: flood.sent_bytes > MAX_WINDOW_BYTES)
        await asked.put({"type": "http.disconnect"})
        await soon(running)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_client_that_leaves_closes_the_upstream(
    around: Around, upstreams: World, settings: EdgeSettings, is_stream: bool
) -> None:
    """Also one that waits for a plain answer; what was delivered is claimed, what was never accepted is void."""
    upstream = await provider(upstreams, "out=5000 tps=200")
    async with edge_of(around, settings) as edge:
        asking = asyncio.create_task(stream(edge, is_stream=is_stream, max_tokens=5000))
        await until(lambda: upstream.journal and upstream.journal[0].tokens_emitted > 20)
        asking.cancel()
        await asyncio.wait([asking])
        claim = await around.billing.only_end()
        await until(lambda: upstream.journal[0].is_closed_early)

    if is_stream:
        assert isinstance(claim, billing.Settle)
        assert (claim.outcome, claim.witness) == ("client_gone", "dispatcher")
        assert 0 < claim.delivered.output_tokens < 5000
    else:
        assert isinstance(claim, billing.Void)


async def test_a_client_that_leaves_in_its_body_leaves_nothing(
    around: Around, settings: EdgeSettings
) -> None:
    """No hold, no place taken, no error."""
    async with edge_of(around, settings) as edge:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer " + edge.key.encode() + b"\r\ncontent-length: 900\r\n\r\n{"
        )
        await until_metric(edge, "relay_edge_body_bytes", 1)
        writer.close()
        await until_metric(edge, "relay_edge_body_bytes", 0)

    assert around.billing.reserves == []


async def test_a_client_that_does_not_read_is_cut_off(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """After a time, as if it had left: its upstream is closed, and what was delivered is claimed."""
    upstream = await provider(upstreams, "out=90000 chunk_tokens=2")
    stalled = msgspec.structs.replace(settings, client_stall_seconds=0.5)
    async with edge_of(around, stalled) as edge:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", edge.port))
            body = chat("hello", max_tokens=90_000)
            await loop.sock_sendall(
                client,
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"authorization: Bearer "
                + edge.key.encode()
                + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
                + body,
            )
            claim = await around.billing.only_end()

    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "client_gone"
    await until(lambda: upstream.journal[0].outcome != "running")
