"""API keys as their owners manage them: found by (id, account), changed as a whole or not at all."""

import asyncio
import time

import asyncpg
import pytest

from shared import keys
from shared.contracts import accounts, auth, billing
from shared.contracts.auth import CreatedKey
from shared.errors import Forbidden, InvalidRequest, NotFound, RelayError, Unauthenticated
from tests.auth.conftest import World

LIMITS = accounts.Limits(requests_per_minute=5, spend_day_nano_usd=10**9)


async def verify(world: World, secret: str) -> auth.Principal:
    """Return whose key this text is."""
    parsed = keys.parse(secret)
    assert parsed is not None
    return await world.edge.call(
        auth.VERIFY, auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256)
    )


async def make(world: World, account_id: str, name: str = "laptop", **given: object) -> CreatedKey:
    """Return a new key, as the edge makes one."""
    return await world.edge.call(
        auth.CREATE_KEY,
        auth.CreateKey(account_id=account_id, name=name, **given),  # type: ignore[arg-type]  # any field
    )


async def test_a_key_is_made_with_its_limits_and_its_end(world: World) -> None:
    """Billing holds the limits before anybody has the key."""
    account = await world.account()
    ends = time.time() + 3600
    made = await make(world, account.id, expires_unix=ends, limits=LIMITS, allowed_models=("gpt-4o",))

    assert made.key.expires_unix == pytest.approx(ends)
    assert world.billing.limits == {made.key.id: LIMITS}
    assert world.billing.keys[-1].expires_unix == pytest.approx(ends)
    assert (await verify(world, made.secret)).allowed_models == ("gpt-4o",)


async def test_a_key_whose_limits_are_refused_is_not_made(world: World) -> None:
    """Nobody has a key without the limits that were asked for."""
    account = await world.account()
    with pytest.raises(InvalidRequest):
        await make(world, account.id, limits=accounts.Limits(concurrent_requests=0))

    assert await world.rows("SELECT count(*) FROM auth.api_key") == [(0,)]


async def test_what_is_given_is_changed_and_nothing_else(world: World) -> None:
    """Under a new version, which billing holds."""
    account = await world.account()
    made = await make(world, account.id, allowed_addresses=("192.0.2.0/24",), limits=LIMITS)
    ends = time.time() + 60

    ask = auth.UpdateKey(account_id=account.id, key_id=made.key.id, name="desktop", expires_unix=ends)
    changed = await world.edge.call(auth.UPDATE_KEY, ask)

    assert (changed.name, changed.allowed_addresses) == ("desktop", ("192.0.2.0/24",))
    assert changed.version > made.key.version
    assert world.billing.limits[made.key.id] == LIMITS
    assert world.billing.keys[-1].version == changed.version
    assert world.billing.keys[-1].expires_unix == pytest.approx(ends)
    lasting = await world.edge.call(
        auth.UPDATE_KEY, auth.UpdateKey(account_id=account.id, key_id=made.key.id, expires_unix=None)
    )
    assert (lasting.name, lasting.expires_unix) == ("desktop", None)
    assert world.billing.keys[-1].expires_unix is None


async def test_the_edges_hear_of_a_change(world: World) -> None:
    """So that no cache allows what the key may not do any more."""
    heard: asyncio.Queue[auth.KeyChanged] = asyncio.Queue()
    await world.edge.listen(auth.KEY_CHANGED, heard.put)
    await world.edge.control.flush()
    account = await world.account()
    made = await make(world, account.id)

    ask = auth.UpdateKey(account_id=account.id, key_id=made.key.id, allowed_models=("a",))
    changed = await world.edge.call(auth.UPDATE_KEY, ask)
    assert await asyncio.wait_for(heard.get(), 10) == auth.KeyChanged(
        key_id=made.key.id, version=changed.version
    )

    await world.edge.call(auth.ROTATE_KEY, auth.RotateKey(account_id=account.id, key_id=made.key.id))
    assert (await asyncio.wait_for(heard.get(), 10)).key_id == made.key.id


@pytest.mark.parametrize(
    "given",
    [
        {"name": " "},
        {"expires_unix": 1.0},
        {"expires_unix": float("nan")},
        {"allowed_models": ("",)},
        {"allowed_addresses": ("nowhere",)},
        {"limits": accounts.Limits(concurrent_requests=0)},
    ],
)
async def test_a_change_that_is_refused_changes_nothing(world: World, given: dict[str, object]) -> None:
    """Neither here nor at billing, also of what was good in it."""
    account = await world.account()
    made = await make(world, account.id)
    told = len(world.billing.keys)

    ask = auth.UpdateKey(account_id=account.id, key_id=made.key.id, **{"name": "other", **given})  # type: ignore[arg-type]  # any field
    with pytest.raises(InvalidRequest):
        await world.edge.call(auth.UPDATE_KEY, ask)

    kept = await world.edge.call(auth.GET_KEY, auth.GetKey(account_id=account.id, key_id=made.key.id))
    assert kept == made.key
    assert len(world.billing.keys) == told


