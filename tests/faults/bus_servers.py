"""The nats-servers of a cluster: one, or some that are a cluster themselves, with limits as a scenario wants them."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from services.devstack.nats import EmbeddedNats
from services.devstack.process import HOST, free_port


class BusPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How many servers the bus has, and what replaces their limits, by name. More than one are a cluster of their own."""

    count: int = 1
    limits: Mapping[str, str] = msgspec.field(default_factory=dict)


def bus_servers(folder: Path, config: str, plan: BusPlan) -> list[EmbeddedNats]:
    """Return servers that are not started yet, each with a port and a folder of its own."""
    count = plan.count
    config = _limited(config, plan.limits)
    routes = [f"{HOST}:{free_port()}" for _ in range(count)]
    return [
        EmbeddedNats(
            server_folder(folder, number),
            config + (_cluster(number, listen, routes) if count > 1 else ""),
            port=free_port(),
        )
        for number, listen in enumerate(routes)
    ]


def server_folder(folder: Path, number: int) -> Path:
    """Return where a server keeps its data and its log."""
    return folder / f"nats-{number}"


def _limited(config: str, limits: Mapping[str, str]) -> str:
    """Return the configuration with other values of `limits`; each of them must have one already."""
    for name, value in limits.items():
        config, changed = re.subn(rf"^{name}: .*$", f"{name}: {value}", config, flags=re.MULTILINE)
        assert changed == 1, f"the configuration has no single {name}"
    return config


def _cluster(number: int, listen: str, routes: list[str]) -> str:
    others = ", ".join(f'"nats://{route}"' for route in routes if route != listen)
    return f"""
server_name: "nats-{number}"
cluster {{
  name: "relay"
  listen: "{listen}"
  routes: [{others}]
  no_advertise: true
}}
"""
