"""The log of actions: every unsafe route of operators is in it, before it is done, and no secret ever is."""

import re
from string import Formatter
from typing import Any, get_args

import msgspec
import pytest

from services.edge.api import table, trail
from services.edge.api.endpoint import Endpoint
from services.edge.api.handlers import HANDLERS
from services.edge.api.shapes import channels, operator
from shared.contracts import dispatcher, site
from shared.contracts.call import EDGE, Call
from shared.errors import InvalidRequest, NotFound, Unavailable
from shared.settings import Settings
from shared.trail import HIDDEN, redacted, secret_fields
from tests.edge.api.conftest import ADDRESS, Operator

UNSAFE = [each for each in table.ENDPOINTS if each.access == "operator" and each.method != "GET"]
SUSPICIOUS = re.compile("password|credential|secret|token|key|code|header|hash|cookie|pin$")
HARMLESS = {  # what sounds like a secret, and is none
    ("SetPrice", "max_output_tokens"),
    ("SetPrice", "context_tokens"),
    ("Limits", "tokens_per_minute"),
    ("MakeChannel", "auth_header"),
    ("UpdateChannel", "auth_header"),
    ("Figures", "above_input_tokens"),
    ("Credit", "idempotency_key"),
}


@pytest.mark.parametrize("endpoint", UNSAFE, ids=lambda each: each.name)
def test_every_unsafe_route_of_operators_is_in_the_log(endpoint: Endpoint) -> None:
    """Under a name, with an object that its path and its body can name; but for those that only read."""
    assert (endpoint in trail.ACTIONS) != (endpoint in trail.READING)
    kind = trail.action_of(endpoint)
    if kind is None:
        return
    named = {name for _, name, _, _ in Formatter().parse(kind.on) if name}
    assert named <= {*re.findall(r"{(\w+)", endpoint.path), *endpoint.takes.__struct_fields__}
    assert re.fullmatch("[a-z_]+", kind.name)


def test_actions_have_names_of_their_own() -> None:
    """And none is of a route that is not there, or that only reads."""
    names = [kind.name for kind in trail.ACTIONS.values()]

    assert len(names) == len(set(names))
    assert set(trail.ACTIONS) <= set(UNSAFE)
    assert {each.method for each in trail.READING} == {"POST"}


def test_routes_of_others_are_not_in_the_log() -> None:
    """Nor is what operators look at."""
    assert {trail.action_of(each) for each in table.ENDPOINTS if each not in UNSAFE} == {None}


