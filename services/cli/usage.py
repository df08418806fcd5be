"""`relay usage`: what requests used and cost."""

from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.account import resolve_account
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import billing
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
    """List requests that have ended, newest first. `relay receipt` shows one of them whole."""
    account_id = None if account is None else await resolve_account(bus, account)
    records = await bus.call(billing.LIST_USAGE, billing.GetUsage(account_id=account_id, limit=limit))
    columns = "REQUEST|TIME|MODEL|INPUT|OUTPUT|CHARGED USD|OUTCOME|RULE|CHANNEL"
    return Answer(document=records, text=table(columns, (_row(each) for each in records.items)))


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
