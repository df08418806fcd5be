"""The service as a process: ready or not, restarted, stopped, with several replicas."""

import asyncio
import secrets
from pathlib import Path

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from services.auth.settings import AuthSettings
from services.devstack.postgres import EmbeddedPostgres
from shared.bus import Bus
from shared.contracts import auth
from shared.contracts.call import EDGE
from shared.errors import Unavailable
from shared.migrate import migrate
from shared.settings import Secret, Settings
from tests.auth.conftest import MIGRATIONS, World, replica

LIST = auth.ListAccounts()


async def test_a_running_service_is_ready(world: World) -> None:
    """Readiness asks nobody and finds nothing missing."""
    assert await readiness(world.app) == (200, [])


async def test_the_database_going_away_is_survived(tmp_path: Path, nats_url: str) -> None:
    """While PostgreSQL is away calls fail and readiness says why; when it is back, both recover by themselves."""
    postgres = EmbeddedPostgres(tmp_path, durable=False)
    postgres.start()
    try:
        connection = await asyncpg.connect(postgres.url)
        await migrate(connection, schema="auth", folder=MIGRATIONS)
        await connection.close()
        settings = AuthSettings(
            nats_url=nats_url, database_url=Secret(postgres.url), key_pepper=Secret(secrets.token_hex(32))
        )
        async with replica(settings) as app, Bus(Settings(nats_url=nats_url), party=EDGE) as edge:
            postgres.stop()
            with pytest.raises(Unavailable, match="PostgreSQL"):
                await edge.call(auth.LIST_ACCOUNTS, LIST)
            assert await readiness(app) == (503, ["PostgreSQL"])

            postgres.start()
            assert await edge.call(auth.LIST_ACCOUNTS, LIST) == auth.Accounts(items=())
            assert await readiness(app) == (200, [])
    finally:
        postgres.stop()


async def test_a_stopped_replica_leaves_the_work_to_the_others(world: World, settings: AuthSettings) -> None:
    """No call is lost when one of two replicas goes in the middle of them."""
    async with replica(settings):
        calls = [asyncio.create_task(world.operator.call(auth.LIST_ACCOUNTS, LIST)) for _ in range(200)]
        await asyncio.sleep(0)

    assert all(isinstance(answer, auth.Accounts) for answer in await asyncio.gather(*calls))


async def test_a_service_acts_with_the_rights_of_its_role_alone(auth_url: str) -> None:
    """The role adds rows and changes status and end; it deletes nothing and rewrites no identity."""
    connection = await asyncpg.connect(auth_url)
    try:
        await connection.execute("SET ROLE relay_auth")
        for statement in (
            "DELETE FROM auth.account",
            "DELETE FROM auth.app_user",
            "DELETE FROM auth.api_key",
            "UPDATE auth.api_key SET secret_hmac = ''",
            "UPDATE auth.api_key SET account_id = gen_random_uuid()",
            "TRUNCATE auth.api_key",
            "SELECT setval('auth.version', 1)",
            "CREATE TABLE auth.mine (id int)",
            "DELETE FROM auth.migration",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def readiness(app: Starlette) -> tuple[int, list[str]]:
    """Return what `/readyz` says."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://auth") as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()["missing"]
