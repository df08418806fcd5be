"""What anybody may see: the site, its models and prices, and how they do."""

from typing import Literal

import msgspec

from services.edge.api.shapes.ranges import Tokens

SignUpMode = Literal["open", "invitation", "off"]
Language = Literal["en", "zh"]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A text of the operator's in both languages, as plain text; a page shows the other where one is empty."""

    en: str = ""
    zh: str = ""


class SignInProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else's sign-in that this site offers; `id` is a part of `/api/oidc/{id}/start`."""

    id: str
    name: str


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a page must know before anybody has signed in.

    `base_url` is what an SDK is given, with its `/v1`. `has_outbox` says that messages lie at `/api/outbox`, since no mail server
    is set. `notice` is an announcement, `about` stands on the landing page, `contact` is where to ask.
    """

    name: str
    base_url: str
    sign_up: SignUpMode
    providers: tuple[SignInProvider, ...]
    has_outbox: bool
    default_language: Language
    notice: Text
    about: Text
    contact: str
    version: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in USD per million tokens; those of a tier hold for whole prompts that are longer than `above_input_tokens`."""

    above_input_tokens: Tokens
    input: str
    output: str
    cache_read: str
    cache_write: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be called, with the price in force. `figures` begins with the tier for every length."""

    id: str
    figures: tuple[Figures, ...]
    context_tokens: int | None
    max_output_tokens: int
    capabilities: tuple[str, ...]


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that can be called and has a price, by name."""

    items: tuple[Model, ...]


class StatusBucket(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of time. `failed` counts what was our or an upstream's fault, never a client's."""

    began: int
    requests: int
    failed: int


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a model did, from real traffic. A figure is None where nothing was measured.

    `success` is a share from 0 to 1. `first_output_ms` is the median over streams, `tokens_per_second` that of their output.
    """

    model: str
    requests: int
    success: float | None
    first_output_ms: int | None
    first_output_p95_ms: int | None
    tokens_per_second: float | None
    buckets: tuple[StatusBucket, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How every model did within the last `hours`, in buckets of `bucket_seconds`."""

    hours: int
    bucket_seconds: int
    items: tuple[ModelStatus, ...]


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`hours` looks back so far: 1, 24 or 168."""

    hours: Literal[1, 24, 168] = 24


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would have gone out by mail."""

    id: int
    to: str
    subject: str
    body: str
    created: int


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """The last messages, newest first."""

    items: tuple[Message, ...]
