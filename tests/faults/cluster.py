"""A whole Relay whose every part can fail: real servers, two replicas of each service, and a proxy on every way between them.

Nothing is started again by itself: a scenario breaks what it wants, and `heal` makes everything whole. One `Cluster` belongs to no
event loop, so tests with loops of their own can share it.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Self, cast
from urllib.parse import urlsplit

import asyncpg
import httpx

from services.devstack.postgres import EmbeddedPostgres
from services.devstack.process import HOST, free_port
from services.devstack.schemas import SCHEMAS, migrate_all
from services.devstack.secrets import StackSecrets, load_or_make
from services.devstack.stack import DATABASE, SERVICES
from shared.bus import Bus
from shared.contracts.call import OPERATOR
from shared.contracts.nats_config import nats_config
from shared.db import Connection
from shared.failpoints import Point
from shared.settings import Secret, Settings
from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator
from tests.faults.bus_servers import BusPlan, bus_servers, server_folder
from tests.faults.process import Action, Process, Replica
from tests.faults.proxy import Network, Proxy

HEAL_SECONDS = 90.0
FIRED_SECONDS = 30.0
POLL_SECONDS = 0.02
REPLICAS = 2
ONE_SERVER = BusPlan()

# Short, so that what expires does so within a scenario; a test that needs others makes a cluster of its own.
SETTINGS = {
    "lease_seconds": "10",
    "expiry_grace_seconds": "1",
    "reap_seconds": "0.5",
    "lease_renew_seconds": "1",
    "drain_seconds": "5",
    "keep_alive_seconds": "1",
    "status_held_seconds": "2",
    "channels_reread_seconds": "2",
    "key_cache_seconds": "2",
}


class Cluster:
    """PostgreSQL, NATS, the simulator, and two each of auth, billing, dispatcher and edge, with their files in `folder`.

    `settings` are those of the services in lower case without their prefix; they replace SETTINGS. Of a bus with more than one
    server every process knows all of them; the ways with faults lead to the first. Make it with `running_cluster`; every edge has a
    port of its own, so that a client chooses its edge.
    """

    def __init__(self, folder: Path, bus: BusPlan = ONE_SERVER, /, **settings: str) -> None:
        self.folder = folder
        self.network = Network()
        self._settings = SETTINGS | settings
        self._stack = ExitStack()
        self._secrets: StackSecrets = load_or_make(folder)
        self._postgres = EmbeddedPostgres(folder / "postgres", port=free_port(), durable=False)
        self._nats = bus_servers(folder, nats_config(self._secrets.nats_passwords), bus)
        self._replicas: list[Replica] = []
        self.incidents: list[str] = []  # processes that ended though nobody asked them to
        self.simulator: Process
        self.upstream: Proxy  # from the dispatchers to the simulator; a tenant's channel leads through it

    async def start(self) -> Self:
        """Start everything, and return when it works. The servers are started from this thread, which must live on."""
        self._stack.callback(self._stop_servers)
        self._postgres.start()
        for server in self._nats:
            server.start()
        self._stack.enter_context(self.network)
        await self._prepare_database()
        self._make_processes()
        for process in self.processes:
            self._stack.callback(_end, process)
        await self.heal()
        return self

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    # Parts

    @property
    def auths(self) -> list[Replica]:
        """Both processes of auth."""
        return self.replicas("auth")

    @property
    def billings(self) -> list[Replica]:
        """Both processes of billing."""
        return self.replicas("billing")

    @property
    def dispatchers(self) -> list[Replica]:
        """Both dispatchers."""
        return self.replicas("dispatcher")

    @property
    def edges(self) -> list[Replica]:
        """Both edges."""
        return self.replicas("edge")

    @property
    def processes(self) -> list[Process]:
        """The simulator and every replica."""
        return [self.simulator, *self._replicas]

    def replicas(self, service: str | None = None) -> list[Replica]:
        """Return the processes of one service, or all of them."""
        return [each for each in self._replicas if service in (None, each.service)]

    @property
    def simulator_url(self) -> str:
        """Where the simulator listens itself, without a proxy."""
        return self._simulator_url

    # The servers

    @property
    def postgres_pid(self) -> int:
        """The postmaster."""
        return self._postgres.pid

    @property
    def nats_count(self) -> int:
        """How many servers the bus has."""
        return len(self._nats)

    @property
    def nats_store(self) -> Path:
        """Where the first nats-server keeps what JetStream has."""
        return server_folder(self.folder, 0) / "jetstream"

    def nats_log(self, number: int = 0) -> str:
        """All that a nats-server has written."""
        return (server_folder(self.folder, number) / "nats.log").read_text("utf-8", "replace")

    def kill_postgres(self) -> None:
        """Let PostgreSQL stop as at once as `pg_ctl stop -m immediate` does: nothing is finished, it recovers at its next start."""
        _signal_and_wait(self._postgres.pid, signal.SIGQUIT, lambda: not self._postgres.is_running)

    def start_postgres(self) -> None:
        """Start PostgreSQL again, on its old port and data. Blocks until it has recovered."""
        self._postgres.start()

    def kill_nats(self, number: int = 0) -> None:
        """SIGKILL to NATS, or to one of its servers."""
        server = self._nats[number]
        _signal_and_wait(server.pid, signal.SIGKILL, lambda: not server.is_running)

    def start_nats(self, number: int = 0) -> None:
        """Start NATS again, or one of its servers, on its old port. Blocks until it listens."""
        self._nats[number].start()

    # Faults at points of the code

    def arm_any(self, point: Point, action: Action = "crash") -> None:
        """Arm a point in every process of its service; `fired` disarms the others. Two that reach it at once both act."""
        for replica in self.replicas(point.partition(".")[0]):
            replica.arm(point, action)

    async def fired(self, point: Point, seconds: float = FIRED_SECONDS) -> Replica:
        """Return the process that has reached the armed point, once it stands still or has ended."""
        replicas = self.replicas(point.partition(".")[0])
        give_up = time.monotonic() + seconds
        while True:
            for replica in replicas:
                if replica.has_fired(point) and (replica.is_stopped or not replica.is_alive):
                    for other in replicas:
                        other.disarm()
                    return replica
            assert time.monotonic() < give_up, f"nobody has reached {point}"
            await asyncio.sleep(POLL_SECONDS)

    # Healing

    async def heal(self) -> None:
        """Make everything whole: servers and processes run, nobody stands still, all ways are open, no point is armed."""
        for replica in self._replicas:
            replica.disarm()
        self.network.open_all()
        if not self._postgres.is_running:
            self.start_postgres()
        for server in self._nats:
            if not server.is_running:
                server.start()
        give_up = time.monotonic() + HEAL_SECONDS
        # One that stood still may end when it goes on, because it has lost the bus for good: so more than one look.
        while not await self._is_whole():
            assert time.monotonic() < give_up, f"not whole after {HEAL_SECONDS:g} s: {await self.ailing()}"
            await asyncio.sleep(POLL_SECONDS)

    def forget(self) -> None:
        """Forget incidents and logs, so that a scenario answers for its own only."""
        self.incidents.clear()
        for process in self.processes:
            process.forget_log()

    async def ailing(self) -> list[Process]:
        """Return the processes that do not say that they are ready."""
        ready = await asyncio.gather(*(process.is_ready() for process in self.processes))
        return [process for process, is_ready in zip(self.processes, ready, strict=True) if not is_ready]

    async def _is_whole(self) -> bool:
        for process in self.processes:
            if process.is_stopped:
                process.resume()
            elif not process.is_alive:
                if process.has_ended_by_itself:
                    self.incidents.append(f"{process.name} ended with status {process.exit_status}")
                process.start()
        return not await self.ailing()

    # Access

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """Yield the operator, who makes tenants and looks into ledger and simulator, past all proxies."""
        settings = Settings(
            nats_url=",".join(server.url for server in self._nats),
            nats_user=OPERATOR,
            nats_password=Secret(self._secrets.nats_passwords[OPERATOR]),
        )
        async with (
            Bus(settings, party=OPERATOR) as bus,
            self.database() as database,
            httpx.AsyncClient(timeout=20, trust_env=False) as http,
        ):
            # Of the stack an operator only wants to know where its simulator is.
            yield Operator(cast("RunningStack", self), bus, database, http)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """Yield a connection that may do everything, past all proxies."""
        connection = await asyncpg.connect(self._admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    @property
    def _admin_url(self) -> str:
        return urlsplit(self._postgres.url)._replace(path=f"/{DATABASE}").geturl()

    # Making

    async def _prepare_database(self) -> None:
        connection = await asyncpg.connect(self._postgres.url)
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
            await migrate_all(self._admin_url)
            for schema in SCHEMAS:
                password = self._secrets.database_passwords[schema]  # our own letters and digits
                await connection.execute(
                    f"CREATE ROLE {schema}_service LOGIN PASSWORD '{password}' IN ROLE relay_{schema}"
                )
        finally:
            await connection.close()

    def _make_processes(self) -> None:
        port = free_port()
        self._simulator_url = f"http://{HOST}:{port}"
        self.upstream = self.network.proxy(self._simulator_url)
        self.simulator = Process(
            "simulator",
            ["-m", "services.simulator", "--host", HOST, "--port", str(port)],
            variables={},
            log=self.folder / "simulator.log",
            ready_url=f"{self._simulator_url}/_sim/health",
        )
        for service in SERVICES:
            self._replicas += [self._replica(service, number) for number in range(REPLICAS)]

    def _replica(self, service: str, number: int) -> Replica:
        nats = self.network.proxy(self._nats[0].url)
        port = free_port()
        settings = self._settings | {
            "nats_url": ",".join((nats.url, *(server.url for server in self._nats[1:]))),
            "nats_user": service,
            "nats_password": self._secrets.nats_passwords[service],
            "port": str(port),
            "key_pepper": self._secrets.key_pepper if service == "auth" else "",
            "master_key": self._secrets.master_key if service == "dispatcher" else "",
            "upstream_private_networks": "127.0.0.0/8",
        }
        postgres = None
        if service in SCHEMAS:
            postgres = self.network.proxy(self._admin_url)
            login = f"{service}_service:{self._secrets.database_passwords[service]}"
            settings["database_url"] = f"postgresql://{login}@{HOST}:{postgres.port}/{DATABASE}"
        return Replica(
            service,
            number,
            port=port,
            variables={f"RELAY_{name.upper()}": value for name, value in settings.items()},
            folder=self.folder,
            nats=nats,
            postgres=postgres,
        )

    def _stop_servers(self) -> None:
        for server in self._nats:
            server.stop()
        self._postgres.stop()


@asynccontextmanager
async def running_cluster(
    folder: Path, bus: BusPlan = ONE_SERVER, /, **settings: str
) -> AsyncIterator[Cluster]:
    """Yield a cluster that works, and end it afterwards."""
    cluster = Cluster(folder, bus, **settings)
    try:
        yield await cluster.start()
    finally:
        cluster.close()


def _end(process: Process) -> None:
    if process.is_alive:
        process.kill()


def _signal_and_wait(pid: int, number: signal.Signals, has_ended: Callable[[], bool]) -> None:
    os.kill(pid, number)
    give_up = time.monotonic() + HEAL_SECONDS
    while not has_ended():
        assert time.monotonic() < give_up, f"process {pid} lives on"
        time.sleep(0.005)
