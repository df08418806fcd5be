"""Accounts and people over the API, with the real auth and the real ledger."""

from typing import Any

import msgspec
import pytest

from services.edge.api import accounts as handlers
from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import operator as shapes
from services.edge.api.shapes import wallet
from shared.errors import Forbidden, InvalidRequest, KeyReused, NotFound, RelayError
from shared.ids import uuid7
from tests.edge.api.conftest import Operator, member

NOBODY = "00000000-0000-7000-8000-000000000000"


def credit_of(amount_usd: str, **changes: str) -> shapes.Credit:
    """Return a credit with a key of its own."""
    given = {"reason": "an invoice", "idempotency_key": uuid7().hex, **changes}
    return shapes.Credit(amount_usd=amount_usd, **given)


async def pages(op: Operator, *, limit: int, **query: Any) -> list[shapes.Account]:
    """Return every account of a list, page after page."""
    found: list[shapes.Account] = []
    cursor: dict[str, Any] = {}
    for _ in range(100):
        page: shapes.Accounts = await op.do(table.ACCOUNTS, limit=limit, **query, **cursor)
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            return found
        cursor = {"cursor": page.next_cursor}
    raise AssertionError("the list has no end")


async def test_accounts_are_listed_by_key_with_their_money(op: Operator) -> None:
    """The newest first, each once, with what billing knows of it."""
    mark = uuid7().hex
    people = [await op.member(mark) for _ in range(5)]
    await op.do(table.CREDIT, credit_of("12.5"), account_id=people[2].account_id)

    found = await pages(op, limit=2, search=mark)

    assert [each.id for each in found] == [person.account_id for person in reversed(people)]
    assert [each.available_usd for each in found] == ["0.00", "0.00", "12.50", "0.00", "0.00"]
    everyone = await pages(op, limit=3)
    assert [each.id for each in everyone] == sorted((each.id for each in everyone), reverse=True)
    assert {person.account_id for person in people} <= {each.id for each in everyone}


async def test_accounts_are_found_by_parts_and_by_ids(op: Operator) -> None:
    """A part of an address in any case, the id of the account, the id of a person; a pattern is only a text."""
    person = await op.member("Findable")
    part = person.email[5:-4].upper()

    for search in (part, person.account_id, person.id, person.account_id.upper(), f" {person.email} "):
        page: shapes.Accounts = await op.do(table.ACCOUNTS, search=search)
        assert [each.id for each in page.items] == [person.account_id]
    for search in ("%", "f_ndable", str(uuid7())):
        assert (await op.do(table.ACCOUNTS, search=search)).items == ()


async def test_accounts_are_filtered_by_status(op: Operator) -> None:
    """And only they come."""
    mark = uuid7().hex
    one, two = await op.member(mark), await op.member(mark)
    await op.do(table.SET_STATUS, shapes.SetStatus(status="suspended"), account_id=one.account_id)

    for status, person in (("suspended", one), ("active", two)):
        page: shapes.Accounts = await op.do(table.ACCOUNTS, search=mark, status=status)
        assert [(each.id, each.status) for each in page.items] == [(person.account_id, status)]


async def test_accounts_of_a_group_are_listed_by_key(op: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over any number of pages of its members, also when another filter leaves few of them."""
    monkeypatch.setattr(handlers, "MEMBERS_MAX", 3)
    group = f"group {uuid7().hex}"
    await op.do(table.PUT_GROUP, shapes.Group(name=group))
    people = [await op.member(f"even{uuid7().hex}" if number % 2 else "odd") for number in range(8)]
    for person in people:
        await op.do(table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=group), account_id=person.account_id)
    newest = [person.account_id for person in reversed(people)]

    assert [each.id for each in await pages(op, limit=3, group_name=group)] == newest
    assert [each.id for each in await pages(op, limit=1, group_name=group, search="even")] == newest[::2]
    assert {each.group_name for each in await pages(op, limit=2, group_name=group)} == {group}
    assert await pages(op, limit=2, group_name="no such group") == []
    assert await pages(op, limit=2, group_name="a\0b") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"search": "a\0b"}, "search"),
        ({"search": "x" * 101}, "search"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(op: Operator, query: dict[str, Any], param: str) -> None:
    """With the name of what is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        await op.do(table.ACCOUNTS, **query)

    assert caught.value.param == param


async def test_an_account_is_shown_with_its_people_and_limits(op: Operator) -> None:
    """As they are now."""
    person = await op.member()
    limits = wallet.Limits(requests_per_minute=5, spend_day_usd="2.5")

    detail: shapes.AccountDetail = await op.do(table.SET_ACCOUNT_LIMITS, limits, account_id=person.account_id)

    assert detail == await op.do(table.ACCOUNT, account_id=person.account_id)
    assert [(each.id, each.email, each.role, each.is_confirmed) for each in detail.people] == [
        (person.id, person.email, "member", True)
    ]
    assert detail.own_limits == wallet.Limits(requests_per_minute=5, spend_day_usd="2.50")
    await op.do(table.SET_ACCOUNT_LIMITS, wallet.Limits(), account_id=person.account_id)
    action = await op.last_action()
    assert msgspec.json.decode(action.before) == {"requests_per_minute": 5, "spend_day_usd": "2.50"}


async def test_limits_are_above_zero(op: Operator) -> None:
    """Of whatever kind."""
    person = await op.member()
    for limits in (wallet.Limits(spend_total_usd="0"), wallet.Limits(tokens_per_minute=0)):
        with pytest.raises(InvalidRequest):
            await op.do(table.SET_ACCOUNT_LIMITS, limits, account_id=person.account_id)


async def test_a_credit_is_booked_once(op: Operator) -> None:
    """Under its key; another amount under that key is refused, and the log has the reason."""
    person = await op.member()
    ask = credit_of("10.000000001")

    for _ in range(2):
        purse: wallet.Wallet = await op.do(table.CREDIT, ask, account_id=person.account_id)
        assert (purse.available_usd, purse.held_usd, purse.running) == ("10.000000001", "0.00", 0)
    with pytest.raises(KeyReused):
        await op.do(table.CREDIT, msgspec.structs.replace(ask, amount_usd="1"), account_id=person.account_id)
    taken = await op.do(table.CREDIT, credit_of("-4"), account_id=person.account_id)

    assert taken.available_usd == "6.000000001"
    found = (await op.do(table.ACCOUNT, account_id=person.account_id)).account
    assert (found.available_usd, found.spent_usd) == ("6.000000001", "0.00")
    action = await op.last_action()
    assert action.object == f"account {person.email}, {person.account_id}"
    assert msgspec.json.decode(action.after)["reason"] == "an invoice"
    assert msgspec.json.decode(action.before)["available_usd"] == "10.000000001"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"amount_usd": "0"}, "amount_usd"),
        ({"amount_usd": "1e3"}, "amount_usd"),
        ({"amount_usd": "１"}, "amount_usd"),
        ({"amount_usd": "0.0000000001"}, "amount_usd"),
        ({"amount_usd": "-0.01"}, "amount_usd"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "a\0b"}, "idempotency_key"),
    ],
)
async def test_a_credit_that_cannot_be_is_refused(op: Operator, changes: dict[str, str], param: str) -> None:
    """And the log says that it was tried, and what came of it."""
    person = await op.member()

    with pytest.raises(RelayError) as caught:
        await op.do(
            table.CREDIT, msgspec.structs.replace(credit_of("1"), **changes), account_id=person.account_id
        )

    assert caught.value.param == param
    assert (await op.last_action()).result == caught.value.code
    assert "{" not in caught.value.message("zh")


