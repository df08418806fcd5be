"""`relay invitation`: links with which one person each may sign up."""

from typing import TYPE_CHECKING

import click

from services.cli import parameters
from services.cli.answer import Answer, moment, table
from services.cli.session import over_the_bus
from shared.contracts import site as contract

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.contracts.people import Language

WEEK_SECONDS = 7 * 86_400.0


@click.group()
def invitation() -> None:
    """Links with which one person each may sign up."""


@invitation.command("create")
@click.option("--email", help="Only for this address; the link is sent there too.")
@click.option(
    "--expires",
    type=parameters.duration,
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How long it is good, such as 12h or 7d.",
)
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", help="Language of the message.")
@over_the_bus
async def create_invitation(bus: "Bus", email: str | None, expires: float, language: "Language") -> Answer:
    """Make an invitation. Its link is shown once."""
    made = await bus.call(
        contract.INVITE, contract.Invite(email=email, lifetime_seconds=expires, language=language)
    )
    text = f"The link is good once, until {moment(made.invitation.expires_unix)}, and shown only now:\n{made.url}"
    return Answer(document=made, text=text)


@invitation.command("list")
@over_the_bus
async def list_invitations(bus: "Bus") -> Answer:
    """List invitations, newest first, at most 1,000."""
    found = await bus.call(contract.LIST_INVITATIONS, contract.ListInvitations(limit=1000))
    rows = [
        (
            each.id,
            each.email or "",
            moment(each.created_unix),
            moment(each.expires_unix),
            moment(each.used_unix),
            moment(each.revoked_unix),
        )
        for each in found.items
    ]
    return Answer(document=found, text=table("ID|E-MAIL|CREATED|EXPIRES|USED|REVOKED", rows))


@invitation.command("revoke")
@click.argument("invitation_id", metavar="ID")
@over_the_bus
async def revoke_invitation(bus: "Bus", invitation_id: str) -> Answer:
    """Take an invitation back, unless it was used."""
    revoked = await bus.call(
        contract.REVOKE_INVITATION, contract.RevokeInvitation(invitation_id=invitation_id)
    )
    return Answer(document=revoked, text=f"Nobody can sign up with the invitation {revoked.id} any more.")
