"""One child process of a cluster: what can be done to it, and what can be known of it from outside."""

import asyncio
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import httpx
import msgspec

from services.devstack.process import HOST
from shared.failpoints import Point
from shared.settings import environment
from tests.e2e.stack import metrics_in, resident_bytes
from tests.faults.proxy import Proxy

READY_SECONDS = 60.0
END_SECONDS = 60.0
POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

Action = Literal["crash", "stop"]


class _Record(msgspec.Struct, frozen=True):
    """What matters of a line of a service's log."""

    level: str
    message: str
    exception: str = ""


class Process:
    """A program that the cluster runs; nothing starts it again but `start`.

    It is a session of its own, and the kernel kills it when the test process ends.
    """

    def __init__(
        self, name: str, arguments: list[str], *, variables: Mapping[str, str], log: Path, ready_url: str
    ) -> None:
        self.name = name
        self._arguments = arguments
        self._variables = dict(variables)
        self._log = log
        self._ready_url = ready_url
        self._process: subprocess.Popen[bytes] | None = None
        self._is_end_wanted = False
        self._seen_bytes = 0

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        assert self._process is not None, "start it first"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or stands still."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still."""
        return self.is_alive and self._state() == "T"

    @property
    def exit_status(self) -> int | None:
        """None while it lives, then its exit status (negative: the signal that ended it)."""
        return None if self._process is None else self._process.poll()

    @property
    def has_ended_by_itself(self) -> bool:
        """Whether it has ended though nobody asked it to, or killed it."""
        return self.exit_status not in (None, -signal.SIGKILL) and not self._is_end_wanted

    @property
    def log(self) -> str:
        """All that it has written, in all its starts, since `forget_log`."""
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[self._seen_bytes :].decode("utf-8", "replace")

    @property
    def memory_bytes(self) -> int:
        """Its resident memory."""
        return resident_bytes(self.pid)

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    @property
    def faults(self) -> list[str]:
        """The exceptions that it has logged as an error of its own; `log` has them in full."""
        lines = [line for line in self.log.splitlines() if line.startswith("{") and '"exception"' in line]
        records = [msgspec.json.decode(line, type=_Record) for line in lines]
        return [
            f"{self.name} logged: {record.message}: {record.exception.splitlines()[-1]}"
            for record in records
            if record.level in ("error", "critical")
        ]

    def forget_log(self) -> None:
        """Begin `log` anew; the file keeps everything."""
        self._seen_bytes = self._log.stat().st_size if self._log.exists() else 0

    def start(self) -> None:
        """Start it; it is not ready yet."""
        assert not self.is_alive, f"{self.name} runs already"
        self._is_end_wanted = False
        inherited = {name: value for name, value in environment().items() if not name.startswith("RELAY_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                env=inherited | self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def kill(self) -> None:
        """SIGKILL: it has ended when this returns."""
        self._signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """SIGSTOP: it stands still when this returns, and its connections stay."""
        self._signal(signal.SIGSTOP)
        give_up = time.monotonic() + END_SECONDS
        while not self.is_stopped:
            assert self.is_alive, f"{self.name} has ended: {self.exit_status}"
            assert time.monotonic() < give_up, f"{self.name} does not stand still"
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end in order; `wait_ended` says when it has."""
        self._is_end_wanted = True
        self._signal(number)

    async def restart(self) -> int:
        """Let it end in order and come again; return its exit status once it is ready."""
        self.terminate()
        status = await self.wait_ended()
        self.start()
        await self.wait_ready()
        return status

    async def wait_ended(self, seconds: float = END_SECONDS) -> int:
        """Return the exit status once it has ended; fail when it lives on."""
        give_up = time.monotonic() + seconds
        while (status := self.exit_status) is None:
            assert time.monotonic() < give_up, f"{self.name} has not ended after {seconds:g} s"
            await asyncio.sleep(POLL_SECONDS)
        return status

    async def is_ready(self) -> bool:
        """Whether it says that it works."""
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                return (await client.get(self._ready_url)).status_code == 200
        except httpx.HTTPError:
            return False

    async def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once it works; fail when it ends or takes too long."""
        give_up = time.monotonic() + seconds
        while not await self.is_ready():
            assert self.is_alive, f"{self.name} ended with {self.exit_status}: {self.log[-2000:]}"
            assert time.monotonic() < give_up, f"{self.name} is not ready: {self.log[-2000:]}"
            await asyncio.sleep(POLL_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "start it first"
        self._process.send_signal(number)

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait(END_SECONDS)

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Replica(Process):
    """One process of a service, with its ways to the others.

    `nats` leads to the bus, `postgres` to the database (None for an edge, which has no database). `port` is its HTTP listener.
    """

    def __init__(
        self,
        service: str,
        number: int,
        *,
        port: int,
        variables: Mapping[str, str],
        folder: Path,
        nats: Proxy,
        postgres: Proxy | None,
    ) -> None:
        name = f"{service}-{number}"
        self.service = service
        self.port = port
        self.nats = nats
        self.postgres = postgres
        self._points = folder / "failpoints" / name
        self._points.mkdir(parents=True)
        super().__init__(
            name,
            ["-m", f"services.{service}"],
            variables={**variables, "RELAY_FAILPOINTS_DIR": str(self._points)},
            log=folder / f"{name}.log",
            ready_url=f"http://{HOST}:{port}/readyz",
        )

    def arm(self, point: Point, action: Action = "crash") -> None:
        """Let this process die or stand still when it next reaches `point`; what fired before is forgotten."""
        (self._points / f"{point}.taken").unlink(missing_ok=True)
        unseen = self._points / ".unseen"
        unseen.write_text(action)
        unseen.rename(self._points / point)

    def disarm(self) -> None:
        """Let no point fire any more."""
        for path in self._points.iterdir():
            if not path.name.endswith(".taken"):
                path.unlink(missing_ok=True)

    def has_fired(self, point: Point) -> bool:
        """Whether the armed point was reached."""
        return (self._points / f"{point}.taken").exists()

    async def metrics(self) -> dict[str, float]:
        """Return its metrics by name, labels summed up."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            return metrics_in((await client.get(f"http://{HOST}:{self.port}/metrics")).text)


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
