"""Whether a receipt is right: everything in it that can be computed again is, from nothing but itself. Pure."""

import msgspec

from services.billing.pricing import Price, Units, cost_nano_usd, hold_nano_usd
from shared.contracts import accounts
from shared.money import usd_from_nano

FREE_RULES = frozenset({"C3", "C5", "C7", "C8", "C9"})


def differences(receipt: accounts.Receipt) -> list[str]:
    """Return a sentence for each figure that is not what the rest of the receipt makes of it; none is good."""
    price = msgspec.convert(msgspec.to_builtins(receipt.price), Price)
    found = []
    held = hold_nano_usd(
        receipt.input_tokens_bound, receipt.output_tokens_bound, price, receipt.multiplier_ppm
    )
    if held != receipt.amount_nano_usd:
        found.append(_differs("The hold", receipt.amount_nano_usd, held))
    for charge in receipt.charges:
        found += _of_charge(charge, price, receipt.multiplier_ppm)
    settled = sum(charge.charged_nano_usd for charge in receipt.charges if not charge.is_late)
    expected = min(settled, receipt.amount_nano_usd) if receipt.state == "SETTLED" else 0
    if (receipt.settled_nano_usd or 0) != expected:
        found.append(_differs("What was settled", receipt.settled_nano_usd or 0, expected))
    if bool(receipt.charges) != (receipt.state in ("SETTLED", "EXPIRED")):
        found.append(f"A hold that is {receipt.state} has {len(receipt.charges)} charges.")
    return found


def _of_charge(charge: accounts.Charge, price: Price, multiplier_ppm: int) -> list[str]:
    cost = cost_nano_usd(msgspec.convert(msgspec.to_builtins(charge.usage), Units), price, multiplier_ppm)
    found = []
    if cost != charge.cost_nano_usd:
        found.append(_differs("The cost", charge.cost_nano_usd, cost))
    if charge.charged_nano_usd + charge.writeoff_nano_usd != charge.cost_nano_usd:
        found.append("What was charged and what was written off do not add up to the cost.")
    if charge.rule in FREE_RULES and charge.charged_nano_usd:
        found.append(
            f"{usd_from_nano(charge.charged_nano_usd)} USD were charged by {charge.rule}, which is free."
        )
    return found


def _differs(what: str, stored: int, computed: int) -> str:
    return f"{what} is {usd_from_nano(stored)} USD, and computed again {usd_from_nano(computed)} USD."