def structs_of(kind: Any) -> set[type[msgspec.Struct]]:
    """Return every shape in a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        inner = {each for field in msgspec.structs.fields(kind) for each in structs_of(field.type)}
        return {kind, *inner}
    return {each for part in get_args(kind) for each in structs_of(part)}


@pytest.mark.parametrize(
    "kind",
    sorted({each for one in UNSAFE for each in structs_of(one.takes)}, key=str),
    ids=lambda each: str(each.__name__),
)
def test_what_sounds_like_a_secret_is_declared_as_one(kind: type[msgspec.Struct]) -> None:
    """In every shape that an operator sends, however deep; or it is known to be none."""
    sounding = {name for name in kind.__struct_fields__ if SUSPICIOUS.search(name)}
    harmless = {name for name in sounding if (kind.__name__, name) in HARMLESS}

    assert secret_fields(kind) == sounding - harmless, "declare it, or say why it is no secret"


@pytest.mark.parametrize("endpoint", UNSAFE, ids=lambda each: each.name)
def test_no_declared_secret_is_written_down(endpoint: Endpoint) -> None:
    """Of any shape, filled with what must not be there."""
    for kind in structs_of(endpoint.takes):
        marked = {name: f"leak-{name}" for name in secret_fields(kind)}
        values: dict[str, Any] = {
            field.name: _value(field, marked.get(field.name)) for field in msgspec.structs.fields(kind)
        }
        text = redacted(kind(**values)).decode()
        assert "leak-" not in text
        assert text.count(HIDDEN) == len(marked)


def _value(field: msgspec.structs.FieldInfo, secret: str | None) -> object:
    if secret is None:
        return f"open-{field.name}"
    return {"name": secret} if "dict" in str(field.type) else secret


async def test_an_action_is_in_the_log_with_who_did_it(op: Operator) -> None:
    """From where, by what means, and how it ended."""
    op.through = "management key"
    with pytest.raises(NotFound):
        await op.do(table.DELETE_GROUP, name="nobody's")

    action = await op.last_action()

    assert (action.user_id, action.email, action.through) == (op.user.id, op.user.email, "management key")
    assert (action.address, action.action, action.object) == (ADDRESS, "delete_group", "group nobody's")
    assert action.result == "not_found"


async def test_what_cannot_be_written_down_is_not_done(op: Operator, nats_url: str) -> None:
    """On a bus where nobody keeps the log, the handler is never asked."""
    asked: list[msgspec.Struct] = []

    class Deaf(type(op.bus)):  # type: ignore[misc]  # a class of a value
        async def call(self, call: Call[Any, Any], request: msgspec.Struct, **given: Any) -> Any:
            asked.append(request)
            return await super().call(call, request, **given)

    async with Deaf(Settings(nats_url=nats_url), party=EDGE) as bus:
        op.bus = bus
        with pytest.raises(Unavailable):
            await op.do(table.DELETE_GROUP, name="nobody's")

    assert [type(each) for each in asked] == [site.BeginAction]


async def test_an_outcome_that_nobody_knows_is_told_so(op: Operator) -> None:
    """An answer that does not come leaves it open."""
    context = op.context({"name": "x"})
    begun = await trail.begin(context, table.DELETE_GROUP, operator.SetRole(role="member"))
    await trail.end(context, begun, Unavailable("service_unavailable", part="billing"))

    assert (await op.last_action()).result == "unknown"


async def test_a_fault_of_ours_is_in_the_log(op: Operator) -> None:
    """Without its words."""
    context = op.context({"name": "x"})
    begun = await trail.begin(context, table.DELETE_GROUP, operator.SetRole(role="member"))
    await trail.end(context, begun, RuntimeError("a secret"))

    assert (await op.last_action()).result == "internal_error"
    assert "a secret" not in await op.log()


async def test_the_log_is_read_page_by_page(op: Operator) -> None:
    """Newest first, filtered by action and by a part of an object."""
    names = [f"nobody {number}" for number in range(5)]
    for name in names:
        with pytest.raises(NotFound):
            await op.do(table.DELETE_CHANNEL, name=name)

    first: operator.Actions = await op.do(table.ACTIONS, limit=3, action="delete_channel", search="NOBODY")
    assert first.next_cursor is not None
    rest: operator.Actions = await op.do(
        table.ACTIONS, limit=3, action="delete_channel", search="nobody", cursor=first.next_cursor
    )

    found = [each.object for each in (*first.items, *rest.items)]
    assert found[:5] == [f"channel {name}" for name in reversed(names)]
    assert (await op.do(table.ACTIONS, search="no such object")).items == ()
    for cursor in ("x", "-1", "9" * 30, "１"):
        with pytest.raises(InvalidRequest):
            await op.do(table.ACTIONS, cursor=cursor)


async def test_a_text_that_a_database_would_refuse_is_kept_readable(op: Operator) -> None:
    """A NUL, and what is too long."""
    with pytest.raises(NotFound):
        await op.do(table.DELETE_CHANNEL, name="a\0b" + "x" * 1000)
    states = channels.SetStates(names=("\0", *("x" * 90 for _ in range(100))), state="off")
    with pytest.raises(NotFound):
        await op.do(table.SET_CHANNEL_STATES, states)

    action = await op.last_action()
    assert action.object.startswith("channels \N{REPLACEMENT CHARACTER}, x")
    assert len(action.object) <= 200


def test_the_console_and_the_command_line_call_an_action_the_same() -> None:
    """So that the log can be searched by it."""
    assert trail.ACTIONS[table.MAKE_CHANNEL] == dispatcher.CREATE_CHANNEL.action
    assert HANDLERS.keys() <= set(table.ENDPOINTS)
