"""Making the catalogue from two sources: what each says, and which one is believed."""

import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from shared.catalogue.build import join, written
from shared.catalogue.catalogue import Catalogue, Later, Model, Source, Tier, parse

DAY = datetime.date(2026, 11, 20)


def _listed(**members: Any) -> dict[str, Any]:
    """Return an entry as LiteLLM has it: USD for one token."""
    return {
        "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": Decimal("1.5e-07"),
        "output_cost_per_token": Decimal("6e-07"), **members,
    }  # fmt: skip


class _Genai:
    """A model as genai-prices has it: USD for a million tokens, from days on, maybe by the hour."""

    def __init__(
        self, name: str, *periods: tuple[datetime.date | None, SimpleNamespace], hours: Any = None
    ) -> None:
        self.name = name
        self.prices = [
            SimpleNamespace(
                constraint=None if since is None else SimpleNamespace(start_date=since), prices=prices
            )
            for since, prices in periods
        ]
        self._hours = hours or {}

    def is_match(self, name: str) -> bool:
        return name == self.name

    def get_prices(self, moment: datetime.datetime) -> SimpleNamespace:
        if moment.hour in self._hours:
            return SimpleNamespace(**vars(self._hours[moment.hour]))
        held: list[SimpleNamespace] = [
            each.prices
            for each in self.prices
            if each.constraint is None or each.constraint.start_date <= moment.date()
        ]
        return held[-1]


def _mtok(given: Any, produced: Any, **others: Any) -> SimpleNamespace:
    names = {"input_mtok": given, "output_mtok": produced, **others}
    return SimpleNamespace(
        **{name: Decimal(cost) if isinstance(cost, str) else cost for name, cost in names.items()}
    )


def _tiered(base: str, **tiers: str) -> SimpleNamespace:
    steps = [SimpleNamespace(start=int(start[1:]), price=Decimal(price)) for start, price in tiers.items()]
    return SimpleNamespace(base=Decimal(base), tiers=steps)


def _joined(listed: dict[str, Any], *known: _Genai, provider: str = "openai") -> dict[str, Model]:
    return join(listed, {provider: SimpleNamespace(models=list(known))}, DAY)


def test_prices_of_litellm_are_for_a_million_tokens() -> None:
    """Exactly, with limits and capabilities."""
    listed = _listed(
        cache_read_input_token_cost=Decimal("7.5e-08"), cache_creation_input_token_cost=Decimal("0.0"),
        max_input_tokens=Decimal(128_000), max_output_tokens=Decimal(16_384),
        supports_vision=True, supports_reasoning=False, supports_function_calling=True,
    )  # fmt: skip

    assert _joined({"gpt-x": listed}) == {
        "gpt-x": Model(
            input="0.15", output="0.6", cache_read="0.075", provider="openai", context_tokens=128_000,
            max_output_tokens=16_384, capabilities=("tools", "vision"), source="litellm",
        )
    }  # fmt: skip


