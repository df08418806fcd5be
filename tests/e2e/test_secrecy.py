"""What is asked, who asks and what upstreams are paid with is in no log and on no page of metrics, whatever goes wrong.

The stack logs all that it can (`RELAY_LOG_LEVEL=debug`), and is driven through every kind of success and failure, with prompts,
keys and credentials that would be recognised.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx
import pytest

from shared.contracts import dispatcher
from shared.keys import mint
from tests.e2e.stack import SERVICES, RunningStack
from tests.e2e.tenants import Operator, Tenant, operate

pytestmark = pytest.mark.xdist_group("secrecy")
FAULTS = (
    "", "usage=strings", "status=500", "status=401 err_shape=text", "status=400 code=context_length_exceeded",
    "status=429 retry_after=1", "err_in=body200", "err_in=first_event", "err_in=mid:3", "cut=headers", "cut=tok:3",
    "cut=mid_json", "echo_secret", "redirect=https://recognisable.example/",
)  # fmt: skip
REVOKE = "REVOKE EXECUTE ON FUNCTION billing.execute(jsonb, boolean) FROM relay_billing"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that logs everything."""
    with RunningStack(tmp_path_factory.mktemp("talkative"), log_level="debug") as running:
        yield running


@pytest.fixture
async def person(talkative: RunningStack) -> AsyncIterator[Operator]:
    """Its operator."""
    async with operate(talkative) as operator:
        yield operator


