"""The edge as a process: its routes, its start, and an end that leaves nothing half done."""

import asyncio

import httpx
import msgspec
import pytest

from services.edge.app import create_app
from services.edge.settings import EdgeSettings
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import EDGE
from shared.errors import Unavailable
from tests.dispatcher.rig import World, soon, until
from tests.edge.rig import Around, Edge, edge_of, stream


async def ready(edge: Edge) -> tuple[int, list[str]]:
    """Return what the edge says of its readiness."""
    async with edge.client() as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()["missing"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("POST", "/v1/nothing", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", "/v1/%ff%00", 404, "unknown_url"),
        ("GET", "/v1/" + "x" * 5000, 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/m", 405, "method_not_allowed"),
    ],
)
async def test_an_unknown_route_or_method_is_an_error_in_json(
    around: Around, settings: EdgeSettings, method: str, path: str, status: int, code: str
) -> None:
    """With the four members that SDKs read, a request id, and no invitation to repeat."""
    async with edge_of(around, settings) as edge, edge.client() as client:
        answer = await client.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-request-id"]
    assert ("allow" in answer.headers) == (status == 405)
    assert len(answer.content) < 1000


async def test_every_request_has_an_id_of_its_own(around: Around, settings: EdgeSettings) -> None:
    """Whatever the client sends in its place."""
    async with edge_of(around, settings) as edge, edge.client(**{"x-request-id": "mine"}) as client:
        paths = ("/v1/models", "/v1/nothing", "/v1/chat/completions")
        ids = [(await client.post(path, content=b"{")).headers["x-request-id"] for path in paths * 2]

    assert len(set(ids)) == len(ids)
    assert "mine" not in ids


async def test_an_edge_is_ready_when_its_lease_has_begun(around: Around, settings: EdgeSettings) -> None:
    """And gives it back at the end."""
    async with edge_of(around, settings) as edge:
        assert await ready(edge) == (200, [])
        assert list(around.billing.leases.values()) == [True]

    assert list(around.billing.leases.values()) == [False]


async def test_without_billing_no_edge_starts(
    nats_url: str, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a while, and then ends."""
    monkeypatch.setattr("services.edge.lease.START_SECONDS", 0.05)
    monkeypatch.setattr("services.edge.lease.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("shared.service.START_SECONDS", 0.05)
    monkeypatch.setattr("shared.service.RETRY_SECONDS", 0.01)
    app = create_app(settings, Bus(settings, party=EDGE))

    with pytest.raises(Unavailable) as caught:
        await soon(app.router.lifespan_context(app).__aenter__())

    assert caught.value.details["part"] == "billing"


async def test_running_streams_end_whole_in_a_drain(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """From the first signal the edge is not ready, while what runs goes on to its end."""
    await upstreams.channel(await upstreams.simulator("out=40 tps=100"))
    async with edge_of(around, settings) as edge:
        running = asyncio.create_task(stream(edge))
        await until(lambda: around.billing.reserves)
        edge.app.state.life.stopping.set()
        status, missing = await ready(edge)
        answer = await soon(running)

    assert (status, missing) == (503, ["stopping"])
    assert answer.is_whole
    (claim,) = around.billing.ends.values()
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "completed"


async def test_what_a_drain_cannot_wait_for_is_cut_visibly(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """An error event and no end, or a status; the holds are ended and then the lease is given back."""
    upstream = await upstreams.simulator("out=5000 tps=100")
    await upstreams.channel(upstream)
    async with edge_of(around, msgspec.structs.replace(settings, drain_seconds=1.5)) as edge:
        streamed = asyncio.create_task(stream(edge, max_tokens=5000))
        plain = asyncio.create_task(edge.post(max_tokens=5000))
        # Ten tokens after its first one, a stream's answer has begun.
        await until(lambda: sum(entry.tokens_emitted >= 10 for entry in upstream.journal) >= 1)
        await until(lambda: len(upstream.journal) == 2)
        edge.app.state.life.stopping.set()
        broken, refused = await soon(streamed), await soon(plain)

    assert broken.error["code"] == "stream_interrupted"
    assert not broken.is_finished
    assert b"[DONE]" not in broken.data
    assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "false")
    claims = list(around.billing.ends.values())
    assert {type(claim) for claim in claims} == {billing.Settle, billing.Void}
    assert all(claim.outcome == "platform_failed" for claim in claims if isinstance(claim, billing.Settle))
    assert list(around.billing.leases.values()) == [False]
    await until(lambda: all(entry.is_closed_early for entry in upstream.journal))


async def test_a_fault_of_ours_is_500_and_stays_in_the_log(
    around: Around, settings: EdgeSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns that it was ours, and nothing more."""

    def fail(body: bytes) -> None:
        raise ZeroDivisionError("the detail")

    monkeypatch.setattr("services.edge.openai.parse", fail)
    async with edge_of(around, settings) as edge:
        answer = await edge.post()
        running = await edge.metric("relay_edge_streams")

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "the detail" not in answer.text
    assert "the detail" in caplog.text
    assert answer.headers["x-request-id"]
    assert running == 0


async def test_a_fault_in_a_running_answer_ends_it_everywhere(
    around: Around, upstreams: World, settings: EdgeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sees it broken, the upstream is told, and the hold ends."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("the detail")

    upstream = await upstreams.simulator("out=5000 tps=100")
    await upstreams.channel(upstream)
    monkeypatch.setattr("shared.bus.callers.Answer.consumed", fail)
    async with edge_of(around, settings) as edge:
        answer = await stream(edge, max_tokens=5000)
        claim = await around.billing.only_end()

    assert not answer.is_finished
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "platform_failed"
    await until(lambda: upstream.journal[0].is_closed_early)


async def test_requests_are_counted_by_route_and_status(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """The figures carry nothing of what was asked."""
    await upstreams.channel(await upstreams.simulator("reply=hi"))
    async with edge_of(around, settings) as edge:
        await edge.post("hello")
        await edge.post("hello", model="unknown")
        async with httpx.AsyncClient(base_url=edge.url) as client:
            await client.post("/v1/chat/completions")
            page = (await client.get("/metrics")).text

    counted = {line for line in page.splitlines() if line.startswith("relay_edge_requests_total{")}
    assert counted == {
        'relay_edge_requests_total{code="",outcome="complete",route="chat",status="200"} 1.0',
        'relay_edge_requests_total{code="missing_api_key",outcome="refused",route="chat",status="401"} 1.0',
        'relay_edge_requests_total{code="no_channel_available",outcome="refused",route="chat",status="503"} 1.0',
        'relay_edge_requests_total{code="internal_error",outcome="refused",route="chat",status="500"} 0.0',
        'relay_edge_requests_total{code="overloaded",outcome="refused",route="chat",status="503"} 0.0',
    }
