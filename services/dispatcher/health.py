"""What one dispatcher has seen of its channels: advice for routing, kept in memory and forgotten with the process. Pure.

    what came of an attempt            what follows
    a gateway's failure                counts against the channel; FAILURES_MAX in a row eject it for 30 s × its ejections,
    (refused, cut, silent, 5xx,        300 s at most. When it comes back the next failure ejects it again, and the next whole
    unreadable, empty, untrue)         answer clears it
    429                                the key rests for this model: as long as the upstream says, or else for a guess that doubles
    503, 529 with Retry-After          both of the above
    404, 405, 410, a redirect          the key rests for this model, by a guess
    401, 402, 403                      the key is out until a probe passes: see `keys.py`
    400 and the like                   nothing: the request was at fault

At most half of the channels of a model are ejected at a time, and so never the last one. An ejection and a guess are advice: such a
channel is asked when no other one is left. What the upstream has told is kept to: to ask sooner is in vain.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from services.dispatcher.routing import Credential, Route

FAILURES_MAX = 5
EJECTION_SECONDS = 30.0
EJECTION_SECONDS_MAX = 300.0
GUESSED_SECONDS = 1.0
GUESSED_SECONDS_MAX = 60.0
TOLD_SECONDS_MAX = 3600.0  # one request an hour finds out whether a longer wait has been cut short
RECENT_SECONDS = 60.0
REFUSED_SECONDS = (
    60.0  # a key that was refused here is out for as long, or until it is known to be good again
)

GATEWAY_FAILURES = frozenset(
    {
        "refused", "connect_timeout", "disconnected", "timeout", "stalled", "failed", "overloaded", "invalid", "empty",
        "incomplete",
    }
)  # fmt: skip
KEY_FAILURES = frozenset({"credential", "billing", "rate_limited"})  # another key of the channel may do

Standing = Literal["good", "ejected", "cooling_down", "credential"]


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as this process sees it: failures in a row, and how long it is still ejected."""

    channel_id: str
    failures: int
    ejections: int
    ejected_seconds: float


class _Record(msgspec.Struct):
    failures: int = 0
    ejections: int = 0
    until: float = 0.0


class _Rest(msgspec.Struct, frozen=True):
    until: float
    is_told: bool
    guesses: int = 0


