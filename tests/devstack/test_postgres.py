"""The launcher of the real PostgreSQL, as root and as an ordinary user."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from services.devstack.errors import ServerNotStarted
from services.devstack.postgres import NOBODY, EmbeddedPostgres, binaries
from services.devstack.process import HOST

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# A launcher in a process of its own: it says the URL or why there is none, and stops when its input ends.
LAUNCHER = """
import ctypes, os, sys
from pathlib import Path
from services.devstack.errors import ServerNotStarted
from services.devstack.postgres import EmbeddedPostgres, binaries

binaries()  # what is imported here can still be read before the user changes
{prelude}
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
try:
    print(server.start(), flush=True)
except ServerNotStarted as error:
    print(error, flush=True)
sys.stdin.read()
server.stop()
"""

BECOME_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"

# Root without the right to make user namespaces, as in a container: a namespace of its own that allows none inside.
FORBID_NAMESPACES = """
if ctypes.CDLL(None).unshare(0x10000000) == 0:
    print("map me", flush=True)
    sys.stdin.readline()
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user can reach, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="relay-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def test_a_started_server_is_durable_and_utf8(tmp_path: Path) -> None:
    """A commit is on disk before it is answered, pages are checksummed, and text sorts by code point."""
    with EmbeddedPostgres(tmp_path / "data", settings={"work_mem": "5MB"}) as server:
        assert await _settings(server.url) == {
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "server_encoding": "UTF8",
            "work_mem": "5MB",
        }
        assert await _fetch(server.url, "SELECT datcollate FROM pg_database LIMIT 1") == "C"


async def test_without_durability_a_commit_still_waits(tmp_path: Path) -> None:
    """Only the disk is spared, so that tests see the same order of events."""
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        settings = await _settings(server.url)
    assert settings["fsync"] == "off"
    assert settings["synchronous_commit"] == "on"


@pytest.mark.parametrize("name", ["fsync", "Synchronous_Commit", "listen_addresses", "port"])
def test_a_setting_that_guards_data_or_access_is_refused(tmp_path: Path, name: str) -> None:
    """Durability and the address are not for the caller's settings."""
    with pytest.raises(ValueError, match=name.lower()):
        EmbeddedPostgres(tmp_path, settings={name: "off"})


async def test_a_restart_keeps_data_password_and_port(tmp_path: Path) -> None:
    """The URL of the second start is that of the first, and the data is there."""
    first = EmbeddedPostgres(tmp_path, durable=False)
    url = first.start()
    await _fetch(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    assert not first.is_running
    first.stop()
    with EmbeddedPostgres(tmp_path, durable=False) as second:
        assert second.url == url
        assert await _fetch(url, "SELECT answer FROM kept") == 42


async def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    """TCP asks for the password, which lies in a private file."""
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(re.sub(r":[^:@]+@", ":wrong@", server.url))
        password = tmp_path / "password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        assert password.read_text() in server.url


async def test_stop_does_not_wait_for_clients(tmp_path: Path) -> None:
    """An open transaction is rolled back, and the server ends."""
    server = EmbeddedPostgres(tmp_path, durable=False)
    connection = await asyncpg.connect(server.start())
    await connection.execute("BEGIN; CREATE TABLE lost ()")
    server.stop()
    assert not server.is_running
    connection.terminate()
    with server:
        assert await _fetch(server.url, "SELECT to_regclass('lost')") is None


async def test_a_killed_server_starts_again_with_its_commits(tmp_path: Path) -> None:
    """The stale postmaster.pid of a dead server is no hindrance."""
    server = EmbeddedPostgres(tmp_path)
    await _fetch(server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)
    assert (tmp_path / "cluster/postmaster.pid").exists()
    with EmbeddedPostgres(tmp_path) as again:
        assert await _fetch(again.url, "SELECT answer FROM kept") == 42
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="process ids are looked up in /proc")
def test_a_reused_process_id_is_no_hindrance(tmp_path: Path) -> None:
    """A postmaster.pid with the id of an unrelated living process, as after a container's restart, is stale."""
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    pid_file = tmp_path / "cluster/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    with subprocess.Popen(["/bin/sleep", "600"]) as unrelated:
        try:
            pid_file.write_text("\n".join([str(unrelated.pid), *lines[1:], ""]))
            server.start()
        finally:
            server.stop()
            unrelated.kill()


