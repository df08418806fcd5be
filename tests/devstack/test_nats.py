"""The launcher of the real nats-server."""

import asyncio
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client

from services.devstack.errors import ServerNotStarted
from services.devstack.nats import EmbeddedNats
from services.devstack.process import HOST, is_port_free

WITH_USER = 'authorization { users: [ { user: edge, password: "correct" } ] }'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A running server that asks for a user."""
    with EmbeddedNats(tmp_path / "nats", WITH_USER) as running:
        yield running


async def test_a_started_server_carries_messages(server: EmbeddedNats) -> None:
    """What one client publishes another one receives."""
    subscriber = await nats.connect(server.url, user="edge", password="correct")
    publisher = await nats.connect(server.url, user="edge", password="correct")
    subscription = await subscriber.subscribe("greeting")
    await subscriber.flush()
    await publisher.publish("greeting", b"hello")
    message = await subscription.next_msg(timeout=30)
    assert message.data == b"hello"
    await publisher.close()
    await subscriber.close()


async def test_the_configuration_of_the_caller_is_in_force(server: EmbeddedNats, tmp_path: Path) -> None:
    """A wrong password is refused, and the file that holds the right one is private."""
    client = Client()
    with pytest.raises(nats.errors.Error):
        await client.connect(
            server.url, user="edge", password="wrong", allow_reconnect=False, error_cb=_ignore
        )
    await client.close()
    assert stat.S_IMODE((tmp_path / "nats/nats.conf").stat().st_mode) == 0o600


async def test_a_stopped_server_is_gone_and_comes_back_on_its_port(server: EmbeddedNats) -> None:
    """After stop nobody listens; a second start has the same URL, so clients can reconnect."""
    url = server.url
    port = urlsplit(url).port
    assert port is not None
    assert server.is_running
    server.stop()
    assert not server.is_running
    assert is_port_free(port)
    assert server.start() == url
    connection = await nats.connect(url, user="edge", password="correct")
    await connection.close()


def test_the_server_listens_on_loopback_alone(tmp_path: Path) -> None:
    """An address and a port in the caller's text have no effect."""
    with EmbeddedNats(tmp_path, 'listen: "0.0.0.0:4222"') as server:
        assert urlsplit(server.url).port != 4222
        assert "Listening for client connections on 127.0.0.1:" in (tmp_path / "nats.log").read_text()


def test_jetstream_keeps_its_files_beside_the_configuration(tmp_path: Path) -> None:
    """Nowhere else, and only when the text turns it on."""
    with EmbeddedNats(tmp_path / "plain", ""):
        assert not (tmp_path / "plain/jetstream").exists()
    with EmbeddedNats(tmp_path / "nats", "jetstream: enabled"):
        assert (tmp_path / "nats/jetstream").is_dir()


def test_a_taken_port_is_a_plain_sentence(tmp_path: Path) -> None:
    """A port that somebody else uses is named, and nothing is started."""
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        server = EmbeddedNats(tmp_path, "", port)
        with pytest.raises(ServerNotStarted, match=f"^Port {port} is taken"):
            server.start()
    assert not server.is_running
    with server:
        assert server.url == f"nats://{HOST}:{port}"


def test_a_configuration_that_the_server_refuses_points_to_the_log(tmp_path: Path) -> None:
    """The sentence says where the reason stands, and it stands there."""
    with pytest.raises(ServerNotStarted, match=rf"its log is {tmp_path}/nats\.log\.$"):
        EmbeddedNats(tmp_path, "no_such_setting: 1").start()
    assert "no_such_setting" in (tmp_path / "nats.log").read_text()


def test_an_unusable_data_directory_is_a_plain_sentence(tmp_path: Path) -> None:
    """A file in the place of the directory is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ServerNotStarted, match=rf"^NATS cannot be started: .*: {tmp_path}/file"):
        EmbeddedNats(tmp_path / "file", "").start()


async def _ignore(error: Exception) -> None:
    await asyncio.sleep(0)
