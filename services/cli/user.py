"""`relay user`: people who can sign in."""

import secrets
from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, moment, table
from services.cli.secret_input import secret_option
from services.cli.session import over_the_bus
from shared.contracts import auth, factors, people

if TYPE_CHECKING:
    from shared.bus import Bus

PASSWORD_BYTES = 15  # 20 characters, 120 random bits


class CreatedUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The new user. `password` is there when it was made here, and is shown never again."""

    user: auth.User
    password: str | None = None


@click.group()
def user() -> None:
    """People who can sign in."""


@user.command("create")
@click.argument("email")
@secret_option("password", is_required=False, is_new=True)
@click.option(
    "--role",
    type=click.Choice(["admin", "member"]),
    default="member",
    show_default=True,
    help="What the user may do.",
)
@click.option("--account", type=parameters.account_id, metavar="ID", help="Join this account, not a new one.")
@over_the_bus
async def create_user(
    bus: "Bus", email: str, password: str | None, role: auth.Role, account: str | None
) -> Answer:
    """Make a user, with a new account unless one is named.

    Without an option for the password, one is made and shown once.
    """
    made = secrets.token_urlsafe(PASSWORD_BYTES) if password is None else None
    request = auth.CreateUser(email=email, password=password or made or "", role=role, account_id=account)
    created = await bus.call(auth.CREATE_USER, request)
    text = f"User {created.email} is made, in account {created.account_id}."
    if made is not None:
        text += f"\nThe password is shown only now: {made}"
    return Answer(document=CreatedUser(user=created, password=made), text=text)


@user.command("password")
@click.argument("email")
@secret_option("password", is_required=False, is_new=True)
@over_the_bus
async def set_password(bus: "Bus", email: str, password: str | None) -> Answer:
    """Give a user a new password, and end their sessions.

    Without an option for the password, one is made and shown once. A second factor stays.
    """
    made = secrets.token_urlsafe(PASSWORD_BYTES) if password is None else None
    changed = await bus.call(
        people.SET_PASSWORD, people.SetPassword(email=email, password=password or made or "")
    )
    text = f"User {changed.email} has a new password."
    if made is not None:
        text += f"\nIt is shown only now: {made}"
    return Answer(document=CreatedUser(user=changed, password=made), text=text)


@user.command("confirm")
@click.argument("email")
@over_the_bus
async def confirm_user(bus: "Bus", email: str) -> Answer:
    """Take an e-mail address for confirmed.

    For somebody whom the message does not reach. A sign-up that waits for it is finished: the account is there then.
    """
    confirmed = await bus.call(people.CONFIRM_PERSON, people.ConfirmPerson(email=email))
    text = f"The address of {confirmed.email} is confirmed; the account is {confirmed.account_id}."
    return Answer(document=confirmed, text=text)


@user.command("remove-factors")
@click.argument("email")
@over_the_bus
async def remove_factors(bus: "Bus", email: str) -> Answer:
    """Take every second factor from a user who has lost theirs.

    Be sure who asks: a password is enough then. Their sessions and management keys end.
    """
    removed = await bus.call(factors.REMOVE_FACTORS, factors.RemoveFactors(email=email))
    had = "an authenticator" if removed.had_totp else "no authenticator"
    text = (
        f"{email} had {had}, {removed.passkeys} passkeys and {removed.recovery_codes} recovery codes. All are removed; "
        "their sessions and management keys have ended."
    )
    return Answer(document=removed, text=text)


@user.command("list")
@click.option("--account", type=parameters.account_id, metavar="ID", help="Only those of this account.")
@over_the_bus
async def list_users(bus: "Bus", account: str | None) -> Answer:
    """List users, oldest first, at most 1,000."""
    users = await bus.call(auth.LIST_USERS, auth.ListUsers(account_id=account))
    rows = [(each.email, each.role, each.account_id, moment(each.created_unix)) for each in users.items]
    return Answer(document=users, text=table("EMAIL|ROLE|ACCOUNT|CREATED", rows))