def test_tiers_of_litellm_are_read_in_both_their_forms() -> None:
    """Costs above a number of thousands, where what is not said stays; and ranges."""
    above = _listed(
        cache_read_input_token_cost=Decimal("1e-08"),
        input_cost_per_token_above_200k_tokens=Decimal("3e-07"),
        output_cost_per_token_above_200k_tokens=Decimal("9e-07"),
        input_cost_per_token_above_200k_tokens_priority=Decimal("9"),
    )
    steps = [(0, 32_000, "1e-06", "2e-06"), (32_000, 64_000, "3e-06", "4e-06")]
    tiered = [
        {
            "range": [Decimal(start), Decimal(end)],
            "input_cost_per_token": Decimal(given),
            "output_cost_per_token": Decimal(produced),
        }
        for start, end, given, produced in steps
    ]
    ranges = {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": tiered}

    models = _joined({"gpt-x": above, "dashscope/qwen-x": ranges})

    assert models["gpt-x"].tiers == (
        Tier(above_input_tokens=200_000, input="0.3", output="0.9", cache_read="0.01"),
    )
    assert (models["qwen-x"].input, models["qwen-x"].output) == ("1", "2")
    assert models["qwen-x"].tiers == (Tier(above_input_tokens=32_000, input="3", output="4"),)


def test_genai_prices_is_believed_where_both_know_a_model() -> None:
    """And what the other one says is noted."""
    (same, other) = _joined(
        {"gpt-same": _listed(), "gpt-x": _listed()},
        _Genai("gpt-same", (None, _mtok("0.15", "0.6"))),
        _Genai(
            "gpt-x",
            (None, _mtok(_tiered("0.2", _1000="0.4"), "0.6", cache_read_mtok=_tiered("0.1", _1000="0.2"))),
        ),
    ).values()

    assert (same.source, same.differs) == ("genai-prices", "")
    assert (other.input, other.output, other.cache_read, other.source) == (
        "0.2",
        "0.6",
        "0.1",
        "genai-prices",
    )
    assert other.tiers == (Tier(above_input_tokens=1000, input="0.4", output="0.6", cache_read="0.2"),)
    assert other.differs == "litellm: input 0.15, other tiers"


def test_a_price_that_will_change_is_known_in_advance() -> None:
    """What held before that day is forgotten, and what will hold is kept with its day."""
    model = _Genai(
        "gpt-x",
        (None, _mtok("9", "9")),
        (datetime.date(2026, 1, 1), _mtok("1", "2")),
        (datetime.date(2027, 1, 1), _mtok("3", "4")),
    )

    found = _joined({"gpt-x": _listed()}, model)["gpt-x"]

    assert (found.input, found.output) == ("1", "2")
    assert found.later == (Later(since="2027-01-01", input="3", output="4"),)


def test_of_prices_by_the_hour_the_dearest_is_taken() -> None:
    """Relay has one price at all hours."""
    model = _Genai("gpt-x", (None, _mtok("1", "2")), hours={3: _mtok("2", "4"), 7: _mtok("0.5", "1")})

    assert _joined({"gpt-x": _listed()}, model)["gpt-x"].input == "2"


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("gpt-x", {"mode": "embedding"}),
        ("gpt-x", {"deprecation_date": "2026-11-20"}),
        ("gpt-x", {"input_cost_per_token": Decimal(0)}),
        ("gpt-x", {"output_cost_per_token": Decimal(0)}),
        ("gpt-x", {"input_cost_per_token": None}),
        ("ft:gpt-x", {}),
        ("gpt-audio", {}),
        ("gpt-x-search-preview", {}),
        ("groq/llama", {"litellm_provider": "groq"}),
        ("gpt-x", {"litellm_provider": "somebody"}),
    ],
)
def test_what_cannot_be_sold_by_text_tokens_is_left_out(name: str, members: dict[str, Any]) -> None:
    """Other kinds of models, retired ones, free ones, those with other fees, and those of unknown hosts."""
    assert _joined({name: _listed(**members)}) == {}


def test_a_maker_owns_the_bare_name_and_a_host_has_its_own_before_it() -> None:
    """The same model costs something else elsewhere."""
    hosted = {"supports_function_calling": True}
    models = _joined(
        {
            "deepseek-v9": _listed(litellm_provider="deepseek"),
            "dashscope/deepseek-v9": _listed(litellm_provider="dashscope"),
            "groq/openai/gpt-oss": _listed(litellm_provider="groq", **hosted),
        }
    )

    assert {name: model.provider for name, model in models.items()} == {
        "deepseek-v9": "deepseek", "alibaba/deepseek-v9": "alibaba", "groq/openai/gpt-oss": "groq",
    }  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    """One model on each line, by name."""
    catalogue = Catalogue(
        format=1,
        note="n",
        sources={"litellm": Source(version="1", licence="MIT", date="2026-11-20")},
        models={name: Model(input="1", output="2", source="litellm") for name in ("b", "a")},
    )

    text = written(catalogue)

    assert parse(text) == catalogue
    assert [line[:3] for line in text.splitlines()[1:3]] == [b'"a"', b'"b"']
