"""The stack as its operator lives with it: start, stop, start again, and what dies in between."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contracts import billing, records
from tests.e2e.stack import SERVICES, RunningStack, is_running, wait_until
from tests.e2e.tenants import operate

pytestmark = pytest.mark.xdist_group("e2e")

RECOVERY_SECONDS = 30.0


async def _spent_nano_usd(stack: RunningStack) -> int:
    """Return what the demo user has spent, once nothing of it is held any more."""
    async with operate(stack) as operator:
        account_id = await operator.database.fetchval(
            "SELECT account_id::text FROM auth.app_user WHERE email = $1", stack.demo.user_email
        )
        answer = await operator.bus.call(records.LIST_USAGE, records.GetUsage(account_id=account_id))
        balance = await operator.bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=account_id))
    spent = sum(record.charged_nano_usd for record in answer.items)
    assert balance.posted_nano_usd == 20 * 10**9 - spent
    return spent


async def test_a_second_start_continues_where_the_first_one_ended(tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end every process; key and balance are those of before, and requests are served."""
    stack = RunningStack(tmp_path / "data")
    with stack:
        demo = stack.demo
        assert stack.is_serving()
        first = set(stack.processes())
        assert stack.stop(signal.SIGINT) == 0
        assert not [pid for pid in first if is_running(pid)]
    with stack:
        spent = await _spent_nano_usd(stack)
        assert stack.demo == demo
        assert spent > 0
        assert stack.is_serving()
        second = set(stack.processes())
        assert stack.stop(signal.SIGTERM) == 0
        assert not [pid for pid in second if is_running(pid)]


def test_a_taken_port_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    """Nothing is started, and the sentence says which setting helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = RunningStack(tmp_path / "data", port=port)
        stack.start()
        status = stack.wait_ended()

    assert status == 1
    (sentence,) = stack.output.splitlines()
    assert str(port) in sentence
    assert "RELAY_PORT" in sentence


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("nats_url", "nats://127.0.0.1:1"),
        ("database_url", "postgresql://relay:hush@127.0.0.1:1/relay"),
    ],
)
def test_a_server_that_is_away_is_one_sentence_and_a_failure(
    tmp_path: Path, setting: str, address: str
) -> None:
    """The servers that the environment names are looked for before anything is started, and no password is said."""
    variables: dict[str, str] = {setting: address}
    stack = RunningStack(tmp_path / "data", replicas=1, port=None, **variables)
    stack.start()
    status = stack.wait_ended()

    assert status == 1
    assert stack.output.splitlines()[-1].endswith(
        f"does not answer at the address in RELAY_{setting.upper()}."
    )
    assert "hush" not in stack.output


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose processes are killed."""
    with RunningStack(tmp_path_factory.mktemp("mortal")) as running:
        yield running


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_started_again(mortal: RunningStack, service: str) -> None:
    """SIGKILL to any of them: a new process takes its place, and requests work again."""
    assert mortal.is_serving()
    (old,) = mortal.pids(service)

    os.kill(old, signal.SIGKILL)

    wait_until(lambda: bool(mortal.pids(service) - {old}), RECOVERY_SECONDS, "another process")
    wait_until(mortal.is_serving, RECOVERY_SECONDS, "an answer")


@pytest.mark.parametrize("program", ["postgres", "nats-server"])
def test_a_killed_server_is_started_again(mortal: RunningStack, program: str) -> None:
    """With the data and on the port that it had: the services find it by themselves."""
    assert mortal.is_serving()
    old = min(pid for pid, line in mortal.processes().items() if program in line.split(" ")[0])

    os.kill(old, signal.SIGKILL)

    wait_until(lambda: not is_running(old), RECOVERY_SECONDS, "its end")
    wait_until(mortal.is_serving, RECOVERY_SECONDS, "an answer")
    assert "has ended; starting it again." in mortal.output


def test_a_killed_stack_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    """SIGKILL to the stack itself: the kernel tells its children, and the next start finds its data sound."""
    stack = RunningStack(tmp_path / "data")
    with stack:
        assert stack.is_serving()
        pids = set(stack.processes())
        assert stack.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: not any(map(is_running, pids)), RECOVERY_SECONDS, "the end of all processes")
    with stack:
        assert stack.is_serving()
