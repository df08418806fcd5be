"""The processes of the local stack: started in order, started again when they die, stopped in order.

Each child is a session of its own, so that Ctrl-C in the terminal reaches the stack alone, which then stops them one after
another. On Linux a child ends with the stack even when the stack is killed.
"""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from services.devstack.errors import ServerNotStarted
from shared.settings import environment

RESTART_SECONDS = 1.0
READY_SECONDS = 40.0
POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Child:
    """One process that should live as long as the stack. `ready_url` answers 200 once it works."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        variables: Mapping[str, str],
        log: Path,
        descriptors: tuple[int, ...] = (),
        ready_url: str | None = None,
    ) -> None:
        self.name = name
        self.ready_url = ready_url
        self._arguments = arguments
        self._variables = dict(variables)
        self._log = log
        self._descriptors = descriptors
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._has_died = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self, died: Callable[[str, int], None]) -> None:
        """Start the process, and again whenever it dies; `died` is told its name and exit status."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(died))

    async def wait_ready(self, session: aiohttp.ClientSession) -> None:
        """Return once the process says that it works. Raises: ServerNotStarted after READY_SECONDS, or at its death."""
        if self.ready_url is None:
            return
        loop = asyncio.get_running_loop()
        give_up = loop.time() + READY_SECONDS
        while loop.time() < give_up:
            if self._has_died:
                raise ServerNotStarted(f"{self.name} ended at its start. Its log is {self._log}.")
            try:
                async with session.get(self.ready_url) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass  # it does not listen yet
            await asyncio.sleep(POLL_SECONDS)
        raise ServerNotStarted(
            f"{self.name} was not ready after {READY_SECONDS:g} s. Its log is {self._log}."
        )

    async def release(self) -> None:
        """Start the process no more when it ends."""
        self._is_stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def stop(self, timeout_seconds: float) -> None:
        """End the process in order, by force after `timeout_seconds`."""
        await self.release()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                env=environment(**self._variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._descriptors,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    async def _keep(self, died: Callable[[str, int], None]) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            if self._is_stopping:
                return
            self._has_died = True
            died(self.name, status)
            await asyncio.sleep(RESTART_SECONDS)
            await self._spawn()


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
