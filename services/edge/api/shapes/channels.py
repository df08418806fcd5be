"""Channels, prices and requests, as an operator sees them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.edge.api.shapes.ranges import Moment, Tokens
from services.edge.api.shapes.site import Figures
from services.edge.api.shapes.wallet import Call
from services.edge.receipts import ReceiptView
from shared.trail import SecretText, SecretValues

State = Literal["on", "draining", "off"]
AbortPolicy = Literal["estimate", "no_bill"]
AuthHeader = Literal["authorization", "api-key", "x-api-key"]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Weight = Annotated[int, Meta(ge=1, le=10_000)]


class UpstreamKey(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream key as it may be shown. `refused_as` says why it is out: not valid, or not paid for."""

    name: str
    refused_as: Literal["credential", "billing"] | None
    refused: int | None
    tested: int | None


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream account; `models` is our name → the upstream's. Values of parameters are texts of JSON."""

    name: str
    base_url: str
    state: State
    models: dict[str, str]
    priority: int
    weight: int
    abort_policy: AbortPolicy
    output_parameter: str
    auth_header: AuthHeader
    headers: SecretValues
    set_parameters: dict[str, str]
    default_parameters: dict[str, str]
    drop_parameters: tuple[str, ...]
    slow_seconds: float | None
    keys: tuple[UpstreamKey, ...]


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Every channel, by name."""

    items: tuple[Channel, ...]


class MakeChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`credential` becomes the channel's first key, named `default`."""

    name: str
    base_url: str
    credential: SecretText
    models: dict[str, str]
    priority: Priority = 0
    weight: Weight = 1
    state: State = "on"
    abort_policy: AbortPolicy = "estimate"
    output_parameter: str = "max_tokens"
    auth_header: AuthHeader = "authorization"
    headers: SecretValues = {}
    set_parameters: dict[str, str] = {}
    default_parameters: dict[str, str] = {}
    drop_parameters: tuple[str, ...] = ()
    slow_seconds: float | None = None


class UpdateChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; None leaves a field as it is. `slow_seconds` 0 goes back to the setting."""

    base_url: str | None = None
    credential: SecretText | None = None
    models: dict[str, str] | None = None
    priority: Priority | None = None
    weight: Weight | None = None
    state: State | None = None
    abort_policy: AbortPolicy | None = None
    output_parameter: str | None = None
    auth_header: AuthHeader | None = None
    headers: SecretValues | None = None
    set_parameters: dict[str, str] | None = None
    default_parameters: dict[str, str] | None = None
    drop_parameters: tuple[str, ...] | None = None
    slow_seconds: float | None = None


class CopyChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new channel like this one, switched off; the credential has to be given, since none is ever read out."""

    name: str
    credential: SecretText


class SetStates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give several channels a state. Either all are known, or nothing is changed."""

    names: tuple[str, ...]
    state: State


class AddUpstreamKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more key for a channel."""

    name: str
    credential: SecretText


class TestChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send a small real request through a channel, with each of its keys; its first model unless one is named."""

    model: str | None = None


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it with one key: `result` is `completed` or a fault's kind, `status` the upstream's if there was one."""

    key: str
    result: str
    status: int | None
    first_output_ms: int | None
    took_ms: int


class TestResults(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test, key by key."""

    model: str
    results: tuple[TestResult, ...]


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One price version. `figures` begins with the tier for every length."""

    version: int
    model: str
    figures: tuple[Figures, ...]
    max_output_tokens: int
    context_tokens: int | None
    capabilities: tuple[str, ...]
    source: str
    effective: int


class PricedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with its price in force and what is scheduled; `channels` offer it. Without a price it is refused, never free."""

    model: str
    price: Price | None
    scheduled: tuple[Price, ...]
    channels: tuple[str, ...]


class PricedModels(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that has a price or a channel, by name."""

    items: tuple[PricedModel, ...]


class PriceVersions(msgspec.Struct, frozen=True, kw_only=True):
    """Every version of one model, newest first."""

    items: tuple[Price, ...]


class SetPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new version of a model's price, in force from `effective` on; None is now."""

    model: str
    figures: tuple[Figures, ...]
    max_output_tokens: Tokens
    context_tokens: Tokens | None = None
    capabilities: tuple[str, ...] = ()
    source: str = ""
    effective: Moment | None = None


class PriceDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that a new version would change, in words that `relay price import` uses; `is_large` wants a second look."""

    what: str
    before: str
    after: str
    is_large: bool


class PricePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a new version would change; nothing was stored. Empty for a first price."""

    differences: tuple[PriceDifference, ...]


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the shipped catalogue knows of a model, to fill in a form."""

    model: str
    figures: tuple[Figures, ...]
    max_output_tokens: int | None
    context_tokens: int | None
    capabilities: tuple[str, ...]
    source: str


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Entries whose names fit best."""

    items: tuple[CatalogueEntry, ...]


class CatalogueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a name."""

    search: str = ""


class AnyCall(Call, frozen=True, kw_only=True):
    """A request as the operator sees it."""

    account_id: str
    account_name: str
    channel: str
    cost_usd: str
    written_off_usd: str


class AnyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """One page of requests, newest first."""

    items: tuple[AnyCall, ...]
    next_cursor: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One channel that was looked at: `result` is `completed`, a fault's kind, or `skipped_…` and why."""

    channel: str
    credential: str
    result: str
    status: int | None
    began_ms: int
    took_ms: int
    may_be_billed: bool


class RequestDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One request: the receipt, whose it is, and every channel that was tried."""

    receipt: ReceiptView
    account_id: str
    account_name: str
    key_id: str
    attempts: tuple[Attempt, ...]
