"""What `dispatcher` answers: streams of model calls, and the channels they go out on."""

import msgspec

from shared.contracts.billing import AbortPolicy, Settle
from shared.contracts.call import DISPATCHER, EDGE, OPERATOR, Call, Channel, Empty, Event
from shared.errors import ErrorBody


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
    `claim` is None when the hold is voided instead. `may_be_billed` is true when some attempt can have cost money upstream.
    """

    error: ErrorBody | None = None
    claim: Settle | None = None
    may_be_billed: bool = False


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

    Higher `priority` is tried first; among equals the chance is in proportion to `weight`.
    """

    name: str
    base_url: str
    credential: str
    models: dict[str, str]
    priority: int = 0
    weight: int = 1
    abort_policy: AbortPolicy = "estimate"
    output_parameter: str = "max_tokens"


class UpdateChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Change what is given of a channel; None leaves a field as it is."""

    name: str
    base_url: str | None = None
    credential: str | None = None
    models: dict[str, str] | None = None
    priority: int | None = None
    weight: int | None = None
    abort_policy: AbortPolicy | None = None
    output_parameter: str | None = None
    is_enabled: bool | None = None


class ChannelName(msgspec.Struct, frozen=True, kw_only=True):
    """The channel of this name."""

    name: str


class ChannelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it may be shown: everything but its credential."""

    id: str
    name: str
    base_url: str
    models: dict[str, str]
    priority: int
    weight: int
    abort_policy: AbortPolicy
    output_parameter: str
    is_enabled: bool
    version: int


class ChannelInfos(msgspec.Struct, frozen=True, kw_only=True):
    """Every channel, by name."""

    items: tuple[ChannelInfo, ...]


class ChannelChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A channel was made, changed or deleted; every dispatcher reads them again, every edge its list of models."""

    name: str


OPEN = Channel("dispatch.open", receiver=DISPATCHER, senders=(EDGE,), tokens=0)
TO_CALLER = Channel("stream.caller", receiver=EDGE, senders=(DISPATCHER,), tokens=2)
TO_CALLEE = Channel("stream.callee", receiver=DISPATCHER, senders=(EDGE,), tokens=2)
CALLER_LIFE = Channel("stream.life.caller", receiver=EDGE, senders=(DISPATCHER,), tokens=1)
CALLEE_LIFE = Channel("stream.life.callee", receiver=DISPATCHER, senders=(EDGE,), tokens=1)

LIST_MODELS = Call("dispatch.models", ListModels, OfferedModels, owner=DISPATCHER, callers=(EDGE, OPERATOR))
CREATE_CHANNEL = Call("channel.create", CreateChannel, ChannelInfo, owner=DISPATCHER, callers=(OPERATOR,))
UPDATE_CHANNEL = Call("channel.update", UpdateChannel, ChannelInfo, owner=DISPATCHER, callers=(OPERATOR,))
DELETE_CHANNEL = Call("channel.delete", ChannelName, Empty, owner=DISPATCHER, callers=(OPERATOR,))
LIST_CHANNELS = Call("channel.list", Empty, ChannelInfos, owner=DISPATCHER, callers=(OPERATOR,))

CHANNEL_CHANGED = Event(
    "channel.event.changed", ChannelChanged, owner=DISPATCHER, listeners=(DISPATCHER, EDGE)
)
