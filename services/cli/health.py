"""`relay health`: whether the service of this container is ready, for engines that ask by running a program."""

import http.client

import click
import msgspec

from services.cli.answer import Answer, show
from services.cli.configuration import KINDS
from services.cli.session import expected_errors
from shared.settings import variable

SERVICES = ("edge", "auth", "billing", "dispatcher")
HOST = "127.0.0.1"
ASK_SECONDS = 4.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the service on `port` says of itself: whether it is ready, and what it misses."""

    ready: bool
    missing: tuple[str, ...]
    port: int = 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def health(as_json: bool) -> None:
    """Ask the service that runs here whether it is ready.

    It is looked for on this machine at RELAY_PORT, or else at the port that each service has by default. Ends with 1 when
    none answers, or the one that does is not ready. For the health check of a container; an orchestrator asks /readyz itself.
    """
    with expected_errors():
        found = _ask(ports())
    if found is None:
        raise click.ClickException("No service of Relay answers here.")
    failure = None if found.ready else f"The service is not ready: {', '.join(found.missing)}."
    show(
        Answer(document=found, text="The service is ready." if found.ready else "", failure=failure),
        as_json=as_json,
    )


def ports() -> tuple[int, ...]:
    """Return where a service may listen: RELAY_PORT, or every service's default."""
    chosen = variable("RELAY_PORT")
    if chosen is not None and chosen.isdecimal():
        return (int(chosen),)
    return tuple(
        field.default
        for service in SERVICES
        for field in msgspec.structs.fields(KINDS[service])
        if field.name == "port"
    )


def _ask(candidates: tuple[int, ...]) -> Health | None:
    """Return what the first service says that answers."""
    for port in candidates:
        connection = http.client.HTTPConnection(HOST, port, timeout=ASK_SECONDS)
        try:
            connection.request("GET", "/readyz")
            said = msgspec.json.decode(connection.getresponse().read(), type=Health)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            continue  # nobody, or somebody else: the next one may be ours
        finally:
            connection.close()
        return msgspec.structs.replace(said, port=port)
    return None
