"""The running simulator as a raw client sees it: errors, cuts, channels of control, journal and ledger."""

import asyncio
import contextlib
import json

import httpx
import pytest

from services.simulator import connection
from services.simulator.scenarios import Match
from services.simulator.server import Simulator
from shared.errors import InvalidRequest
from tests.simulator.wire import ask, chat_body, chat_request, connect, exchange, http_request, wait_until

IDLE_STREAMS = 1_000


async def test_equal_seeds_give_equal_bytes() -> None:
    """Whole responses, head included; another seed gives other ones."""
    answers = []
    for seed in (1, 1, 2):
        async with Simulator(seed=seed) as simulator:
            answers.append((await ask(simulator, "out=20 n=2", include_usage=True)).data)
    assert answers[0] == answers[1] != answers[2]


async def test_answers_say_that_they_are_simulated(simulator: Simulator) -> None:
    """In the head, whatever the body is."""
    for directive in ("", "status=500", "nonsense=1"):
        assert b"x-simulated: true" in (await ask(simulator, directive)).head


@pytest.mark.parametrize(
    ("shape", "content_type", "body"),
    [
        ("openai", "application/json",
         b'{"error":{"message":"Simulated error with status 502.","type":"server_error","param":null,"code":"internal_error"}}'),
        ("detail", "application/json", b'{"detail":"Simulated error with status 502."}'),
        ("html", "text/html",
         b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>Simulated error with status 502."
         b"</body></html>"),
        ("text", "text/plain", b"Simulated error with status 502."),
        ("empty", "application/json", b""),
    ],
)  # fmt: skip
async def test_errors_have_the_shape_asked_for(
    simulator: Simulator, shape: str, content_type: str, body: bytes
) -> None:
    """The status line is real, and nothing is billed."""
    received = await ask(simulator, f"status=502 err_shape={shape}")
    assert received.head.startswith(b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: " + content_type.encode())
    assert received.body == body
    assert simulator.ledger == []


async def test_errors_carry_their_hints(simulator: Simulator) -> None:
    """When to come back, whether to; and a secret where a careless provider repeats it."""
    received = await ask(simulator, "status=429 retry_after=7 x_should_retry=0 echo_secret")
    assert b"retry-after: 7" in received.head
    assert b"x-should-retry: false" in received.head
    assert b"sk-test" in received.body
    assert (await ask(simulator, "echo_secret")).head.startswith(b"HTTP/1.1 401 ")
    assert (await ask(simulator, "status=529")).head.startswith(b"HTTP/1.1 529 Error\r\n")


@pytest.mark.parametrize(
    ("place", "events", "billed"), [("first_event", 1, 0), ("mid:2", 4, 2), ("after_finish", 6, 3)]
)
async def test_errors_come_inside_the_stream(
    simulator: Simulator, place: str, events: int, billed: int
) -> None:
    """As the last event of a body that ends cleanly, without `[DONE]`."""
    received = await ask(simulator, f"out=3 err_in={place} status=503")
    data = received.payload().split(b"\n\n")[:-1]
    assert received.head.startswith(b"HTTP/1.1 200 OK")
    assert received.is_whole
    assert len(data) == events
    assert (
        json.loads(data[-1].removeprefix(b"data: "))["error"]["message"] == "Simulated error with status 503."
    )
    assert [bill.completion_tokens for bill in simulator.ledger] == [billed]


@pytest.mark.parametrize(("place", "stream"), [("body200", True), ("body200", False), ("mid:2", False)])
async def test_errors_come_with_status_200(simulator: Simulator, place: str, stream: bool) -> None:
    """A plain body has no other place for them."""
    received = await ask(simulator, f"err_in={place}", stream=stream)
    assert received.head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json")
    assert received.body.startswith(b'{"error":')


async def test_a_redirect_points_where_asked(simulator: Simulator) -> None:
    """Nothing is billed for it."""
    received = await ask(simulator, "redirect=http://127.0.0.1:1/x?a=b")
    assert received.head.startswith(b"HTTP/1.1 307 ")
    assert b"location: http://127.0.0.1:1/x?a=b" in received.head
    assert simulator.ledger == []


@pytest.mark.parametrize(
    "place", ["headers", "first", "tok:2", "before_usage", "before_done", "mid_utf8", "mid_json"]
)
@pytest.mark.parametrize(("mode", "end"), [("fin", "fin"), ("rst", "rst"), ("bad_chunk", "fin")])
async def test_cuts_are_seen_on_the_wire(simulator: Simulator, place: str, mode: str, end: str) -> None:
    """The connection ends as asked and the body never does; what was generated is billed."""
    received = await ask(simulator, f"reply=abcdefg→ cut={place} cut_mode={mode}", include_usage=True)
    assert received.end == end
    assert not received.is_whole
    assert received.data.endswith(b"ZZZ\r\n") == (mode == "bad_chunk")
    assert bool(received.head) == (place != "headers" or mode == "bad_chunk")
    assert (simulator.ledger[0].outcome, simulator.journal[0].outcome) == ("cut", "cut")
    assert simulator.ledger[0].completion_tokens == simulator.journal[0].tokens_emitted


async def test_a_hanging_cut_stays_open(simulator: Simulator) -> None:
    """Until the peer gives up, which the journal notes."""
    body = chat_body("hello [[sim cut=tok:1 cut_mode=hang]]")
    received = await exchange(simulator, chat_request(body), until=b'"This"')
    assert received.end == "open"
    await wait_until(lambda: simulator.journal[0].is_closed_early)
    assert (simulator.journal[0].outcome, simulator.ledger[0].completion_tokens) == ("cut", 1)


@pytest.mark.parametrize(("directive", "billed"), [("", 2), (" ignore_abort", 50)])
async def test_a_caller_that_leaves_is_noticed(simulator: Simulator, directive: str, billed: int) -> None:
    """The ledger stops at what was generated, or goes on when the provider does not care."""
    body = chat_body(f"hello [[sim out=50 stall_at=2:600000{directive}]]")
    await exchange(simulator, chat_request(body), until=b'"index":0,"delta":{"content"')
    await wait_until(lambda: simulator.journal[0].outcome == "aborted")
    entry, bill = simulator.journal[0], simulator.ledger[0]
    assert (entry.is_closed_early, entry.tokens_emitted, entry.tokens_planned) == (True, 2, 50)
    assert (bill.is_aborted, bill.completion_tokens) == (True, billed)


async def test_a_plain_answer_that_nobody_waits_for_stops(simulator: Simulator) -> None:
    """It is billed for what was generated before anything was sent."""
    reader, writer = await connect(simulator)
    writer.write(chat_request(chat_body("hello [[sim out=50 stall_at=3:600000]]", stream=False)))
    await wait_until(lambda: bool(simulator.ledger) and simulator.ledger[0].completion_tokens == 3)
    assert simulator.journal[0].bytes_sent == 0
    writer.close()
    await wait_until(lambda: simulator.journal[0].outcome == "aborted")
    assert simulator.ledger[0].completion_tokens == 3
    assert reader.at_eof() or await reader.read() == b""


async def test_a_reader_that_stops_holds_the_stream(simulator: Simulator) -> None:
    """Unsent bytes do not pile up in the simulator; they come when the peer reads again."""
    reader, writer = await connect(simulator)
    writer.write(chat_request(chat_body("hello [[sim out=100000]]")))
    await wait_until(lambda: bool(simulator.journal) and simulator.journal[0].bytes_sent > 0)
    await asyncio.sleep(0.05)
    entry = simulator.journal[0]
    assert entry.outcome == "running"
    assert 0 < entry.tokens_emitted < 100_000
    async with asyncio.timeout(15):
        data = await reader.read()
    assert data.endswith(b"0\r\n\r\n")
    assert simulator.ledger[0].completion_tokens == 100_000
    writer.close()


async def test_a_thousand_idle_streams_stand_at_once(simulator: Simulator) -> None:
    """Each got its first token and waits; all leave, and all are noticed."""
    request = chat_request(chat_body("hello [[sim out=2 stall_at=1:600000]]"))
    connections = [await connect(simulator) for _ in range(IDLE_STREAMS)]
    for _, writer in connections:
        writer.write(request)
    await wait_until(lambda: simulator.stats.tokens_emitted == IDLE_STREAMS)
    assert (simulator.stats.running, simulator.stats.open_connections) == (IDLE_STREAMS, IDLE_STREAMS)
    for reader, _ in connections:
        async with asyncio.timeout(15):
            await reader.readuntil(b'"delta":{"content"')
    for _, writer in connections:
        writer.close()
    await wait_until(lambda: simulator.stats.open_connections == 0)
    assert {entry.outcome for entry in simulator.journal} == {"aborted"}


async def test_fail_first_lets_later_attempts_pass(simulator: Simulator) -> None:
    """Counted for each text, by any key; cuts count too."""
    statuses = [(await ask(simulator, "fail_first=2")).head[9:12] for _ in range(3)]
    assert statuses == [b"500", b"500", b"200"]
    whole = [(await ask(simulator, "fail_first=1 cut=tok:1")).is_whole for _ in range(2)]
    assert whole == [False, True]


async def test_fail_rate_follows_the_seed() -> None:
    """The same attempts fail in every run."""
    runs = []
    for _ in range(2):
        async with Simulator(seed=3, defaults="fail_rate=0.5 status=503") as simulator:
            runs.append([(await ask(simulator, "")).head[9:12] for _ in range(12)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {b"200", b"503"}


async def test_the_strongest_channel_decides_each_key() -> None:
    """Scenario, prompt, model, key, defaults."""
    async with Simulator(defaults="tier=default out=1 n=1") as simulator:
        simulator.queue("tier=scenario")
        body = chat_body("hello [[sim tier=prompt out=2]]", model="m@out=3,n=2", stream=False)
        for tier in ("scenario", "prompt"):
            received = await exchange(simulator, chat_request(body, key="sk-sim-xai"))
            answer = json.loads(received.body)
            assert (answer["service_tier"], len(answer["choices"])) == (tier, 2)
            assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 16
            assert answer["usage"]["completion_tokens"] == 4


async def test_scenarios_wait_for_their_match(simulator: Simulator) -> None:
    """The first that matches is used as often as it was meant."""
    simulator.queue("status=418", match=Match(model="other"))
    simulator.queue("status=503", times=2, match=Match(contains="hello", key="sk-test"))
    statuses = [(await ask(simulator, "")).head[9:12] for _ in range(3)]
    assert statuses == [b"503", b"503", b"200"]
    with pytest.raises(InvalidRequest):
        simulator.queue("nonsense=1")


async def test_defaults_must_be_a_directive() -> None:
    """A simulator that would refuse every request does not start."""
    with pytest.raises(InvalidRequest):
        Simulator(defaults="nonsense=1")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (chat_request(chat_body("[[sim nonsense=1]]")), 400, "invalid_value"),
        (chat_request(chat_body("x", model="m@out=x")), 400, "invalid_value"),
        (chat_request(b"{"), 400, "invalid_json"),
        (chat_request(b'{"model":"\xed\xa0\x80","messages":[{"role":"user"}]}'), 400, "invalid_json"),
        (chat_request(b'{"model":"\\ud800","messages":[{"role":"user"}]}'), 400, "invalid_json"),
        (chat_request(chat_body("x"), key=""), 401, "missing_api_key"),
        (chat_request(chat_body("x"), key="sk-sim-invalid-1"), 401, "invalid_api_key"),
        (http_request("GET", "/v1/chat/completions"), 405, "method_not_allowed"),
        (http_request("GET", "/v1/nothing"), 404, "unknown_url"),
        (http_request("GET", "/_sim/nothing"), 404, "unknown_url"),
        (http_request("GET", "/_sim/reset"), 405, "method_not_allowed"),
        (http_request("POST", "/_sim/scenarios", b'{"behaviour":{"nonsense":1}}'), 400, "invalid_value"),
        (http_request("POST", "/_sim/scenarios", b'{"behavior":{}}'), 400, "invalid_value"),
        (b"nonsense\r\n\r\n", 400, "invalid_http"),
    ],
)
async def test_refusals_have_openais_shape(
    simulator: Simulator, request_bytes: bytes, status: int, code: str
) -> None:
    """The caller learns what is wrong, and the simulator goes on."""
    received = await exchange(simulator, request_bytes)
    error = json.loads(received.body)["error"]
    assert (int(received.head[9:12]), error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}


async def test_the_journal_shows_what_was_asked(simulator: Simulator) -> None:
    """Method, path, headers, body, key and what was sent."""
    received = await ask(simulator, "out=2")
    entry = simulator.journal[0]
    assert (entry.method, entry.path, entry.status, entry.outcome) == (
        "POST",
        "/v1/chat/completions",
        200,
        "completed",
    )
    assert (entry.api_key, entry.model, entry.header("Host")) == ("sk-test", "m", "test")
    assert json.loads(entry.body)["messages"][0]["content"] == "hello [[sim out=2]]"
    assert entry.bytes_sent == len(received.data)
    assert entry.first_byte_at is not None
    assert entry.ended_at is not None
    assert entry.received_at <= entry.first_byte_at <= entry.ended_at
    await exchange(simulator, chat_request(chat_body("x" * 20_000)))
    assert (len(simulator.journal[1].body), simulator.journal[1].body_bytes > 20_000) == (16_384, True)


async def test_everything_is_served_under_sim_too(simulator: Simulator) -> None:
    """For tests in another process; these calls are not in the journal."""

    async def call(method: str, name: str, body: bytes = b"") -> object:
        return json.loads((await exchange(simulator, http_request(method, f"/_sim/{name}", body))).body)

    assert await call("GET", "health") == {"status": "ok"}
    scenario = b'{"match":{"model":"m"},"times":2,"behaviour":{"out":3,"bom":true}}'
    assert await call("POST", "scenarios", scenario) == {"queued": 1}
    await ask(simulator, "")
    requests, ledger, stats = (
        await call("GET", "requests"),
        await call("GET", "ledger"),
        await call("GET", "stats"),
    )
    assert isinstance(requests, list)
    assert isinstance(ledger, list)
    assert isinstance(stats, dict)
    assert (len(requests), requests[0]["tokens_emitted"], ledger[0]["completion_tokens"]) == (1, 3, 3)
    assert (stats["requests"], stats["tokens_planned"], stats["models"]) == (1, 3, {"m": 1})
    await call("POST", "reset")
    assert await call("GET", "requests") == []
    assert b'"content":"This"' in (await ask(simulator, "")).data


async def test_a_connection_serves_many_requests_in_order(simulator: Simulator) -> None:
    """Also when they are sent at once."""
    reader, writer = await connect(simulator)
    for number in range(3):
        writer.write(chat_request(chat_body(f"[[sim reply=answer{number}]]", stream=False), keep_alive=True))
    for number in range(3):
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert f"answer{number}".encode() in await reader.readexactly(size)
    assert simulator.stats.open_connections == 1
    writer.close()


async def test_a_peer_that_waits_to_be_asked_for_the_body_is_asked(simulator: Simulator) -> None:
    """RFC 9110 §10.1.1."""
    body = chat_body("x", stream=False)
    head, _, _ = chat_request(body).partition(b"\r\n\r\n")
    reader, writer = await connect(simulator)
    writer.write(head + b"\r\nexpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(15):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_request_that_is_too_large_is_refused(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is read to its end, and the connection ends."""
    monkeypatch.setattr(connection, "LARGEST_REQUEST", 1_000)
    received = await exchange(simulator, chat_request(chat_body("x" * 2_000))[:1_500])
    assert received.head.startswith(b"HTTP/1.1 413 ")
    assert received.end == "fin"


async def test_closing_drops_what_never_ends() -> None:
    """A stream that stalls does not hold the simulator."""
    async with Simulator() as simulator:
        reader, writer = await connect(simulator)
        writer.write(chat_request(chat_body("hello [[sim stall_at=1:600000]]")))
        async with asyncio.timeout(15):
            await reader.readuntil(b'"delta":{"content"')
    async with asyncio.timeout(15):
        with contextlib.suppress(ConnectionResetError):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("directive", "ends_with", "has_finish"),
    [
        ("malformed=2", b'data: {"choices":[{"index":0,"delta":{"content":"\n\n', False),
        ("done_at=2", b"data: [DONE]\n\n", False),
        ("done_at=0", b"data: [DONE]\n\n", False),
        ("empty=choices", b'"choices":[]}\n\ndata: [DONE]\n\n', False),
        ("malformed=2 fail_first=0", b"data: [DONE]\n\n", True),
    ],
)
async def test_answers_are_spoilt_where_asked(
    simulator: Simulator, directive: str, ends_with: bytes, has_finish: bool
) -> None:
    """A whole response as far as HTTP goes: only what it says is not whole."""
    received = await ask(simulator, f"out=3 {directive}")

    assert received.is_whole
    assert received.payload().endswith(ends_with)
    assert (b'"finish_reason":"' in received.payload()) == has_finish


@pytest.mark.parametrize(
    ("directive", "size"), [("empty=body", 0), ("empty=choices", None), ("malformed=2", None)]
)
async def test_a_plain_answer_is_spoilt_as_well(
    simulator: Simulator, directive: str, size: int | None
) -> None:
    """Its length is true, its content is not."""
    received = await ask(simulator, f"out=3 {directive}", stream=False)

    assert b"content-length: %d\r\n" % len(received.body) in received.head + b"\r\n"
    assert size is None or len(received.body) == size
    assert b'"message"' not in received.body or not received.body.endswith(b"}")


async def test_a_key_is_read_from_any_header_that_providers_use(simulator: Simulator) -> None:
    """OpenAI's, Azure's or Anthropic's."""
    async with httpx.AsyncClient(base_url=simulator.url) as client:
        for name, value in (("authorization", "Bearer sk-a"), ("api-key", "sk-b"), ("x-api-key", "sk-c")):
            await client.post("/v1/chat/completions", content=chat_body("hi"), headers={name: value})

    assert [entry.api_key for entry in simulator.journal] == ["sk-a", "sk-b", "sk-c"]
