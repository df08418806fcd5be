"""`GET /v1/models`: what can be called, for anybody; with a key, those of them that the key and the group of its account may use.

A model is listed when a channel offers it and it has a price, because only then a request for it is admitted.
"""

import asyncio
import time

import msgspec
from starlette.types import Receive, Scope, Send

from services.edge.chat import language_in, send_error
from services.edge.errors import Language
from services.edge.principals import Principals
from services.edge.visits import Visit, Visits
from shared.bus import Bus
from shared.contracts import accounts, billing, dispatcher
from shared.errors import ErrorBody, NotFound, RelayError, Unauthenticated, from_body

CACHE_SECONDS = 10.0
FAILURE_SECONDS = (
    1.0  # after a failure nobody asks again for so long: who waits for the same answer fails with it
)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the OpenAI form (https://platform.openai.com/docs/api-reference/models/object)."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "relay"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The list in the OpenAI form."""

    object: str = "list"
    data: list[Model]


class Models:
    """The models that can be called, read from dispatcher and billing and forgotten when something changes there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, Model] = {}
        self._until = 0.0
        self._failure: ErrorBody | None = None
        self._failed_until = 0.0
        self._changes = 0
        self._lock = asyncio.Lock()

    async def listen(self) -> None:
        """Hear of changed channels and prices from now on."""
        await self._bus.listen(dispatcher.CHANNEL_CHANGED, self._on_changed)
        await self._bus.listen(billing.PRICE_CHANGED, self._on_changed)

    async def all(self) -> dict[str, Model]:
        """Return every model by name. Raises: Unavailable when dispatcher or billing do not answer."""
        async with self._lock:
            if time.monotonic() >= self._until:
                if self._failure is not None and time.monotonic() < self._failed_until:
                    raise from_body(self._failure)
                try:
                    await self._read()
                except RelayError as error:
                    self._failure = error.to_body()
                    self._failed_until = time.monotonic() + FAILURE_SECONDS
                    raise
            return self._known

    async def _read(self) -> None:
        changes = self._changes
        offered, prices = await asyncio.gather(
            self._bus.call(dispatcher.LIST_MODELS, dispatcher.ListModels()),
            self._bus.call(billing.LIST_PRICES, billing.ListPrices()),
        )
        priced = {price.model for price in prices.items}
        self._known = {
            model.id: Model(id=model.id, created=model.created_unix)
            for model in offered.items
            if model.id in priced
        }
        if changes == self._changes:
            self._until = time.monotonic() + CACHE_SECONDS

    async def _on_changed(self, event: msgspec.Struct) -> None:
        self._changes += 1
        self._until = 0.0


class ModelsEndpoint:
    """Both routes as one ASGI application: the list, or the model that the path names."""

    def __init__(
        self, bus: Bus, models: Models, principals: Principals, default_language: Language, visits: Visits
    ) -> None:
        self._bus = bus
        self._models = models
        self._principals = principals
        self._default_language = default_language
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = Visit("models")
        try:
            await self._serve(scope, send, visit)
        finally:
            self._visits.end(visit)

    async def _serve(self, scope: Scope, send: Send, visit: Visit) -> None:
        try:
            answer = await self._answer(scope)
        except RelayError as error:
            language = language_in(scope, self._default_language)
            visit.failed("refused", error)
            visit.status = await send_error(send, error, language=language, request_id=visit.request_id)
            return
        visit.status, visit.outcome = 200, "complete"
        body = msgspec.json.encode(answer)
        name = str(visit.request_id).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", name),
            (b"request-id", name),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope) -> Model | ModelList:
        models = await self._models.all()
        limits = await self._limits(scope)
        visible = {
            name: model for name, model in models.items() if all(name in allowed for allowed in limits)
        }
        wanted = scope["path_params"].get("model")
        if wanted is None:
            return ModelList(data=list(visible.values()))
        if wanted not in visible:
            raise NotFound("model_not_found", param="model", model=wanted[:200])
        return visible[wanted]

    async def _limits(self, scope: Scope) -> list[tuple[str, ...]]:
        """Return the lists that bind the caller, none for a missing or wrong key: what there is, is public."""
        try:
            principal = await self._principals.of(scope)
        except Unauthenticated:
            return []
        account = await self._bus.call(
            accounts.GET_LIMITS, accounts.GetLimits(account_id=principal.account_id)
        )
        return [allowed for allowed in (principal.allowed_models, account.allowed_models) if allowed]
