"""`relay code`: codes that credit an account once."""

from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.account import balance_of, balance_text, resolve_account
from services.cli.answer import Answer, moment, table
from services.cli.secret_input import secret_option
from services.cli.session import over_the_bus
from shared.codes import sha256_of
from shared.contracts import accounts
from shared.contracts.call import Empty
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus

COLUMNS = "BATCH|USD|CODES|CLAIMED|STATUS|CREATED|EXPIRES"


@click.group()
def code() -> None:
    """Codes that people top up their balance with."""


@code.command("make")
@click.argument("batch")
@click.option(
    "--amount", "amount_usd", type=parameters.amount, required=True, metavar="USD", help="What each is worth."
)
@click.option("--count", type=click.IntRange(1, 5000), default=1, show_default=True, help="How many.")
@click.option(
    "--expires", type=parameters.duration, metavar="TIME", help="How long they can be claimed, such as 90d."
)
@over_the_bus
async def make_codes(bus: "Bus", batch: str, amount_usd: int, count: int, expires: float | None) -> Answer:
    """Make a batch of codes under a name of its own, and show them, once."""
    made = await bus.call(
        accounts.MAKE_CODES,
        accounts.MakeCodes(batch=batch, count=count, amount_nano_usd=amount_usd, lifetime_seconds=expires),
    )
    return Answer(document=made, text="\n".join(made.codes))


@code.command("list")
@over_the_bus
async def list_codes(bus: "Bus") -> Answer:
    """List batches, newest first. The codes themselves are not kept."""
    batches = await bus.call(accounts.LIST_CODES, Empty())
    return Answer(document=batches, text=table(COLUMNS, map(_row, batches.items)))


@code.command("revoke")
@click.argument("batch")
@over_the_bus
async def revoke_codes(bus: "Bus", batch: str) -> Answer:
    """End the codes of a batch that nobody has claimed."""
    ended = await bus.call(accounts.REVOKE_CODES, accounts.BatchName(name=batch))
    left = ended.codes - ended.claimed
    return Answer(
        document=ended, text=f"{left} codes of {batch} are ended; {ended.claimed} had been claimed."
    )


@code.command("claim")
@click.argument("account", type=parameters.account)
@secret_option("code", is_required=True, is_new=False)
@over_the_bus
async def claim_code(bus: "Bus", account: str, code: str) -> Answer:
    """Credit a code to an account. It is asked for unless an option says where it is."""
    account_id = await resolve_account(bus, account)
    claimed = await bus.call(
        accounts.CLAIM_CODE, accounts.ClaimCode(account_id=account_id, code_sha256=sha256_of(code))
    )
    added = f"{usd_from_nano(claimed.amount_nano_usd)} USD are credited."
    told = "The account has redeemed this code before; nothing was added." if claimed.is_repeat else added
    return Answer(document=claimed, text=f"{told}\n{balance_text(balance_of(claimed.balance))}")


def _row(each: accounts.CodeBatch) -> tuple[str, ...]:
    return (
        each.name,
        usd_from_nano(each.amount_nano_usd),
        str(each.codes),
        str(each.claimed),
        "active" if each.revoked_unix is None else "revoked",
        moment(each.created_unix),
        moment(each.expires_unix),
    )
