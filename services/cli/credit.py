"""`relay credit`: money that an operator gives or takes back."""

from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.account import AccountBalance, balance_of, balance_text, resolve_account
from services.cli.answer import Answer
from services.cli.session import over_the_bus
from shared.contracts import billing
from shared.errors import Unavailable
from shared.ids import uuid7
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """What was booked under `idempotency_key`, now or before, and what the account has since."""

    idempotency_key: str
    amount_nano_usd: int
    balance: AccountBalance


@click.command(context_settings={"ignore_unknown_options": True})  # or -5.00 would be taken for an option
@click.argument("account", type=parameters.account)
@click.argument("amount_usd", type=parameters.amount, metavar="AMOUNT_USD")
@click.option("--reason", required=True, help="Why; it is kept with the transfer.")
@click.option(
    "--id", "idempotency_key", metavar="KEY", help="Book only once under this key. A new one by default."
)
@over_the_bus
async def credit(
    bus: "Bus", account: str, amount_usd: int, reason: str, idempotency_key: str | None
) -> Answer:
    """Add to a balance, or take back from it.

    ACCOUNT is its id, or the e-mail address of one of its users. AMOUNT_USD is exact, such as 12.50; a negative one, such
    as -3, takes back what is available, or nothing if that is less.
    """
    account_id = await resolve_account(bus, account)
    key = idempotency_key or str(uuid7())
    request = billing.Credit(
        account_id=account_id, amount_nano_usd=amount_usd, idempotency_key=key, reason=reason
    )
    try:
        balance = balance_of(await bus.call(billing.CREDIT, request))
    except Unavailable as error:
        raise click.ClickException(
            f"{error} Whether the credit was booked is not known: repeat it with --id {key}, which books it once."
        ) from error
    text = f"{usd_from_nano(amount_usd)} USD are booked, under the id {key}.\n{balance_text(balance)}"
    return Answer(
        document=Credited(idempotency_key=key, amount_nano_usd=amount_usd, balance=balance), text=text
    )
