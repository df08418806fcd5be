"""Commands that run until they are told to stop."""

import asyncio
import signal
import socket

import pytest

from tests.cli.conftest import Relay, run
from tests.cli.subprocesses import DEADLINE_SECONDS, relay_process, started
from tests.nats_cluster import free_ports


@pytest.mark.parametrize(
    ("service", "variables"),
    [
        ("edge", {}),
        ("auth", {"RELAY_KEY_PEPPER": "0123456789abcdef" * 4}),
        ("billing", {}),
        ("dispatcher", {"RELAY_MASTER_KEY": "0123456789abcdef" * 4}),
    ],
)
async def test_a_service_runs_until_it_is_told_to_stop(
    running: Relay, service: str, variables: dict[str, str]
) -> None:
    """Under its own name on the bus, and with success at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables |= running.variables_of(service) | {"RELAY_PORT": str(port)}

    async with asyncio.timeout(DEADLINE_SECONDS), started(service, **variables) as process:
        while not await _is_ready(port):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert process.returncode == 0


async def test_the_edge_refuses_ambiguous_requests(running: Relay) -> None:
    """With the listener of its own, which `relay edge` sets up as `python -m services.edge` does."""
    port = free_ports(1)[0]
    variables = running.variables_of("edge") | {"RELAY_PORT": str(port)}
    twofold = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"

    async with asyncio.timeout(DEADLINE_SECONDS), started("edge", **variables) as process:
        while not await _is_ready(port):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(twofold)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"invalid_http"' in answer


@pytest.mark.parametrize("service", ["auth", "billing", "dispatcher"])
def test_a_service_without_its_settings_says_what_is_missing(service: str) -> None:
    """In one sentence."""
    result = run(service, environment={})

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: RELAY_DATABASE_URL is not set. It must be: ")
    assert result.stderr.count("\n") == 1


async def test_a_taken_port_is_one_sentence() -> None:
    """Not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await relay_process("edge", RELAY_PORT=str(taken.getsockname()[1]))

    assert ended.status == 1
    assert ended.errors.startswith("Error: Address already in use")
    assert ended.errors.count("\n") == 1


async def test_the_simulator_runs_with_its_own_options() -> None:
    """As `python -m services.simulator` does."""
    arguments = ("--defaults", "tps=100", "--seed", "3")

    async with asyncio.timeout(DEADLINE_SECONDS), started("simulate", *arguments) as process:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGINT)
        await process.communicate()

    assert line.startswith("The simulator answers on http://127.0.0.1:")
    assert process.returncode == 0


async def test_a_wrong_option_of_the_simulator_is_a_wrong_call() -> None:
    """Exit status 2, under the name of the whole command."""
    ended = await relay_process("simulate", "--defaults", "nonsense=1")

    assert (ended.status, ended.output) == (2, "")
    assert "relay simulate" in ended.errors


async def test_a_stack_that_cannot_start_ends_with_1() -> None:
    """`relay up` hands on what the stack says."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await relay_process("up", RELAY_PORT=str(taken.getsockname()[1]))

    assert ended.status == 1
    assert "is taken" in ended.errors


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")
