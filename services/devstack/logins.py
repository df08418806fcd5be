"""The logins of the services: each is a member of its schema's role and of nothing else, and has a password of its own.

PostgreSQL is given a verifier instead of the password (RFC 5803), so that neither its log nor its statistics can show one.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import asyncpg

from services.devstack.secrets import login_of
from shared.db import AWAY, away
from shared.errors import InvalidRequest

ITERATIONS = 4096  # PostgreSQL's own default, scram_iterations
SALT_BYTES = 16


async def make_logins(url: str, passwords: Mapping[str, str]) -> None:
    """Make the login of each schema in `passwords`, or give it that password; the schema's role exists already.

    Idempotent. The user of `url` may create roles. Raises: Unavailable when PostgreSQL is away; InvalidRequest for a password
    that is not printable ASCII text; asyncpg.PostgresError when PostgreSQL refuses.
    """
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except AWAY as error:
        raise away() from error
    try:
        for schema, password in passwords.items():
            is_there = await connection.fetchval(
                "SELECT true FROM pg_roles WHERE rolname = $1", login_of(schema)
            )
            template = (
                "ALTER ROLE %I LOGIN PASSWORD %L"
                if is_there
                else "CREATE ROLE %I LOGIN PASSWORD %L IN ROLE %I"
            )
            values = [login_of(schema), verifier(password), *([] if is_there else [f"relay_{schema}"])]
            await connection.execute(
                await connection.fetchval("SELECT format($1, VARIADIC $2::text[])", template, values)
            )
    finally:
        await connection.close()


def verifier(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL keeps of a SCRAM-SHA-256 password. Raises: InvalidRequest for one that is not printable ASCII."""
    if not password or not password.isascii() or not password.isprintable():
        raise InvalidRequest("invalid_value", param="password", problem="it must be printable ASCII text")
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(value).decode() for value in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"