async def test_a_rotated_key_goes_on_as_another(world: World) -> None:
    """With the same name, rights, end and limits; the old one spends nothing more."""
    account = await world.account()
    ends = time.time() + 3600
    old = await make(
        world, account.id, expires_unix=ends, limits=LIMITS, allowed_models=("a",), allowed_addresses=("::1/128",)
    )  # fmt: skip

    new = await world.edge.call(auth.ROTATE_KEY, auth.RotateKey(account_id=account.id, key_id=old.key.id))

    assert new.key.id != old.key.id
    assert (new.key.name, new.key.allowed_models, new.key.allowed_addresses) == (
        "laptop",
        ("a",),
        ("::1/128",),
    )
    assert new.key.expires_unix == old.key.expires_unix
    assert world.billing.limits[new.key.id] == LIMITS
    assert (await verify(world, new.secret)).key_id == new.key.id
    with pytest.raises(Unauthenticated, match="revoked"):
        await verify(world, old.secret)
    states = {put.key_id: put.status for put in world.billing.keys}
    assert states == {old.key.id: "revoked", new.key.id: "active"}
    with pytest.raises(InvalidRequest, match="revoked"):
        await world.edge.call(auth.ROTATE_KEY, auth.RotateKey(account_id=account.id, key_id=old.key.id))


async def test_a_rotation_that_fails_leaves_the_old_key(world: World) -> None:
    """Also at billing, which may have taken its end: it is told, under a higher version, that the key lives."""
    account = await world.account()
    old = await make(world, account.id)
    world.billing.refuses_key = lambda ask: ask.status == "revoked"

    with pytest.raises(RelayError):
        await world.edge.call(auth.ROTATE_KEY, auth.RotateKey(account_id=account.id, key_id=old.key.id))

    assert (await verify(world, old.secret)).key_id == old.key.id
    page = await world.edge.call(auth.SEARCH_KEYS, auth.SearchKeys(account_id=account.id))
    assert page.items == (old.key,)
    told = [put for put in world.billing.keys if put.key_id == old.key.id]
    assert [put.status for put in told] == ["active", "revoked", "active"]
    assert told[1].version < told[2].version


async def test_what_belongs_to_another_account_is_not_found(world: World) -> None:
    """By no call, and nothing happens to it."""
    owner, other = await world.account(), await world.account("Other")
    made = await make(world, owner.id)
    asks = [
        (auth.GET_KEY, auth.GetKey(account_id=other.id, key_id=made.key.id)),
        (auth.UPDATE_KEY, auth.UpdateKey(account_id=other.id, key_id=made.key.id, name="mine")),
        (auth.ROTATE_KEY, auth.RotateKey(account_id=other.id, key_id=made.key.id)),
        (auth.REVOKE_KEY, auth.RevokeKey(account_id=other.id, key_id=made.key.id)),
    ]
    for call, ask in asks:
        with pytest.raises(NotFound):
            await world.edge.call(call, ask)  # type: ignore[arg-type]  # a mixed list

    assert (await world.edge.call(auth.SEARCH_KEYS, auth.SearchKeys(account_id=other.id))).items == ()
    mine = await world.edge.call(auth.GET_KEY, auth.GetKey(account_id=owner.id, key_id=made.key.id))
    assert mine == made.key


async def test_keys_come_in_pages_newest_first(world: World) -> None:
    """Each once, also where many were made at the same moment."""
    account = await world.account()
    made = [(await make(world, account.id, f"key {number}")).key.id for number in range(5)]
    await world.execute("UPDATE auth.api_key SET created_at = '2026-01-01' WHERE name <> 'key 4'")

    shown: list[str] = []
    cursor = None
    while cursor is not None or not shown:
        ask = auth.SearchKeys(account_id=account.id, cursor=cursor, limit=2)
        page = await world.edge.call(auth.SEARCH_KEYS, ask)
        shown += [key.id for key in page.items]
        cursor = page.next_cursor

    assert shown == [made[4], *sorted(made[:4], reverse=True)]


