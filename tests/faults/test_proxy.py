"""The proxy does to a connection what it says, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.faults.proxy import Direction, Network, Proxy

DEADLINE_SECONDS = 20.0
SILENCE_SECONDS = 0.3  # long enough to see that nothing comes, where anything would come at once

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """One thread for all tests."""
    with Network() as running:
        yield running


@pytest.fixture
async def proxy(network: Network) -> AsyncIterator[Proxy]:
    """A proxy to a server that sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = network.proxy(f"http://127.0.0.1:{port}/path")
    yield proxy
    proxy.refuse()
    server.close()


@pytest.fixture
async def connection(proxy: Proxy) -> AsyncIterator[Connection]:
    """A connection through the proxy, in use."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await _exchange((reader, writer), b"hello")
    yield reader, writer
    writer.close()


async def _exchange(connection: Connection, data: bytes) -> None:
    reader, writer = connection
    writer.write(data)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await reader.readexactly(len(data)) == data


async def _hears_nothing(connection: Connection) -> bool:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await connection[0].read(1)
    except TimeoutError:
        return True
    return False


async def test_a_proxy_that_is_open_passes_everything_on(proxy: Proxy, connection: Connection) -> None:
    """Megabytes arrive as they are, in both directions, and are counted; the URL is the target's but for the port."""
    data = bytes(range(256)) * 16_384
    before = proxy.passed_bytes

    await _exchange(connection, data)

    assert proxy.passed_bytes - before == 2 * len(data)
    assert proxy.connections == 1
    assert proxy.url == f"http://127.0.0.1:{proxy.port}/path"


async def test_a_half_close_is_passed_on_as_such(connection: Connection) -> None:
    """Who sends no more still hears the rest, and then the end."""
    reader, writer = connection
    writer.write(b"last words")
    writer.write_eof()

    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await reader.read() == b"last words"


@pytest.mark.parametrize("direction", ["up", "down", "both"])
async def test_what_is_dropped_arrives_when_the_way_is_open_again(
    proxy: Proxy, connection: Connection, direction: Direction
) -> None:
    """While it lasts nobody hears anything and nobody is disconnected; afterwards no byte is missing."""
    proxy.drop(direction)
    connection[1].write(b"into the hole")

    assert await _hears_nothing(connection)
    assert proxy.connections == 1
    proxy.open()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await connection[0].readexactly(13) == b"into the hole"


async def test_one_way_loss_leaves_the_other_way(proxy: Proxy, connection: Connection) -> None:
    """What goes up still arrives while nothing comes down."""
    proxy.drop("down")
    before = proxy.passed_bytes

    connection[1].write(b"up")

    assert await _hears_nothing(connection)
    assert proxy.passed_bytes - before == 2


async def test_a_new_connection_into_a_black_hole_hears_nothing(proxy: Proxy) -> None:
    """It is taken, and lives when the way is open again."""
    proxy.drop()
    connection = await asyncio.open_connection("127.0.0.1", proxy.port)
    connection[1].write(b"?")

    assert await _hears_nothing(connection)
    proxy.open()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await connection[0].readexactly(1) == b"?"
    connection[1].close()


async def test_a_delay_is_kept_in_order(proxy: Proxy, connection: Connection) -> None:
    """Everything arrives later than that, one after another."""
    loop = asyncio.get_running_loop()
    proxy.delay(0.2, "up")
    started_at = loop.time()

    for number in range(10):
        connection[1].write(b"%d" % number)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await connection[0].readexactly(10) == b"0123456789"

    assert loop.time() - started_at >= 0.2


async def test_a_throttled_direction_carries_no_more_than_its_rate(
    proxy: Proxy, connection: Connection
) -> None:
    """A tenth of the rate takes at least a tenth of a second, whatever is sent at once."""
    loop = asyncio.get_running_loop()
    proxy.throttle(100_000, "down")
    started_at = loop.time()

    await _exchange(connection, bytes(10_000))

    assert loop.time() - started_at >= 0.08


async def test_a_cut_connection_ends_and_another_can_be_made(proxy: Proxy, connection: Connection) -> None:
    """FIN at once; the proxy itself stays."""
    proxy.cut()

    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await connection[0].read() == b""
    assert proxy.connections == 0
    other = await asyncio.open_connection("127.0.0.1", proxy.port)
    await _exchange(other, b"again")
    other[1].close()


async def test_a_reset_connection_ends_with_an_error(proxy: Proxy, connection: Connection) -> None:
    """RST, not FIN."""
    proxy.reset()

    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            await connection[0].read()


async def test_a_proxy_that_refuses_lets_nobody_in_until_it_is_open(
    proxy: Proxy, connection: Connection
) -> None:
    """Connections are reset, new ones refused; later the same port answers."""
    port = proxy.port
    proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    proxy.open()
    other = await asyncio.open_connection("127.0.0.1", port)
    await _exchange(other, b"back")
    other[1].close()


async def test_a_server_that_is_away_resets_who_connects(network: Network) -> None:
    """The proxy is there, its target is not."""
    proxy = network.proxy("http://127.0.0.1:1")

    async def connect() -> None:
        reader, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
        await reader.read()

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(connect(), DEADLINE_SECONDS)
    proxy.refuse()
