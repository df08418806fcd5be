"""What an import would change, and what of it is stopped."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.difference import Difference, Figure, difference
from shared.contracts import billing

FIGURES = ("input_pico_usd", "output_pico_usd", "cache_read_pico_usd", "cache_write_pico_usd")
USD = 10**6  # pico-USD for a token that are a USD for a million


def _tier(above: int, **changes: int) -> billing.PriceTier:
    return billing.PriceTier(above_input_tokens=above, **{**dict.fromkeys(FIGURES, 2 * USD), **changes})


def _after(**changes: Any) -> billing.SetPrice:
    return billing.SetPrice(model="m", **{**dict.fromkeys(FIGURES, USD), "max_output_tokens": 100, **changes})


def _before(**changes: Any) -> billing.Price:
    facts = {**dict.fromkeys(FIGURES, USD), "max_output_tokens": 100, "effective_unix": 0.0, **changes}
    return billing.Price(id=1, model="m", **facts)


def _changed(before: billing.Price, after: billing.SetPrice, max_change_percent: int = 50) -> Difference:
    found = difference(before, after, max_change_percent=max_change_percent)
    assert found is not None
    return found


def test_the_same_price_is_no_difference() -> None:
    """Wherever it comes from."""
    tiers = (_tier(1000),)

    assert (
        difference(_before(source="a", tiers=tiers), _after(source="b", tiers=tiers), max_change_percent=50)
        is None
    )


def test_each_figure_that_changes_is_shown_with_its_percentage() -> None:
    """And no other."""
    found = _changed(_before(), _after(input_pico_usd=1_250_000, cache_read_pico_usd=900_000))

    assert found.figures == (
        Figure(name="input", before="1.00", after="1.25", change_percent="+25.0"),
        Figure(name="cache read", before="1.00", after="0.90", change_percent="-10.0"),
    )
    assert not found.is_stopped
    assert not found.is_new


@pytest.mark.parametrize(
    ("old", "new", "max_change", "stopped"),
    [
        (100, 150, 50, ""),
        (100, 151, 50, "more than 50 %"),
        (100, 50, 50, ""),
        (100, 49, 50, "more than 50 %"),
        (100, 101, 0, "more than 0 %"),
        (100, 999, 5000, ""),
        (100, 1000, 5000, "tenfold"),
        (1000, 100, 5000, "a tenth"),
        (1000, 101, 5000, ""),
        (100, 0, 5000, "to zero"),
        (0, 100, 5000, "from zero"),
    ],
)
@pytest.mark.parametrize("figure", FIGURES)
def test_what_changes_too_much_is_stopped(
    figure: str, old: int, new: int, max_change: int, stopped: str
) -> None:
    """Up or down beyond the limit; tenfold, and to or from nothing, beyond any limit. Whichever figure it is."""
    found = _changed(_before(**{figure: old}), _after(**{figure: new}), max_change)

    assert [each.stopped for each in found.figures] == [stopped]
    assert found.is_stopped == bool(stopped)


def test_a_tier_is_compared_with_what_such_a_prompt_costs_now() -> None:
    """A tier that comes or goes changes the price above its threshold, and may be stopped as any figure."""
    comes = _changed(_before(), _after(tiers=(_tier(1000, input_pico_usd=10 * USD),)))
    goes = _changed(_before(tiers=(_tier(1000),)), _after())
    moves = _changed(_before(tiers=(_tier(1000),)), _after(tiers=(_tier(2000),)))

    assert [(each.name, each.change_percent, each.stopped) for each in comes.figures] == [
        ("input above 1000", "+900.0", "tenfold"),
        ("output above 1000", "+100.0", "more than 50 %"),
        ("cache read above 1000", "+100.0", "more than 50 %"),
        ("cache write above 1000", "+100.0", "more than 50 %"),
    ]
    assert [each.after for each in goes.figures] == ["1.00"] * 4
    assert {each.name.rpartition(" ")[2] for each in moves.figures} == {"1000"}


@given(st.integers(1, 10**11), st.integers(1, 10**11))
def test_a_tenfold_rise_is_always_stopped(old: int, new: int) -> None:
    """And so is its reverse, however high the limit is set; nothing in between is, with a high one."""
    if old == new:
        return
    found = _changed(_before(input_pico_usd=old), _after(input_pico_usd=new), 10**12)

    assert found.is_stopped == (max(old, new) >= 10 * min(old, new))


def test_a_new_model_shows_all_its_prices_and_is_stopped_if_it_is_free() -> None:
    """Its input or its output; cached input may be."""
    tiered = difference(None, _after(tiers=(_tier(1000),)), max_change_percent=50)
    free = difference(None, _after(output_pico_usd=0), max_change_percent=50)
    cached = difference(None, _after(cache_read_pico_usd=0), max_change_percent=50)

    assert tiered is not None
    assert tiered.is_new
    assert [each.name for each in tiered.figures][::4] == ["input", "input above 1000"]
    assert free is not None
    assert free.is_stopped
    assert cached is not None
    assert not cached.is_stopped


def test_limits_and_capabilities_are_facts_that_nobody_stops() -> None:
    """They are shown, and make a new version."""
    before = _before(max_output_tokens=10, capabilities=("audio", "tools"))
    after = _after(max_output_tokens=1000, context_tokens=8000, capabilities=("tools", "vision"))

    found = _changed(before, after)

    assert found.facts == (
        "max_output_tokens 10 → 1000",
        "context_tokens unknown → 8000",
        "capabilities +vision -audio",
    )
    assert not found.is_stopped
    assert found.figures == ()
