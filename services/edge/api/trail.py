"""The log of what operators do: which routes are in it, what it calls them, and that nothing is done which it could not be told of.

An action is written down before it is done. When that fails, the action is not done; when the word of its end is lost, the log says
that the outcome is unknown, which it is. What was asked for is kept without its secrets (`shared.trail`).
"""

import logging

import msgspec

from services.edge.api import table
from services.edge.api.context import Context
from services.edge.api.endpoint import Endpoint
from shared.contracts import site
from shared.errors import RelayError, Unavailable
from shared.trail import ActionKind, printable, redacted

DONE = "done"
FAULT = "internal_error"
ACTIONS: dict[Endpoint, ActionKind] = {
    table.MAKE_CHANNEL: ActionKind("make_channel", "channel {name}"),
    table.SET_CHANNEL_STATES: ActionKind("set_channel_states", "channels {names}"),
    table.UPDATE_CHANNEL: ActionKind("update_channel", "channel {name}"),
    table.COPY_CHANNEL: ActionKind("copy_channel", "channel {name}"),
    table.TEST_CHANNEL: ActionKind("test_channel", "channel {name}"),
    table.DELETE_CHANNEL: ActionKind("delete_channel", "channel {name}"),
    table.ADD_UPSTREAM_KEY: ActionKind("add_upstream_key", "channel {name}"),
    table.REMOVE_UPSTREAM_KEY: ActionKind("remove_upstream_key", "channel {name}, key {key}"),
    table.SET_PRICE: ActionKind("set_price", "price of {model}"),
    table.MAKE_PERSON: ActionKind("make_person", "person {email}"),
    table.SET_ROLE: ActionKind("set_role", "person {user_id}"),
    table.SET_STATUS: ActionKind("set_account_status", "account {account_id}"),
    table.CREDIT: ActionKind("credit", "account {account_id}"),
    table.SET_ACCOUNT_LIMITS: ActionKind("set_limits", "account {account_id}"),
    table.SET_ACCOUNT_GROUP: ActionKind("set_account_group", "account {account_id}"),
    table.PUT_GROUP: ActionKind("put_group", "group {name}"),
    table.DELETE_GROUP: ActionKind("delete_group", "group {name}"),
    table.MAKE_CODES: ActionKind("make_codes", "codes {batch}"),
    table.REVOKE_CODES: ActionKind("revoke_codes", "codes {batch}"),
    table.INVITE: ActionKind("invite", "invitation for {email}"),
    table.REVOKE_INVITATION: ActionKind("revoke_invitation", "invitation {invitation_id}"),
    table.PUT_SETTINGS: ActionKind("put_settings", "site"),
}

READING = frozenset({table.PREVIEW_PRICE})  # has a body, and changes nothing

log = logging.getLogger(__name__)


class Begun(msgspec.Struct, frozen=True):
    """An action that is in the log and has not ended."""

    id: int


def action_of(endpoint: Endpoint) -> ActionKind | None:
    """Return how the log calls what a route does, None for one that is not in it: other people's routes, and what only reads."""
    if endpoint.access != "operator" or endpoint.method == "GET" or endpoint in READING:
        return None
    return ACTIONS[endpoint]


async def begin(context: Context, endpoint: Endpoint, ask: msgspec.Struct) -> Begun | None:
    """Write down what is about to be done; None for a route that is not in the log.

    Raises: Unavailable when it cannot be written down. Then it must not be done.
    """
    kind = action_of(endpoint)
    if kind is None:
        return None
    person = context.person
    begun = await context.bus.call(
        site.BEGIN_ACTION,
        site.BeginAction(
            user_id=person.user_id,
            email=person.email,
            through=person.through,
            address=context.address,
            action=kind.name,
            object=kind.object_of({**msgspec.structs.asdict(ask), **context.path}),
            asked=redacted(ask).decode(),
        ),
    )
    return Begun(begun.id)


async def end(context: Context, begun: Begun | None, error: Exception | None = None) -> None:
    """Write down how an action ended, and what was before it as far as its handler has said so.

    Raises nothing: the action is done, or not, whatever becomes of the log.
    """
    if begun is None or isinstance(error, Unavailable):  # whoever did not answer may have done it
        return
    code = DONE if error is None else error.code if isinstance(error, RelayError) else FAULT
    before = "null" if context.before is None else redacted(context.before).decode()
    ended = site.EndAction(id=begun.id, result=code, before=before, object=printable(context.object) or None)
    try:
        await context.bus.call(site.END_ACTION, ended)
    except RelayError as failure:
        log.warning("the end of action %d is not in the log: %s", begun.id, failure)
