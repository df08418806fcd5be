"""The process that both servers share: it ends when it must, and its files are private."""

import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.devstack.errors import ServerNotStarted
from services.devstack.process import (
    HOST,
    ServerProcess,
    create_private,
    free_port,
    is_port_free,
    write_private,
)

LAUNCHER = """
import sys
from pathlib import Path
from services.devstack.process import ServerProcess
ServerProcess(["/bin/sh", "-c", "echo up; exec sleep 600"], Path(sys.argv[1]))
print("started", flush=True)
sys.stdin.read()
"""


def test_stop_ends_a_process_that_does_not_react(tmp_path: Path) -> None:
    """A process that ignores SIGINT is killed after the time-out, and a second stop changes nothing."""
    command = ["/bin/sh", "-c", "trap '' INT; echo up; exec sleep 600"]
    process = ServerProcess(command, tmp_path / "log")
    process.wait_until(lambda: "up" in process.log.read_text(), name="sleep", deadline=time.monotonic() + 30)
    process.stop(0.1)
    assert process.exit_status == -signal.SIGKILL
    process.stop(0.1)


def test_the_process_sees_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the launcher's environment does not reach the server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    process = ServerProcess(["/usr/bin/env"], tmp_path / "log")
    process.wait_until_done(name="env", deadline=time.monotonic() + 30)
    assert "LC_ALL=C" in process.log.read_text()
    assert "secret" not in process.log.read_text()


def test_a_program_that_fails_is_reported_with_its_log(tmp_path: Path) -> None:
    """The sentence names the exit status and where to read more."""
    process = ServerProcess(["/bin/sh", "-c", "exit 3"], tmp_path / "log")
    with pytest.raises(ServerNotStarted, match=rf"^sh ended with status 3; its log is {tmp_path}/log\.$"):
        process.wait_until_done(name="sh", deadline=time.monotonic() + 30)


def test_a_process_that_is_late_is_ended(tmp_path: Path) -> None:
    """Past the deadline the wait fails and leaves no process behind."""
    process = ServerProcess(["/bin/sleep", "600"], tmp_path / "log")
    with pytest.raises(ServerNotStarted, match="was not ready in time"):
        process.wait_until(lambda: False, name="sleep", deadline=time.monotonic())
    assert process.exit_status is not None


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    """Each run begins its log anew and keeps one older log."""
    for word in ("first", "second", "third"):
        process = ServerProcess(["/bin/echo", word], tmp_path / "log")
        process.wait_until_done(name="echo", deadline=time.monotonic() + 30)
    assert (tmp_path / "log").read_text() == "third\n"
    assert (tmp_path / "log.1").read_text() == "second\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent death signal")
def test_a_killed_launcher_leaves_no_process_behind(tmp_path: Path) -> None:
    """After `kill -9` of the launcher the kernel ends the process: the last writer of its output is gone."""
    log = tmp_path / "log"
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, log],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "started\n"
        child = int(Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text())
        launcher.kill()
    deadline = time.monotonic() + 30
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(child)


def test_a_free_port_is_free_until_somebody_listens() -> None:
    """`is_port_free` tells a listening port from a free one."""
    port = free_port()
    assert is_port_free(port)
    with socket.create_server((HOST, port)):
        assert not is_port_free(port)


def test_write_private_replaces_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """The file is 0600, has the new text, and nothing is left beside it even after an interrupted write."""
    path = tmp_path / "secret"
    path.write_text("old")
    (tmp_path / "secret.new").write_text("interrupted")
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_create_private_follows_no_link(tmp_path: Path) -> None:
    """A planted symbolic link is an error and its target stays untouched."""
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "link")
    assert (tmp_path / "target").read_text() == "kept"


def _is_alive(pid: int) -> bool:
    """Tell whether the process runs; a zombie that nobody reaps does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
