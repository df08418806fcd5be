"""A receipt as the maker of the request sees it. Pure.

It has everything from which the charge can be computed again: the tokens of each kind, the figures of the price version, the
multiplier, and one rounding, upwards to the nano-USD. The operator's channels stay out of it: what was tried is numbered.
"""

import msgspec

from services.edge.errors import Language
from shared.contracts import accounts
from shared.contracts.billing import Price, PriceTier, Usage
from shared.messages import render
from shared.money import usd_from_nano, usd_per_million_from_pico


class FiguresView(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in USD per million tokens, as decimal text; those of a tier hold for prompts above its length."""

    above_input_tokens: int
    input: str
    output: str
    cache_read: str
    cache_write: str


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """The price version that the request was made with, and what it is multiplied with."""

    version: int
    effective: int
    figures: list[FiguresView]
    multiplier: str


class HoldView(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept back: at first, and in the end after so many extensions."""

    first_usd: str
    last_usd: str
    extensions: int
    input_tokens_bound: int
    output_tokens_bound: int


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """One charge, and the rule that decided it, in words as well. `source` says who counted the tokens."""

    rule: str
    meaning: str
    tokens: Usage
    source: str
    is_estimated: bool
    is_late: bool
    cost_usd: str
    charged_usd: str
    written_off_usd: str


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One try at an upstream; times from when the request was taken."""

    number: int
    result: str
    began_ms: int
    took_ms: int


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt. `state` is running, settled, voided (free) or expired (free, or charged late).

    `error` is the code of the error that the client saw; times are in milliseconds from when the request was taken.
    """

    object: str = "receipt"
    id: str
    model: str
    created: int
    closed: int | None
    state: str
    outcome: str | None
    charged_usd: str
    price: PriceView
    hold: HoldView
    charges: list[ChargeView]
    attempts: list[AttemptView]
    is_stream: bool = False
    error: str | None = None
    first_output_ms: int | None = None
    took_ms: int | None = None


def view(receipt: accounts.Receipt, language: Language) -> ReceiptView:
    """Return the receipt with its rules explained in `language`."""
    return ReceiptView(
        id=receipt.request_id,
        model=receipt.model,
        created=int(receipt.created_unix),
        closed=None if receipt.closed_unix is None else int(receipt.closed_unix),
        state="running" if receipt.state == "HELD" else receipt.state.lower(),
        outcome=receipt.outcome,
        charged_usd=usd_from_nano(sum(charge.charged_nano_usd for charge in receipt.charges)),
        price=_price(receipt.price, receipt.multiplier_ppm),
        hold=HoldView(
            first_usd=usd_from_nano(receipt.first_nano_usd),
            last_usd=usd_from_nano(receipt.amount_nano_usd),
            extensions=receipt.extensions,
            input_tokens_bound=receipt.input_tokens_bound,
            output_tokens_bound=receipt.output_tokens_bound,
        ),
        charges=[_charge(charge, language) for charge in receipt.charges],
        attempts=[
            AttemptView(number=number, result=each.result, began_ms=each.began_ms, took_ms=each.took_ms)
            for number, each in enumerate(receipt.attempts, start=1)
        ],
        is_stream=receipt.is_stream,
        error=receipt.error,
        first_output_ms=receipt.first_output_ms,
        took_ms=receipt.took_ms,
    )


def _price(price: Price, multiplier_ppm: int) -> PriceView:
    return PriceView(
        version=price.id,
        effective=int(price.effective_unix),
        figures=[_figures(price, 0), *(_figures(tier, tier.above_input_tokens) for tier in price.tiers)],
        multiplier=usd_per_million_from_pico(multiplier_ppm),
    )


def _figures(price: Price | PriceTier, above_input_tokens: int) -> FiguresView:
    return FiguresView(
        above_input_tokens=above_input_tokens,
        input=usd_per_million_from_pico(price.input_pico_usd),
        output=usd_per_million_from_pico(price.output_pico_usd),
        cache_read=usd_per_million_from_pico(price.cache_read_pico_usd),
        cache_write=usd_per_million_from_pico(price.cache_write_pico_usd),
    )


def _charge(charge: accounts.Charge, language: Language) -> ChargeView:
    return ChargeView(
        rule=charge.rule,
        meaning=render(f"rule_{charge.rule.lower()}", language, {}),
        tokens=charge.usage,
        source=charge.source,
        is_estimated=charge.is_estimated,
        is_late=charge.is_late,
        cost_usd=usd_from_nano(charge.cost_nano_usd),
        charged_usd=usd_from_nano(charge.charged_nano_usd),
        written_off_usd=usd_from_nano(charge.writeoff_nano_usd),
    )
