"""The services' logins, on a real PostgreSQL that asks for passwords."""

import base64
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.devstack.logins import make_logins, verifier
from services.devstack.schemas import migrate_all
from services.devstack.secrets import SCHEMAS, login_of
from shared.db import connect
from shared.errors import InvalidRequest


async def test_each_login_acts_as_its_service_and_as_no_other(database_url: str) -> None:
    """With its password; and it is a member of nothing else."""
    await migrate_all(database_url)
    await make_logins(database_url, {schema: f"secret-{schema}" for schema in SCHEMAS})

    for schema in SCHEMAS:
        connection = await connect(
            url_of(database_url, schema, f"secret-{schema}"), schema=schema, application="test"
        )
        others = [f"relay_{other}" for other in SCHEMAS if other != schema]
        for other in others:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SET ROLE {other}")
        await connection.close()


async def test_a_new_password_replaces_the_old_one(database_url: str) -> None:
    """Made again with another one."""
    await migrate_all(database_url)
    await make_logins(database_url, {"auth": "first"})
    await make_logins(database_url, {"auth": "second"})

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url_of(database_url, "auth", "first"))
    await (await asyncpg.connect(url_of(database_url, "auth", "second"))).close()


async def test_the_password_itself_never_reaches_the_server(database_url: str) -> None:
    """Only what PostgreSQL would have made of it (RFC 5803)."""
    await migrate_all(database_url)
    await make_logins(database_url, {"auth": "hunter2"})

    connection = await asyncpg.connect(database_url)
    kept = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", login_of("auth"))
    await connection.close()
    salt = kept.split(":")[1].split("$")[0]
    assert kept == verifier("hunter2", base64.b64decode(salt))


@pytest.mark.parametrize("password", ["", "tab\t", "passwört"])
def test_a_password_that_may_be_read_in_two_ways_is_refused(password: str) -> None:
    """SASLprep would change it (RFC 4013)."""
    with pytest.raises(InvalidRequest):
        verifier(password)


def url_of(database_url: str, schema: str, password: str) -> str:
    """Return how the service of `schema` connects."""
    address = urlsplit(database_url)
    return address._replace(
        netloc=f"{login_of(schema)}:{password}@{address.hostname}:{address.port}"
    ).geturl()
