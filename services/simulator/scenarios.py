"""Scenarios that wait for the requests they match: the first control channel, which needs no change to the request."""

from collections import deque
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from services.simulator.behaviour import Directive, resolve
from services.simulator.prompt import ChatRequest
from shared.errors import InvalidRequest

MOST_SCENARIOS = 10_000


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests a scenario is for; what is not named matches every request."""

    path: str | None = None
    model: str | None = None
    key: str | None = None
    contains: str | None = None

    def fits(self, path: str, api_key: str, request: ChatRequest) -> bool:
        """Whether a request is meant; `model` is the whole name, `contains` a part of the last user text."""
        return (
            self.path in (None, path)
            and self.model in (None, request.model)
            and self.key in (None, api_key)
            and (self.contains is None or self.contains in request.last_user_text)
        )


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A behaviour for the next `times` requests that match."""

    behaviour: dict[str, str | bool | int | float]
    match: Match = Match()
    times: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Scenarios:
    """The queue of scenarios, first in, first out."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Match, Directive, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, directive: Directive, match: Match, times: int) -> None:
        """Queue a directive for the next `times` matching requests.

        Raises: InvalidRequest for a directive that cannot be followed, or when too many are queued.
        """
        resolve(directive)
        if len(self._waiting) >= MOST_SCENARIOS:
            raise InvalidRequest("invalid_value", problem=f"more than {MOST_SCENARIOS} scenarios are queued")
        self._waiting.append((match, directive, times))

    def take(self, path: str, api_key: str, request: ChatRequest) -> Directive:
        """Return the directive of the first scenario that matches, used once more; an empty one without a match."""
        for at, (match, directive, times) in enumerate(self._waiting):
            if match.fits(path, api_key, request):
                if times > 1:
                    self._waiting[at] = (match, directive, times - 1)
                else:
                    del self._waiting[at]
                return directive
        return {}

    def clear(self) -> None:
        """Drop all scenarios."""
        self._waiting.clear()


def to_directive(behaviour: Mapping[str, str | bool | int | float]) -> Directive:
    """Return JSON's values as a directive writes them."""
    return {
        key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in behaviour.items()
    }
