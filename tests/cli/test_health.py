"""`relay health`, as a container engine asks it."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.cli import health
from tests.cli.conftest import run
from tests.nats_cluster import free_ports


def test_a_ready_service_is_healthy() -> None:
    """Found at RELAY_PORT."""
    with answering(200, b'{"ready": true, "missing": []}') as port:
        result = run("health", environment={"RELAY_PORT": str(port)})

    assert (result.exit_code, result.stdout, result.stderr) == (0, "The service is ready.\n", "")


def test_a_service_that_misses_something_is_not() -> None:
    """It says what."""
    with answering(503, b'{"ready": false, "missing": ["NATS", "stopping"]}') as port:
        result = run("health", environment={"RELAY_PORT": str(port)})

    assert result.exit_code == 1
    assert result.stderr == "Error: The service is not ready: NATS, stopping.\n"


@pytest.mark.parametrize("body", [b"hello", b"[]"])
def test_somebody_else_is_no_service(body: bytes) -> None:
    """Nor is nobody."""
    with answering(200, body) as port:
        for place in (port, free_ports(1)[0]):
            result = run("health", environment={"RELAY_PORT": str(place)})
            assert (result.exit_code, result.stderr) == (1, "Error: No service of Relay answers here.\n")


def test_without_a_port_every_default_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that answers is the one that runs in this container."""
    monkeypatch.delenv("RELAY_PORT", raising=False)

    assert health.ports() == (8080, 8081, 8082, 8083)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """Yield the port of a listener that answers so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
