"""`relay settings` and `relay nats-config`: the texts that a deployment is configured with."""

from collections.abc import Iterable

import click

from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.cli.deployment import DeploymentSettings
from services.devstack.settings import StackSettings
from services.dispatcher.settings import DispatcherSettings
from services.edge.settings import EdgeSettings
from shared.contracts.call import PARTIES
from shared.settings import Documented, Settings, document

KINDS: dict[str, type[Settings]] = {
    "edge": EdgeSettings,
    "auth": AuthSettings,
    "billing": BillingSettings,
    "dispatcher": DispatcherSettings,
    "stack": StackSettings,
    "deployment": DeploymentSettings,
}
TITLES = {
    "edge": "The edge",
    "auth": "Auth",
    "billing": "Billing",
    "dispatcher": "The dispatcher",
    "stack": "The local stack: relay up",
    "deployment": "Deploying: relay migrate, relay reseal, relay doctor",
}
OPENAI_API_KEY = Documented(
    variable="OPENAI_API_KEY",
    description="Key of OpenAI, which the demo channel then leads to",
    default="",
    is_secret=True,
)
HEADER = """\
# Every setting of Relay with its default, as `relay settings` prints it. Uncomment what you change.
# A secret can be mounted instead of exported: RELAY_X_FILE names the file that holds the value of RELAY_X.
"""


@click.command()
@click.option(
    "--service",
    type=click.Choice(list(KINDS)),
    help="Only what this service, the local stack or a deployment reads.",
)
def settings(service: str | None) -> None:
    """Print every setting, as a .env file."""
    click.echo(environment_text(service), nl=False)


@click.command("nats-config")
@click.option("--cluster", is_flag=True, help="For each server of a cluster, instead of for one alone.")
@click.option(
    "--second-users", is_flag=True, help="Add edge_2, auth_2 and so on, to change passwords while both are good."
)  # fmt: skip
def nats_configuration(cluster: bool, second_users: bool) -> None:
    """Print the configuration of NATS.

    Each service has a user with the least rights. Passwords come from the server's environment:
    RELAY_NATS_PASSWORD_EDGE, RELAY_NATS_PASSWORD_AUTH, and so on; those of second users from RELAY_NATS_PASSWORD_EDGE_2 and so on.
    A server of a cluster has its name in RELAY_NATS_SERVER_NAME, the password among servers in RELAY_NATS_PASSWORD_ROUTE, and
    in RELAY_NATS_ROUTES the list of all: ["nats-route://route:PASSWORD@HOST:6222", …].
    """
    click.echo(nats_text(cluster=cluster, second_users=second_users), nl=False)


def nats_text(*, cluster: bool = False, second_users: bool = False) -> str:
    """Return the configuration of a deployment's NATS, with every password a variable of the server's environment."""
    from shared.contracts.nats_config import ROUTE, SECOND, nats_config

    passwords = {party: f"$RELAY_NATS_PASSWORD_{party.upper()}" for party in (*PARTIES, ROUTE)}
    return nats_config(
        passwords,
        second_passwords={party: passwords[party] + SECOND for party in PARTIES} if second_users else None,
        routes=("$RELAY_NATS_ROUTES",) if cluster else (),
    )


def environment_text(service: str | None = None) -> str:
    """Return what `service` reads as a .env file; by default what any reads, the settings that all share first and once."""
    if service is not None:
        return HEADER + _section(TITLES[service], _read_by(service))
    shared = list(document(Settings))
    sections = [_section("Every service", shared)]
    for name, title in TITLES.items():
        sections.append(_section(title, (each for each in _read_by(name) if each not in shared)))
    return HEADER + "".join(sections)


def _read_by(service: str) -> list[Documented]:
    extra = [OPENAI_API_KEY] if service == "stack" else []
    return [*document(KINDS[service]), *extra]


def _section(title: str, settings: Iterable[Documented]) -> str:
    return f"\n## {title}\n" + "".join(map(_entry, settings))


def _entry(each: Documented) -> str:
    required = " (required)" if each.default is None else ""
    return f"\n# {each.description}{required}\n# {each.variable}={each.default or ''}\n"
