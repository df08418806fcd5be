"""The command line in the log of operators' actions: what a command changes over the bus is written down before it is done."""

import os
import pwd
import socket

import click
import msgspec

from shared.bus import Bus
from shared.contracts import site
from shared.contracts.call import Call, Q, R
from shared.errors import RelayError, Unavailable
from shared.trail import ActionKind, redacted

DONE = "done"
NAME_CHARACTERS_MAX = 100


class RecordingBus(Bus):
    """A bus that writes into the log what an operator changes through it, under the name of the system's user.

    A call without an action changes nothing, and goes as it is. Of a command nothing is kept but its calls, without their secrets.
    """

    async def call(self, call: Call[Q, R], request: Q, *, timeout_seconds: float | None = None) -> R:
        """Return the owner's answer, as `Bus.call` does. Raises: ClickException when the log cannot be written."""
        if call.action is None:
            return await super().call(call, request, timeout_seconds=timeout_seconds)
        number = await self._begin(call.action, request)
        try:
            answer = await super().call(call, request, timeout_seconds=timeout_seconds)
        except Unavailable:  # it may have been done: the log says that it is unknown
            raise
        except RelayError as error:
            await self._end(number, error.code)
            raise
        await self._end(number, DONE)
        return answer

    async def _begin(self, action: ActionKind, request: msgspec.Struct) -> int:
        begin = site.BeginAction(
            user_id=None,
            email=user_name(),
            through="command line",
            address=socket.gethostname()[:NAME_CHARACTERS_MAX],
            action=action.name,
            object=action.object_of(msgspec.structs.asdict(request)),
            asked=redacted(request).decode(),
        )
        try:
            return (await super().call(site.BEGIN_ACTION, begin)).id
        except Unavailable as error:
            raise click.ClickException(
                f"Nothing was changed, since it cannot be written into the log of actions. {error}"
            ) from error

    async def _end(self, number: int, result: str) -> None:
        try:
            await super().call(site.END_ACTION, site.EndAction(id=number, result=result))
        except RelayError as error:
            click.echo(f"The log of actions does not say how this ended: {error}", err=True)


def user_name() -> str:
    """Return the name of the user who runs this process, or the number of one without a name."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name[:NAME_CHARACTERS_MAX]
    except KeyError:
        return f"user {number}"