class Health:
    """The memory. `now` is any clock in seconds that does not go back; a model is named as the upstream names it."""

    def __init__(self) -> None:
        self._channels: dict[str, _Record] = {}
        self._rests: dict[tuple[str, str], _Rest] = {}
        self._failed_at: dict[str, float] = {}
        self._refused: dict[tuple[str, int], float] = {}

    def completed(self, route: Route, credential: Credential, model: str) -> None:
        """Note a whole answer."""
        if self._channels:
            record = self._channels.get(route.id)
            if record is not None:
                record.failures = 0
        if self._rests:
            self._rests.pop((credential.id, model), None)
        if self._failed_at:
            self._failed_at.pop(credential.id, None)

    def failed(
        self,
        route: Route,
        credential: Credential,
        model: str,
        *,
        kind: str,
        wait_seconds: float | None,
        now: float,
    ) -> None:
        """Note an attempt that failed by `kind`; `wait_seconds` is when the upstream wants to be asked again, if it said so."""
        if kind in GATEWAY_FAILURES:
            self._count(route.id, now)
        if kind in ("rate_limited", "overloaded") and wait_seconds:
            until = now + min(wait_seconds, TOLD_SECONDS_MAX)
            self._rests[credential.id, model] = _Rest(until, is_told=True)
        elif kind in ("rate_limited", "misconfigured"):
            self._guess(credential.id, model, now)
        if kind in KEY_FAILURES:
            self._failed_at[credential.id] = now

    def refuse(self, credential: Credential, now: float) -> None:
        """Note that a key was refused; what is stored of it comes to be known a moment later."""
        self._refused[credential.id, credential.version] = now + REFUSED_SECONDS

    def forgive(self, credential: Credential) -> None:
        """Note that a key is good again."""
        self._refused.pop((credential.id, credential.version), None)
        self._failed_at.pop(credential.id, None)

    def is_refused(self, credential: Credential, now: float) -> bool:
        """Return whether a key is out, by what is stored or by what was seen here."""
        if credential.is_refused or not self._refused:
            return credential.is_refused
        return self._refused.get((credential.id, credential.version), 0.0) > now

    def ejected(self, routes: Sequence[Route], now: float) -> frozenset[str]:
        """Return the ids of those of a model's channels that are ejected: at most half, those that are out the longest."""
        if not self._channels:
            return frozenset()
        out = {
            route.id: record.until
            for route in routes
            if (record := self._channels.get(route.id)) and record.until > now
        }
        most = len(routes) // 2
        return frozenset(sorted(out, key=out.__getitem__, reverse=True)[:most])

    def able(self, keys: Sequence[Credential], model: str, now: float) -> list[Credential]:
        """Return the keys that no upstream has told to wait for a model."""
        if not self._rests:
            return list(keys)
        return [
            key
            for key in keys
            if not ((rest := self._rests.get((key.id, model))) and rest.is_told and rest.until > now)
        ]

    def rested(self, keys: Sequence[Credential], model: str, now: float) -> list[Credential]:
        """Return the keys of which not even a guess says that they should wait."""
        if not self._rests:
            return list(keys)
        return [key for key in keys if not ((rest := self._rests.get((key.id, model))) and rest.until > now)]

    def pick(self, keys: Sequence[Credential], now: float, chance: Callable[[], float]) -> Credential:
        """Return one of `keys`, by chance among those that did not fail lately, or else the one that failed first."""
        if len(keys) == 1:
            return keys[0]
        fresh = [key for key in keys if now - self._failed_at.get(key.id, -RECENT_SECONDS) >= RECENT_SECONDS]
        if not fresh:
            return min(keys, key=lambda key: self._failed_at.get(key.id, 0.0))
        return fresh[int(chance() * len(fresh))]

    def wait_seconds(self, keys: Sequence[Credential], model: str, now: float) -> float | None:
        """Return how long until the first of `keys` may be used again, as far as the upstream has told; None if it has not."""
        waits = [
            rest.until - now
            for key in keys
            if not self.is_refused(key, now)
            and (rest := self._rests.get((key.id, model)))
            and rest.is_told
            and rest.until > now
        ]
        return min(waits, default=None)

    def keep(self, routes: Sequence[Route]) -> None:
        """Forget what is not of these routes."""
        channels = {route.id for route in routes}
        keys = {key.id for route in routes for key in route.credentials}
        self._channels = {id: record for id, record in self._channels.items() if id in channels}
        self._rests = {place: rest for place, rest in self._rests.items() if place[0] in keys}
        self._failed_at = {id: at for id, at in self._failed_at.items() if id in keys}
        self._refused = {place: at for place, at in self._refused.items() if place[0] in keys}

    def view(self, now: float) -> list[ChannelHealth]:
        """Return the channels with failures or ejections, for people and metrics."""
        return [
            ChannelHealth(
                channel_id=channel_id,
                failures=record.failures,
                ejections=record.ejections,
                ejected_seconds=max(0.0, record.until - now),
            )
            for channel_id, record in self._channels.items()
        ]

    def _count(self, channel_id: str, now: float) -> None:
        record = self._channels.setdefault(channel_id, _Record())
        if record.until > now:
            return  # what fails now had begun before
        record.failures += 1
        if record.failures < FAILURES_MAX:
            return
        if now - record.until > EJECTION_SECONDS_MAX:
            record.ejections = 0
        record.ejections += 1
        record.until = now + min(EJECTION_SECONDS * record.ejections, EJECTION_SECONDS_MAX)
        record.failures = FAILURES_MAX - 1

    def _guess(self, key_id: str, model: str, now: float) -> None:
        former = self._rests.get((key_id, model))
        guesses = former.guesses + 1 if former is not None else 1
        seconds = min(GUESSED_SECONDS * 2 ** (guesses - 1), GUESSED_SECONDS_MAX)
        self._rests[key_id, model] = _Rest(now + seconds, is_told=False, guesses=guesses)
