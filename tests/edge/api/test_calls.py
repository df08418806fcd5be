"""Calls over the API: one's own, with their receipts and as a table; everybody's for operators; and nobody sees another's."""

import csv
import io
from typing import Any

import pytest

from services.edge.api import calls, table
from services.edge.api.context import Rows
from services.edge.api.shapes import channels, wallet
from services.edge.receipts import ReceiptView
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from tests.edge.api.conftest import Operator
from tests.edge.api.spending import NAME, Spender, spender

MODEL = "+listed"  # which a spreadsheet would take for a formula


@pytest.fixture
async def ann(op: Operator) -> Spender:
    """A person with money and a key."""
    return await spender(op.bus, op.running, MODEL)


@pytest.fixture
async def bob(op: Operator) -> Spender:
    """Another one."""
    return await spender(op.bus, op.running, MODEL)


async def rows_of(person: Operator, **given: object) -> list[list[str]]:
    """Return the table of a person's calls, with its header."""
    query = wallet.CallsQuery(**given)  # type: ignore[arg-type]
    answer = await calls.save_calls(person.context(), None, query)  # type: ignore[arg-type]
    assert isinstance(answer, Rows)
    text = b"".join([part async for part in answer.parts]).decode("utf-8-sig")
    assert all(line.endswith("\r\n") for line in text.splitlines(keepends=True))
    return list(csv.reader(io.StringIO(text)))


async def test_a_person_sees_their_calls(ann: Spender, bob: Spender) -> None:
    """Newest first, with the key's name, what each cost and why it failed; those of others are in no page and under no id."""
    good = await ann.call(MODEL, first_output_ms=120, took_ms=900)
    failed = await ann.call(MODEL, "refused", error="context_length_exceeded")
    theirs = await bob.call(MODEL)
    running = await ann.call(MODEL, "running")

    page: wallet.Calls = await ann.do(table.CALLS)
    first: wallet.Calls = await ann.do(table.CALLS, limit=1)
    rest: wallet.Calls = await ann.do(table.CALLS, limit=1, cursor=first.next_cursor)
    from_theirs: wallet.Calls = await ann.do(table.CALLS, cursor=theirs)

    assert [each.id for each in page.items] == [running, failed, good]
    assert [(each.state, each.error, each.charged_usd) for each in page.items] == [
        ("running", None, "0.00"), ("failed", "context_length_exceeded", "0.00"), ("complete", None, "0.00014"),
    ]  # fmt: skip
    assert {each.key_name for each in page.items} == {NAME}
    assert (page.items[2].first_output_ms, page.items[2].took_ms, page.items[2].is_stream) == (120, 900, True)
    assert page.next_cursor is None
    assert [each.id for each in (*first.items, *rest.items)] == [running, failed]
    assert from_theirs.items == page.items[1:]
    assert (await ann.do(table.CALLS, request_id=theirs)).items == ()
    assert (await ann.do(table.CALLS, key_id=bob.key.id)).items == ()
    receipt: ReceiptView = await ann.do(table.RECEIPT, request_id=good)
    assert (receipt.charged_usd, receipt.first_output_ms) == ("0.00014", 120)
    for strange in (theirs, str(uuid7()), "nothing"):
        with pytest.raises(NotFound):
            await ann.do(table.RECEIPT, request_id=strange)


async def test_filters_are_checked(ann: Spender) -> None:
    """What is none of its kind is refused with the name of its parameter."""
    good = await ann.call(MODEL)
    finding: tuple[dict[str, Any], ...] = (
        {"model": MODEL},
        {"state": "complete"},
        {"key_id": ann.key.id},
        {"first_day": "2026-01-01"},
        {"request_id": good},
    )
    for given in finding:
        assert [each.id for each in (await ann.do(table.CALLS, **given)).items] == [good]
    missing: tuple[dict[str, Any], ...] = (
        {"model": "other"},
        {"state": "failed"},
        {"key_id": "other"},
        {"end_day": "2026-01-01"},
    )
    for given in missing:
        assert (await ann.do(table.CALLS, **given)).items == ()
    wrong: tuple[tuple[str, Any], ...] = (
        ("first_day", "today"), ("first_day", "20260101"), ("end_day", "2026-13-01"), ("end_day", "1900-01-01"), ("cursor", "x"),
        ("limit", 0), ("limit", 201), ("model", "a\0b"),
    )  # fmt: skip
    for param, value in wrong:
        with pytest.raises(InvalidRequest) as caught:
            await ann.do(table.CALLS, **{param: value})
        assert caught.value.param == param
    with pytest.raises(InvalidRequest):
        await ann.do(table.CALLS, first_day="2026-02-01", end_day="2026-01-01")


async def test_calls_are_saved_as_a_table(
    ann: Spender, bob: Spender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page of them and no more rows than there may be; no cell is a formula."""
    monkeypatch.setattr("services.edge.api.pages.TABLE_PAGE_ROWS", 2)
    ids = [await ann.call(MODEL) for _ in range(5)]
    await bob.call(MODEL)

    header, *rows = await rows_of(ann)

    assert header[0] == "Time (UTC)"
    assert [row[1] for row in rows] == ids[::-1]
    assert {(row[2], row[3], row[4], row[11]) for row in rows} == {
        ("'" + NAME, "'" + MODEL, "complete", "0.00014")
    }
    assert len(await rows_of(ann, model="other")) == 1
    monkeypatch.setattr("services.edge.api.pages.TABLE_ROWS_MAX", 3)
    assert len(await rows_of(ann)) == 1 + 3


async def test_an_operator_sees_everybodys_calls(op: Operator, ann: Spender, bob: Spender) -> None:
    """With account, channel and cost; by any of them. One of them whole, with the way it went."""
    good, broken = await ann.call(MODEL), await bob.call(MODEL, "upstream_failed", error="upstream_error")

    page: channels.AnyCalls = await op.do(table.ANY_CALLS, limit=2)
    failed: channels.AnyCalls = await op.do(
        table.ANY_CALLS, error="upstream_error", channel="secret-channel", model=MODEL
    )
    hers: channels.AnyCalls = await op.do(table.ANY_CALLS, account_id=ann.user.account_id)
    detail: channels.RequestDetail = await op.do(table.REQUEST, request_id=good)

    assert [(each.id, each.account_name) for each in page.items] == [
        (broken, bob.user.email),
        (good, ann.user.email),
    ]
    assert (page.items[0].channel, page.items[0].written_off_usd, page.items[0].cost_usd) == (
        "secret-channel", "0.00014", "0.00014",
    )  # fmt: skip
    assert failed.items[0].id == broken
    assert [each.id for each in hers.items] == [good]
    assert (detail.account_id, detail.account_name, detail.key_id) == (
        ann.user.account_id,
        ann.user.email,
        ann.key.id,
    )
    with pytest.raises(NotFound):
        await op.do(table.ANY_CALLS, account_id="x")
    with pytest.raises(NotFound):
        await op.do(table.REQUEST, request_id=str(uuid7()))
