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


def test_a_price_can_have_tiers_and_a_date(running: Relay) -> None:
    """Tiers go upwards in whatever order they are named; a later price is scheduled, and the present one stays."""
    now = _price(running, "p5", "--input", "1", "--output", "2", "--context-tokens", "200000")
    later = _price(
        running, "p5", "--input", "1", "--output", "2", "--effective", "2090-01-01",
        "--tier", "200000:4:8:3:5", "--tier", "100000:2:4",
    )  # fmt: skip

    tiers = [(each.above_input_tokens, each.input_pico_usd, each.cache_read_pico_usd) for each in later.tiers]
    assert tiers == [(100_000, 2_000_000, 2_000_000), (200_000, 4_000_000, 3_000_000)]
    assert later.effective_unix == 3_786_912_000
    assert later.context_tokens == now.context_tokens == 200_000
    assert (now.source, now.tiers) == ("operator", ())
    scheduled = running.text("price", "list", "--scheduled").splitlines()
    place = next(number for number, row in enumerate(scheduled) if row.startswith("p5 "))
    assert "2090-01-01 00:00:00Z" in scheduled[place]
    assert scheduled[place + 1].split() == ["above", "100000", "2.00", "4.00", "2.00", "2.00"]
    assert scheduled[place + 2].split() == ["above", "200000", "4.00", "8.00", "3.00", "5.00"]
    assert [
        row.split()[1] for row in running.text("price", "list").splitlines() if row.startswith("p5 ")
    ] == ["1.00"]


def test_a_price_cannot_begin_in_the_past_nor_be_cheaper_for_more(running: Relay) -> None:
    """What was charged stays charged, and more tokens never cost less."""
    given = ("price", "set", "p6", "--input", "1", "--output", "2")

    assert "in the past" in running.refusal(*given, "--effective", "2026-01-01")
    assert "nowhere cheaper" in running.refusal(*given, "--tier", "1000:0.5:2")
