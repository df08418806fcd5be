"""The command `relay`: every noun in one place."""

import logging

import click

from services.cli import (
    account,
    action,
    channel,
    code,
    configuration,
    credit,
    database,
    health,
    invitation,
    key,
    limit,
    price,
    price_import,
    process,
    receipt,
    reseal,
    secrets,
    site,
    usage,
    user,
)
from services.cli.doctor import command as doctor

OPERATING = (
    user.user, account.account, key.key, limit.limit, limit.group, credit.credit, code.code, channel.channel, price.price,
    price.model, usage.usage, receipt.receipt, receipt.request, site.site, invitation.invitation, action.action,
    database.audit,
)  # fmt: skip
RUNNING = (process.up, process.edge, process.auth, process.billing, process.dispatcher, process.simulate)
DEPLOYING = (
    secrets.secrets, configuration.nats_configuration, configuration.settings, database.migrate,
    reseal.reseal, doctor.doctor, health.health,
)  # fmt: skip


price.price.add_command(price_import.import_prices)


class Grouped(click.Group):
    """A group whose help lists its commands by what they are for, not by their letters."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each purpose."""
        for title, commands in (("Operate", OPERATING), ("Run", RUNNING), ("Deploy", DEPLOYING)):
            with formatter.section(title):
                formatter.write_dl([(each.name or "", each.get_short_help_str(70)) for each in commands])


@click.group(cls=Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="relay")
def relay() -> None:
    """Relay: one base URL and one key to every model, with every cent accounted for."""


for command in OPERATING + RUNNING + DEPLOYING:
    relay.add_command(command)


def main() -> None:
    """Run the command that the arguments name, and exit."""
    # What the bus and the drivers log would stand beside the one sentence; a service sets up its own log.
    logging.getLogger().addHandler(logging.NullHandler())
    relay(prog_name="relay")


if __name__ == "__main__":
    main()