def test_an_interrupted_first_start_leaves_nothing_broken(tmp_path: Path) -> None:
    """What an interrupted initdb left is thrown away by the next start."""
    (tmp_path / "cluster.new/base").mkdir(parents=True)
    (tmp_path / "cluster.new/PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert server.is_running
        assert not (tmp_path / "cluster.new").exists()


async def test_a_data_directory_in_use_is_a_plain_sentence(tmp_path: Path) -> None:
    """A second server on the same data is refused, and the first one goes on."""
    with EmbeddedPostgres(tmp_path, durable=False) as first:
        second = EmbeddedPostgres(tmp_path, durable=False)
        with pytest.raises(ServerNotStarted, match=f"^Another PostgreSQL server is running on {tmp_path}"):
            second.start(timeout_seconds=0.2)
        assert not second.is_running
        assert await _fetch(first.url, "SELECT 1") == 1


def test_a_port_asked_for_and_taken_is_a_plain_sentence(tmp_path: Path) -> None:
    """The port is named; once it is free the server uses it."""
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        server = EmbeddedPostgres(tmp_path, port, durable=False)
        with pytest.raises(ServerNotStarted, match=f"^Port {port} is taken"):
            server.start()
    with server:
        assert f"@{HOST}:{port}/" in server.url


def test_a_remembered_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    """A port that was picked for the caller is not worth a failure."""
    with socket.create_server((HOST, 0)) as other:
        (tmp_path / "port").write_text(str(other.getsockname()[1]))
        with EmbeddedPostgres(tmp_path, durable=False) as server:
            assert f"@{HOST}:{other.getsockname()[1]}/" not in server.url
            assert f"@{HOST}:{(tmp_path / 'port').read_text()}/" in server.url


def test_a_setting_that_the_server_refuses_points_to_the_log(tmp_path: Path) -> None:
    """The sentence says where the reason stands, and it stands there."""
    server = EmbeddedPostgres(tmp_path, durable=False, settings={"work_mem": "plenty"})
    with pytest.raises(ServerNotStarted, match=rf"its log is {tmp_path}/postgres\.log\.$"):
        server.start()
    assert "work_mem" in (tmp_path / "postgres.log").read_text()
    assert not server.is_running


def test_a_start_out_of_time_leaves_nothing_running(tmp_path: Path) -> None:
    """After the time-out the directory is free for the next start."""
    server = EmbeddedPostgres(tmp_path, durable=False)
    with pytest.raises(ServerNotStarted, match="was not ready in time"):
        server.start(timeout_seconds=0)
    with server:
        assert server.is_running


def test_an_unusable_data_directory_is_a_plain_sentence(tmp_path: Path) -> None:
    """A file in the place of the directory is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ServerNotStarted, match=rf"^PostgreSQL cannot be started: .*: {tmp_path}/file"):
        EmbeddedPostgres(tmp_path / "file").start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent death signal")
async def test_a_killed_launcher_takes_its_server_along(tmp_path: Path) -> None:
    """After `kill -9` of the launcher the same data can be served again."""
    with _launcher(tmp_path) as launcher:
        url = _said(launcher)
        await _fetch(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        launcher.kill()
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert await _fetch(server.url, "SELECT answer FROM kept") == 42


@as_root
async def test_an_ordinary_user_starts_a_server(open_dir: Path) -> None:
    """A launcher that is not root needs nothing special, if it can reach the programs at all."""
    os.chown(open_dir, NOBODY, NOBODY)
    with _launcher(open_dir, BECOME_NOBODY) as launcher:
        said = _said(launcher)
        if _can_nobody_reach_programs():
            assert await _fetch(said, "SELECT 1") == 1
            assert _owners(open_dir) == {NOBODY}
        else:
            assert said.startswith("PostgreSQL cannot be started: Permission denied")


@as_root
async def test_root_serves_a_users_directory_as_that_user(open_dir: Path) -> None:
    """Root makes no file that the owner of the data cannot use later."""
    os.chown(open_dir, NOBODY, NOBODY)
    with _launcher(open_dir) as launcher:
        said = _said(launcher)
        if _can_nobody_reach_programs():
            assert await _fetch(said, "SELECT 1") == 1
            assert _owners(open_dir) == {NOBODY}
        else:
            assert said.startswith("PostgreSQL cannot be started: Permission denied")


@as_root
async def test_root_without_user_namespaces_hands_the_data_to_nobody(open_dir: Path) -> None:
    """Where namespaces are forbidden the server runs as user 65534, or one sentence says why it cannot."""
    data_dir = open_dir / "data"
    with _launcher(data_dir, FORBID_NAMESPACES) as launcher:
        said = _said(launcher)
        if said == "map me":
            said = _map_all_users(launcher)
        if _can_nobody_reach_programs():
            assert await _fetch(said, "SELECT 1") == 1
            assert _owners(data_dir) == {NOBODY}
        else:
            assert f"user {NOBODY} cannot enter" in said


@as_root
def test_root_without_user_namespaces_names_the_directory_that_bars_the_way(tmp_path: Path) -> None:
    """A data directory below a private one cannot be used by user 65534; nothing is changed then."""
    tmp_path.chmod(0o700)
    with _launcher(tmp_path / "data", FORBID_NAMESPACES) as launcher:
        said = _said(launcher)
        if said == "map me":
            said = _map_all_users(launcher)
    assert re.search(f"refuses to run as root.* user {NOBODY} cannot enter /", said)
    assert (tmp_path / "data").stat().st_uid == 0


@contextmanager
def _launcher(data_dir: Path, prelude: str = "") -> Iterator[subprocess.Popen[str]]:
    script = LAUNCHER.format(prelude=prelude)
    with subprocess.Popen(
        [sys.executable, "-c", script, data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def _said(launcher: subprocess.Popen[str]) -> str:
    assert launcher.stdout is not None
    return launcher.stdout.readline().strip()


def _map_all_users(launcher: subprocess.Popen[str]) -> str:
    """Make the launcher root of its new namespace, let it go on and return what it says next."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{launcher.pid}/{name}").write_text("0 0 65536")
    assert launcher.stdin is not None
    launcher.stdin.write("\n")
    launcher.stdin.flush()
    return _said(launcher)


def _can_nobody_reach_programs() -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (binaries() / "initdb").parents)


def _owners(directory: Path) -> set[int]:
    return {path.stat().st_uid for path in [directory, *directory.rglob("*")]}


async def _fetch(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        result: object = await connection.fetchval(statement)
        return result
    finally:
        await connection.close()


async def _settings(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1)",
            [
                "data_checksums",
                "fsync",
                "full_page_writes",
                "synchronous_commit",
                "server_encoding",
                "work_mem",
            ],
        )
    finally:
        await connection.close()
    return {row["name"]: row["value"] for row in rows}