async def test_keys_are_found_by_a_part_of_their_name_and_by_state(world: World) -> None:
    """What looks like a pattern is text."""
    account = await world.account()
    made = {name: (await make(world, account.id, name)).key.id for name in ("Laptop", "100%", "old", "gone")}
    await world.execute("UPDATE auth.api_key SET expires_at = now() - interval '1 hour' WHERE name = 'old'")
    await world.edge.call(auth.REVOKE_KEY, auth.RevokeKey(account_id=account.id, key_id=made["gone"]))

    async def found(**given: object) -> set[str]:
        ask = auth.SearchKeys(account_id=account.id, **given)  # type: ignore[arg-type]  # any filter
        return {key.name for key in (await world.edge.call(auth.SEARCH_KEYS, ask)).items}

    assert await found(search="LAP") == {"Laptop"}
    assert await found(search="%") == {"100%"}
    assert await found(search="_") == set()
    assert await found(state="active") == {"Laptop", "100%"}
    assert await found(state="expired") == {"old"}
    assert await found(state="revoked") == {"gone"}


@pytest.mark.parametrize(
    "cursor", ["", "x", "1.", "1.0123456789A'", "99999999999999999999.0123456789Ab", "١.0123456789Ab"]
)
async def test_a_cursor_that_is_none_is_refused(world: World, cursor: str) -> None:
    """Before it reaches SQL."""
    account = await world.account()
    with pytest.raises(InvalidRequest) as caught:
        await world.edge.call(auth.SEARCH_KEYS, auth.SearchKeys(account_id=account.id, cursor=cursor))
    assert caught.value.param == "cursor"


async def test_the_last_use_is_noted_beside_the_way(world: World) -> None:
    """A look at a key writes nothing; what was seen is written together."""
    account = await world.account()
    used, unused = await make(world, account.id), await make(world, account.id)
    await verify(world, used.secret)
    assert await world.rows("SELECT count(last_used_at) FROM auth.api_key") == [(0,)]

    await world.flush_uses()

    page = await world.edge.call(auth.SEARCH_KEYS, auth.SearchKeys(account_id=account.id))
    last = {key.id: key.last_used_unix for key in page.items}
    assert last[unused.key.id] is None
    assert last[used.key.id] == pytest.approx(time.time(), abs=30)


async def test_a_key_that_is_being_changed_does_not_delay_the_uses_of_others(world: World) -> None:
    """It is left out, this time."""
    account = await world.account()
    locked, free = await make(world, account.id), await make(world, account.id)
    await verify(world, locked.secret)
    await verify(world, free.secret)

    connection = await asyncpg.connect(world.database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM auth.api_key WHERE id = $1 FOR UPDATE", locked.key.id)
            await world.flush_uses()
            assert await world.rows("SELECT id FROM auth.api_key WHERE last_used_at IS NOT NULL") == [
                (free.key.id,)
            ]
    finally:
        await connection.close()


async def test_a_playground_has_one_key_that_nobody_can_show(world: World) -> None:
    """Made at the first need, once, known to billing, and in no list."""
    account = await world.account()
    ask = auth.GetPlaygroundKey(account_id=account.id)
    principals = await asyncio.gather(*(world.edge.call(auth.PLAYGROUND_KEY, ask) for _ in range(4)))

    assert len({principal.key_id for principal in principals}) == 1
    key_id = principals[0].key_id
    assert principals[0].account_id == account.id
    assert world.billing.keys == [
        billing.PutKey(
            key_id=key_id, account_id=account.id, status="active", expires_unix=None, version=principals[0].version
        )
    ]  # fmt: skip
    assert (await world.edge.call(auth.SEARCH_KEYS, auth.SearchKeys(account_id=account.id))).items == ()
    assert (await world.operator.call(auth.LIST_KEYS, auth.ListKeys())).items == ()
    stored = await world.rows("SELECT secret_hmac FROM auth.api_key")
    with pytest.raises(Unauthenticated):
        await world.edge.call(auth.VERIFY, auth.Verify(key_id=key_id, secret_sha256=stored[0][0]))  # type: ignore[arg-type]  # bytes
    with pytest.raises(NotFound):
        await world.edge.call(auth.GET_KEY, auth.GetKey(account_id=account.id, key_id=key_id))


async def test_the_playground_of_a_suspended_account_is_closed(world: World) -> None:
    """As every key of it is."""
    account = await world.account()
    ask = auth.GetPlaygroundKey(account_id=account.id)
    await world.edge.call(auth.PLAYGROUND_KEY, ask)
    await world.operator.call(
        auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=account.id, status="suspended")
    )
    with pytest.raises(Forbidden, match="suspended"):
        await world.edge.call(auth.PLAYGROUND_KEY, ask)
