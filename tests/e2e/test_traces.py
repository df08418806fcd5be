"""One request is one trace through all services, at a collector that speaks OTLP over HTTP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import operate

pytestmark = pytest.mark.xdist_group("traces")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PROMPT = "recognisable"


class Collector:
    """What was exported, and the bytes that it came as."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/traces"
        self.bodies: list[bytes] = []

    def spans(self) -> list[tuple[str, Span]]:
        """Return each span with the service that it is of."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = [
                    each.value.string_value
                    for each in resource.resource.attributes
                    if each.key == "service.name"
                ]
                found += [(names[0], span) for scope in resource.scope_spans for span in scope.spans]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A listening collector."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running = Collector(server.server_address[1])
        running.bodies = bodies
        yield running
        server.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, object]:
    """Return a span's attributes as values."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_a_request_is_one_trace_through_all_services(collector: Collector, tmp_path: Path) -> None:
    """On the client's own trace, down to the upstream and the settlement; with tokens, and nothing of what was said."""
    with RunningStack(tmp_path, trace_endpoint=collector.url, trace_ratio="1") as stack:
        async with operate(stack) as person, httpx.AsyncClient(timeout=60) as client:
            tenant = await person.make_tenant()
            body = {
                "model": tenant.model,
                "messages": [{"role": "user", "content": f"{PROMPT} [[sim out=7]]"}],
            }
            answer = await client.post(
                f"{stack.base_url}/chat/completions",
                json=body,
                headers={**tenant.headers, "traceparent": f"00-{TRACE}-{PARENT}-01"},
            )
            await person.settled(tenant, 1)
        assert answer.status_code == 200

    ours = [(service, span) for service, span in collector.spans() if span.trace_id.hex() == TRACE]
    names = {(service, span.name) for service, span in ours}
    by_id = {span.span_id: span for _, span in ours}
    parents = {
        (service, span.name): by_id[span.parent_span_id].name
        for service, span in ours
        if span.parent_span_id in by_id
    }
    (root,) = [span for service, span in ours if span.parent_span_id.hex() == PARENT]
    (call,) = [span for service, span in ours if span.name == f"chat {tenant.model}"]

    assert root.name == "chat"
    assert {
        ("relay-edge", "auth.verify"), ("relay-auth", "auth.verify"), ("relay-edge", "billing.reserve"),
        ("relay-billing", "billing.reserve"), ("relay-dispatcher", "dispatch"), ("relay-dispatcher", f"chat {tenant.model}"),
        ("relay-dispatcher", "billing.settle"), ("relay-billing", "billing.settle"),
    } <= names  # fmt: skip
    assert parents["relay-dispatcher", "dispatch"] == "chat"
    assert parents["relay-auth", "auth.verify"] == "auth.verify"
    assert parents["relay-dispatcher", f"chat {tenant.model}"] == "dispatch"
    assert parents["relay-dispatcher", "billing.settle"] == "dispatch"
    assert attributes(root)["relay.request_id"] == answer.headers["x-request-id"]
    assert attributes(call)["gen_ai.operation.name"] == "chat"
    assert attributes(call)["gen_ai.usage.output_tokens"] == 7
    assert attributes(call)["relay.channel"] == tenant.channel
    everything = b"".join(collector.bodies)
    assert not [text for text in (PROMPT, tenant.key, tenant.credential) if text.encode() in everything]
