"""Who calls: the key in a request, verified by auth and remembered for a moment.

The memory may say no early; it never says yes for money, since the reserve transaction checks key and account again. An entry
lives at most `cache_seconds`, and is dropped at once when its key or account changes. What is remembered is found by the
whole hashed secret, so a wrong secret never meets a right one's entry.

Guessing does not get far: what is no key in form is refused without asking auth, a refusal is remembered, and whoever has been
wrong too often waits (`guesses.py`). That never meets a key which has proved good here: it is asked for whoever guesses beside it.
"""

import time
from collections import Counter, OrderedDict
from typing import TypeVar

from starlette.types import Scope

from services.edge.addresses import client_address
from services.edge.guesses import Guesses
from shared.bus import Bus
from shared.contracts import auth
from shared.errors import ErrorBody, RelayError, Unauthenticated, from_body
from shared.keys import ParsedKey, parse
from shared.metrics import Metrics

ENTRIES_MAX = 10_000
REFUSALS_MAX = 10_000
REFUSAL_SECONDS = 2.0
REFUSALS = (
    "missing_api_key", "invalid_api_key", "revoked_api_key", "expired_api_key", "account_suspended", "too_many_wrong_keys",
)  # fmt: skip
V = TypeVar("V")
_KEY_HEADERS = (b"x-api-key", b"api-key")


class Principals:
    """Verifies keys, with a memory."""

    def __init__(self, bus: Bus, *, cache_seconds: float, trusted_proxies: tuple[str, ...] = ()) -> None:
        self._bus = bus
        self._cache_seconds = cache_seconds
        self._trusted_proxies = trusted_proxies
        self._guesses = Guesses()
        self._known: OrderedDict[ParsedKey, tuple[auth.Principal, float]] = OrderedDict()
        self._refused: OrderedDict[ParsedKey, tuple[ErrorBody, float]] = OrderedDict()
        self._changes = 0
        self._refusals: Counter[str] = Counter()

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` which keys were refused, also those that only list models."""
        metrics.totals(
            "edge_keys_refused_total",
            "Keys refused by reason; too_many_wrong_keys is the guard against guessing",
            ("code",),
            lambda: {(code,): self._refusals[code] for code in REFUSALS},
        )

    async def listen(self) -> None:
        """Hear of changed keys and accounts from now on."""
        await self._bus.listen(auth.KEY_CHANGED, self._on_key_changed)
        await self._bus.listen(auth.ACCOUNT_CHANGED, self._on_account_changed)

    async def of(self, scope: Scope) -> auth.Principal:
        """Return whose key is in the request.

        Raises: Unauthenticated, Forbidden; RateLimited for a key that has not been good lately, where too many were wrong;
        Unavailable when auth does not answer.
        """
        try:
            return await self._of(scope)
        except RelayError as error:
            self._refusals[error.code] += 1
            raise

    async def _of(self, scope: Scope) -> auth.Principal:
        key = key_in(scope["headers"])
        now = time.monotonic()
        entry = self._known.get(key)
        if entry is not None and entry[1] > now:
            return _unexpired(entry[0])
        refusal = self._refused.get(key)
        if refusal is not None and refusal[1] > now:
            raise from_body(
                refusal[0]
            )  # a new one: an exception that is raised again keeps every frame it passed
        if entry is not None:
            return await self._asked(key, now)
        address = client_address(scope, self._trusted_proxies)
        self._guesses.check(address, key.id, now)
        try:
            return await self._asked(key, now)
        except Unauthenticated:
            self._guesses.add(address, key.id, now)
            raise

    async def _asked(self, key: ParsedKey, now: float) -> auth.Principal:
        changes = self._changes
        try:
            principal = await self._bus.call(
                auth.VERIFY, auth.Verify(key_id=key.id, secret_sha256=key.secret_sha256)
            )
        except Unauthenticated as error:
            self._known.pop(key, None)
            _remember(self._refused, key, (error.to_body(), now + REFUSAL_SECONDS), REFUSALS_MAX)
            raise
        if changes == self._changes:  # else the answer may be older than the change
            _remember(self._known, key, (principal, now + self._cache_seconds), ENTRIES_MAX)
        return principal

    async def _on_key_changed(self, event: auth.KeyChanged) -> None:
        self._changes += 1
        for key in [key for key in self._known if key.id == event.key_id]:
            del self._known[key]
        for key in [key for key in self._refused if key.id == event.key_id]:
            del self._refused[key]

    async def _on_account_changed(self, event: auth.AccountChanged) -> None:
        self._changes += 1
        for key in [key for key, (known, _) in self._known.items() if known.account_id == event.account_id]:
            del self._known[key]


def key_in(headers: list[tuple[bytes, bytes]]) -> ParsedKey:
    """Return the well-formed key of `Authorization: Bearer`, `x-api-key` or `api-key`. Raises: Unauthenticated."""
    text = b""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, credential = value.partition(b" ")
            if scheme.lower() == b"bearer":
                text = credential.strip()
                break
        elif name in _KEY_HEADERS and not text:
            text = value.strip()
    if not text:
        raise Unauthenticated("missing_api_key")
    key = parse(text.decode("latin-1"))
    if key is None:
        raise Unauthenticated("invalid_api_key")
    return key


def _unexpired(principal: auth.Principal) -> auth.Principal:
    if principal.expires_unix is not None and principal.expires_unix <= time.time():
        raise Unauthenticated("expired_api_key")
    return principal


def _remember(memory: OrderedDict[ParsedKey, V], key: ParsedKey, value: V, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > most:
        memory.popitem(last=False)
