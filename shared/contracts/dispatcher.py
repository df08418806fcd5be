"""What `dispatcher` answers: streams of model calls, and the channels they go out on."""

from typing import Literal

import msgspec

from shared.contracts.billing import AbortPolicy, Settle, UpstreamAttempt
from shared.contracts.call import DISPATCHER, EDGE, OPERATOR, Call, Channel, Empty, Event
from shared.errors import ErrorBody
from shared.trail import ActionKind, SecretText, SecretValues

ChannelState = Literal["on", "draining", "off"]
AuthHeader = Literal["authorization", "api-key", "x-api-key"]
RefusedAs = Literal["credential", "billing"]


class ChatCall(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an OPEN: what the dispatcher must know before it reads the body.

    `output_tokens_granted` is the bound for one choice that is sent upstream; `output_tokens_held` is how much output the hold
    covers at first, over all choices (None: all of it). `input_tokens_bound` and `deadline_seconds` (from when the dispatcher hears
    it) come from the hold.
    """

    account_id: str
    model: str
    is_stream: bool
    include_usage: bool
    output_tokens_granted: int
    choices: int
    input_tokens_bound: int
    deadline_seconds: float
    output_tokens_held: int | None = None


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream has begun to answer: from here on the status is 200. `body_bytes` is None for a stream."""

    content_type: str
    body_bytes: int | None = None


class AnswerTail(msgspec.Struct, frozen=True, kw_only=True):
    """The last word on an answer: None or the error that ended it, and the claim that is sent to billing.

    The edge sends the same claim when it does not see it confirmed: the first commit wins, the second changes nothing.
    `claim` is None when the hold is voided instead; `attempts` then says what came of each channel. `may_be_billed` is true when
    some attempt can have cost money upstream.
    """

    error: ErrorBody | None = None
    claim: Settle | None = None
    may_be_billed: bool = False
    attempts: tuple[UpstreamAttempt, ...] = ()


class ListModels(msgspec.Struct, frozen=True, kw_only=True):
    """Which models do the channels offer?"""


class OfferedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that at least one channel serves, since `created_unix`."""

    id: str
    created_unix: int


class OfferedModels(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that can be called, by name."""

    items: tuple[OfferedModel, ...]


class CreateChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Make a channel: an upstream account that serves `models` (our name → the upstream's name).

    Higher `priority` is tried first; among equals the chance is in proportion to `weight`. `credential` becomes its first key,
    named `default`; `auth_header` is where a key is sent, as `Bearer` in `authorization` and bare in the others. `headers` are sent
    beside. Members of the request are taken out by `drop_parameters`, then given by `default_parameters` where the client has none,
    then put by `set_parameters`; the values are texts of JSON. `slow_seconds` is how long a stream may be without output before
    another channel is tried, None as the setting says.
    """

    name: str
    base_url: str
    credential: SecretText
    models: dict[str, str]
    priority: int = 0
    weight: int = 1
    state: ChannelState = "on"
    abort_policy: AbortPolicy = "estimate"
    output_parameter: str = "max_tokens"
    auth_header: AuthHeader = "authorization"
    headers: SecretValues = {}
    set_parameters: dict[str, str] = {}
    default_parameters: dict[str, str] = {}
    drop_parameters: tuple[str, ...] = ()
    slow_seconds: float | None = None


class UpdateChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Change what is given of a channel; None leaves a field as it is.

    `credential` replaces the key named `default`, or makes it. `slow_seconds` 0 goes back to the setting. A channel that is
    `draining` or `off` gets no new request, and its running ones go on; keys of one that is `off` are not tested either.
    """

    name: str
    base_url: str | None = None
    credential: SecretText | None = None
    models: dict[str, str] | None = None
    priority: int | None = None
    weight: int | None = None
    abort_policy: AbortPolicy | None = None
    output_parameter: str | None = None
    state: ChannelState | None = None
    auth_header: AuthHeader | None = None
    headers: SecretValues | None = None
    set_parameters: dict[str, str] | None = None
    default_parameters: dict[str, str] | None = None
    drop_parameters: tuple[str, ...] | None = None
    slow_seconds: float | None = None


class SetStates(msgspec.Struct, frozen=True, kw_only=True):
    """Give several channels a state: all of them, or none when one is unknown."""

    names: tuple[str, ...]
    state: ChannelState


class ChannelName(msgspec.Struct, frozen=True, kw_only=True):
    """The channel of this name."""

    name: str


class AddKey(msgspec.Struct, frozen=True, kw_only=True):
    """Give the channel one more upstream key, under a name of its own."""

    channel: str
    key: str
    credential: SecretText


class RemoveKey(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a key of a channel; it keeps at least one."""

    channel: str
    key: str


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream key as it may be shown. `refused_as` says why it is out since `refused_unix`: not valid, or not paid for."""

    name: str
    refused_as: RefusedAs | None = None
    refused_unix: float | None = None
    tested_unix: float | None = None


class ChannelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it may be shown: everything but its keys themselves."""

    id: str
    name: str
    base_url: str
    models: dict[str, str]
    priority: int
    weight: int
    abort_policy: AbortPolicy
    output_parameter: str
    state: ChannelState
    version: int
    auth_header: AuthHeader = "authorization"
    headers: dict[str, str] = {}
    set_parameters: dict[str, str] = {}
    default_parameters: dict[str, str] = {}
    drop_parameters: tuple[str, ...] = ()
    slow_seconds: float | None = None
    keys: tuple[KeyInfo, ...] = ()


class ChannelInfos(msgspec.Struct, frozen=True, kw_only=True):
    """Every channel, by name."""

    items: tuple[ChannelInfo, ...]


class TestChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Send a small real request through a channel, with each of its keys or the one that is named; its first model unless named."""

    name: str
    model: str | None = None
    key: str | None = None


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test with one key: `result` is `completed` or a fault's kind, `status` the upstream's if there was one."""

    key: str
    result: str
    status: int | None
    first_output_ms: int | None
    took_ms: int


class ChannelTested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test, key by key. A key that is refused is out from then on, and one that answers is in again."""

    name: str
    model: str
    results: tuple[TestResult, ...]


class ChannelChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A channel was made, changed or deleted, or a key of it; every dispatcher reads them again, every edge its list of models."""

    name: str


OPEN = Channel("dispatch.open", receiver=DISPATCHER, senders=(EDGE,), tokens=0)
TO_CALLER = Channel("stream.caller", receiver=EDGE, senders=(DISPATCHER,), tokens=2)
TO_CALLEE = Channel("stream.callee", receiver=DISPATCHER, senders=(EDGE,), tokens=2)
CALLER_LIFE = Channel("stream.life.caller", receiver=EDGE, senders=(DISPATCHER,), tokens=1)
CALLEE_LIFE = Channel("stream.life.callee", receiver=DISPATCHER, senders=(EDGE,), tokens=1)

LIST_MODELS = Call("dispatch.models", ListModels, OfferedModels, owner=DISPATCHER, callers=(EDGE, OPERATOR))
CREATE_CHANNEL = Call(
    "channel.create", CreateChannel, ChannelInfo, owner=DISPATCHER, callers=(EDGE, OPERATOR),
    action=ActionKind("make_channel", "channel {name}"),
)  # fmt: skip
UPDATE_CHANNEL = Call(
    "channel.update", UpdateChannel, ChannelInfo, owner=DISPATCHER, callers=(EDGE, OPERATOR),
    action=ActionKind("update_channel", "channel {name}"),
)  # fmt: skip
SET_STATES = Call(
    "channel.state.set", SetStates, ChannelInfos, owner=DISPATCHER, callers=(EDGE,),
    action=ActionKind("set_channel_states", "channels {names}"),
)  # fmt: skip
DELETE_CHANNEL = Call(
    "channel.delete", ChannelName, Empty, owner=DISPATCHER, callers=(EDGE, OPERATOR),
    action=ActionKind("delete_channel", "channel {name}"),
)  # fmt: skip
ADD_KEY = Call(
    "channel.key.add", AddKey, ChannelInfo, owner=DISPATCHER, callers=(EDGE, OPERATOR),
    action=ActionKind("add_upstream_key", "channel {channel}, key {key}"),
)  # fmt: skip
REMOVE_KEY = Call(
    "channel.key.remove", RemoveKey, ChannelInfo, owner=DISPATCHER, callers=(EDGE, OPERATOR),
    action=ActionKind("remove_upstream_key", "channel {channel}, key {key}"),
)  # fmt: skip
TEST_CHANNEL = Call(
    "channel.test", TestChannel, ChannelTested, owner=DISPATCHER, callers=(EDGE, OPERATOR), timeout_seconds=45.0,
    action=ActionKind("test_channel", "channel {name}"),
)  # fmt: skip
LIST_CHANNELS = Call("channel.list", Empty, ChannelInfos, owner=DISPATCHER, callers=(EDGE, OPERATOR))

CHANNEL_CHANGED = Event(
    "channel.event.changed", ChannelChanged, owner=DISPATCHER, listeners=(DISPATCHER, EDGE)
)