async def test_roles_are_given_by_others(op: Operator) -> None:
    """Nobody changes their own."""
    person = await op.member()

    made: shapes.Person = await op.do(table.SET_ROLE, shapes.SetRole(role="admin"), user_id=person.id)
    with pytest.raises(Forbidden) as caught:
        await op.do(table.SET_ROLE, shapes.SetRole(role="member"), user_id=op.user.id.upper())
    ended: shapes.Person = await op.do(table.SET_ROLE, shapes.SetRole(role="member"), user_id=person.id)
    assert (await op.last_action()).object == f"person {person.email}"

    assert (made.role, made.email, ended.role) == ("admin", person.email, "member")
    assert caught.value.code == "own_role"


async def test_an_account_is_suspended_by_others(op: Operator) -> None:
    """Nobody suspends their own."""
    person = await op.member()
    ask = shapes.SetStatus(status="suspended")

    detail: shapes.AccountDetail = await op.do(table.SET_STATUS, ask, account_id=person.account_id)
    with pytest.raises(Forbidden) as caught:
        await op.do(table.SET_STATUS, ask, account_id=op.user.account_id)

    assert detail.account.status == "suspended"
    assert caught.value.code == "own_account"


async def test_a_person_is_made_and_can_sign_in_at_once(op: Operator) -> None:
    """The log has no password."""
    ask = shapes.MakePerson(
        email=f"New-{uuid7().hex}@Example.com", password="an uncommon password", role="admin"
    )

    made: shapes.Person = await op.do(table.MAKE_PERSON, ask)

    assert (made.email, made.role) == (ask.email.lower(), "admin")
    assert (made.is_confirmed, made.has_second_factor, made.seen) == (True, False, None)
    assert "uncommon" not in await op.log()
    with pytest.raises(InvalidRequest):
        await op.do(table.MAKE_PERSON, ask)


@pytest.mark.parametrize("account_id", [NOBODY, "x", "a\0b", ""])
@pytest.mark.parametrize(
    ("endpoint", "ask"),
    [
        (table.ACCOUNT, None),
        (table.SET_STATUS, shapes.SetStatus(status="active")),
        (table.CREDIT, credit_of("1")),
        (table.SET_ACCOUNT_LIMITS, wallet.Limits()),
        (table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=None)),
    ],
    ids=lambda value: value.name if isinstance(value, Endpoint) else "",
)
async def test_an_unknown_account_is_not_found(
    op: Operator, endpoint: Endpoint, ask: msgspec.Struct | None, account_id: str
) -> None:
    """By each route that names one."""
    with pytest.raises(NotFound):
        await op.do(endpoint, ask, account_id=account_id)


@pytest.mark.parametrize("user_id", [NOBODY, "x"])
async def test_an_unknown_person_is_not_found(op: Operator, user_id: str) -> None:
    """Whatever role they would get."""
    for role in ("admin", "member"):
        with pytest.raises(NotFound):
            await op.do(table.SET_ROLE, shapes.SetRole(role=role), user_id=user_id)


async def test_a_group_that_does_not_exist_takes_nobody(op: Operator) -> None:
    """Nor one that cannot."""
    person = await member(op.running, f"grouped-{uuid7().hex}@example.com")
    for name in ("no such group", "a\0b", ""):
        with pytest.raises(NotFound):
            await op.do(
                table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=name), account_id=person.account_id
            )
