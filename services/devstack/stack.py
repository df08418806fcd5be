"""`relay up`: PostgreSQL, NATS, the four services and the simulator on one machine, with one Ctrl-C to end them all.

PostgreSQL and NATS are the embedded ones, or servers named by RELAY_DATABASE_URL and RELAY_NATS_URL. With the embedded ones
every service has a login and a bus user of its own, with the rights of production. The edge's socket is opened here and shared
by its replicas, so a connection is never lost between two of them.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
from rich.console import Console

from services.devstack import demo
from services.devstack.children import Child
from services.devstack.errors import ServerNotStarted
from services.devstack.logins import make_logins
from services.devstack.nats import EmbeddedNats
from services.devstack.postgres import EmbeddedPostgres
from services.devstack.process import HOST, write_private
from services.devstack.schemas import SCHEMAS, migrate_all
from services.devstack.secrets import StackSecrets, load_or_make, login_of
from services.devstack.settings import STACK_FILE, StackFile, StackSettings
from shared.bus import Bus
from shared.contracts.call import OPERATOR
from shared.contracts.nats_config import nats_config
from shared.errors import RelayError, Unavailable
from shared.settings import SettingsError, load

DATABASE = "relay"
SERVICES = ("auth", "billing", "dispatcher", "edge")
STOP_ORDER = ("edge", "dispatcher", "billing", "auth", "simulator")
KEEP_SECONDS = 1.0
STOP_SECONDS = 15.0  # beyond the drain, before a process is ended by force
BACKLOG = 4096


def up(replicas: int = 1) -> int:
    """Run the stack until it is interrupted; return the exit status. Says in one sentence why it cannot start."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = load(StackSettings)
        return asyncio.run(_up(settings, replicas, console))
    except (ServerNotStarted, SettingsError, RelayError) as error:
        print(f"Relay cannot start: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        print(f"Relay cannot start: {error.strerror or error}{place}", file=sys.stderr)  # noqa: T201
        return 1


async def _up(settings: StackSettings, replicas: int, console: Console) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    data_dir = Path(settings.data_dir).absolute()  # noqa: ASYNC240 - nothing else runs yet
    async with AsyncExitStack() as stack:
        listener = _listen(settings.host, settings.port)
        stack.callback(listener.close)
        (data_dir / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        secrets = load_or_make(data_dir)
        console.print("Starting PostgreSQL and NATS …")
        servers = await _start_servers(settings, data_dir, secrets, stack)
        write_private(data_dir / STACK_FILE, msgspec.json.encode(servers.operator).decode())
        console.print("Starting the services …")
        children = _children(settings, data_dir, secrets, servers, replicas, listener, stack)
        stack.push_async_callback(_stop, children, settings.drain_seconds + STOP_SECONDS)
        if await _are_ready(children, stopping, console):
            made = await demo.prepare(settings, data_dir, servers.operator, servers.simulator_url)
            console.print(demo.greeting(made, settings.console_url))
            await _keep_until(stopping, servers.embedded, console)
        console.print("\nStopping …")
    console.print("Stopped. The data is kept; the next start continues with it.")
    return 0


async def _are_ready(children: list[Child], stopping: asyncio.Event, console: Console) -> bool:
    """Start all; return True when they work, False when the stack was interrupted first. Raises: ServerNotStarted."""

    def died(name: str, status: int) -> None:
        console.print(f"{name} ended with status {status}; starting it again.")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session:
        await asyncio.gather(*(child.start(died) for child in children))
        ready = asyncio.create_task(_wait_ready(children, session))
        stopped = asyncio.create_task(_wait_set(stopping))
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ready.done():
            ready.cancel()
            return False
        await ready
    return True


async def _wait_ready(children: list[Child], session: aiohttp.ClientSession) -> None:
    await asyncio.gather(*(child.wait_ready(session) for child in children))


async def _wait_set(event: asyncio.Event) -> None:
    await event.wait()


async def _keep_until(
    stopping: asyncio.Event, servers: Mapping[str, EmbeddedPostgres | EmbeddedNats], console: Console
) -> None:
    """Return when the stack is to stop; a server that ends before is started again, on its old port."""
    while not stopping.is_set():
        for name, server in servers.items():
            if server.is_running:
                continue
            console.print(f"{name} has ended; starting it again.")
            try:
                server.start()
            except ServerNotStarted as error:
                console.print(f"{name} cannot be started again yet: {error}")
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEP_SECONDS):
                await stopping.wait()


class _Servers(msgspec.Struct, frozen=True, kw_only=True):
    nats_url: str
    has_users: bool
    database_urls: dict[str, str]
    operator: StackFile
    simulator_port: int
    embedded: dict[str, EmbeddedPostgres | EmbeddedNats]

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.simulator_port}/v1"


