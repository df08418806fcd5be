"""The rule of cost and hold, and that Python and SQL agree on it."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.billing.pricing import (
    MULTIPLIER_PPM_MAX,
    ONE_PPM,
    Price,
    Tier,
    Units,
    cost_nano_usd,
    hold_nano_usd,
)
from tests.billing.bookkeeping import Ledger

TOKENS = st.integers(0, 2 * 10**9) | st.integers(0, 5)
PRICES = st.integers(0, 10**11) | st.integers(0, 1500)
MULTIPLIERS = st.just(ONE_PPM) | st.integers(0, MULTIPLIER_PPM_MAX)
FIGURES = ("input_pico_usd", "output_pico_usd", "cache_read_pico_usd", "cache_write_pico_usd")


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """A price with up to three tiers, upwards in length and nowhere cheaper."""
    figures = {name: draw(PRICES) for name in FIGURES}
    tiers, dearer = [], figures
    for length in sorted(draw(st.sets(st.integers(1, 300) | st.integers(1, 10**9), max_size=3))):
        dearer = {name: draw(st.integers(dearer[name], 10**11)) for name in FIGURES}
        tiers.append(Tier(above_input_tokens=length, **dearer))
    return Price(**figures, tiers=tuple(tiers))


PRICE = prices()


@st.composite
def plausible_units(draw: st.DrawFn) -> Units:
    """Tokens that do not contradict themselves."""
    input_tokens, output_tokens = draw(TOKENS), draw(TOKENS)
    cache_read_tokens = draw(st.integers(0, input_tokens))
    return Units(
        input_tokens=input_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=draw(st.integers(0, input_tokens - cache_read_tokens)),
        output_tokens=output_tokens,
        reasoning_tokens=draw(st.integers(0, output_tokens)),
    )


@given(PRICE)
def test_no_units_cost_nothing(price: Price) -> None:
    """A request without tokens costs zero at every price."""
    assert cost_nano_usd(Units(), price) == 0


@given(plausible_units(), PRICE, st.sampled_from(FIGURES), st.integers(1, 10**6))
def test_higher_price_never_lowers_a_cost(units: Units, price: Price, name: str, more: int) -> None:
    """Cost is monotone in every price."""
    dearer = msgspec.structs.replace(price, **{name: getattr(price, name) + more})
    assert cost_nano_usd(units, dearer) >= cost_nano_usd(units, price)


@given(plausible_units(), PRICE, st.integers(1, 10**6))
def test_more_tokens_never_lower_a_cost(units: Units, price: Price, more: int) -> None:
    """Cost is monotone in uncached input and in output."""
    fields = {field: getattr(units, field) for field in Units.__struct_fields__}
    for name in ("input_tokens", "output_tokens"):
        assert cost_nano_usd(Units(**{**fields, name: fields[name] + more}), price) >= cost_nano_usd(
            units, price
        )


@given(plausible_units(), PRICE, MULTIPLIERS)
def test_hold_covers_every_cost_within_its_bounds(units: Units, price: Price, multiplier_ppm: int) -> None:
    """Whatever the cache does, and whatever tier the prompt reaches, a cost within the bounds is within the hold."""
    hold = hold_nano_usd(units.input_tokens, units.output_tokens, price, multiplier_ppm)
    assert cost_nano_usd(units, price, multiplier_ppm) <= hold


def test_a_tier_holds_for_the_whole_request_beyond_its_length() -> None:
    """As the providers count: 200,000 tokens cost the base price, one more and all of them cost the tier's."""
    dear = {name: 2000 for name in FIGURES}
    price = Price(**{name: 1000 for name in FIGURES}, tiers=(Tier(above_input_tokens=200_000, **dear),))
    assert cost_nano_usd(Units(input_tokens=200_000, output_tokens=1), price) == 200_001
    assert cost_nano_usd(Units(input_tokens=200_001, output_tokens=1), price) == 400_004


def test_a_multiplier_is_rounded_up_once() -> None:
    """Three tokens at a third of a nano-USD, sold at half, cost one nano-USD: the sum is rounded, not its parts."""
    price = Price(input_pico_usd=333, output_pico_usd=0, cache_read_pico_usd=0, cache_write_pico_usd=0)
    assert cost_nano_usd(Units(input_tokens=3), price, 500_000) == 1


async def test_sql_and_python_compute_the_same(ledger: Ledger) -> None:
    """The function that books and the function that audits agree to the nano-USD, on edges and everywhere."""
    samples: list[tuple[Units, Price, int]] = []

    @given(plausible_units(), PRICE, MULTIPLIERS)
    def collect(units: Units, price: Price, multiplier_ppm: int) -> None:
        samples.append((units, price, multiplier_ppm))

    collect()
    rows = await ledger.connection.fetch(
        """SELECT billing.cost_nano_usd(
                jsonb_populate_record(NULL::billing.command, s), jsonb_populate_record(NULL::billing.price, s),
                (s->>'multiplier_ppm')::integer
            ) AS cost,
            billing.hold_nano_usd(
                jsonb_populate_record(NULL::billing.price, s), (s->>'input_tokens')::bigint, (s->>'output_tokens')::bigint,
                (s->>'multiplier_ppm')::integer
            ) AS hold
           FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS t (s, place) ORDER BY place""",
        json.dumps(
            [
                msgspec.to_builtins(units) | msgspec.to_builtins(price) | {"multiplier_ppm": multiplier_ppm}
                for units, price, multiplier_ppm in samples
            ]
        ),
    )
    expected = [
        (
            cost_nano_usd(units, price, multiplier_ppm),
            hold_nano_usd(units.input_tokens, units.output_tokens, price, multiplier_ppm),
        )
        for units, price, multiplier_ppm in samples
    ]
    assert [tuple(row) for row in rows] == expected
