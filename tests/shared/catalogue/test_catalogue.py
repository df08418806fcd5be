"""The file of prices: what is shipped, and what an operator may write."""

import datetime
import json
import re
from importlib import resources

import pytest

from services.devstack.demo import UPSTREAM_MODELS
from shared.catalogue.catalogue import Catalogue, parse, price_of, shipped
from shared.contracts import billing
from shared.errors import InvalidRequest
from shared.money import pico_from_usd_per_million

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)


def _file(**members: object) -> bytes:
    model = {"input": "1", "output": "2", **members}
    return json.dumps({"format": 1, "models": {"m": model}}).encode()


def _price(data: bytes, moment: datetime.datetime = NOW) -> billing.SetPrice:
    return price_of(parse(data), "m", moment, max_output_tokens=100)


@pytest.fixture(scope="module")
def ours() -> Catalogue:
    """The shipped catalogue."""
    return shipped()


def test_the_shipped_catalogue_has_the_models_of_the_well_known_makers(ours: Catalogue) -> None:
    """Some of each, under the names of their own APIs, and those of the demo."""
    providers = {model.provider for model in ours.models.values()}

    assert providers >= {
        "openai", "anthropic", "google", "deepseek", "mistral", "xai", "alibaba", "moonshot", "zhipu", "minimax",
    }  # fmt: skip
    assert {
        *UPSTREAM_MODELS,
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "glm-4.6",
        "qwen3-max",
    } <= ours.models.keys()
    assert len(ours.models) > 200


def test_a_well_known_price_is_right(ours: Catalogue) -> None:
    """Gemini 2.5 Pro: by the length of the prompt (https://ai.google.dev/gemini-api/docs/pricing)."""
    price = price_of(ours, "gemini-2.5-pro", NOW, max_output_tokens=1)

    assert (price.input_pico_usd, price.output_pico_usd) == (1_250_000, 10_000_000)
    assert (price.cache_read_pico_usd, price.cache_write_pico_usd) == (125_000, 1_250_000)
    assert price.tiers == (
        billing.PriceTier(
            above_input_tokens=200_000, input_pico_usd=2_500_000, output_pico_usd=15_000_000,
            cache_read_pico_usd=250_000, cache_write_pico_usd=2_500_000,
        ),
    )  # fmt: skip
    assert (price.context_tokens, price.max_output_tokens) == (1_048_576, 65_536)
    assert {"vision", "tools", "reasoning", "json_schema"} <= set(price.capabilities)


def test_every_shipped_price_is_above_zero_and_has_a_source(ours: Catalogue) -> None:
    """No model is free, and each says where its figures are from, under which licence, as of when."""
    for name in ours.models:
        price = price_of(ours, name, NOW, max_output_tokens=1)
        steps: list[billing.SetPrice | billing.PriceTier] = [price, *price.tiers]
        for figures in steps:
            assert min(figures.input_pico_usd, figures.output_pico_usd) > 0, name
            assert min(figures.cache_read_pico_usd, figures.cache_write_pico_usd) > 0, name
        assert re.fullmatch(r"(genai-prices|litellm) [\d.]+ \(MIT, \d{4}-\d{2}-\d{2}\)", price.source), name


def test_the_shipped_file_can_be_read_by_people() -> None:
    """One model on each line, by name, and not too long."""
    text = resources.files("shared.catalogue").joinpath("catalogue.json").read_text()

    lines = [line for line in text.splitlines() if line.startswith('"')]
    names = [json.loads("{" + line.rstrip(",") + "}").popitem()[0] for line in lines]
    assert names == sorted(parse(text.encode()).models)
    assert len(text) < 400_000


def test_cached_tokens_cost_what_the_input_costs_unless_it_is_said() -> None:
    """In the tiers as well."""
    price = _price(_file(cache_read="0.5", tiers=[{"above_input_tokens": 10, "input": "3", "output": "4"}]))

    million = pico_from_usd_per_million("1")
    assert (price.cache_read_pico_usd, price.cache_write_pico_usd) == (million // 2, million)
    assert (price.tiers[0].cache_read_pico_usd, price.tiers[0].cache_write_pico_usd) == (
        3 * million,
        3 * million,
    )


def test_a_price_that_is_known_for_later_holds_from_that_day() -> None:
    """From 00:00 UTC; the last one that has begun counts."""
    data = _file(
        later=[
            {"since": "2027-06-01", "input": "3", "output": "2"},
            {"since": "2027-01-01", "input": "2", "output": "2"},
        ]
    )
    moments = ["2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2027-01-01T07:00:00+08:00", "2028-01-01"]

    when = [datetime.datetime.fromisoformat(text).replace(tzinfo=None) for text in moments]
    zones = [datetime.UTC, datetime.UTC, datetime.timezone(datetime.timedelta(hours=8)), datetime.UTC]
    found = [
        _price(data, moment.replace(tzinfo=zone)).input_pico_usd
        for moment, zone in zip(when, zones, strict=True)
    ]

    assert [each // 10**6 for each in found] == [1, 2, 1, 3]


def test_a_limit_that_the_file_does_not_know_is_the_callers() -> None:
    """The model's own wins."""
    assert _price(_file()).max_output_tokens == 100
    assert _price(_file(max_output_tokens=7)).max_output_tokens == 7


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no catalogue"),
        (b"\xff", "no catalogue"),
        (b'{"format":1}', "models"),
        (b'{"format":2,"models":{}}', "format 2"),
        (b'{"format":1,"models":{"":{"input":"1","output":"1"}}}', "no catalogue"),
        (_file(inptu="1"), "inptu"),
        (_file(input=1), "input"),
        (_file(input=None), "input"),
        (_file(input="-1"), "m: a price cannot be negative"),
        (_file(output="free"), "m: 'free' is not a decimal number"),
        (_file(cache_read="0.0000001"), "m: '0.0000001' is finer than can be booked"),
        (_file(max_output_tokens=0), "max_output_tokens"),
        (_file(later=[{"since": "tomorrow", "input": "1", "output": "1"}]), "since"),
        (_file(later=[{"since": "2027-01-01", "input": "x", "output": "1"}]), "m: 'x'"),
        (
            _file(tiers=[{"above_input_tokens": each, "input": "1", "output": "2"} for each in (2, 1)]),
            "upwards",
        ),
        (
            _file(tiers=[{"above_input_tokens": each, "input": "1", "output": "2"} for each in (2, 2)]),
            "upwards",
        ),
        (
            _file(tiers=[{"above_input_tokens": each, "input": "1", "output": "2"} for each in range(1, 10)]),
            "more than 8",
        ),
        (_file(tiers=[{"above_input_tokens": 2, "input": "1", "output": "1.9"}]), "cheaper"),
        (_file(cache_write="5", tiers=[{"above_input_tokens": 2, "input": "2", "output": "2"}]), "cheaper"),
    ],
)
def test_a_file_that_is_no_catalogue_says_what_is_wrong(data: bytes, problem: str) -> None:
    """A price is decimal text; a number, which may be a rounded one, is refused; so is a member that nobody knows."""
    with pytest.raises(InvalidRequest) as caught:
        parse(data)

    assert problem in str(caught.value)
