"""`relay reseal`: the credentials of channels under a new master key."""

import click
import msgspec

from services.cli.answer import Answer
from services.cli.database import refusals
from services.cli.deployment import DeploymentSettings
from services.cli.session import answering, database_url
from shared.settings import load


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of channels that were sealed anew, and those that neither master key opens, each as channel/key."""

    resealed: tuple[str, ...]
    closed: tuple[str, ...]


@click.command()
@answering
async def reseal() -> Answer:
    """Seal the credentials of channels with RELAY_MASTER_KEY.

    Those that RELAY_MASTER_KEY_PREVIOUS has sealed are opened with it; afterwards it is not needed any more. Safe to repeat, and
    while dispatchers run that know both keys. The database is RELAY_DATABASE_URL. Ends with 1 when a credential does not open.
    """
    from services.dispatcher import store
    from services.dispatcher.channels import CREDENTIAL
    from services.dispatcher.master_key import sealer
    from shared.db import connect
    from shared.sealing import CannotOpen

    settings = load(DeploymentSettings)
    keys = sealer(settings.master_key, settings.master_key_previous)
    resealed, closed = [], []
    with refusals():
        connection = await connect(database_url(), schema="dispatcher", application="relay-reseal")
        try:
            rows = await store.list_channels(connection)
            for name, key in ((f"{row.info.name}/{key.name}", key) for row in rows for key in row.keys):
                if keys.is_current(key.sealed):
                    continue
                try:
                    anew = keys.rewrap(key.sealed, purpose=CREDENTIAL, row_id=key.id)
                except CannotOpen:
                    closed.append(name)
                    continue
                # One that an operator has just entered anew is sealed with the current key already.
                if await store.replace_sealed(connection, key, anew):
                    resealed.append(name)
        finally:
            await connection.close()
    return Answer(
        document=Resealed(resealed=tuple(resealed), closed=tuple(closed)),
        text=f"{len(resealed)} credentials were sealed anew; every one that opens has the current key.",
        failure=f"Neither key opens the credentials of: {', '.join(closed)}." if closed else None,
    )
