"""`POST /v1/chat/completions` as clients meet it: a real listener, a real dispatcher, simulated providers."""

import asyncio
import json

import msgspec
import pytest

from services.edge.settings import EdgeSettings
from shared.contracts import billing
from shared.contracts.dispatcher import AnswerHead
from shared.errors import InsufficientFunds, RateLimited
from shared.keys import mint
from tests.dispatcher.rig import World, chat, replica, settings_of, until
from tests.edge.rig import Around, edge_of, error_of, provider, stream, until_metric

HEAD = msgspec.msgpack.encode(AnswerHead(content_type="text/event-stream; charset=utf-8"))


# What is answered


async def test_a_plain_answer_is_the_upstreams(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """With its length, its type and the request's id, under which billing knows it."""
    await provider(upstreams, "reply='hello there'")
    async with edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=False)
        claim = await around.billing.only_end()

    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "hello there"
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-request-id"] == answer.headers["request-id"] == claim.request_id
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.witness) == ("completed", "dispatcher")


async def test_a_stream_ends_with_done_when_it_is_whole(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """As events that nobody in between buffers, and then the end of the body."""
    await provider(upstreams, "reply='hello there you' tps=300")
    async with edge_of(around, settings) as edge:
        answer = await stream(edge)

    assert answer.is_whole
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    text = "".join(
        json.loads(event)["choices"][0]["delta"].get("content", "") for event in answer.events[:-1]
    )
    assert text == "hello there you"


@pytest.mark.parametrize("include_usage", [True, False, None])
async def test_usage_comes_last_when_it_is_asked_for(
    around: Around, upstreams: World, settings: EdgeSettings, include_usage: bool | None
) -> None:
    """And not at all when it is not."""
    await provider(upstreams, "reply=hi")
    options = None if include_usage is None else {"include_usage": include_usage}
    async with edge_of(around, settings) as edge:
        answer = await stream(edge, stream_options=options)

    assert answer.is_whole
    assert (b'"prompt_tokens"' in answer.events[-2]) == (include_usage is True)


async def test_several_choices_are_held_and_settled_together(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """The bound that goes upstream is one choice's, the claim's is all of theirs."""
    upstream = await provider(upstreams, "reply=hi")
    async with edge_of(around, settings) as edge:
        answer = await edge.post(n=3, max_tokens=50)
        claim = await around.billing.only_end()

    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1, 2]
    assert around.billing.reserves[0].choices == 3
    assert json.loads(upstream.journal[0].body)["max_tokens"] == 50
    assert isinstance(claim, billing.Settle)
    assert claim.output_tokens_bound == 150


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions"])
async def test_the_commonest_base_urls_work(
    around: Around, upstreams: World, settings: EdgeSettings, path: str
) -> None:
    """Without the version, and with the version twice."""
    await provider(upstreams, "reply=hi")
    async with edge_of(around, settings) as edge, edge.client() as client:
        assert (await client.post(path, content=chat("hello", is_stream=False))).status_code == 200


async def test_a_large_request_and_a_large_answer_pass_whole(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """In parts under credit, both ways."""
    upstream = await provider(upstreams, "reply=hi huge_body=3000000")
    async with edge_of(around, settings) as edge:
        answer = await edge.post("x" * 2_000_000)

    assert answer.json()["choices"]
    assert upstream.journal[0].body_bytes > 2_000_000


# What is refused


@pytest.mark.parametrize(
    ("directive", "status", "code", "should_retry"),
    [
        ("status=400 code=context_length_exceeded", 400, "context_length_exceeded", "false"),
        ("status=500", 502, "upstream_error", "true"),
        ("status=429 retry_after=7", 502, "upstream_error", "true"),
        ("status=401", 502, "upstream_error", "true"),
        ("err_in=first_event", 502, "upstream_error", "true"),
        ("cut=headers", 502, "upstream_error", "false"),
        ("cut=first cut_mode=rst", 502, "upstream_error", "false"),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_failure_before_the_answer_is_a_real_status(
    around: Around,
    upstreams: World,
    settings: EdgeSettings,
    directive: str,
    status: int,
    code: str,
    should_retry: str,
    is_stream: bool,
) -> None:
    """Also for a stream; a repeat is invited only where nothing can have been billed, and nothing is held any more."""
    await provider(upstreams, directive)
    async with edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=is_stream)
        claim = await around.billing.only_end()

    assert answer.status_code == status
    assert error_of(answer)["code"] == code
    assert answer.headers["x-should-retry"] == should_retry
    assert isinstance(claim, billing.Void)


async def test_a_silent_upstream_is_504(
    around: Around, providers: World, nats_url: str, dispatcher_url: str, settings: EdgeSettings
) -> None:
    """With no invitation to repeat: it may be at work."""
    impatient = settings_of(nats_url, dispatcher_url, first_output_seconds=0.2)
    async with replica(impatient), edge_of(around, settings) as edge:
        await provider(providers, "header_delay=60000")
        answer = await edge.post()

    assert (answer.status_code, error_of(answer)["type"]) == (504, "upstream_timeout")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("refusal", "status", "should_retry"),
    [
        (InsufficientFunds("insufficient_balance", needed_usd="2", available_usd="1"), 402, "false"),
        (RateLimited("balance_held", retry_after_seconds=2), 429, "true"),
    ],
)
async def test_a_refusal_of_billing_is_told(
    around: Around,
    settings: EdgeSettings,
    refusal: InsufficientFunds | RateLimited,
    status: int,
    should_retry: str,
) -> None:
    """In the client's language, and no dispatcher is asked."""
    around.billing.refusal = refusal
    async with edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=True)
        async with edge.client(**{"accept-language": "zh-CN,zh;q=0.9"}) as client:
            chinese = await client.post("/v1/chat/completions", content=chat("hello"))

    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, should_retry)
    assert error_of(answer)["code"] == refusal.code
    assert "余额" in str(error_of(chinese)["message"])


