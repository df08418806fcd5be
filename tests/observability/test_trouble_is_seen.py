"""What goes wrong between the parts shows in the figures that alarms and the dashboard ask for."""

import asyncio
import json

import httpx
import pytest

from shared.contracts import auth
from shared.errors import Unavailable
from tests.dispatcher.rig import PATIENCE_SECONDS
from tests.observability.whole import MODEL, Whole

FLOOD = "[[sim out=100000 chunk_tokens=2]]"  # some 10 MB: more than all buffers on the way
SLOW = "[[sim out=2000 tps=50]]"


async def begin(relay: Whole, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the connection of a stream whose first bytes have come."""
    body = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": True}
    ).encode()
    url = httpx.URL(relay.url)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
    fields = f"host: x\r\nauthorization: Bearer {relay.key}\r\ncontent-length: {len(body)}"
    head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json\r\n{fields}\r\n\r\n"
    writer.write(head.encode() + body)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    return reader, writer


async def until_figure(relay: Whole, service: str, series: str, value: float) -> None:
    """Return when a figure is this."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while relay.figures(service).get(series) != value:  # noqa: ASYNC110 - a figure has no event
            await asyncio.sleep(0.02)


async def test_a_client_that_leaves_is_seen_at_both_ends(relay: Whole) -> None:
    """With the reason for which its upstream was closed."""
    _, writer = await begin(relay, SLOW)
    writer.close()

    left = 'relay_edge_requests_total{code="",outcome="left",route="chat",status="200"}'
    await relay.until("edge", left, 1)
    await relay.until("dispatcher", 'relay_stream_cancels_total{reason="client_gone"}', 1)
    await relay.until("dispatcher", 'relay_dispatcher_attempts_total{channel="one",result="cancelled"}', 1)
    await relay.until("billing", 'relay_billing_requests_total{rule="C6"}', 1)
    assert relay.figures("edge")['relay_stream_ends_total{result="cancelled"}'] == 1


async def test_a_slow_reader_is_seen_while_it_is_slow(relay: Whole) -> None:
    """Its answer waits for credit, at the dispatcher, and no longer when it has left."""
    _, writer = await begin(relay, FLOOD)

    await until_figure(relay, "dispatcher", "relay_stream_credit_waiting", 1)
    assert relay.figures("dispatcher")["relay_stream_credit_waits_total"] >= 1
    assert relay.figures("edge")["relay_edge_streams"] == 1
    writer.close()
    await until_figure(relay, "dispatcher", "relay_stream_credit_waiting", 0)


async def test_calls_that_are_refused_are_seen_by_both_sides(relay: Whole) -> None:
    """By kind at the caller, by kind at the owner; one that nobody answers only by the caller."""
    await relay.ask(model="unknown")

    assert (
        relay.figures("edge")['relay_bus_call_errors_total{kind="not_found",subject="billing.reserve"}'] == 1
    )
    assert (
        relay.figures("billing")['relay_bus_answers_total{result="not_found",subject="billing.reserve"}'] == 1
    )
    assert relay.figures("auth")['relay_bus_answers_total{result="ok",subject="auth.verify"}'] == 1
    assert relay.figures("edge")['relay_bus_call_seconds_count{subject="auth.verify"}'] == 1


async def test_wrong_keys_are_seen_by_reason(relay: Whole) -> None:
    """Also those that only list models, which anybody may."""
    revoked = await relay.operator.call(
        auth.CREATE_KEY, auth.CreateKey(account_id=relay.account_id, name="old")
    )
    await relay.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=revoked.key.id))
    await relay.ask(key="sk-relay-nonsense")
    async with relay.client(revoked.secret) as client:
        assert (await client.get("/v1/models")).status_code == 200

    figures = relay.figures("edge")
    assert figures['relay_edge_keys_refused_total{code="invalid_api_key"}'] == 1
    assert figures['relay_edge_keys_refused_total{code="revoked_api_key"}'] == 1
    assert figures['relay_edge_keys_refused_total{code="too_many_wrong_keys"}'] == 0


async def test_a_missing_part_is_seen(relay: Whole) -> None:
    """As a call that failed, and a request that was refused with our own code."""
    await relay.ask()
    bus = relay.buses["billing"]
    await bus.stop_serving(timeout_seconds=1)
    answer = await relay.ask()

    assert answer.status_code == 503
    with pytest.raises(Unavailable):
        await relay.usage()
    figures = relay.figures("edge")
    assert figures['relay_bus_call_errors_total{kind="unavailable",subject="billing.reserve"}'] >= 1
    refused = (
        'relay_edge_requests_total{code="service_unavailable",outcome="refused",route="chat",status="503"}'
    )
    assert figures[refused] == 1
