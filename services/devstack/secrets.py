"""The secrets of the local stack: made at its first start, kept in its data directory, readable by their owner alone."""

import secrets
from pathlib import Path

import msgspec

from services.devstack.process import write_private
from shared.contracts.call import PARTIES
from shared.ids import base62

FILE = "secrets.json"
SCHEMAS = ("auth", "billing", "dispatcher")  # one for each service that has a database


class StackSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Passwords by party and by schema, and the keys that auth and the dispatcher protect their secrets with (hexadecimal)."""

    nats_passwords: dict[str, str]
    database_passwords: dict[str, str]
    key_pepper: str
    master_key: str
    code_pepper: str = ""
    factor_key: str = ""


def login_of(schema: str) -> str:
    """Return the name of the login with which the service of `schema` connects to PostgreSQL."""
    return f"{schema}_service"


def load_or_make(data_dir: Path) -> StackSecrets:
    """Return the secrets of this data directory, made now if there are none."""
    path = data_dir / FILE
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=StackSecrets)
        if known.code_pepper and known.factor_key:
            return known
        # A data directory of a release that had no codes yet, or no second factors.
        made = msgspec.structs.replace(
            known,
            code_pepper=known.code_pepper or secrets.token_hex(32),
            factor_key=known.factor_key or secrets.token_hex(32),
        )
        write_private(path, msgspec.json.encode(made).decode())
        return made
    made = StackSecrets(
        nats_passwords={party: base62(32) for party in PARTIES},
        database_passwords={role: base62(32) for role in SCHEMAS},
        key_pepper=secrets.token_hex(32),
        master_key=secrets.token_hex(32),
        code_pepper=secrets.token_hex(32),
        factor_key=secrets.token_hex(32),
    )
    write_private(path, msgspec.json.encode(made).decode())
    return made
