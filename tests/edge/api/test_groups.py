"""Groups over the API, with the real ledger."""

import msgspec
import pytest

from services.edge.api import table
from services.edge.api.shapes import operator as shapes
from services.edge.api.shapes import wallet
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from tests.edge.api.conftest import Operator


async def test_a_group_is_made_replaced_and_removed(op: Operator) -> None:
    """With everything that it says; the log has what was before."""
    group = shapes.Group(
        name=f"gold/客户 {uuid7().hex}",
        limits=wallet.Limits(concurrent_requests=4, spend_month_usd="100.00"),
        allowed_models=("a", "b"),
        price_multiplier="1.25",
    )

    assert await op.do(table.PUT_GROUP, group) == group
    assert msgspec.json.decode((await op.last_action()).before) is None
    plain = await op.do(table.PUT_GROUP, shapes.Group(name=group.name, price_multiplier="0"))
    assert msgspec.json.decode((await op.last_action()).before, type=shapes.Group) == group
    assert plain in (await op.do(table.GROUPS)).items
    await op.do(table.DELETE_GROUP, name=group.name)

    assert group.name not in {each.name for each in (await op.do(table.GROUPS)).items}
    with pytest.raises(NotFound):
        await op.do(table.DELETE_GROUP, name=group.name)


async def test_a_group_with_accounts_stays(op: Operator) -> None:
    """Until they are taken out of it."""
    group, person = shapes.Group(name=f"used {uuid7().hex}"), await op.member()
    await op.do(table.PUT_GROUP, group)
    await op.do(table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=group.name), account_id=person.account_id)

    with pytest.raises(InvalidRequest):
        await op.do(table.DELETE_GROUP, name=group.name)
    detail = await op.do(
        table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=None), account_id=person.account_id
    )

    assert detail.account.group_name is None
    assert msgspec.json.decode((await op.last_action()).before) == {"group_name": group.name}
    await op.do(table.DELETE_GROUP, name=group.name)


@pytest.mark.parametrize(
    ("group", "param"),
    [
        (shapes.Group(name=""), "name"),
        (shapes.Group(name="a\0b"), "name"),
        (shapes.Group(name="x", price_multiplier="10.1"), "price_multiplier"),
        (shapes.Group(name="x", price_multiplier="-1"), "price_multiplier"),
        (shapes.Group(name="x", price_multiplier="much"), "price_multiplier"),
        (shapes.Group(name="x", price_multiplier="1.00000001"), "price_multiplier"),
        (shapes.Group(name="x", allowed_models=("a\0b",)), "allowed_models"),
        (shapes.Group(name="x", limits=wallet.Limits(spend_day_usd="-1")), "spend_day_usd"),
    ],
)
async def test_a_group_that_cannot_be_is_refused(op: Operator, group: shapes.Group, param: str) -> None:
    """With the name of the field as the API has it."""
    with pytest.raises(InvalidRequest) as caught:
        await op.do(table.PUT_GROUP, group)

    assert caught.value.param == param