async def test_a_silent_billing_is_503_and_nothing_stays_held(
    around: Around, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The void that follows is a tombstone for a reserve that may still be on its way."""
    monkeypatch.setattr(billing.RESERVE, "timeout_seconds", 0.1)
    around.billing.may_answer.clear()
    async with edge_of(around, settings) as edge:
        answer = await edge.post()
        claim = await around.billing.only_end()
        around.billing.may_answer.set()

    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "true")
    assert isinstance(claim, billing.Void)
    assert claim.request_id == answer.headers["x-request-id"]


async def test_a_lease_that_has_ended_costs_no_request(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """The edge takes a new one, and asks once more."""
    await provider(upstreams, "reply=hi")
    async with edge_of(around, settings) as edge:
        for lease_id in list(around.billing.leases):
            around.billing.end_lease(lease_id)
        answers = await asyncio.gather(*(edge.post() for _ in range(10)))

    assert [answer.status_code for answer in answers] == [200] * 10
    assert len(around.billing.leases) == 2


async def test_no_dispatcher_is_503_at_once_and_the_hold_is_void(
    around: Around, settings: EdgeSettings
) -> None:
    """With an invitation to repeat."""
    async with edge_of(around, settings) as edge:
        answer = await edge.post(is_stream=True)
        claim = await around.billing.only_end()

    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "true")
    assert error_of(answer)["code"] == "service_unavailable"
    assert isinstance(claim, billing.Void)


async def test_a_key_with_limits_is_held_to_them(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Models and addresses: 403 before any money is asked for."""
    await provider(upstreams, "reply=hi")
    here = around.auth.key(allowed_addresses=("127.0.0.0/8",), allowed_models=("m",))
    elsewhere = around.auth.key(allowed_addresses=("192.0.2.0/24",))
    other = around.auth.key(allowed_models=("n",))
    async with edge_of(around, settings) as edge:
        good = await edge.post(key=here)
        answers = {key: await edge.post(key=key) for key in (elsewhere, other)}
        async with edge.client(elsewhere, **{"x-forwarded-for": "192.0.2.1"}) as client:
            forged = await client.post("/v1/chat/completions", content=chat("hello"))

    assert good.status_code == 200
    assert [answer.status_code for answer in (*answers.values(), forged)] == [403] * 3
    assert error_of(answers[elsewhere])["code"] == error_of(forged)["code"] == "ip_not_allowed"
    assert error_of(answers[other])["code"] == "model_not_allowed"
    assert len(around.billing.reserves) == 1


async def test_a_wrong_key_is_401_while_its_body_is_still_coming(
    around: Around, settings: EdgeSettings
) -> None:
    """The answer is read to its end by a client that writes first: the body is taken, and the connection closed."""
    async with edge_of(around, settings) as edge:
        answer = await edge.post("x" * 5_000_000, key=mint())
        missing = await edge.post(key="sk-proj-nothing")

    assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")
    assert answer.headers["connection"] == "close"
    assert missing.status_code == 401


async def test_a_body_that_is_no_request_is_400(around: Around, settings: EdgeSettings) -> None:
    """By its problem, and nothing is asked of billing."""
    async with edge_of(around, settings) as edge, edge.client() as client:
        for content, code in (
            (b"{", "invalid_json"),
            (b'{"model":"m"}', "missing_required_parameter"),
            (b'{"x":' + b"[" * 100_000, "invalid_json"),
        ):
            answer = await client.post("/v1/chat/completions", content=content)
            assert (answer.status_code, error_of(answer)["code"]) == (400, code)
        typed = await client.post(
            "/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"}
        )
        assert (typed.status_code, error_of(typed)["code"]) == (415, "unsupported_media_type")
    assert around.billing.reserves == []


