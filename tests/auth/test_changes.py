"""Accounts and keys are changed only together with billing's copy of them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared import keys
from shared.contracts import auth, billing
from shared.errors import Internal, NotFound, RelayError, Unauthenticated, Unavailable
from tests.auth.conftest import World

Change = Callable[[World, auth.Key], Awaitable[object]]
UNKNOWN_ACCOUNT = "0198c0de-0000-7000-8000-000000000000"


async def create_account(world: World, key: auth.Key) -> object:
    """Make an account."""
    return await world.operator.call(auth.CREATE_ACCOUNT, auth.CreateAccount(name="New"), timeout_seconds=10)


async def create_user(world: World, key: auth.Key) -> object:
    """Make a person with an account of their own."""
    ask = auth.CreateUser(email="ada@example.com", password="correct horse")
    return await world.operator.call(auth.CREATE_USER, ask, timeout_seconds=10)


async def suspend(world: World, key: auth.Key) -> object:
    """Suspend the account of `key`."""
    ask = auth.SetAccountStatus(account_id=key.account_id, status="suspended")
    return await world.operator.call(auth.SET_ACCOUNT_STATUS, ask, timeout_seconds=10)


async def create_key(world: World, key: auth.Key) -> object:
    """Make another key for the account of `key`."""
    ask = auth.CreateKey(account_id=key.account_id, name="second")
    return await world.operator.call(auth.CREATE_KEY, ask, timeout_seconds=10)


async def revoke(world: World, key: auth.Key) -> object:
    """Revoke `key`."""
    return await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=key.id), timeout_seconds=10)


CHANGES = [create_account, create_user, suspend, create_key, revoke]


async def test_billing_holds_each_change_with_a_version_that_rises(world: World) -> None:
    """What billing is told is what auth stores, in the order of the changes."""
    account = await world.account()
    made = await world.key(account.id)
    revoked = await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=made.key.id))
    await suspend(world, made.key)

    first, second = world.billing.accounts
    assert (first.account_id, first.status, second.status) == (account.id, "active", "suspended")
    assert first.version < second.version
    assert world.billing.keys == [
        billing.PutKey(
            key_id=made.key.id, account_id=account.id, status="active", expires_unix=None, version=made.key.version
        ),
        billing.PutKey(
            key_id=made.key.id, account_id=account.id, status="revoked", expires_unix=None, version=revoked.version
        ),
    ]  # fmt: skip
    assert made.key.version < revoked.version


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_billing_refuses_is_not_made(world: World, change: Change) -> None:
    """The caller gets billing's error, our rows stay as they were, and the change can be repeated."""
    made = await world.key()
    before = await _snapshot(world)
    world.billing.refusal = Internal("internal_error")

    with pytest.raises(Internal):
        await change(world, made.key)

    assert await _snapshot(world) == before
    world.billing.refusal = None
    await change(world, made.key)
    assert await _snapshot(world) != before


async def test_a_silent_billing_stops_changes_but_no_verification(world: World) -> None:
    """Every change fails with billing's name and is undone; look-ups have connections of their own."""
    made = await world.key()
    before = await _snapshot(world)
    world.billing.may_answer.clear()
    waiting = [asyncio.create_task(change(world, made.key)) for change in CHANGES]

    assert (await world.edge.call(auth.VERIFY, _verify(made.secret))).key_id == made.key.id

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    assert await _snapshot(world) == before


async def test_a_repeat_overtakes_an_attempt_of_unknown_outcome(world: World) -> None:
    """Its version is higher also when the attempt before was rolled back after billing had heard of it."""
    made = await world.key()
    world.billing.refusal = Unavailable("service_unavailable", part="billing")
    with pytest.raises(Unavailable):
        await suspend(world, made.key)
    world.billing.refusal = None

    await world.operator.call(
        auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=made.key.account_id, status="active")
    )

    assert [put.status for put in world.billing.accounts] == ["active", "suspended", "active"]
    versions = [put.version for put in world.billing.accounts]
    assert versions == sorted(set(versions))


