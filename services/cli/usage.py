"""`relay usage`: what requests used and cost."""

from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.account import resolve_account
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import billing
from shared.errors import NotFound
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus


@click.group()
def usage() -> None:
    """What requests used and cost."""


@usage.command("list")
@click.option("--account", type=parameters.account, metavar="ID|EMAIL", help="Only those of this account.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@over_the_bus
async def list_usage(bus: "Bus", account: str | None, limit: int) -> Answer:
    """List requests that have ended, newest first."""
    account_id = None if account is None else await resolve_account(bus, account)
    records = await bus.call(billing.LIST_USAGE, billing.GetUsage(account_id=account_id, limit=limit))
    columns = "REQUEST|TIME|MODEL|INPUT|OUTPUT|CHARGED USD|OUTCOME|RULE|CHANNEL"
    return Answer(document=records, text=table(columns, (_row(each) for each in records.items)))


@usage.command("show")
@click.argument("request_id", type=parameters.request_id, metavar="REQUEST_ID")
@over_the_bus
async def show_usage(bus: "Bus", request_id: str) -> Answer:
    """Show everything about one request.

    What was charged late for it comes as a second record.
    """
    records = await bus.call(billing.LIST_USAGE, billing.GetUsage(request_id=request_id))
    if not records.items:
        raise NotFound("not_found", what="request")
    rows = [row for each in records.items for row in _sheet(each)]
    return Answer(document=records, text=table("FIELD|VALUE", rows))


def _row(each: billing.UsageRecord) -> tuple[str, ...]:
    return (
        each.request_id,
        moment(each.created_unix),
        each.model,
        str(each.usage.input_tokens),
        str(each.usage.output_tokens),
        usd_from_nano(each.charged_nano_usd),
        each.outcome,
        each.rule,
        each.channel,
    )


def _sheet(each: billing.UsageRecord) -> list[tuple[str, str]]:
    usage = each.usage
    return [
        ("request", each.request_id),
        ("time", moment(each.created_unix)),
        ("account", each.account_id),
        ("key", each.key_id),
        ("model", each.model),
        ("channel", each.channel),
        ("outcome", each.outcome),
        ("rule", each.rule),
        ("input tokens", f"{usage.input_tokens}, {usage.cache_read_tokens} of them read from a cache, "
            f"{usage.cache_write_tokens} written"),
        ("output tokens", f"{usage.output_tokens}, {usage.reasoning_tokens} of them reasoning"),
        ("usage", "estimated" if each.is_estimated else "as the upstream reported it"),
        ("price id", str(each.price_id)),
        ("cost", f"{usd_from_nano(each.cost_nano_usd)} USD"),
        ("charged", f"{usd_from_nano(each.charged_nano_usd)} USD"),
        ("written off", f"{usd_from_nano(each.writeoff_nano_usd)} USD"),
    ]  # fmt: skip
