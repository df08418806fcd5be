"""Which channels may serve a model, and in which order they are tried. Pure."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from services.dispatcher.overrides import Overrides
from shared.contracts.billing import AbortPolicy
from shared.contracts.dispatcher import AuthHeader


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream key of a channel. `version` counts the keys that stood under this id; a refused one waits for a probe."""

    id: str
    name: str
    secret: str
    version: int = 1
    is_refused: bool = False

    def __repr__(self) -> str:
        return f"Credential({self.name!r})"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as a call needs it. `models` maps our names to the upstream's."""

    id: str
    name: str
    base_url: str
    credentials: tuple[Credential, ...]
    models: dict[str, str]
    priority: int
    weight: int
    abort_policy: AbortPolicy
    output_parameter: str
    version: int
    auth_header: AuthHeader = "authorization"
    headers: dict[str, str] = {}
    overrides: Overrides = Overrides()
    slow_seconds: float | None = None

    def __repr__(self) -> str:
        return f"Route({self.name!r})"


def order(routes: Iterable[Route], model: str, chance: Callable[[], float]) -> list[Route]:
    """Return the routes that serve `model` in the order to try them.

    Higher priority first. Among equals each place is drawn in proportion to weight; `chance` yields numbers in [0, 1).
    """
    candidates = [route for route in routes if model in route.models]
    if len(candidates) < 2:
        return candidates
    ordered: list[Route] = []
    for priority in sorted({route.priority for route in candidates}, reverse=True):
        ordered += _draw([route for route in candidates if route.priority == priority], chance)
    return ordered


def _draw(routes: Sequence[Route], chance: Callable[[], float]) -> list[Route]:
    left = list(routes)
    drawn = []
    while left:
        point = chance() * sum(route.weight for route in left)
        for route in left:
            point -= route.weight
            if point < 0:
                break
        drawn.append(route)
        left.remove(route)
    return drawn
