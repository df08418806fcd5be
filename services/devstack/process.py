"""One server process: how it is started, awaited and ended, and the private files beside it.

On Linux the kernel sends SIGINT to the server when the thread that started it ends, so that even `kill -9` of
the launcher leaves no server behind. Hence start servers from a thread that lives as long as they should: the
main thread.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from services.devstack.errors import ServerNotStarted

HOST = "127.0.0.1"
POLL_SECONDS = 0.02
STOP_SECONDS = 10.0  # for a server that is not wanted any more before it was ready
KILL_SECONDS = 10.0  # from SIGKILL to the end of a process: the kernel's work alone

# The server's whole environment: no secret of ours in it, and the same behaviour on every machine.
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

_CLONE_NEWUSER = 0x10000000  # <linux/sched.h>
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_USER_IN_NAMESPACE = 1000  # any but 0


class RunAs(msgspec.Struct, frozen=True, kw_only=True):
    """As whom a server runs; by default as ourselves.

    `user` and `group` are ids to change to, which only root can. With `is_in_namespace` the server enters a
    user namespace of its own (Linux): it takes itself for an ordinary user, while outside its files are
    ours.
    """

    user: int | None = None
    group: int | None = None
    is_in_namespace: bool = False


OURSELVES = RunAs()


class ServerProcess:
    """A running server: in its own session, so that Ctrl-C in a terminal reaches only its launcher.

    Standard output and error go to `log`, which is begun anew; the log of the run before is kept as `….1`.
    The descriptors `inherit` stay open in the server. Raises: OSError when the program cannot be run as
    `run_as`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        run_as: RunAs = OURSELVES,
        inherit: Sequence[int] = (),
    ) -> None:
        self.log = log
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_name(log.name + ".1"))
        output = create_private(log)
        try:
            self._process = subprocess.Popen(  # noqa: S603 (the launchers' own command lines)
                command,
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherit,
                start_new_session=True,
                preexec_fn=_before_exec(run_as),
                user=run_as.user,
                group=run_as.group,
                extra_groups=None if run_as.user is None else [],
            )
        except subprocess.SubprocessError as error:
            raise PermissionError(1, "cannot enter a user namespace", str(command[0])) from error
        finally:
            os.close(output)

    @property
    def pid(self) -> int:
        """The process id; it stays reserved until `exit_status` or `stop` has seen the end."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while the server runs, then its exit status (negative: the signal that ended it)."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, name: str, deadline: float) -> None:
        """Return once `ready()`. `deadline` is in seconds of `time.monotonic()`.

        Raises: ServerNotStarted when the process ends first or the deadline passes; the process has ended
        then.
        """
        try:
            while not ready():
                if self.exit_status is not None:
                    raise self._failure(name, f"ended with status {self.exit_status}")
                if time.monotonic() >= deadline:
                    raise self._failure(name, "was not ready in time")
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.stop(STOP_SECONDS)
            raise

    def wait_until_done(self, *, name: str, deadline: float) -> None:
        """Return once the program has ended with status 0; for programs that do one thing.

        Raises: ServerNotStarted for another status or past `deadline`; the process has ended then.
        """
        self.wait_until(lambda: self.exit_status is not None, name=name, deadline=deadline)
        if self.exit_status != 0:
            raise self._failure(name, f"ended with status {self.exit_status}")

    def stop(self, timeout_seconds: float) -> None:
        """End the process: SIGINT, and SIGKILL when it has not ended after `timeout_seconds`. Idempotent."""
        if self.exit_status is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(KILL_SECONDS)

    def _failure(self, name: str, what: str) -> ServerNotStarted:
        return ServerNotStarted(f"{name} {what}; its log is {self.log}.")


def can_enter_namespace(program: Path) -> bool:
    """Tell whether `program --version` runs in a user namespace; a container's profile may forbid it."""
    if sys.platform != "linux":
        return False
    try:
        subprocess.run(  # noqa: S603 (the wheel's own program)
            [program, "--version"],
            check=True,
            capture_output=True,
            timeout=KILL_SECONDS,
            preexec_fn=_before_exec(RunAs(is_in_namespace=True)),
        )
    except subprocess.SubprocessError:
        return False
    return True


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_port_free(port: int) -> bool:
    """Tell whether a server could listen on this TCP port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do: TIME_WAIT is no hindrance
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def create_private(path: Path) -> int:
    """Return a descriptor of a new file that only the owner of its directory can read and write.

    The owner can differ from us when we are root. Raises: FileExistsError.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    give_to_owner(descriptor, path.parent)
    return descriptor


def give_to_owner(descriptor: int, directory: Path) -> None:
    """Make the owner of `directory` the owner of the open file."""
    owner = directory.stat()
    if owner.st_uid != os.geteuid():
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path` in one step, readable by the owner of its directory alone, and durable."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(create_private(fresh), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable, as after a rename."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _before_exec(run_as: RunAs) -> Callable[[], None] | None:
    """Return what the forked child does between its change of user and `exec`.

    Another thread may have held any lock at the fork, so the child only makes system calls; everything is
    looked up here, before it. The death signal comes last, because a change of credentials clears it
    (prctl(2)).
    """
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)
    unshare, prctl = libc.unshare, libc.prctl
    identities = (
        ("/proc/self/setgroups", b"deny"),
        ("/proc/self/uid_map", b"%d %d 1" % (_USER_IN_NAMESPACE, os.geteuid())),
        ("/proc/self/gid_map", b"%d %d 1" % (_USER_IN_NAMESPACE, os.getegid())),
    )

    def prepare() -> None:
        if run_as.is_in_namespace:
            _check(unshare(_CLONE_NEWUSER))
            for path, line in identities:
                descriptor = os.open(path, os.O_WRONLY)
                os.write(descriptor, line)
                os.close(descriptor)
        _check(prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0))
        if os.getppid() != parent:  # it died before the signal was set
            os._exit(1)

    return prepare


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
