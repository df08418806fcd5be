"""The stack under test: a child process with fresh data, what each of its processes costs, and what its ledger says.

Processes are found below the stack in the process tree and named as in its logs (`edge-1`); PostgreSQL counts as one with all
its backends. Memory is the proportional set size, so that pages which backends share count once.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec

from services.devstack import demo
from services.devstack.demo import Demo
from services.devstack.settings import STACK_FILE, StackFile
from shared.bus import Bus
from shared.contracts import auth, billing
from shared.contracts.call import OPERATOR
from shared.db import Connection
from shared.money import NANO_PER_USD
from shared.settings import Secret, Settings, environment

START_SECONDS = 60.0
STOP_SECONDS = 60.0
SETTLED_SECONDS = 15.0
POLL_SECONDS = 0.05
CREDIT_USD = 1_000_000
_ROOT = Path(__file__).parent.parent
_START = "from services.devstack.stack import up; raise SystemExit(up())"
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
# Whoever measures may have a stack of their own: nothing of it may leak into this one.
_OWN = {
    "RELAY_HOST": "127.0.0.1",
    "RELAY_NATS_URL": "",
    "RELAY_DATABASE_URL": "",
    "RELAY_UPSTREAM_API_KEY": "",
    "RELAY_UPSTREAM_BASE_URL": "",
    "OPENAI_API_KEY": "",
}


class StackError(Exception):
    """The stack did not do what a bench needs; `str()` is one sentence."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says: usage records, what they charged, what is still held, and how holds ended (state, outcome, count)."""

    usage_records: int
    charged_nano_usd: int
    live_holds: int
    held_nano_usd: int
    ends: tuple[tuple[str, str, int], ...] = ()


class Stack:
    """A running stack. `parts` maps the name of each process to its pid."""

    def __init__(self, process: "subprocess.Popen[bytes]", data_dir: Path, port: int) -> None:
        self.port = port
        self.demo = msgspec.json.decode((data_dir / demo.FILE).read_bytes(), type=Demo)
        self.upstream_port = int((data_dir / "simulator.port").read_text())
        self.access = msgspec.json.decode((data_dir / STACK_FILE).read_bytes(), type=StackFile)
        self.parts = _parts(process.pid)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each part has used so far, that of its ended children included."""
        children = _children()
        return {
            name: sum(_cpu_seconds(pid) for pid in _tree(pid, children)) for name, pid in self.parts.items()
        }

    def memory_bytes(self) -> dict[str, int]:
        """Return the memory of each part now."""
        children = _children()
        return {
            name: sum(_memory_bytes(pid) for pid in _tree(pid, children)) for name, pid in self.parts.items()
        }

    async def credit(self) -> None:
        """Give the demo user more money than any load can spend."""
        control = Settings(
            nats_url=self.access.nats_url,
            nats_user=self.access.nats_user,
            nats_password=Secret(self.access.nats_password),
        )
        async with Bus(control, party=OPERATOR) as bus:
            users = await bus.call(auth.LIST_USERS, auth.ListUsers())
            account_id = next(user.account_id for user in users.items if user.email == self.demo.user_email)
            credit = billing.Credit(
                account_id=account_id,
                amount_nano_usd=CREDIT_USD * NANO_PER_USD,
                idempotency_key="bench",
                reason="load measurement",
            )
            await bus.call(billing.CREDIT, credit)

    async def settled_ledger(self) -> Ledger:
        """Return the ledger once nothing is held any more, or after SETTLED_SECONDS."""
        connection = await asyncpg.connect(self.access.database_url)
        try:
            give_up = time.monotonic() + SETTLED_SECONDS
            while True:
                # One snapshot: between two of them what was held becomes a usage record.
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    ledger = await _ledger(connection)
                if ledger.live_holds == 0 or time.monotonic() > give_up:
                    return ledger
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await connection.close()

    async def postgres_version(self) -> str:
        """Return the version of the server, such as `18.1`."""
        connection = await asyncpg.connect(self.access.database_url)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Yield a stack that has just started with fresh data; it is ended and its data removed afterwards.

    Raises: StackError when it does not start, or this is not Linux.
    """
    if sys.platform != "linux":
        raise StackError("The bench reads /proc, which only Linux has.")
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        data_dir, port = Path(directory) / "data", _free_port()
        with (Path(directory) / "stack.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _START],
                cwd=_ROOT,
                env=environment(**_OWN, RELAY_DATA_DIR=str(data_dir), RELAY_PORT=str(port)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_ready(process, data_dir, port)
            yield Stack(process, data_dir, port)
        finally:
            _stop(process)


def busy_seconds() -> float:
    """Return the CPU time that the whole machine has spent on anything since it started."""
    # proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, …
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * _TICK_SECONDS


async def _ledger(connection: Connection) -> Ledger:
    usage = await connection.fetchrow(
        "SELECT count(*) AS records, coalesce(sum(charged_nano_usd), 0)::bigint AS charged FROM billing.usage"
    )
    held = await connection.fetchrow(
        """SELECT (SELECT count(*) FROM billing.hold WHERE state = 'HELD') AS holds,
            (SELECT coalesce(sum(held_nano_usd), 0)::bigint FROM billing.account) AS amount"""
    )
    ends = await connection.fetch(
        "SELECT state::text, coalesce(outcome, ''), count(*) FROM billing.hold GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return Ledger(
        ends=tuple((state, outcome, count) for state, outcome, count in ends),
        usage_records=usage["records"],
        charged_nano_usd=usage["charged"],
        live_holds=held["holds"],
        held_nano_usd=held["amount"],
    )


def _wait_ready(process: "subprocess.Popen[bytes]", data_dir: Path, port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if process.poll() is not None:
            log = (data_dir.parent / "stack.log").read_text(errors="replace").strip()
            raise StackError(f"The stack ended at its start: {log[-500:]}")
        if (data_dir / demo.FILE).exists() and _answers(f"http://127.0.0.1:{port}/readyz"):
            return
        time.sleep(POLL_SECONDS)
    raise StackError(f"The stack was not ready after {START_SECONDS:g} s.")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _parts(stack_pid: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    parts: dict[str, int] = {}
    for pid in sorted(_children().get(stack_pid, [])):
        kind = _kind(pid)
        if kind is None:
            continue
        counts[kind] = counts.get(kind, 0) + 1
        is_single = kind in ("postgres", "nats", "simulator")
        parts[kind if is_single else f"{kind}-{counts[kind]}"] = pid
    return parts


def _kind(pid: int) -> str | None:
    """Return what the process is: a service by its module, a server by its program."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    program = Path(words[0]).name
    if program.startswith(("postgres", "nats")):
        return program.partition("-")[0]
    module = next((word for word in words if word.startswith("services.")), None)
    return None if module is None else module.removeprefix("services.")


def _tree(pid: int, children: dict[int, list[int]]) -> list[int]:
    """Return the process and all below it."""
    return [pid, *(below for child in children.get(pid, []) for below in _tree(child, children))]


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    # Own user and system time, then those of the children that have ended.
    return sum(int(field) for field in fields[11:15]) * _TICK_SECONDS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; none when the process has just ended."""
    try:
        # The name stands in parentheses and may contain anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _memory_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kilobytes = text.partition("\nPss:")[2].split(None, 1)[0]
    return int(kilobytes) * 1024
