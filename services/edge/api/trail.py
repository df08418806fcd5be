"""What operators do, written down: before it is done, and again with how it ended."""

import msgspec

from services.edge.api.context import Context
from services.edge.api.endpoint import Endpoint
from shared.contracts import site

SECRET_FIELDS = frozenset({"credential", "password", "codes", "secret", "token"})


async def begin(context: Context, endpoint: Endpoint, ask: msgspec.Struct) -> int:
    """Write down that an operator is about to do this; return its number. Raises: Unavailable; then it must not be done."""
    person = context.person
    begun = await context.bus.call(
        site.BEGIN_ACTION,
        site.BeginAction(
            user_id=person.user_id,
            email=person.email,
            through=person.through,
            address=context.client.address,
            action=endpoint.name,
            object=" ".join(context.path.values()),
            asked=msgspec.json.encode(redacted(ask)).decode(),
        ),
    )
    return begun.id


async def end(context: Context, number: int, result: str) -> None:
    """Write down how it ended: `done` or an error's code."""
    before = "null" if context.before is None else msgspec.json.encode(redacted(context.before)).decode()
    await context.bus.call(site.END_ACTION, site.EndAction(id=number, result=result, before=before))


def redacted(value: msgspec.Struct) -> object:
    """Return the members of `value` without secrets."""
    return _redacted(msgspec.to_builtins(value))


def _redacted(value: object) -> object:
    if isinstance(value, dict):
        return {name: "…" if name in SECRET_FIELDS else _redacted(each) for name, each in value.items()}
    return [_redacted(each) for each in value] if isinstance(value, list | tuple) else value
