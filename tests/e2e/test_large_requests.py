"""A request of 20 MB with images goes through to the upstream, through a bus whose messages are far smaller."""

import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from services.simulator.connection import Header
from services.simulator.journal import Exchange
from services.simulator.plan import Plan
from services.simulator.server import Simulator
from tests.e2e.tenants import Operator
from tests.e2e.wire import exchange, http_request

pytestmark = pytest.mark.xdist_group("e2e")

IMAGES = 4
IMAGE_BYTES = 3_750_000  # 5 MB in base64
LARGE_BYTES = 20_000_000

Members = dict[str, msgspec.Raw]


class KeepingSimulator(Simulator):
    """A simulator that keeps the whole of the bodies it gets, where the journal keeps their beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    def answer(
        self, method: str, path: str, headers: Sequence[Header], body: bytes
    ) -> tuple[Plan, Exchange | None]:
        """Return the plan for a request, and keep its body."""
        self.bodies.append(body)
        return super().answer(method, path, headers, body)


@pytest.fixture
async def upstream() -> AsyncIterator[KeepingSimulator]:
    """An upstream in this process."""
    running = KeepingSimulator()
    async with running:
        yield running


def _body(model: str, *, is_stream: bool) -> bytes:
    image = "data:image/png;base64,"
    content: list[dict[str, object]] = [{"type": "text", "text": "What is this? é🙂 [[sim out=5]]"}]
    content += [
        {
            "type": "image_url",
            "image_url": {"url": image + b64encode(secrets.token_bytes(IMAGE_BYTES)).decode()},
        }
        for _ in range(IMAGES)
    ]
    return msgspec.json.encode(
        {
            "temperature": 0.5,
            "model": model,
            "messages": [{"role": "user", "content": content}],
            "stream": is_stream,
            "unknown_member": {"kept": [1.0, 2e3, "\u0000"]},
            "max_tokens": 77,
        }
    )


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_20_mb_of_images_arrive_byte_for_byte(
    operator: Operator, upstream: KeepingSimulator, is_stream: bool
) -> None:
    """Every member arrives as it was sent; only the bound and the wish for usage are ours, and the answer is whole."""
    tenant = await operator.make_tenant(balance_nano_usd=10**11, upstream_url=upstream.url)
    body = _body(tenant.model, is_stream=is_stream)
    assert len(body) > LARGE_BYTES

    answer = await exchange(
        operator.stack, http_request("POST", "/v1/chat/completions", body, key=tenant.key)
    )

    assert answer.status == 200
    assert answer.is_whole if is_stream else b'"finish_reason":"stop"' in answer.body
    (arrived,) = upstream.bodies
    sent, got = (msgspec.json.decode(text, type=Members) for text in (body, arrived))
    options = got.pop("stream_options", msgspec.Raw(b"null"))
    assert bytes(options) == (b'{"include_usage":true}' if is_stream else b"null")
    assert {name: bytes(value) for name, value in got.items()} == {
        name: bytes(value) for name, value in sent.items()
    }
    assert list(got) == list(sent)
    (record,) = await operator.settled(tenant, 1)
    assert record.rule == "C1"
