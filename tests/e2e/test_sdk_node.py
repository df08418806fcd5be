"""The official SDK for Node against the whole stack: one run of `tests/sdk_node/check.mjs`, judged case by case."""

import asyncio
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests import node
from tests.e2e.refusals import REFUSALS, Refusal, prepare
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Tenant, operate

pytestmark = pytest.mark.xdist_group("e2e")

FOLDER = Path(__file__).parent.parent / "sdk_node"
RUN_SECONDS = 120

Result = dict[str, object]


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the check, with the locked version of the package installed."""
    try:
        node.install(FOLDER)
    except node.NodeFailed as error:
        pytest.fail(str(error))
    return FOLDER


@pytest.fixture(scope="session")
def results(stack: RunningStack, package: Path) -> dict[str, Result]:
    """What came of each call, by its name."""
    config = asyncio.run(_configuration(stack))
    done = subprocess.run(
        [node.NODE, package / "check.mjs"],
        input=config,
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=dict[str, Result])


async def _configuration(stack: RunningStack) -> bytes:
    async with operate(stack) as operator:
        tenant: Tenant = await operator.make_tenant()
        refused = await prepare(operator)
    return msgspec.json.encode(
        {"baseURL": stack.base_url, "key": tenant.key, "model": tenant.model, "refusals": refused}
    )


def test_plain_and_streamed_answers_carry_the_same_text(results: dict[str, Result]) -> None:
    """Both forms are complete, and the plain one tells its usage and its request id."""
    plain, streamed = results["plain"], results["streamed"]

    assert plain["text"] == streamed["text"] != ""
    assert plain["requestID"]
    assert msgspec.convert(plain["usage"], Result)["completion_tokens"] == 40
    assert streamed["finish"] == ["stop"]
    assert set(msgspec.convert(streamed["usages"], list[None])) == {None}


def test_include_usage_brings_the_usage_last(results: dict[str, Result]) -> None:
    """The client that asks gets it once, in the last chunk."""
    *before, last = msgspec.convert(results["include_usage"]["usages"], list[Result | None])

    assert set(map(str, before)) == {"None"}
    assert last is not None
    assert last["completion_tokens"] == 30


@pytest.mark.parametrize("name", ["tools", "streamed_tools"])
def test_tool_calls_arrive_whole(results: dict[str, Result], name: str) -> None:
    """Plain, and put together by the SDK from a stream."""
    assert results[name]["calls"] == [["get_weather", '{"city":"text","unit":"c"}']] * 2


def test_the_models_are_listed(results: dict[str, Result], stack: RunningStack) -> None:
    """The pages of the list have the demo's model."""
    assert stack.demo.model in msgspec.convert(results["models"]["names"], list[str])


def test_a_broken_stream_raises_after_its_text(results: dict[str, Result]) -> None:
    """The application gets what came, and then an error: never a short answer."""
    broken = results["broken_stream"]

    assert broken["text"]
    assert broken["isApiError"] is True
    assert broken["code"] == "upstream_disconnected"


@pytest.mark.parametrize("form", ["plain", "stream"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_a_refusal_is_the_sdks_own_exception(results: dict[str, Result], refusal: Refusal, form: str) -> None:
    """Class, status, type, code and request id are those of the table."""
    got = results[f"{refusal.name}-{form}"]

    assert got["class"] == refusal.node_class
    assert (got["status"], got["code"], got["type"]) == (refusal.status, refusal.code, refusal.type)
    assert got["requestID"]
