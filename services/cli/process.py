"""`relay edge`, `auth`, `billing`, `dispatcher`, `simulate` and `up`: commands that run until they are told to stop."""

import click

from services.cli.session import expected_errors
from shared.settings import load


@click.command()
def edge() -> None:
    """Run the edge: it serves HTTP, and asks the others."""
    from services.edge.serving import serve
    from services.edge.settings import EdgeSettings

    with expected_errors():
        serve(load(EdgeSettings))


@click.command()
def auth() -> None:
    """Run auth: it keeps accounts, users and keys."""
    from services.auth.app import create_app
    from services.auth.settings import AuthSettings
    from shared.service import run

    with expected_errors():
        run("auth", create_app, load(AuthSettings))


@click.command()
def billing() -> None:
    """Run billing: it keeps the ledger."""
    from services.billing.app import create_app
    from services.billing.settings import BillingSettings
    from shared.service import run

    with expected_errors():
        run("billing", create_app, load(BillingSettings))


@click.command()
def dispatcher() -> None:
    """Run the dispatcher: it calls the upstreams."""
    from services.dispatcher.app import create_app
    from services.dispatcher.settings import DispatcherSettings
    from shared.service import run

    with expected_errors():
        run("dispatcher", create_app, load(DispatcherSettings))


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def simulate(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Answer as an OpenAI-compatible provider. No model is called."""
    from services.simulator.__main__ import main

    main.main(
        list(arguments), prog_name=context.command_path, help_option_names=context.help_option_names
    )  # its own options and help


@click.command()
@click.option(
    "--replicas", type=click.IntRange(1, 16), default=1, show_default=True, help="Processes of each service."
)
@click.pass_context
def up(context: click.Context, replicas: int) -> None:
    """Start everything on this machine, until Ctrl-C."""
    from services.devstack.stack import up as run_stack

    with expected_errors():
        context.exit(run_stack(replicas))
