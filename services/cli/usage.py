"""`relay usage`: what requests used and cost."""

from typing import TYPE_CHECKING, get_args

import click

from services.cli import parameters
from services.cli.account import resolve_account
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import records
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus

COLUMNS = "REQUEST|TIME|MODEL|INPUT|OUTPUT|CHARGED USD|STATE|RULE|CHANNEL|ERROR|FIRST MS|MS"


@click.group()
def usage() -> None:
    """What requests used and cost."""


@usage.command("list")
@click.option("--account", type=parameters.account, metavar="ID|EMAIL", help="Only those of this account.")
@click.option("--request", "request_id", type=parameters.request_id, metavar="ID", help="Only this request.")
@click.option("--model", help="Only those of this model.")
@click.option("--key", "key_id", type=parameters.key_id, metavar="ID", help="Only those of this key.")
@click.option("--state", type=click.Choice(get_args(records.CallState)), help="Only those in this state.")
@click.option("--channel", help="Only those on this channel.")
@click.option("--error", help="Only those with this error's code.")
@click.option(
    "--since", type=parameters.moment, metavar="DAY|TIME", help="Only those that came from then on."
)
@click.option("--until", type=parameters.moment, metavar="DAY|TIME", help="Only those that came before.")
@click.option(
    "--before", type=parameters.request_id, metavar="ID", help="Go on after the page that ended so."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@over_the_bus
async def list_usage(
    bus: "Bus",
    account: str | None,
    request_id: str | None,
    model: str | None,
    key_id: str | None,
    state: records.CallState | None,
    channel: str | None,
    error: str | None,
    since: float | None,
    until: float | None,
    before: str | None,
    limit: int,
) -> Answer:
    """List requests, newest first, also those that run or failed.

    They are those that were admitted. What is given must all hold. A search looks at so many requests at a time: it says so
    when there may be more. `relay receipt` shows one of them whole.
    """
    question = records.ListCalls(
        account_id=None if account is None else await resolve_account(bus, account),
        request_id=request_id,
        model=model,
        key_id=key_id,
        state=state,
        channel=channel,
        error=error,
        first_unix=since,
        end_unix=until,
        before=before,
        limit=limit,
    )
    page = await bus.call(records.LIST_CALLS, question)
    remark = "" if page.next_before is None else f"There may be more: --before {page.next_before}"
    return Answer(document=page, text=table(COLUMNS, map(_row, page.items)), remark=remark)


def _row(each: records.CallRecord) -> tuple[str, ...]:
    return (
        each.request_id,
        moment(each.created_unix),
        each.model,
        str(each.usage.input_tokens),
        str(each.usage.output_tokens),
        usd_from_nano(each.charged_nano_usd),
        each.state,
        each.rule,
        each.channel,
        each.error or "",
        "" if each.first_output_ms is None else str(each.first_output_ms),
        "" if each.took_ms is None else str(each.took_ms),
    )
