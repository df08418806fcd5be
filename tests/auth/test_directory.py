"""How an operator finds accounts and people, and changes roles."""

import asyncio

import asyncpg
import pytest

from services.auth import directory
from shared.contracts import auth
from shared.errors import InvalidRequest, NotFound, RelayError
from tests.auth.conftest import World


async def person(world: World, email: str, **given: str) -> auth.User:
    """Return a new person."""
    ask = auth.CreateUser(email=email, password="correct horse battery", **given)  # type: ignore[arg-type]
    return await world.operator.call(auth.CREATE_USER, ask)


async def found(world: World, search: str | None = None, **given: object) -> list[str]:
    """Return the ids of accounts that are found."""
    ask = auth.FindAccounts(search=search, **given)  # type: ignore[arg-type]
    return [each.id for each in (await world.edge.call(auth.FIND_ACCOUNTS, ask)).items]


async def test_an_account_is_found_by_any_of_its_people(world: World) -> None:
    """Once, however many of them fit; a name counts as well as an address, in any case."""
    first = await person(world, "anna@example.com")
    for number in range(3):
        await person(world, f"anna{number}@Other.example", account_id=first.account_id)
    named = await world.account("Ännas Käse")

    assert await found(world, "ANNA") == [first.account_id]
    assert await found(world, "other.example") == [first.account_id]
    assert await found(world, "Käse") == [named.id]
    assert await found(world, "k") == [named.id]
    assert await found(world, "e") == [named.id, first.account_id]


async def test_a_whole_address_is_one_account(world: World) -> None:
    """Found without a look at all the others; one that nobody has is a part of what others have."""
    short = await person(world, "a@example.co")
    long = await person(world, "a@example.com")

    assert await found(world, "A@example.co") == [short.account_id]
    assert await found(world, "@example.co") == [long.account_id, short.account_id]
    assert await found(world, "a@example.com", status="suspended") == []


async def test_a_search_goes_on_below_an_id(world: World) -> None:
    """With as many as were asked for, and it says whether there are more."""
    people = [await person(world, f"p{number}@example.com") for number in range(4)]
    newest = [each.account_id for each in reversed(people)]

    for search in (None, "example", "@"):
        first = await world.edge.call(auth.FIND_ACCOUNTS, auth.FindAccounts(search=search, limit=3))
        rest = await world.edge.call(
            auth.FIND_ACCOUNTS, auth.FindAccounts(search=search, limit=3, before_id=first.items[-1].id)
        )
        assert ([each.id for each in first.items], first.has_more) == (newest[:3], True)
        assert ([each.id for each in rest.items], rest.has_more) == (newest[3:], False)


async def test_keys_that_work_are_counted(world: World) -> None:
    """Revoked ones are not."""
    account = await world.account()
    await world.key(account.id)
    revoked = await world.key(account.id)
    await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=revoked.key.id))

    ask = auth.FindAccounts(account_ids=(account.id,))
    assert [each.keys for each in (await world.edge.call(auth.FIND_ACCOUNTS, ask)).items] == [1]


async def test_only_named_accounts_are_looked_at(world: World) -> None:
    """With the other filters upon them."""
    one, two = await person(world, "one@example.com"), await person(world, "two@example.com")
    suspend = auth.SetAccountStatus(account_id=one.account_id, status="suspended")
    await world.operator.call(auth.SET_ACCOUNT_STATUS, suspend)
    both = (one.account_id, two.account_id)

    assert await found(world, account_ids=both) == [two.account_id, one.account_id]
    assert await found(world, account_ids=both, status="suspended") == [one.account_id]
    assert await found(world, "two@", account_ids=both) == [two.account_id]
    assert await found(world, one.id, account_ids=both) == [one.account_id]
    assert await found(world, one.id, account_ids=(two.account_id,)) == []
    assert await found(world, one.id, status="active") == []
    assert await found(world, "e", status="active") == [two.account_id]


async def test_a_search_is_bounded_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and auth is as well as before."""
    blocking = await asyncpg.connect(world.database_url)
    monkeypatch.setattr(directory, "STATEMENT_MILLISECONDS", 100)
    try:
        async with blocking.transaction():
            await blocking.execute("LOCK TABLE auth.app_user IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(InvalidRequest) as caught:
                await found(world, "anybody")
    finally:
        await blocking.close()

    assert (caught.value.code, caught.value.param) == ("search_too_slow", "search")
    assert await found(world, "anybody") == []


@pytest.mark.parametrize("ids", [("x",), ("a\0b",)])
async def test_what_is_no_id_is_refused(world: World, ids: tuple[str, ...]) -> None:
    """In a list of accounts and as the place where a page begins."""
    for ask in (auth.FindAccounts(account_ids=ids), auth.FindAccounts(before_id=ids[0])):
        with pytest.raises(InvalidRequest):
            await world.edge.call(auth.FIND_ACCOUNTS, ask)
    with pytest.raises(NotFound):
        await world.edge.call(auth.LIST_PEOPLE, auth.ListPeople(account_id=ids[0]))


async def test_people_are_listed_with_when_they_were_seen(world: World) -> None:
    """Oldest first."""
    first = await person(world, "one@example.com")
    second = await person(world, "two@example.com", account_id=first.account_id, role="admin")
    connection = await asyncpg.connect(world.database_url)
    await connection.execute(
        """INSERT INTO auth.session (id, user_id, token_sha256, agent, address, seen_at, expires_at, ends_at)
           VALUES (gen_random_uuid(), $1::text::uuid, sha256('x'), '', '', to_timestamp(1000), now(), now())""",
        second.id,
    )
    await connection.close()

    people = (await world.edge.call(auth.LIST_PEOPLE, auth.ListPeople(account_id=first.account_id))).items

    assert [(each.email, each.role, each.seen_unix) for each in people] == [
        ("one@example.com", "member", None),
        ("two@example.com", "admin", 1000.0),
    ]
    assert {each.is_confirmed for each in people} == {True}
    assert {each.has_second_factor for each in people} == {False}


async def test_one_operator_is_always_left(world: World) -> None:
    """Also when all of them take the role from each other at one moment."""
    operators = [await person(world, f"op{number}@example.com", role="admin") for number in range(4)]

    answers = await asyncio.gather(
        *(world.edge.call(auth.SET_ROLE, auth.SetRole(user_id=each.id, role="member")) for each in operators),
        return_exceptions=True,
    )

    refused = [each for each in answers if isinstance(each, RelayError)]
    assert [each.code for each in refused] == ["last_operator"]
    rows = await world.rows("SELECT count(*) FROM auth.app_user WHERE role = 'admin'")
    assert rows == [(1,)]


async def test_a_member_is_no_operator_to_be_left(world: World) -> None:
    """Taking nothing from somebody who has nothing is no danger, and an unknown person is not found."""
    member = await person(world, "member@example.com")

    kept = await world.edge.call(auth.SET_ROLE, auth.SetRole(user_id=member.id, role="member"))

    assert kept.role == "member"
    for user_id in (member.account_id, "x"):
        with pytest.raises(NotFound):
            await world.edge.call(auth.SET_ROLE, auth.SetRole(user_id=user_id, role="member"))
