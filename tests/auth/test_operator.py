"""What an operator makes and lists: accounts, people, keys; and what is refused."""

import asyncio
from collections.abc import Awaitable
from typing import cast

import argon2
import msgspec
import pytest

from shared.contracts import auth
from shared.contracts.call import Call, Q, R
from shared.errors import InvalidRequest
from tests.auth.conftest import World

PASSWORD = "correct horse"


async def test_accounts_are_listed_oldest_first(world: World) -> None:
    """A new account is active and stands at the end."""
    made = [await world.account(name) for name in ("Acme", "Beta", "Acme")]
    listed = await world.operator.call(auth.LIST_ACCOUNTS, auth.ListAccounts())

    assert list(listed.items) == made
    assert [(account.name, account.status) for account in made] == [
        ("Acme", "active"),
        ("Beta", "active"),
        ("Acme", "active"),
    ]
    first = await world.operator.call(auth.LIST_ACCOUNTS, auth.ListAccounts(limit=1))
    assert list(first.items) == made[:1]


async def test_a_user_gets_an_account_named_alike(world: World) -> None:
    """Without an account given, one is made, and billing knows it."""
    user = await create_user(world, email=" Ada@Example.COM ")
    accounts = await world.operator.call(auth.LIST_ACCOUNTS, auth.ListAccounts())

    assert (user.email, user.role) == ("ada@example.com", "member")
    assert [(account.id, account.name) for account in accounts.items] == [
        (user.account_id, "ada@example.com")
    ]
    assert [put.account_id for put in world.billing.accounts] == [user.account_id]


async def test_users_of_one_account_are_listed(world: World) -> None:
    """A person can be added to an account that exists; others are not listed with it."""
    account = await world.account()
    ask = auth.CreateUser(email="root@acme", password=PASSWORD, role="admin", account_id=account.id)
    admin = await world.operator.call(auth.CREATE_USER, ask)
    other = await create_user(world, email="eve@example.com")

    of_account = await world.operator.call(auth.LIST_USERS, auth.ListUsers(account_id=account.id))
    everybody = await world.operator.call(auth.LIST_USERS, auth.ListUsers())

    assert of_account.items == (admin,)
    assert everybody.items == (admin, other)
    assert admin.role == "admin"


async def test_an_email_address_is_taken_once(world: World) -> None:
    """However it is written, and no account is left behind by the refused attempt."""
    await create_user(world, email="ada@example.com")

    with pytest.raises(InvalidRequest) as caught:
        await create_user(world, email="ADA@example.com")

    assert caught.value.code == "already_exists"
    assert caught.value.details == {"what": "user", "name": "ada@example.com"}
    assert await world.rows("SELECT count(*) FROM auth.account") == [(1,)]
    assert len(world.billing.accounts) == 1


async def test_of_concurrent_users_with_one_address_one_is_made(world: World) -> None:
    """The constraint decides, not a look before."""
    outcomes = await asyncio.gather(*(create_user(world) for _ in range(3)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "InvalidRequest",
        "InvalidRequest",
        "User",
    ]
    assert await world.rows("SELECT count(*) FROM auth.account") == [(1,)]


async def test_a_password_is_stored_as_its_argon2id_hash(world: World) -> None:
    """The hash proves the password and no other."""
    await create_user(world)
    [(stored,)] = await world.rows("SELECT password_hash FROM auth.app_user")
    text = cast(str, stored)

    assert text.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(text, PASSWORD)
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(text, PASSWORD.upper())


async def test_keys_are_listed_without_their_secrets(world: World) -> None:
    """A list shows the state of each key, oldest first, of one account or of all."""
    mine, other = await world.key(), await world.key()
    second = await world.key(mine.key.account_id)
    revoked = await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=mine.key.id))

    of_account = await world.operator.call(auth.LIST_KEYS, auth.ListKeys(account_id=mine.key.account_id))
    everybody = await world.operator.call(auth.LIST_KEYS, auth.ListKeys())

    assert of_account.items == (revoked, second.key)
    assert everybody.items == (revoked, other.key, second.key)
    assert revoked == msgspec.structs.replace(
        mine.key, version=revoked.version, revoked_unix=revoked.revoked_unix
    )


async def test_an_account_without_keys_or_users_lists_none(world: World) -> None:
    """Empty is not unknown."""
    account = await world.account()
    assert (await world.operator.call(auth.LIST_KEYS, auth.ListKeys(account_id=account.id))).items == ()
    assert (await world.operator.call(auth.LIST_USERS, auth.ListUsers(account_id=account.id))).items == ()


async def test_what_is_out_of_range_is_refused_with_its_field(world: World) -> None:
    """Nothing is stored, and the error names the field and says what would be right."""
    account = await world.account()
    key = auth.CreateKey(account_id=account.id, name="laptop")
    user = auth.CreateUser(email="ada@example.com", password=PASSWORD)
    change = msgspec.structs.replace

    await assert_refused(world, auth.CREATE_ACCOUNT, auth.CreateAccount(name=" "), "name")
    await assert_refused(world, auth.CREATE_KEY, change(key, name="a\nb"), "name")
    await assert_refused(world, auth.CREATE_KEY, change(key, lifetime_seconds=0.0), "lifetime_seconds")
    await assert_refused(world, auth.CREATE_KEY, change(key, allowed_models=("",)), "allowed_models")
    await assert_refused(world, auth.CREATE_KEY, change(key, allowed_addresses=("x",)), "allowed_addresses")
    await assert_refused(world, auth.CREATE_USER, change(user, email="ada"), "email")
    await assert_refused(
        world, auth.CREATE_USER, change(user, password="1234567"), "password", "password_length"
    )
    await assert_refused(world, auth.LIST_ACCOUNTS, auth.ListAccounts(limit=0), "limit")
    await assert_refused(world, auth.LIST_USERS, auth.ListUsers(limit=-1), "limit")
    await assert_refused(world, auth.LIST_KEYS, auth.ListKeys(limit=1001), "limit")
    assert await world.rows("SELECT count(*) FROM auth.api_key") == [(0,)]
    assert await world.rows("SELECT count(*) FROM auth.app_user") == [(0,)]


def create_user(world: World, email: str = "ada@example.com") -> Awaitable[auth.User]:
    """Make a person with an account of their own."""
    return world.operator.call(auth.CREATE_USER, auth.CreateUser(email=email, password=PASSWORD))


async def assert_refused(
    world: World, call: Call[Q, R], ask: Q, param: str, code: str = "invalid_value"
) -> None:
    """Assert that `ask` is refused because of `param`."""
    with pytest.raises(InvalidRequest) as caught:
        await world.operator.call(call, ask)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert code != "invalid_value" or str(caught.value).startswith("Invalid value: ")
