"""`relay doctor` put together."""

import click
import msgspec

from services.cli.answer import Answer
from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report, text_of
from services.cli.session import answering, local_stack
from shared.contracts.call import OPERATOR
from shared.settings import Secret, load


@click.command()
@click.option("--no-audit", is_flag=True, help="Leave out the ledger's audit, which reads whole tables.")
@answering
async def doctor(no_audit: bool) -> Answer:
    """Check a deployment: one line for each thing that is wrong.

    Checks what the settings name (`relay settings --service deployment`), or else the local stack: NATS with each user whose
    password is given, PostgreSQL with each login, the services, secrets, prices, the ledger and the edge. Changes nothing. Ends
    with 1 when anything is wrong.
    """
    from services.cli.doctor import bus, database, edge, values

    settings = _named(load(DeploymentSettings))
    report = Report()
    values.check(settings, report)
    await database.check(settings, report, with_audit=not no_audit)
    await bus.check(settings, report)
    await edge.check(settings, report)
    diagnosis = report.diagnosis()
    count = len(diagnosis.problems)
    return Answer(
        document=diagnosis,
        text=text_of(diagnosis),
        failure=None
        if diagnosis.is_healthy
        else f"{count} {'thing is' if count == 1 else 'things are'} wrong.",
    )


def _named(settings: DeploymentSettings) -> DeploymentSettings:
    """Return the settings, with those of the local stack where they name neither NATS nor PostgreSQL."""
    if settings.nats_url or settings.database_url.reveal() or settings.database_urls:
        return settings
    local = local_stack()
    if local is None and settings.edge_url:
        return settings
    if local is None:
        raise click.ClickException(
            "No deployment is named. Set RELAY_NATS_URL and RELAY_DATABASE_URL, or start Relay here with `relay up`."
        )
    return msgspec.structs.replace(
        settings,
        nats_url=local.nats_url,
        nats_user=local.nats_user or OPERATOR,
        nats_password=Secret(local.nats_password),
        database_url=Secret(local.database_url),
    )
