"""A whole Relay as its operator starts it: a child process with its own data and port, and what can be known of it.

`RunningStack` is the stack. Nothing in it reaches into a service: what tests learn comes from the files that `relay up` writes,
from the kernel (`/proc`), over the operator's bus user, or out of the database.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import httpx
import msgspec

from services.devstack.demo import FILE as DEMO_FILE
from services.devstack.demo import Demo
from services.devstack.process import HOST, free_port
from services.devstack.settings import STACK_FILE, StackFile
from shared.bus import Bus
from shared.contracts.call import OPERATOR
from shared.db import Connection
from shared.settings import Secret, Settings, environment

START_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
READY = "Press Ctrl-C to stop."
SERVICES = ("auth", "billing", "dispatcher", "edge")
STARTED = "Application startup complete."
LISTENING = "0A"  # in /proc/net/tcp
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class RunningStack:
    """`relay up` on a free port with its data in `data_dir`, for as long as its context is entered.

    `variables` are settings in lower case without their prefix, such as `keep_alive_seconds="0.2"`. No setting of the person who
    runs the tests reaches the stack. After `stop` it can be started again, on the same port and data.
    """

    def __init__(
        self, data_dir: Path, *, replicas: int = 1, port: int | None = None, **variables: str
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self._replicas = replicas
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the edge listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def public_url(self) -> str:
        """Where people reach the console: by name, since a passkey belongs to one."""
        return f"http://localhost:{self.port}"

    @property
    def base_url(self) -> str:
        """What an SDK is given."""
        return self.url + "/v1"

    @property
    def pid(self) -> int:
        """The process id of `relay up` itself."""
        assert self._process is not None, "start it first"
        return self._process.pid

    @property
    def output(self) -> str:
        """All that this start has printed."""
        return self._output_file.read_text(encoding="utf-8")

    @property
    def demo(self) -> Demo:
        """What the first start made."""
        return msgspec.json.decode((self.data_dir / DEMO_FILE).read_bytes(), type=Demo)

    @property
    def access(self) -> StackFile:
        """How the operator reaches bus and database."""
        return msgspec.json.decode((self.data_dir / STACK_FILE).read_bytes(), type=StackFile)

    @property
    def simulator_url(self) -> str:
        """Where the built-in simulator listens."""
        return f"http://{HOST}:{(self.data_dir / 'simulator.port').read_text()}"

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._output_file.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "up", "--replicas", str(self._replicas)],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_stop_with_parent if sys.platform == "linux" else None,
            )

    def wait_ready(self) -> None:
        """Return once the stack says that it is ready."""
        assert self._process is not None, "start it first"
        process = self._process
        wait_until(lambda: READY in self.output or process.poll() is not None, START_SECONDS, "the start")
        if READY not in self.output:
            raise AssertionError(f"the stack has not started:\n{self.output}")

    def wait_ended(self) -> int:
        """Return the exit status once the process has ended."""
        assert self._process is not None, "start it first"
        return self._process.wait(STOP_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and return the exit status; what does not end in time is killed, and its children with it."""
        assert self._process is not None, "start it first"
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self.wait_ended()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def processes(self) -> dict[int, str]:
        """Return the command line of every process of the stack, by process id."""
        parents, commands = {}, {}
        for pid, parent, command in _all_processes():
            parents[pid], commands[pid] = parent, command
        family = {self.pid}
        while grown := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= grown
        return {pid: commands[pid] for pid in family if pid in commands}

    def pids(self, service: str) -> set[int]:
        """Return the process ids of a service's replicas."""
        return {
            pid for pid, command in self.processes().items() if command.endswith(f"-m services.{service}")
        }

    def starts(self, service: str) -> int:
        """Return how often a replica of the service has come up, this and all former starts together."""
        logs = (self.data_dir / "logs").glob(f"{service}-*.log")
        return sum(log.read_text(encoding="utf-8").count(STARTED) for log in logs)

    async def metrics(self, service: str) -> dict[int, dict[str, float]]:
        """Return the metrics of each replica by process id and name, labels summed up. Not for edges: they share a port."""
        return {pid: metrics_in(page) for pid, page in (await self.pages(service)).items()}

    async def pages(self, service: str) -> dict[int, str]:
        """Return the page of metrics of each replica by process id. Not for two edges: they share a port."""
        async with httpx.AsyncClient() as client:
            answers = {
                pid: await client.get(f"http://{HOST}:{listening_port(pid)}/metrics")
                for pid in self.pids(service)
            }
        return {pid: answer.text for pid, answer in answers.items()}

    def memory_bytes(self) -> dict[str, int]:
        """Return the resident memory of each replica and of the bus, by service and process id. The simulator is not Relay."""
        known = {f"{service} {pid}": pid for service in SERVICES for pid in self.pids(service)}
        known |= {f"nats {pid}": pid for pid, line in self.processes().items() if "nats-server" in line}
        return {name: resident_bytes(pid) for name, pid in known.items()}

    def is_serving(self) -> bool:
        """Whether a request of the demo user is answered at this moment."""
        body = {"model": self.demo.model, "messages": [{"role": "user", "content": "Are you there?"}]}
        headers = {"authorization": f"Bearer {self.demo.api_key}"}
        try:
            answer = httpx.post(f"{self.base_url}/chat/completions", json=body, headers=headers, timeout=10)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    @asynccontextmanager
    async def operator_bus(self) -> AsyncIterator[Bus]:
        """Yield the bus as the operator's command line has it."""
        access = self.access
        settings = Settings(
            nats_url=access.nats_url, nats_user=access.nats_user, nats_password=Secret(access.nats_password)
        )
        async with Bus(settings, party=OPERATOR) as bus:
            yield bus

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """Yield a connection that may see everything."""
        connection = await asyncpg.connect(self.access.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    @property
    def _output_file(self) -> Path:
        return self.data_dir / "output.txt"

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in environment().items()
            if not name.startswith("RELAY_") and name != "OPENAI_API_KEY"
        }
        ours = {"data_dir": str(self.data_dir), "port": str(self.port), **self._variables}
        return inherited | {f"RELAY_{name.upper()}": value for name, value in ours.items()}


def wait_until(is_true: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when the condition holds; fail when it still does not after `seconds`."""
    give_up = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} has not come after {seconds:g} s")
        time.sleep(POLL_SECONDS)


async def wait_until_async(is_true: Callable[[], bool], seconds: float, what: str) -> None:
    """Do the same while this event loop goes on."""
    give_up = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} has not come after {seconds:g} s")
        await asyncio.sleep(POLL_SECONDS)


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a remnant."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def listening_port(pid: int) -> int:
    """Return the port of 127.0.0.1 that a process with one listener listens on (proc(5), `/proc/net/tcp`)."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            inodes.add(os.readlink(link))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, _, _, _, _, _, inode, *_ = line.split()
        if state == LISTENING and f"socket:[{inode}]" in inodes:
            return int(address.partition(":")[2], 16)
    raise AssertionError(f"process {pid} does not listen")


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _all_processes() -> Iterator[tuple[int, int, str]]:
    """Yield process id, parent and command line of all that run."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            yield int(directory.name), parent, command


def metrics_in(text: str) -> dict[str, float]:
    """Return the metrics of a page by name, labels summed up."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _stop_with_parent() -> None:
    """Let the kernel stop the stack in order when the test process is killed."""
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
