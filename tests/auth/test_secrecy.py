"""Secrets are shown once and kept nowhere; text that looks like SQL is text."""

import logging
import re

import asyncpg
import msgspec
import pytest

from services.auth.settings import AuthSettings
from shared import keys
from shared.contracts import auth
from shared.contracts.call import Call
from shared.errors import RelayError
from tests.auth.conftest import World

PASSWORD = "correct horse battery"
SQL = [
    "'; DROP TABLE auth.api_key; --",
    "' OR '1'='1",
    "\\'; SELECT pg_sleep(10); --",
    "$1",
    "$$; DROP SCHEMA auth CASCADE; $$",
    '"auth"."account"',
    "%s %(name)s {0} {name}",
    "Robert'); DELETE FROM auth.account; --",
    "ﬀ＇ OR １＝１ －－",
]


async def test_a_secret_is_in_no_log_no_row_and_no_second_reply(
    world: World, settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and password are looked for in all that is left of a whole life of a key, errors included."""
    caplog.set_level(logging.DEBUG)
    world.operator.control.errors_total = 0
    user = await world.operator.call(auth.CREATE_USER, auth.CreateUser(email="ada@b", password=PASSWORD))
    made = await world.key(user.account_id)
    parsed = keys.parse(made.secret)
    assert parsed is not None
    verify = auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256)
    replies: list[object] = [
        user,
        await world.edge.call(auth.VERIFY, verify),
        await world.operator.call(auth.LIST_KEYS, auth.ListKeys()),
        await world.operator.call(auth.LIST_USERS, auth.ListUsers()),
        await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=parsed.id)),
        *await _errors(world, verify),
    ]

    left_over = repr(replies) + caplog.text + repr([vars(record) for record in caplog.records])
    left_over += await _dump(world) + repr(settings)

    secret = made.secret[-(keys.SECRET_CHARACTERS + keys.CHECKSUM_CHARACTERS) :]
    for text in (secret[: keys.SECRET_CHARACTERS], PASSWORD, settings.key_pepper.reveal()):
        assert text not in left_over
    for value in (parsed.secret_sha256, settings.pepper):
        assert value.hex() not in left_over
        assert repr(value)[2:-1] not in left_over


@pytest.mark.parametrize("text", SQL)
async def test_sql_in_a_text_field_is_text(world: World, text: str) -> None:
    """Each field keeps it letter by letter or refuses it, and nothing else changes."""
    account = await world.account(text)
    ask = auth.CreateKey(account_id=account.id, name=text, allowed_models=(text,))
    made = await world.operator.call(auth.CREATE_KEY, ask)
    assert (account.name, made.key.name, made.key.allowed_models) == (text, text, (text,))

    refused: list[tuple[Call[msgspec.Struct, msgspec.Struct], msgspec.Struct]] = [
        (auth.VERIFY, auth.Verify(key_id=text, secret_sha256=text.encode())),  # type: ignore[list-item]  # a mixed list
        (auth.REVOKE_KEY, auth.RevokeKey(key_id=text)),  # type: ignore[list-item]  # a mixed list
        (auth.LIST_KEYS, auth.ListKeys(account_id=text)),  # type: ignore[list-item]  # a mixed list
        (auth.CREATE_USER, auth.CreateUser(email=text, password=PASSWORD)),  # type: ignore[list-item]  # a mixed list
        (auth.CREATE_KEY, msgspec.structs.replace(ask, allowed_addresses=(text,))),  # type: ignore[list-item]  # a mixed list
    ]
    for call, question in refused:
        with pytest.raises(RelayError) as caught:
            await world.operator.call(call, question)
        assert caught.value.code in {"invalid_api_key", "not_found", "invalid_value"}

    assert await world.rows("SELECT count(*) FROM auth.account") == [(1,)]
    assert await world.rows("SELECT count(*) FROM auth.api_key") == [(1,)]


@pytest.mark.parametrize("text", SQL[:3])
async def test_sql_in_an_email_address_and_a_password_is_text(world: World, text: str) -> None:
    """An address may hold apostrophes and equals signs (RFC 5322 §3.2.3), and a password anything."""
    email = re.sub("[^A-Za-z0-9'=-]", "", text) + "@example.com"
    user = await world.operator.call(auth.CREATE_USER, auth.CreateUser(email=email, password=text))
    assert user.email == email.lower()
    assert await world.rows("SELECT email FROM auth.app_user") == [(email.lower(),)]


async def _errors(world: World, verify: auth.Verify) -> list[object]:
    """Return the errors of a revoked key, a wrong secret and a taken address."""
    errors: list[object] = []
    for ask in (verify, msgspec.structs.replace(verify, secret_sha256=bytes(32))):
        with pytest.raises(RelayError) as caught:
            await world.edge.call(auth.VERIFY, ask)
        errors.append(caught.value.to_body())
    with pytest.raises(RelayError) as caught:
        await world.operator.call(auth.CREATE_USER, auth.CreateUser(email="ada@b", password=PASSWORD))
    errors.append(caught.value.to_body())
    return errors


async def _dump(world: World) -> str:
    """Return every row of every table of the database as text."""
    connection = await asyncpg.connect(world.database_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'auth'"
        )
        assert len(tables) >= 3
        dumped = [
            await connection.fetch(f"SELECT each::text FROM {table['name']} AS each") for table in tables
        ]
        return repr(dumped)
    finally:
        await connection.close()
