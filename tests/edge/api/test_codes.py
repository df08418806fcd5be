"""Codes over the API, with the real ledger."""

import time

import msgspec
import pytest

from services.edge.api import table
from services.edge.api.shapes import operator as shapes
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from tests.edge.api.conftest import Operator


async def test_a_batch_is_made_shown_once_and_ended(op: Operator) -> None:
    """Its codes are in the one answer, and nowhere else: not in the list, and not in the log."""
    ask = shapes.MakeCodes(
        batch=f"spring {uuid7().hex}", count=3, amount_usd="5", expires=int(time.time()) + 3600
    )

    made: shapes.MadeCodes = await op.do(table.MAKE_CODES, ask)
    listed: shapes.CodeBatches = await op.do(table.CODE_BATCHES)
    ended: shapes.CodeBatch = await op.do(table.REVOKE_CODES, batch=ask.batch)

    assert (len(set(made.codes)), made.batch.amount_usd, made.batch.codes) == (3, "5.00", 3)
    assert made.batch in listed.items
    assert ask.expires is not None
    assert abs((made.batch.expires or 0) - ask.expires) <= 60
    assert msgspec.structs.replace(ended, revoked=None) == made.batch
    assert ended.revoked is not None
    rest = msgspec.json.encode(listed).decode() + await op.log()
    assert not [code for code in made.codes if code in rest]


@pytest.mark.parametrize(
    ("ask", "param"),
    [
        (shapes.MakeCodes(batch="", count=1, amount_usd="1"), "batch"),
        (shapes.MakeCodes(batch="a\0b", count=1, amount_usd="1"), "batch"),
        (shapes.MakeCodes(batch="x", count=1, amount_usd="0"), "amount_usd"),
        (shapes.MakeCodes(batch="x", count=1, amount_usd="-1"), "amount_usd"),
        (shapes.MakeCodes(batch="x", count=1, amount_usd="1", expires=1000), "expires"),
        (shapes.MakeCodes(batch="x", count=1, amount_usd="1", expires=250_000_000_000), "expires"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(op: Operator, ask: shapes.MakeCodes, param: str) -> None:
    """With the name of the field as the API has it."""
    with pytest.raises(InvalidRequest) as caught:
        await op.do(table.MAKE_CODES, ask)

    assert caught.value.param == param


async def test_a_batch_has_its_name_alone(op: Operator) -> None:
    """The second is refused, and the first stays as it is."""
    ask = shapes.MakeCodes(batch=f"once {uuid7().hex}", count=1, amount_usd="1")
    await op.do(table.MAKE_CODES, ask)

    with pytest.raises(InvalidRequest) as caught:
        await op.do(table.MAKE_CODES, ask)

    assert (caught.value.code, caught.value.param) == ("already_exists", "batch")


@pytest.mark.parametrize("batch", ["nobody's", "a\0b", "x" * 101])
async def test_an_unknown_batch_is_not_found(op: Operator, batch: str) -> None:
    """Whatever it is called."""
    with pytest.raises(NotFound):
        await op.do(table.REVOKE_CODES, batch=batch)
