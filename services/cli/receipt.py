"""`relay receipt` and `relay request`: the money of one request, and why it went where it went."""

from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import accounts
from shared.contracts.billing import Price, PriceTier, UpstreamAttempt
from shared.messages import render
from shared.money import usd_from_nano, usd_per_million_from_pico

if TYPE_CHECKING:
    from shared.bus import Bus


@click.command()
@click.argument("request_id", type=parameters.request_id, metavar="REQUEST_ID")
@click.option("--verify", is_flag=True, help="Compute everything again; fail if a figure differs.")
@over_the_bus
async def receipt(bus: "Bus", request_id: str, verify: bool) -> Answer:
    """Show the receipt of a request: its price, tokens, hold and charge.

    Also who counted the tokens, the rule that decided, and every attempt. REQUEST_ID is what stands in the header x-request-id of
    every answer.
    """
    from services.billing.receipts import differences

    found = await bus.call(accounts.GET_RECEIPT, accounts.GetReceipt(request_id=request_id))
    rows = [*_of_request(found), *_of_money(found)]
    failure = None
    if verify:
        wrong = differences(found)
        rows.append(("verified", " ".join(wrong) or "every figure comes out as it is stored"))
        failure = "The receipt does not come out." if wrong else None
    return Answer(document=found, text=table("FIELD|VALUE", rows), failure=failure)


@click.command()
@click.argument("request_id", type=parameters.request_id, metavar="REQUEST_ID")
@over_the_bus
async def request(bus: "Bus", request_id: str) -> Answer:
    """Tell why a request went where it went.

    Each channel that was tried or passed over is named, with what came of it.
    """
    found = await bus.call(accounts.GET_RECEIPT, accounts.GetReceipt(request_id=request_id))
    rows = [
        *_of_request(found),
        *(_of_attempt(number, each) for number, each in enumerate(found.attempts, 1)),
    ]
    if not found.attempts:
        rows.append(("attempts", "none was reported" if found.closed_unix else "it is still running"))
    rows += [("witness", f"the {charge.witness} said how it ended") for charge in found.charges]
    return Answer(document=found, text=table("FIELD|VALUE", rows))


def _of_request(found: accounts.Receipt) -> list[tuple[str, str]]:
    ended = "" if found.closed_unix is None else f", ended {moment(found.closed_unix)}"
    return [
        ("request", found.request_id),
        ("time", f"{moment(found.created_unix)}{ended}"),
        ("account, key", f"{found.account_id}, {found.key_id}"),
        ("model", found.model),
        (
            "state",
            found.state.lower() if found.outcome is None else f"{found.state.lower()}: {found.outcome}",
        ),
    ]


def _of_money(found: accounts.Receipt) -> list[tuple[str, str]]:
    rows = [
        ("price", f"version {found.price.id} since {moment(found.price.effective_unix)}, in USD per million tokens"),
        ("price of tokens", _figures(found.price)),
        *((f"price above {tier.above_input_tokens}", _figures(tier)) for tier in found.price.tiers),
        ("price multiplier", usd_per_million_from_pico(found.multiplier_ppm)),
        ("hold", f"{usd_from_nano(found.first_nano_usd)} USD at first, {usd_from_nano(found.amount_nano_usd)} USD "
            f"after {found.extensions} extensions"),
        ("hold covers", f"{found.input_tokens_bound} input and {found.output_tokens_bound} output tokens"),
    ]  # fmt: skip
    for charge in found.charges:
        usage = charge.usage
        rows += [
            ("rule", f"{charge.rule}: {render(f'rule_{charge.rule.lower()}', 'en', {})}"),
            ("input tokens", f"{usage.input_tokens}, {usage.cache_read_tokens} of them read from a cache, "
                f"{usage.cache_write_tokens} written"),
            ("output tokens", f"{usage.output_tokens}, {usage.reasoning_tokens} of them reasoning"),
            ("tokens counted by", f"{charge.source or 'nobody'}{' (an estimate)' if charge.is_estimated else ''}"),
            ("cost", f"{usd_from_nano(charge.cost_nano_usd)} USD"),
            ("charged", f"{usd_from_nano(charge.charged_nano_usd)} USD{' after the hold had expired' if charge.is_late else ''}"),
            ("written off", f"{usd_from_nano(charge.writeoff_nano_usd)} USD"
                f"{'' if charge.writeoff_cause is None else f' ({charge.writeoff_cause})'}"),
        ]  # fmt: skip
    attempts = (_of_attempt(number, each) for number, each in enumerate(found.attempts, 1))
    return [*rows, *attempts]


def _of_attempt(number: int, each: UpstreamAttempt) -> tuple[str, str]:
    if each.result.startswith("skipped_"):
        return (
            f"{number}. {each.channel}",
            f"passed over: {each.result.removeprefix('skipped_').replace('_', ' ')}",
        )
    parts = [each.result.replace("_", " ")]
    if each.credential:
        parts.append(f"key {each.credential}")
    if each.status is not None:
        parts.append(f"HTTP {each.status}")
    parts.append(f"after {each.began_ms} ms, for {each.took_ms} ms")
    if each.may_be_billed and each.result != "completed":
        parts.append("may have cost money upstream")
    return f"{number}. {each.channel}", ", ".join(parts)


def _figures(price: Price | PriceTier) -> str:
    return (
        f"input {usd_per_million_from_pico(price.input_pico_usd)}, output {usd_per_million_from_pico(price.output_pico_usd)}, "
        f"cache read {usd_per_million_from_pico(price.cache_read_pico_usd)}, "
        f"cache write {usd_per_million_from_pico(price.cache_write_pico_usd)}"
    )