async def test_an_event_follows_each_end(world: World) -> None:
    """Edges hear of a revoked key with its version, and of a changed account."""
    heard: asyncio.Queue[auth.KeyChanged | auth.AccountChanged] = asyncio.Queue()
    await world.edge.listen(auth.KEY_CHANGED, heard.put)
    await world.edge.listen(auth.ACCOUNT_CHANGED, heard.put)
    await world.edge.control.flush()
    made = await world.key()

    revoked = await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=made.key.id))
    assert await asyncio.wait_for(heard.get(), 30) == auth.KeyChanged(
        key_id=made.key.id, version=revoked.version
    )
    await suspend(world, made.key)
    assert await asyncio.wait_for(heard.get(), 30) == auth.AccountChanged(account_id=made.key.account_id)
    assert heard.empty()


async def test_an_event_is_not_told_before_the_change_is_made(world: World) -> None:
    """Whoever asks again because of the event finds the key revoked."""
    made = await world.key()
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def ask_again(event: auth.KeyChanged) -> None:
        try:
            await world.edge.call(auth.VERIFY, _verify(made.secret))
        except Unauthenticated as error:
            await answers.put(error.code)

    await world.edge.listen(auth.KEY_CHANGED, ask_again)
    await world.edge.control.flush()
    await revoke(world, made.key)

    assert await asyncio.wait_for(answers.get(), 30) == "revoked_api_key"


async def test_revoking_twice_returns_the_stored_state(world: World) -> None:
    """The second time changes nothing and tells billing nothing."""
    made = await world.key()
    first = await revoke(world, made.key)
    told = len(world.billing.keys)

    assert await revoke(world, made.key) == first
    assert len(world.billing.keys) == told


async def test_concurrent_revocations_make_one_change(world: World) -> None:
    """All callers get the same answer, and billing hears of it once."""
    made = await world.key()
    answers = await asyncio.gather(*(revoke(world, made.key) for _ in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert [put.status for put in world.billing.keys] == ["active", "revoked"]


async def test_concurrent_changes_of_an_account_reach_billing_in_order(world: World) -> None:
    """What billing holds with the highest version is what auth holds."""
    made = await world.key()
    statuses: list[auth.AccountStatus] = ["suspended", "active"] * 5
    await asyncio.gather(
        *(
            world.operator.call(
                auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=made.key.account_id, status=status)
            )
            for status in statuses
        )
    )

    versions = [put.version for put in world.billing.accounts]
    assert versions == sorted(set(versions))
    [(status, version)] = await world.rows("SELECT status, version FROM auth.account")
    assert (status, version) == (world.billing.accounts[-1].status, world.billing.accounts[-1].version)


@pytest.mark.parametrize("account_id", [UNKNOWN_ACCOUNT, "", "acme", "0198c0de", "' OR true --", "\x00"])
async def test_an_unknown_account_is_not_found(world: World, account_id: str) -> None:
    """An id that names nothing, of whatever form, says so and tells billing nothing."""
    operator = world.operator
    questions: list[Awaitable[object]] = [
        operator.call(auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=account_id, status="active")),
        operator.call(auth.CREATE_KEY, auth.CreateKey(account_id=account_id, name="laptop")),
        operator.call(
            auth.CREATE_USER, auth.CreateUser(email="a@b", password="12345678", account_id=account_id)
        ),
        operator.call(auth.LIST_KEYS, auth.ListKeys(account_id=account_id)),
        operator.call(auth.LIST_USERS, auth.ListUsers(account_id=account_id)),
    ]
    errors = await asyncio.gather(*questions, return_exceptions=True)

    assert [_described(error) for error in errors] == [(NotFound, "not_found", {"what": "account"})] * 5
    assert (world.billing.accounts, world.billing.keys) == ([], [])


@pytest.mark.parametrize("key_id", ["0" * 12, "", "' OR true --", "\x00"])
async def test_an_unknown_key_is_not_found(world: World, key_id: str) -> None:
    """There is nothing to revoke."""
    with pytest.raises(NotFound) as caught:
        await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=key_id))
    assert caught.value.details == {"what": "key"}


def _described(error: object) -> tuple[type[RelayError], str, object]:
    assert isinstance(error, RelayError)
    return type(error), error.code, error.details


def _verify(text: str) -> auth.Verify:
    parsed = keys.parse(text)
    assert parsed is not None
    return auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256)


async def _snapshot(world: World) -> list[list[tuple[object, ...]]]:
    return [
        await world.rows("SELECT id, status, version FROM auth.account ORDER BY id"),
        await world.rows("SELECT id, account_id, email FROM auth.app_user ORDER BY id"),
        await world.rows("SELECT id, revoked_at, version FROM auth.api_key ORDER BY id"),
    ]