async def _start_servers(
    settings: StackSettings, data_dir: Path, secrets: StackSecrets, stack: AsyncExitStack
) -> _Servers:
    admin_url = settings.database_url.reveal()
    urls = dict.fromkeys(SCHEMAS, admin_url)
    embedded: dict[str, EmbeddedPostgres | EmbeddedNats] = {}
    if not admin_url:
        postgres = embedded["PostgreSQL"] = EmbeddedPostgres(data_dir / "postgres")
        stack.callback(postgres.stop)
        admin_url = await _make_database(postgres.start())
        urls = {schema: _login_url(admin_url, schema, secrets) for schema in SCHEMAS}
    try:
        await migrate_all(admin_url)
    except Unavailable as error:
        raise ServerNotStarted("PostgreSQL does not answer at the address in RELAY_DATABASE_URL.") from error
    if not settings.database_url.reveal():
        await make_logins(admin_url, secrets.database_passwords)
    nats_url, has_users = settings.nats_url, False
    if nats_url:
        await _look_for_nats(settings)
    else:
        nats = embedded["NATS"] = EmbeddedNats(data_dir / "nats", nats_config(secrets.nats_passwords))
        stack.callback(nats.stop)
        nats_url, has_users = nats.start(), True
    return _Servers(
        nats_url=nats_url,
        has_users=has_users,
        database_urls=urls,
        operator=StackFile(
            nats_url=nats_url,
            nats_user=OPERATOR if has_users else "",
            nats_password=secrets.nats_passwords[OPERATOR] if has_users else "",
            database_url=admin_url,
        ),
        simulator_port=_remembered_port(data_dir / "simulator.port"),
        embedded=embedded,
    )


async def _look_for_nats(settings: StackSettings) -> None:
    try:
        async with Bus(settings, party=OPERATOR):
            pass
    except Unavailable as error:
        raise ServerNotStarted("NATS does not answer at the address in RELAY_NATS_URL.") from error


async def _make_database(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    return url.removesuffix("/postgres") + "/" + DATABASE


def _login_url(admin_url: str, schema: str, secrets: StackSecrets) -> str:
    address = admin_url.rpartition("@")[2]
    return f"postgresql://{login_of(schema)}:{secrets.database_passwords[schema]}@{address}"


def _children(
    settings: StackSettings,
    data_dir: Path,
    secrets: StackSecrets,
    servers: _Servers,
    replicas: int,
    edge_listener: socket.socket,
    stack: AsyncExitStack,
) -> list[Child]:
    simulator = ["-m", "services.simulator", "--host", HOST, "--port", str(servers.simulator_port)]
    children = [
        Child(
            "simulator",
            simulator,
            variables={},
            log=data_dir / "logs" / "simulator.log",
            ready_url=f"http://{HOST}:{servers.simulator_port}/_sim/health",
        )
    ]
    for service in SERVICES:
        for number in range(1, replicas + 1):
            listener = edge_listener
            if service != "edge":
                listener = _listen(HOST, 0)
                stack.callback(listener.close)
            children.append(_child(settings, data_dir, secrets, servers, service, number, listener))
    return children


def _child(
    settings: StackSettings,
    data_dir: Path,
    secrets: StackSecrets,
    servers: _Servers,
    service: str,
    number: int,
    listener: socket.socket,
) -> Child:
    variables = {
        "RELAY_NATS_URL": servers.nats_url,
        "RELAY_NATS_USER": service if servers.has_users else "",
        "RELAY_NATS_PASSWORD": secrets.nats_passwords[service] if servers.has_users else "",
        "RELAY_LISTEN_FD": str(listener.fileno()),
        "RELAY_DRAIN_SECONDS": str(settings.drain_seconds),
        "RELAY_DATABASE_URL": servers.database_urls.get(service, ""),
    }
    if service in ("edge", "auth"):
        variables["RELAY_PUBLIC_URL"] = settings.console_url
    if service == "auth":
        variables["RELAY_KEY_PEPPER"] = secrets.key_pepper
        variables["RELAY_FACTOR_KEY"] = secrets.factor_key
        variables["RELAY_OUTBOX_PAGE"] = str(settings.outbox_page)
    if service == "billing":
        variables["RELAY_CODE_PEPPER"] = secrets.code_pepper
    if service == "dispatcher":
        variables["RELAY_MASTER_KEY"] = secrets.master_key
        # The simulator is on this machine, and so may be an operator's own model server.
        variables.setdefault("RELAY_UPSTREAM_PRIVATE_NETWORKS", settings.upstream_private_networks)
    host, port = listener.getsockname()[:2]
    return Child(
        f"{service}-{number}",
        ["-m", f"services.{service}"],
        variables=variables,
        log=data_dir / "logs" / f"{service}-{number}.log",
        descriptors=(listener.fileno(),),
        ready_url=f"http://{host}:{port}/readyz",
    )


async def _stop(children: list[Child], timeout_seconds: float) -> None:
    await asyncio.gather(*(child.release() for child in children))
    for group in STOP_ORDER:
        members = [child for child in children if child.name.partition("-")[0] == group]
        await asyncio.gather(*(child.stop(timeout_seconds) for child in members))


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise ServerNotStarted(
            f"port {port} on {host} is taken or not allowed. Choose another with RELAY_PORT."
        ) from error


def _remembered_port(path: Path) -> int:
    """Return a free port, the same as last time if it is still free: the demo channel points at it."""
    wanted = int(path.read_text()) if path.exists() else 0
    for port in (wanted, 0):
        try:
            with socket.create_server((HOST, port)) as probe:
                free = int(probe.getsockname()[1])
        except OSError:
            continue
        write_private(path, str(free))
        return free
    raise ServerNotStarted(f"there is no free port on {HOST}.")