async def test_requests_beyond_the_limit_are_503(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Those that wait for billing or for their own body count too; when one has ended there is room again."""
    await provider(upstreams, "reply=hi")
    around.billing.may_answer.clear()
    async with edge_of(around, msgspec.structs.replace(settings, streams_max=2)) as edge:
        first = [asyncio.create_task(edge.post()) for _ in range(2)]
        await until(lambda: len(around.billing.reserves) == 2)
        refused = await edge.post()
        around.billing.may_answer.set()
        answers = await asyncio.gather(*first)
        later = await edge.post()

    assert (refused.status_code, error_of(refused)["code"]) == (503, "overloaded")
    assert refused.headers["x-should-retry"] == "true"
    assert [answer.status_code for answer in (*answers, later)] == [200] * 3


async def test_bodies_beyond_the_memory_are_503(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Also while they are still being read; their bytes are free again with their requests."""
    await provider(upstreams, "reply=hi")
    async with edge_of(around, msgspec.structs.replace(settings, body_memory_bytes=1_000_000)) as edge:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer "
            + edge.key.encode()
            + b"\r\ncontent-length: 900000\r\n\r\n"
            + b" " * 800_000
        )
        await writer.drain()
        await until_metric(edge, "relay_edge_body_bytes", 800_000)

        refused = await edge.post("x" * 500_000)
        small = await edge.post("x" * 1_000)
        writer.close()
        await until_metric(edge, "relay_edge_body_bytes", 0)
        again = await edge.post("x" * 500_000)

    assert (refused.status_code, error_of(refused)["code"]) == (503, "overloaded")
    assert (small.status_code, again.status_code) == (200, 200)


async def test_no_secret_and_no_host_reaches_a_client_or_a_log(
    around: Around, upstreams: World, settings: EdgeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the client's key nor the channel's, nor where the upstream is, nor its words, nor the prompt."""
    caplog.set_level("DEBUG")
    upstream = await provider(upstreams, "echo_secret=1")
    async with edge_of(around, settings) as edge:
        plain = await edge.post("the prompt")
        streamed = await stream(edge, "the prompt")

    shown = repr(plain.headers) + plain.text + repr(streamed)
    logged = "\n".join(
        record.getMessage() + repr(record.__dict__)
        for record in caplog.records
        if record.name.startswith(("services", "shared"))
    )
    for text in ("sk-upstream-secret", "Incorrect API key", upstream.url, "theirs", edge.key, "the prompt"):
        assert text not in shown
        if text != upstream.url:
            assert text not in logged
