"""`relay account`: who pays."""

from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import auth, billing
from shared.errors import NotFound
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus

USERS_MAX = 1000


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status that an account has now."""

    account_id: str
    status: auth.AccountStatus


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has, in nano-USD."""

    account_id: str
    posted_nano_usd: int
    held_nano_usd: int
    available_nano_usd: int


@click.group()
def account() -> None:
    """Accounts, whose balances pay for requests."""


@account.command("list")
@over_the_bus
async def list_accounts(bus: "Bus") -> Answer:
    """List accounts, oldest first, at most 1,000."""
    accounts = await bus.call(auth.LIST_ACCOUNTS, auth.ListAccounts())
    rows = [(each.id, each.name, each.status, moment(each.created_unix)) for each in accounts.items]
    return Answer(document=accounts, text=table("ID|NAME|STATUS|CREATED", rows))


@account.command("create")
@click.argument("name")
@over_the_bus
async def create_account(bus: "Bus", name: str) -> Answer:
    """Make an account with a balance of zero."""
    made = await bus.call(auth.CREATE_ACCOUNT, auth.CreateAccount(name=name))
    return Answer(document=made, text=f"Account {made.id} ({made.name}) is made.")


@account.command("suspend")
@click.argument("account", type=parameters.account)
@over_the_bus
async def suspend_account(bus: "Bus", account: str) -> Answer:
    """Refuse every request of an account, from now on."""
    return await _set_status(bus, account, "suspended")


@account.command("activate")
@click.argument("account", type=parameters.account)
@over_the_bus
async def activate_account(bus: "Bus", account: str) -> Answer:
    """Serve a suspended account again."""
    return await _set_status(bus, account, "active")


@account.command("balance")
@click.argument("account", type=parameters.account)
@over_the_bus
async def show_balance(bus: "Bus", account: str) -> Answer:
    """Show what an account has, and what running requests hold of it."""
    account_id = await resolve_account(bus, account)
    balance = balance_of(await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=account_id)))
    return Answer(document=balance, text=balance_text(balance))


async def resolve_account(bus: "Bus", account: str) -> str:
    """Return the id of the account that is meant by its id or by a user's e-mail address. Raises: NotFound."""
    if "@" not in account:
        return account
    users = await bus.call(auth.LIST_USERS, auth.ListUsers(limit=USERS_MAX))
    for user in users.items:
        if user.email == account:
            return user.account_id
    if len(users.items) == USERS_MAX:
        raise click.ClickException(
            f"{account} is not among the first {USERS_MAX} users. Give the account's id."
        )
    raise NotFound("not_found", what="user")


def balance_of(balance: billing.Balance) -> AccountBalance:
    """Return `balance` with what is available as a figure of its own."""
    return AccountBalance(
        account_id=balance.account_id,
        posted_nano_usd=balance.posted_nano_usd,
        held_nano_usd=balance.held_nano_usd,
        available_nano_usd=balance.available_nano_usd,
    )


def balance_text(balance: AccountBalance) -> str:
    """Return one sentence about a balance."""
    return (
        f"Account {balance.account_id} has {usd_from_nano(balance.available_nano_usd)} USD available; "
        f"{usd_from_nano(balance.held_nano_usd)} USD more are held by running requests."
    )


async def _set_status(bus: "Bus", account: str, status: auth.AccountStatus) -> Answer:
    account_id = await resolve_account(bus, account)
    await bus.call(auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=account_id, status=status))
    return Answer(
        document=AccountStatus(account_id=account_id, status=status),
        text=f"Account {account_id} is {status}.",
    )
