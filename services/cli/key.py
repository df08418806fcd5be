"""`relay key`: API keys."""

import time
from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.account import resolve_account
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import auth

if TYPE_CHECKING:
    from shared.bus import Bus


@click.group()
def key() -> None:
    """API keys, which spend the balance of their account."""


@key.command("create")
@click.option(
    "--account",
    type=parameters.account,
    metavar="ID|EMAIL",
    required=True,
    help="Account that pays: its id, or the e-mail address of one of its users.",
)
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--expires", type=parameters.duration, metavar="TIME", help="How long it works, such as 30d or 12h."
)
@click.option("--model", "models", multiple=True, help="Model it may use; may be repeated. All by default.")
@click.option(
    "--address", "addresses", multiple=True, metavar="CIDR",
    help="Network it may be used from; may be repeated. All by default.",
)  # fmt: skip
@over_the_bus
async def create_key(
    bus: "Bus",
    account: str,
    name: str,
    expires: float | None,
    models: tuple[str, ...],
    addresses: tuple[str, ...],
) -> Answer:
    """Make a key and show it, once."""
    request = auth.CreateKey(
        account_id=await resolve_account(bus, account),
        name=name,
        lifetime_seconds=expires,
        allowed_models=models,
        allowed_addresses=addresses,
    )
    created = await bus.call(auth.CREATE_KEY, request)
    ends = "" if created.key.expires_unix is None else f" It expires at {moment(created.key.expires_unix)}."
    text = f"Key {created.key.id} of account {created.key.account_id} is made.{ends}"
    return Answer(document=created, text=f"{text}\nThe key is shown only now: {created.secret}")


@key.command("list")
@click.option("--account", type=parameters.account, metavar="ID|EMAIL", help="Only those of this account.")
@over_the_bus
async def list_keys(bus: "Bus", account: str | None) -> Answer:
    """List keys without their secrets, oldest first, at most 1,000."""
    account_id = None if account is None else await resolve_account(bus, account)
    keys = await bus.call(auth.LIST_KEYS, auth.ListKeys(account_id=account_id))
    columns = "ID|NAME|ACCOUNT|STATUS|CREATED|EXPIRES|MODELS|ADDRESSES"
    return Answer(document=keys, text=table(columns, (_row(each) for each in keys.items)))


@key.command("revoke")
@click.argument("key_id", type=parameters.key_id, metavar="KEY_ID")
@over_the_bus
async def revoke_key(bus: "Bus", key_id: str) -> Answer:
    """End a key for good: it spends nothing more from now on."""
    revoked = await bus.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=key_id))
    return Answer(document=revoked, text=f"Key {revoked.id} ({revoked.name}) is revoked.")


def _row(each: auth.Key) -> tuple[str, ...]:
    return (
        each.id,
        each.name,
        each.account_id,
        _status(each),
        moment(each.created_unix),
        moment(each.expires_unix),
        ", ".join(each.allowed_models) or "all",
        ", ".join(each.allowed_addresses) or "all",
    )


def _status(each: auth.Key) -> str:
    if each.revoked_unix is not None:
        return "revoked"
    return "expired" if each.expires_unix is not None and each.expires_unix <= time.time() else "active"
