"""F93, F94, F95, F101: names and fields that want to be something else, in a running edge whose bus is overheard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import nats
import pytest
from nats.aio.msg import Msg

from services.edge.settings import EdgeSettings
from tests.dispatcher.rig import World, chat
from tests.edge.raw_client import Application, RawClient, connected
from tests.edge.rig import Around, Edge, edge_of, error_of
from tests.edge.serving import served

MARK = "zqx7"  # stands in whatever is hostile, and nowhere else
REFUSED_NAMES = [
    f"{MARK}\r\nx: y", f"{MARK}\n", f"{MARK}\0", f"{MARK}\x1b[2J", f"{MARK}\u202e", f"{MARK}\u2028", f"{MARK}\ufeff",
    f"{MARK}\U000e0041", MARK * 2_500, f"{MARK}\u00a0",
]  # fmt: skip
PASSED_NAMES = [
    f"../{MARK}", f"../../etc/{MARK}", f"{MARK}.*", f"{MARK}.>", f"*.{MARK}", f"{MARK} x", f"{MARK}'; DROP TABLE x; --",
    f"{MARK}${{jndi}}", f"{MARK}%s%n", f"{{{MARK}}}", f"{MARK}\u0430", f"\uff5a{MARK}", f"{MARK}\u0301", "\N{SNOWMAN}" + MARK,
]  # fmt: skip
FORGED = {
    "x-forwarded-for": "203.0.113.9",
    "x-real-ip": "203.0.113.9",
    "forwarded": "for=203.0.113.9",
    "x-request-id": f"{MARK}-request",
    "request-id": f"{MARK}-request",
    "traceparent": f"00-{MARK}",
    "relay-account-id": f"{MARK}-account",
    "relay-request-id": f"{MARK}-request",
    "openai-organization": f"{MARK}-organization",
    "nats-msg-id": f"{MARK}-message",
    "x-forwarded-host": f"{MARK}.example",
    "x-original-url": f"/{MARK}",
    "x-http-method-override": "DELETE",
    "cookie": f"session={MARK}",
}


class Overheard:
    """All that travels on the bus."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []

    async def take(self, message: Msg) -> None:
        """Keep one message."""
        self.messages.append(message)

    def names_with(self, text: str) -> list[str]:
        """Return each subject, reply subject and header that contains `text`."""
        names = [f"{each.subject} {each.reply} {each.headers}" for each in self.messages]
        return [name for name in names if text in name]

    def bodies_with(self, text: str) -> list[bytes]:
        """Return what was said with `text` in it."""
        return [each.data for each in self.messages if text.encode() in each.data]


@asynccontextmanager
async def overhearing(nats_url: str) -> AsyncIterator[Overheard]:
    """Hear everything on the bus."""
    overheard = Overheard()
    connection = await nats.connect(nats_url)
    await connection.subscribe(">", cb=overheard.take)
    await connection.flush()
    yield overheard
    await connection.close()


async def post(client: httpx.AsyncClient, model: str) -> httpx.Response:
    """Return the answer to a request for `model`."""
    return await client.post("/v1/chat/completions", content=chat("hello", model=model))


