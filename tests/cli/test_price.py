"""`relay price` and `relay model`, against running services."""

import msgspec
import pytest

from services.cli.price import PricedModels
from shared.contracts import billing
from tests.cli.conftest import Relay


def _price(running: Relay, model: str, *arguments: str) -> billing.Price:
    text = running.text("price", "set", model, *arguments, "--json")
    return msgspec.json.decode(text, type=billing.Price)


def test_a_price_is_per_million_tokens(running: Relay) -> None:
    """Cached tokens cost what the input costs, unless it is said."""
    plain = _price(running, "p1", "--input", "2.5", "--output", "10")
    cached = _price(
        running, "p2", "--input", "0.15", "--output", "0", "--cache-read", "0.075", "--cache-write", "0.2"
    )

    assert (plain.input_pico_usd, plain.output_pico_usd) == (2_500_000, 10_000_000)
    assert (plain.cache_read_pico_usd, plain.cache_write_pico_usd) == (2_500_000, 2_500_000)
    assert (cached.cache_read_pico_usd, cached.cache_write_pico_usd, cached.output_pico_usd) == (
        75_000,
        200_000,
        0,
    )


def test_a_new_price_keeps_the_output_limit(running: Relay) -> None:
    """It belongs to the model, and changes only when it is said."""
    first = _price(running, "p3", "--input", "1", "--output", "1")
    second = _price(running, "p3", "--input", "1", "--output", "2", "--max-output-tokens", "4096")
    third = _price(running, "p3", "--input", "1", "--output", "3")

    assert [each.max_output_tokens for each in (first, second, third)] == [16_384, 4096, 4096]
    versions = msgspec.json.decode(
        running.text("price", "list", "--model", "p3", "--json"), type=billing.Prices
    ).items
    assert [each.id for each in versions] == [third.id, second.id, first.id]
    in_force = [line.split() for line in running.text("price", "list").splitlines()]
    assert [row[2] for row in in_force if row[0] == "p3"] == ["3.00"]


def test_the_models_are_those_with_a_channel_and_a_price(running: Relay) -> None:
    """As /v1/models shows them."""
    _price(running, "sold", "--input", "1.25", "--output", "5")
    _price(running, "priced-alone", "--input", "1", "--output", "1")
    running.text(
        "channel", "create", "models", "--base-url", "https://upstream.example/v1", "--model", "sold",
        "--model", "offered-alone", "--credential-stdin", given="sk-x",
    )  # fmt: skip

    models = msgspec.json.decode(running.text("model", "list", "--json"), type=PricedModels).items

    sold = next(each for each in models if each.id == "sold")
    assert sold.price.input_pico_usd == 1_250_000
    assert not {"priced-alone", "offered-alone"} & {each.id for each in models}
    row = next(line for line in running.text("model", "list").splitlines() if line.startswith("sold "))
    assert row.split() == ["sold", "1.25", "5.00", "1.25", "1.25", "16384"]


@pytest.mark.parametrize("text", ["-1", "1e3", "free", "0.0000001", "100001"])
def test_a_price_that_is_none_is_a_wrong_call(running: Relay, text: str) -> None:
    """Exit status 2, and the number is named."""
    assert "Invalid value for '--input'" in running.refusal(
        "price", "set", "p4", "--input", text, "--output", "1", status=2
    )
