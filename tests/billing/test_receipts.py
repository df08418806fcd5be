"""A receipt that is verified: every figure that can be computed again is."""

import msgspec
import pytest

from services.billing.receipts import differences
from shared.contracts import accounts, billing

PRICE = billing.Price(
    id=7, model="m", input_pico_usd=1000, output_pico_usd=2000, cache_read_pico_usd=100, cache_write_pico_usd=1250,
    max_output_tokens=1000, effective_unix=0.0,
)  # fmt: skip
CHARGE = accounts.Charge(
    rule="C1", outcome="completed", usage=billing.Usage(input_tokens=100, output_tokens=50), source="upstream",
    is_estimated=False, is_late=False, cost_nano_usd=400, charged_nano_usd=400, writeoff_nano_usd=0, writeoff_cause=None,
    channel="c", witness="dispatcher", created_unix=0.0,
)  # fmt: skip
RECEIPT = accounts.Receipt(
    request_id="r", account_id="a", key_id="k", model="m", state="SETTLED", outcome="completed", created_unix=0.0, closed_unix=1.0,
    price=PRICE, multiplier_ppm=2_000_000, input_tokens_bound=100, output_tokens_bound=50, first_nano_usd=250,
    amount_nano_usd=450, extensions=1, settled_nano_usd=400, attempts=(), charges=(CHARGE,),
)  # fmt: skip
FREE = msgspec.structs.replace(
    CHARGE, rule="C8", charged_nano_usd=0, writeoff_nano_usd=400, writeoff_cause="platform_failed"
)


def replaced(**changes: object) -> accounts.Receipt:
    """The receipt, changed."""
    return msgspec.structs.replace(RECEIPT, **changes)


@pytest.mark.parametrize(
    "receipt",
    [
        RECEIPT,
        replaced(state="HELD", outcome=None, settled_nano_usd=None, charges=()),
        replaced(state="VOIDED", outcome="refused", settled_nano_usd=None, charges=()),
        replaced(settled_nano_usd=0, charges=(FREE,)),
        replaced(
            state="EXPIRED", settled_nano_usd=None,
            charges=(msgspec.structs.replace(CHARGE, is_late=True),),
        ),
    ],
    ids=["settled", "running", "voided", "free", "late"],
)  # fmt: skip
def test_a_right_receipt_has_no_differences(receipt: accounts.Receipt) -> None:
    """However its request ended."""
    assert differences(receipt) == []


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (replaced(multiplier_ppm=1_000_000), "The cost is 0.0000004 USD, and computed again 0.0000002 USD"),
        (replaced(amount_nano_usd=451), "The hold is"),
        (replaced(settled_nano_usd=399), "What was settled is"),
        (replaced(charges=(msgspec.structs.replace(CHARGE, charged_nano_usd=399),), settled_nano_usd=399), "do not add up"),
        (replaced(charges=(msgspec.structs.replace(CHARGE, rule="C7"),)), "were charged by C7, which is free"),
        (replaced(charges=(), settled_nano_usd=0), "has 0 charges"),
    ],
)  # fmt: skip
def test_a_wrong_figure_is_named(receipt: accounts.Receipt, words: str) -> None:
    """With what is stored and what comes out."""
    assert any(words in each for each in differences(receipt)), differences(receipt)