async def test_a_model_name_is_never_more_than_a_value(
    around: Around,
    upstreams: World,
    settings: EdgeSettings,
    nats_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F93: what cannot be shown is a 400, anything else an unknown model; in no subject, no header, no field and no log line."""
    async with overhearing(nats_url) as overheard, edge_of(around, settings) as edge, edge.client() as client:
        for name in REFUSED_NAMES:
            answer = await post(client, name)
            assert (answer.status_code, error_of(answer)["param"]) == (400, "model"), ascii(name)
        assert overheard.bodies_with(MARK) == []
        for name in PASSED_NAMES:
            answer = await post(client, name)
            assert answer.status_code in (404, 503), ascii(name)
            assert error_of(answer)["code"] in ("model_not_found", "no_channel_available"), ascii(name)
            assert not any(MARK in value for value in answer.headers.values())

    assert len(overheard.bodies_with(MARK)) >= len(PASSED_NAMES)
    assert overheard.names_with(MARK) == []
    assert MARK not in caplog.text


@pytest.mark.parametrize(
    "path", [f"/v1/models/../{MARK}", f"/v1/models/{MARK}%0d%0ax:y", f"/v1/{MARK}%00", f"//{MARK}/v1/models"]
)
async def test_a_path_is_never_more_than_a_value(around: Around, settings: EdgeSettings, path: str) -> None:
    """F93, F101: it names an unknown model or route, which the answer quotes as JSON and nowhere else."""
    async with edge_of(around, settings) as edge, connected(edge.port) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = await client.rest()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"404", b"503")
    assert MARK.encode() not in head
    assert b"\0" not in body
    assert b"\r" not in body


async def test_forged_fields_reach_nobody(
    around: Around,
    upstreams: World,
    settings: EdgeSettings,
    nats_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F94, F95: nothing but the body leaves the edge; the answer has an id of the edge's own."""
    upstream = await upstreams.simulator("reply=hi")
    await upstreams.channel(upstream, "one")
    async with (
        overhearing(nats_url) as overheard,
        edge_of(around, settings) as edge,
        edge.client(**FORGED) as client,
    ):
        answer = await post(client, "m")

    assert answer.status_code == 200
    assert UUID(answer.headers["x-request-id"])
    assert overheard.messages
    assert overheard.names_with(MARK) == []
    assert overheard.bodies_with(MARK) == []
    assert MARK not in str(answer.headers)
    assert not any(MARK in str(entry) for entry in upstream.journal)
    assert MARK not in caplog.text


async def test_a_forged_address_opens_nothing(around: Around, settings: EdgeSettings) -> None:
    """F95: whatever the client says of its address, the key is used from where the connection comes from."""
    key = around.auth.key(allowed_addresses=("203.0.113.0/24",))
    async with edge_of(around, settings) as edge, edge.client(key, **FORGED) as client:
        answer = await post(client, "m")

    assert (answer.status_code, error_of(answer)["code"]) == (403, "ip_not_allowed")


@pytest.mark.parametrize(
    "line",
    [b"a: b\0c", b"openai-organization: b\rc", b"traceparent: b\nc", b"x-request-id: b\r\r\nc: d"],
)
async def test_a_field_with_a_line_break_or_nul_is_refused(
    around: Around, settings: EdgeSettings, line: bytes
) -> None:
    """F94: with an id of the edge's own, and without asking anybody."""
    async with edge_of(around, settings) as edge:
        answer = await _get(edge, b"/v1/models", b"host: x", line)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nx-request-id: 0" in answer
    assert around.auth.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        (b"host: evil/",),
        (b"host: evil/v1/models?",),
        (b"host: a", b"host: b"),
        (b"host: a b",),
        (b"host: a\\b",),
        (b"host: a#b",),
        (),
    ],
)
async def test_an_ambiguous_host_is_refused(
    around: Around, settings: EdgeSettings, fields: tuple[bytes, ...]
) -> None:
    """F101: RFC 9112 §3.2; nothing that joins host and path can be led to another route."""
    async with edge_of(around, settings) as edge:
        answer = await _get(edge, b"/v1/chat/completions", *fields)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_the_path_decides_whatever_the_host_says() -> None:
    """F101: a target with a host of its own is still the path behind it."""
    app = Application()
    async with served(app) as port:
        clients: list[RawClient] = []
        for target in (b"/v1/models", b"http://evil/v1/models", b"http://evil:80/v1/models?a=/healthz"):
            async with connected(port) as client:
                await client.send(b"GET " + target + b" HTTP/1.1\r\nhost: evil.example\r\n\r\n")
                await client.answer()
                clients.append(client)

    assert [app.of(client)[0].path for client in clients] == ["/v1/models"] * 3


async def test_a_wrong_path_is_no_redirect(around: Around, settings: EdgeSettings) -> None:
    """F101: no answer repeats the host that the client wrote."""
    async with edge_of(around, settings) as edge:
        for path in (b"/v1/models/", b"//v1/models", b"/v1/chat/completions/", b"/healthz/"):
            answer = await _get(edge, path, b"host: evil.example")
            assert b"location:" not in answer
            assert b"evil" not in answer


async def _get(edge: Edge, target: bytes, *fields: bytes) -> bytes:
    async with connected(edge.port) as client:
        lines = (b"GET " + target + b" HTTP/1.1", *fields, b"connection: close", b"", b"")
        await client.send(b"\r\n".join(lines))
        return await client.rest()
