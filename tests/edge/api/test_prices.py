"""Models and prices over the API, with the real ledger and the shipped catalogue."""

import time
from typing import Any

import msgspec
import pytest

from services.edge.api import table
from services.edge.api.shapes import channels as shapes
from services.edge.api.shapes.site import Figures
from shared.errors import InvalidRequest, NotFound
from shared.ids import uuid7
from tests.edge.api.conftest import Operator
from tests.edge.api.test_channels import made

BASE = Figures(above_input_tokens=0, input="1.5", output="6", cache_read="0.15", cache_write="1.5")
LONG = Figures(above_input_tokens=200_000, input="3", output="9", cache_read="0.3", cache_write="3")


def asked(model: str, **changes: Any) -> shapes.SetPrice:
    """Return a price for a model."""
    given = {"figures": (BASE,), "max_output_tokens": 4096, **changes}
    return shapes.SetPrice(model=model, **given)


def model_of(word: str) -> str:
    """Return a model that no other test has, with a slash in it."""
    return f"maker/{word}-{uuid7().hex}"


async def test_a_price_is_set_and_listed(op: Operator) -> None:
    """With its tiers, its limits and where it comes from; every version is kept, the newest first."""
    model = model_of("priced")
    ask = asked(model, figures=(BASE, LONG), context_tokens=1_000_000, capabilities=("tools", "vision"))

    first: shapes.Price = await op.do(table.SET_PRICE, ask)
    second: shapes.Price = await op.do(table.SET_PRICE, asked(model, source="by hand"))

    assert [figures.above_input_tokens for figures in first.figures] == [0, 200_000]
    assert first.figures[1] == Figures(
        above_input_tokens=200_000, input="3.00", output="9.00", cache_read="0.30", cache_write="3.00"
    )
    assert (first.context_tokens, first.capabilities, first.source) == (
        1_000_000,
        ("tools", "vision"),
        "operator",
    )
    versions: shapes.PriceVersions = await op.do(table.PRICE_VERSIONS, model=model)
    assert versions.items == (second, first)
    action = await op.last_action()
    assert (action.action, action.object) == ("set_price", f"price of {model}")
    assert msgspec.json.decode(action.before, type=shapes.Price) == first


async def test_models_with_a_price_or_a_channel_are_listed(op: Operator) -> None:
    """A price that is to come stands beside the one in force; without a price there is none, and nothing is free."""
    priced, offered = model_of("priced"), model_of("offered")
    now = await op.do(table.SET_PRICE, asked(priced))
    effective = int(time.time()) + 86_400
    later = await op.do(table.SET_PRICE, asked(priced, effective=effective))
    channel = await made(op, "offering", models={priced: "x", offered: "y"})

    listed: shapes.PricedModels = await op.do(table.PRICES)

    known = {each.model: each for each in listed.items}
    assert list(known) == sorted(known)
    assert known[priced] == shapes.PricedModel(
        model=priced, price=now, scheduled=(later,), channels=(channel.name,)
    )
    assert known[offered] == shapes.PricedModel(
        model=offered, price=None, scheduled=(), channels=(channel.name,)
    )
    assert later.effective == effective


async def test_a_preview_shows_what_would_change(op: Operator) -> None:
    """Each figure and fact, and which of them want a second look; nothing is stored."""
    model = model_of("previewed")
    await op.do(table.SET_PRICE, asked(model, capabilities=("tools",)))
    changed = msgspec.structs.replace(BASE, input="1.65", output="60")
    ask = asked(model, figures=(changed,), max_output_tokens=8192, capabilities=("tools", "vision"))

    preview: shapes.PricePreview = await op.do(table.PREVIEW_PRICE, ask)

    assert preview.differences == (
        shapes.PriceDifference(what="input", before="1.50", after="1.65", is_large=False),
        shapes.PriceDifference(what="output", before="6.00", after="60.00", is_large=True),
        shapes.PriceDifference(what="max_output_tokens", before="4096", after="8192", is_large=False),
        shapes.PriceDifference(what="capabilities", before="tools", after="tools, vision", is_large=False),
    )
    assert len((await op.do(table.PRICE_VERSIONS, model=model)).items) == 1
    assert (await op.do(table.PREVIEW_PRICE, asked(model, capabilities=("tools",)))).differences == ()
    assert (await op.do(table.PREVIEW_PRICE, asked(model_of("new")))).differences == ()


async def test_a_preview_compares_with_the_version_that_it_follows(op: Operator) -> None:
    """That of its own date, and not the one in force today."""
    model = model_of("scheduled")
    await op.do(table.SET_PRICE, asked(model))
    dearer = msgspec.structs.replace(BASE, input="1.8")
    tomorrow = int(time.time()) + 86_400
    await op.do(table.SET_PRICE, asked(model, figures=(dearer,), effective=tomorrow))

    ask = asked(model, figures=(dearer,))
    today: shapes.PricePreview = await op.do(table.PREVIEW_PRICE, ask)
    after: shapes.PricePreview = await op.do(
        table.PREVIEW_PRICE, msgspec.structs.replace(ask, effective=tomorrow + 1)
    )

    assert [each.what for each in today.differences] == ["input"]
    assert after.differences == ()


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"figures": ()}, "figures"),
        ({"figures": (LONG,)}, "figures"),
        ({"figures": (BASE, msgspec.structs.replace(LONG, input="1"))}, "figures"),
        ({"figures": (msgspec.structs.replace(BASE, input="-1"),)}, "figures"),
        ({"figures": (msgspec.structs.replace(BASE, input="1_0"),)}, "figures"),
        ({"figures": (msgspec.structs.replace(BASE, input="1e400"),)}, "figures"),
        ({"figures": (msgspec.structs.replace(BASE, input="999999999"),)}, "figures"),
        ({"effective": 1000}, "effective"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"capabilities": ("a\0b",)}, "capabilities"),
        ({"capabilities": ("x",) * 51}, "capabilities"),
        ({"source": "a\0b"}, "source"),
        ({"model": ""}, "model"),
        ({"model": "a\0b"}, "model"),
    ],
)
async def test_a_price_that_cannot_be_is_refused(op: Operator, changes: dict[str, Any], param: str) -> None:
    """With the name of the field as the API has it."""
    ask = msgspec.structs.replace(asked(model_of("bad")), **changes)

    with pytest.raises(InvalidRequest) as caught:
        await op.do(table.SET_PRICE, ask)

    assert caught.value.param == param


@pytest.mark.parametrize("model", ["nobody", "a\0b", "x" * 300, ""])
async def test_versions_of_an_unknown_model_are_not_found(op: Operator, model: str) -> None:
    """Whatever it is."""
    with pytest.raises(NotFound):
        await op.do(table.PRICE_VERSIONS, model=model)


async def test_the_catalogue_is_searched(op: Operator) -> None:
    """The best name first; what is found can be taken as a price as it is."""
    found: shapes.Catalogue = await op.do(table.CATALOGUE, search=" GPT-4o ")

    assert found.items[0].model == "gpt-4o"
    assert found.items[1].model.startswith("gpt-4o")
    entry = found.items[0]
    ask = asked(
        model_of("taken"), figures=entry.figures, context_tokens=entry.context_tokens, source=entry.source
    )
    assert (await op.do(table.SET_PRICE, ask)).figures == entry.figures
    assert len((await op.do(table.CATALOGUE)).items) == 50
    assert (await op.do(table.CATALOGUE, search="no such model")).items == ()
