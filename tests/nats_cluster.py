"""Three nats-servers as one cluster on this machine, with the configuration of a deployment."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from services.devstack.nats import EmbeddedNats
from services.devstack.process import HOST
from shared.contracts.call import PARTIES
from shared.contracts.nats_config import ROUTE, nats_config

SERVERS = 3
PASSWORDS = {user: f"password-of-{user}" for user in (*PARTIES, ROUTE)}


@contextmanager
def nats_cluster(folder: Path, *, route_passwords: tuple[str, ...] = ()) -> Iterator[list[EmbeddedNats]]:
    """Run the servers for a block. What a deployment gives to each, its name and its addresses, differs on one machine."""
    ports = free_ports(2 * SERVERS)
    routes, monitors = ports[:SERVERS], ports[SERVERS:]
    urls = tuple(f"nats-route://{ROUTE}:{PASSWORDS[ROUTE]}@{HOST}:{port}" for port in routes)
    text = nats_config(PASSWORDS, routes=urls)
    with ExitStack() as stack:
        servers = []
        for number in range(SERVERS):
            own = text.replace("$RELAY_NATS_SERVER_NAME", f"nats-{number}")
            own = own.replace('"0.0.0.0:6222"', f'"{HOST}:{routes[number]}"')
            own = own.replace('"0.0.0.0:8222"', f'"{HOST}:{monitors[number]}"')
            if route_passwords:
                own = own.replace(PASSWORDS[ROUTE], route_passwords[number])
            server = EmbeddedNats(folder / f"nats-{number}", own)
            server.start()
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]
