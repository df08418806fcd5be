"""The configuration of the NATS server: one user per party with the rights that the contracts give it.

The same text serves the local stack, the tests and a deployment; `relay nats-config` prints it. Where JetStream keeps its files is
not in it: the server takes that from `--store_dir`, and a text cannot name it beside the flag.
"""

import json
import re
from collections.abc import Mapping

from shared.contracts.call import PARTIES
from shared.contracts.permissions import rights_of

_LIMITS = """\
max_payload: 1MB
max_pending: 64MB
write_deadline: "10s"
ping_interval: "20s"
ping_max: 2
no_fast_producer_stall: true
max_control_line: 4KB
lame_duck_grace_period: "2s"
lame_duck_duration: "30s"
"""
_JETSTREAM = """\
# What waits in a work queue is kept below the directory that --store_dir names; each message is on the disk before it counts.
jetstream {
  max_memory_store: 16MB
  max_file_store: 1GB
  sync_interval: always
}
"""
_VARIABLE = re.compile(r"\$RELAY_[A-Z0-9_]+")
_CLUSTER = """\
# Each server says its own name in RELAY_NATS_SERVER_NAME; the HTTP port is for probes and metrics, and has no users.
server_name: $RELAY_NATS_SERVER_NAME
http: "0.0.0.0:8222"
cluster {{
  name: relay
  listen: "0.0.0.0:6222"
  authorization {{ user: {user}, password: {password}, timeout: 2 }}
  routes: {routes}
}}
"""
SECOND = "_2"  # what follows a party's name in its second user
ROUTE = "route"  # who the servers of a cluster are to each other


def nats_config(
    passwords: Mapping[str, str],
    *,
    second_passwords: Mapping[str, str] | None = None,
    routes: tuple[str, ...] = (),
) -> str:
    """Return a configuration with a user per party, named like it, that asks for its password.

    A password may be a bcrypt hash, or `$VARIABLE` to be taken from the server's environment. With `second_passwords` every party
    has another user beside its first, `edge_2` and so on, so that passwords can be changed while both are good. `routes` make the
    server one of a cluster: the URLs of all its servers, nats-route://route:password@host:port, or a `$VARIABLE` with their list.
    The password in them, which NATS looks for nowhere else, is that of ROUTE.
    Raises: KeyError for a party without a password: no party is ever let in without one.
    """
    users = [_user(party, party, passwords[party]) for party in PARTIES]
    if second_passwords is not None:
        users += [_user(party + SECOND, party, second_passwords[party]) for party in PARTIES]
    cluster = ""
    if routes:
        listed = routes[0] if _VARIABLE.fullmatch(routes[0]) else json.dumps(routes)
        cluster = _CLUSTER.format(user=ROUTE, password=_secret(passwords[ROUTE]), routes=listed)
    every = ",\n".join(users)
    return f"{_LIMITS}{_JETSTREAM}{cluster}authorization {{\n  users: [\n{every}\n  ]\n}}\n"


def _secret(password: str) -> str:
    return password if _VARIABLE.fullmatch(password) else json.dumps(password)


def _user(user: str, party: str, password: str) -> str:
    rights = rights_of(party)
    return (
        f"    {{\n      user: {user}\n      password: {_secret(password)}\n      permissions: {{\n"
        f"        publish: {{ allow: {json.dumps(list(rights.publish))} }}\n"
        f"        subscribe: {{ allow: {json.dumps(list(rights.subscribe))} }}\n"
        "      }\n    }"
    )
