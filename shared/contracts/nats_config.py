"""The configuration of the NATS server: one user per party with the rights that the contracts give it.

The same text serves the local stack, the tests and a deployment; `relay nats-config` prints it. Where JetStream keeps its files is
not in it: the server takes that from `--store_dir`, and a text cannot name it beside the flag.
"""

import json
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


def nats_config(passwords: Mapping[str, str]) -> str:
    """Return a configuration with a user per party, named like it, that asks for its password.

    A password may be a bcrypt hash, or `$VARIABLE` to be taken from the server's environment. Raises: KeyError for a party
    without a password: no party is ever let in without one.
    """
    users = ",\n".join(_user(party, passwords[party]) for party in PARTIES)
    return f"{_LIMITS}{_JETSTREAM}authorization {{\n  users: [\n{users}\n  ]\n}}\n"


def _user(party: str, password: str) -> str:
    rights = rights_of(party)
    secret = password if password.startswith("$RELAY_") else json.dumps(password)
    return (
        f"    {{\n      user: {party}\n      password: {secret}\n      permissions: {{\n"
        f"        publish: {{ allow: {json.dumps(list(rights.publish))} }}\n"
        f"        subscribe: {{ allow: {json.dumps(list(rights.subscribe))} }}\n"
        "      }\n    }"
    )