class Driver:
    """Asks, and remembers what must not be seen again and under which id each request was answered."""

    def __init__(self, stack: RunningStack, tenant: Tenant) -> None:
        self.stack = stack
        self.tenant = tenant
        self.secrets = [tenant.key, tenant.key.rpartition("-")[2]]
        self.request_ids: list[str] = []

    def mark(self) -> str:
        """Return a new word that must not be seen again."""
        self.secrets.append(f"recognisable{secrets.token_hex(8)}")
        return self.secrets[-1]

    async def chat(
        self, text: str, *, key: str | None = None, is_stream: bool = False, **fields: object
    ) -> None:
        """Send a chat request and read what comes, to its end or break."""
        message = {"role": "user", "content": f"{text} {self.mark()}"}
        body = {"model": self.tenant.model, "messages": [message], "stream": is_stream, **fields}
        await self.post(json.dumps(body).encode(), key=key)

    async def post(
        self, body: bytes, *, path: str = "/chat/completions", key: str | None = None, **headers: str
    ) -> None:
        """Send a request and read what comes, to its end or break."""
        given = {
            "authorization": f"Bearer {key or self.tenant.key}",
            "content-type": "application/json",
            **headers,
        }
        async with httpx.AsyncClient(timeout=60) as client:
            request = client.stream("POST", self.stack.base_url + path, content=body, headers=given)
            async with request as answer:
                self.request_ids.append(answer.headers["x-request-id"])
                with suppress(httpx.RemoteProtocolError):
                    await answer.aread()

    async def garble(self) -> None:
        """Send a head that is none, with a key and a word in it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stack.port)
        head = f"POST /{self.mark()} HTTP/1.1\r\nhost: a b\r\nauthorization: Bearer {self.tenant.key}\r\n\r\n"
        writer.write(head.encode())
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 400 ")
        self.request_ids.append(answer.partition("x-request-id: ")[2][:36])

    async def leave(self) -> None:
        """Begin a stream and leave it."""
        message = {"role": "user", "content": f"[[sim out=2000 tps=50]] {self.mark()}"}
        body = {"model": self.tenant.model, "messages": [message], "stream": True}
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream(
                "POST", self.stack.base_url + "/chat/completions", json=body, headers=self.tenant.headers
            ) as answer,
        ):
            self.request_ids.append(answer.headers["x-request-id"])
            async for _ in answer.aiter_raw():
                return


async def drive(driver: Driver, person: Operator) -> None:
    """Let everything happen once that a client, an upstream or the database can do."""
    for fault in FAULTS:
        for is_stream in (False, True):
            await driver.chat(f"[[sim {fault}]]" if fault else "", is_stream=is_stream)
    await driver.leave()
    await driver.chat("", temperature=9)
    await driver.chat("", model=driver.mark())
    await driver.chat("", user=driver.mark(), idempotent="x")
    for key in (mint(), "sk-relay-" + driver.mark(), driver.mark()):
        driver.secrets.append(key)
        await driver.chat("", key=key)
    await driver.post(b'{"model": "' + driver.mark().encode())
    await driver.post(b"{}", path="/" + driver.mark())
    await driver.post(b"{}", **{"idempotency-key": driver.mark(), "x-request-id": driver.mark()})
    await driver.garble()
    await person.database.execute(REVOKE)
    try:
        await driver.chat("")
    finally:
        await person.database.execute(REVOKE.replace("REVOKE", "GRANT").replace("FROM", "TO"))
    await driver.chat("")


async def test_no_log_and_no_metric_tells_a_secret(talkative: RunningStack, person: Operator) -> None:
    """Every line is JSON, every request has its line, and nothing of what was sent is in any."""
    tenant = await person.make_tenant()
    driver = Driver(talkative, tenant)
    credential = f"sk-sim-openai-{driver.mark()}"
    await person.bus.call(
        dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name=tenant.channel, credential=credential)
    )
    await drive(driver, person)
    await person.settled(tenant, 1)

    logs = {path.name: path.read_text() for path in (talkative.data_dir / "logs").glob("*-*.log")}
    pages = {service: "".join((await talkative.pages(service)).values()) for service in SERVICES}

    assert {name.partition("-")[0] for name in logs} == set(SERVICES)
    for name, text in (*logs.items(), *pages.items()):
        told = [secret for secret in driver.secrets if secret in text]
        assert not told, (name, [line for line in text.splitlines() if told[0] in line][:3])
        assert credential not in text
    lines = {name: [json.loads(line) for line in text.splitlines()] for name, text in logs.items()}
    visits = {line["request_id"]: line for line in lines["edge-1.log"] if line["message"] == "request"}
    assert set(driver.request_ids) <= set(visits)
    assert [line["code"] for line in visits.values() if line["route"] == "unread"] == ["invalid_http"]
    faults = [
        line["request_id"]
        for line in lines["dispatcher-1.log"]
        if line["message"] == "a channel could not answer"
    ]
    assert faults
    assert set(faults) <= set(visits)
    refused = [line for line in lines["billing-1.log"] if "exception" in line]
    assert refused
    assert all(line["request_id"] in visits and "42501" in line["exception"] for line in refused)


async def test_a_line_tells_what_came_of_a_request(talkative: RunningStack, person: Operator) -> None:
    """Whose it was, which model, how it ended and how long it took."""
    tenant = await person.make_tenant()
    driver = Driver(talkative, tenant)
    await driver.chat("", is_stream=True)
    await driver.chat("[[sim status=500]]")
    await driver.chat("", key=mint())

    text = (talkative.data_dir / "logs" / "edge-1.log").read_text()
    visits = {
        line["request_id"]: line
        for line in map(json.loads, text.splitlines())
        if line["message"] == "request"
    }
    whole, failed, stranger = (visits[request_id] for request_id in driver.request_ids)
    assert 0 < whole["first_byte_ms"] <= whole["ms"]
    assert whole | {"first_byte_ms": 0, "ms": 0, "time": ""} == {
        "time": "", "level": "info", "service": "edge", "logger": "services.edge.visits", "message": "request",
        "request_id": driver.request_ids[0], "route": "chat", "status": 200, "outcome": "complete", "code": "",
        "account_id": tenant.account_id, "key_id": tenant.key_id, "model": tenant.model, "streamed": True,
        "ms": 0, "first_byte_ms": 0,
    }  # fmt: skip
    assert (failed["status"], failed["outcome"], failed["code"]) == (502, "refused", "upstream_error")
    assert (stranger["status"], stranger["code"], stranger["key_id"]) == (401, "invalid_api_key", "")
    assert "model" not in stranger
