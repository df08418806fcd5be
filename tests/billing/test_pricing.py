"""The rule of cost and hold, and that Python and SQL agree on it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.billing.pricing import Price, Units, cost_nano_usd, hold_nano_usd
from tests.billing.bookkeeping import Ledger

TOKENS = st.integers(0, 2 * 10**9) | st.integers(0, 5)
PRICES = st.integers(0, 10**11) | st.integers(0, 1500)
PRICE = st.builds(
    Price,
    input_pico_usd=PRICES,
    output_pico_usd=PRICES,
    cache_read_pico_usd=PRICES,
    cache_write_pico_usd=PRICES,
)


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


@given(plausible_units(), PRICE, st.sampled_from(Price.__struct_fields__), st.integers(1, 10**6))
def test_higher_price_never_lowers_a_cost(units: Units, price: Price, name: str, more: int) -> None:
    """Cost is monotone in every price."""
    fields = {field: getattr(price, field) for field in Price.__struct_fields__}
    dearer = Price(**{**fields, name: fields[name] + more})
    assert cost_nano_usd(units, dearer) >= cost_nano_usd(units, price)


@given(plausible_units(), PRICE, st.integers(1, 10**6))
def test_more_tokens_never_lower_a_cost(units: Units, price: Price, more: int) -> None:
    """Cost is monotone in uncached input and in output."""
    fields = {field: getattr(units, field) for field in Units.__struct_fields__}
    for name in ("input_tokens", "output_tokens"):
        assert cost_nano_usd(Units(**{**fields, name: fields[name] + more}), price) >= cost_nano_usd(
            units, price
        )


@given(plausible_units(), PRICE)
def test_hold_covers_every_cost_within_its_bounds(units: Units, price: Price) -> None:
    """Whatever the cache does, a cost within the bounds is within the hold."""
    assert cost_nano_usd(units, price) <= hold_nano_usd(units.input_tokens, units.output_tokens, price)


async def test_sql_and_python_compute_the_same(ledger: Ledger) -> None:
    """The function that books and the function that audits agree to the nano-USD, on edges and everywhere."""
    samples: list[tuple[Units, Price]] = []

    @given(plausible_units(), PRICE)
    def collect(units: Units, price: Price) -> None:
        samples.append((units, price))

    collect()
    rows = await ledger.connection.fetch(
        """SELECT billing.cost_nano_usd(
                jsonb_populate_record(NULL::billing.command, s), jsonb_populate_record(NULL::billing.price, s)) AS cost,
            billing.hold_nano_usd(
                jsonb_populate_record(NULL::billing.price, s), (s->>'input_tokens')::bigint, (s->>'output_tokens')::bigint
            ) AS hold
           FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS t (s, place) ORDER BY place""",
        json.dumps([
            {name: getattr(part, name) for part in sample for name in part.__struct_fields__} for sample in samples
        ]),
    )  # fmt: skip
    expected = [
        (cost_nano_usd(units, price), hold_nano_usd(units.input_tokens, units.output_tokens, price))
        for units, price in samples
    ]
    assert [tuple(row) for row in rows] == expected
