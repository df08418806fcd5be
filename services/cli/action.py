"""`relay action`: what operators did, in the console, by management keys and on the command line."""

from typing import TYPE_CHECKING

import click

from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import site

if TYPE_CHECKING:
    from shared.bus import Bus

COLUMNS = "ID|TIME|WHO|THROUGH|ADDRESS|ACTION|OBJECT|RESULT"


@click.group()
def action() -> None:
    """The log of what operators did."""


@action.command("list")
@click.option("--action", "name", metavar="NAME", help="Only this one, such as set_price.")
@click.option("--search", metavar="TEXT", help="Only with this in the object or in the operator's address.")
@click.option(
    "--before", "before_id", type=click.IntRange(min=1), metavar="ID", help="Only those before this one."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@over_the_bus
async def list_actions(
    bus: "Bus", name: str | None, search: str | None, before_id: int | None, limit: int
) -> Answer:
    """List what operators did or tried, newest first.

    The result is done, the code of an error, or unknown when the answer was lost. With --json also what was before and what was
    asked for, without secrets.
    """
    question = site.ListActions(before_id=before_id, limit=limit, action=name, search=search)
    actions = await bus.call(site.LIST_ACTIONS, question)
    rows = (
        (
            str(each.id), moment(each.created_unix), each.email, each.through, each.address, each.action, each.object,
            each.result,
        )
        for each in actions.items
    )  # fmt: skip
    return Answer(document=actions, text=table(COLUMNS, rows))
